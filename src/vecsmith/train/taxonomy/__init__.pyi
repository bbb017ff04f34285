from ._losses import LOSSES as LOSSES
from ._losses import mapping_loss as mapping_loss
from ._mappers import MAPPERS as MAPPERS
from ._mappers import BiLSTMMapper as BiLSTMMapper
from ._mappers import CNNMapper as CNNMapper
from ._mappers import LinearMapper as LinearMapper
from ._nearest import NearestPhrase as NearestPhrase
from ._options import Text2NodeOptions as Text2NodeOptions
from ._phrases import PhraseEncoder as PhraseEncoder
from ._phrases import TokenStates as TokenStates
from ._phrases import TokenTable as TokenTable
from ._phrases import WordSequences as WordSequences
from ._phrases import as_phrase_encoder as as_phrase_encoder
from ._phrases import phrase_words as phrase_words
from ._text2node import Mapped as Mapped
from ._text2node import Text2Node as Text2Node

__all__ = [
    "BiLSTMMapper",
    "CNNMapper",
    "LOSSES",
    "LinearMapper",
    "MAPPERS",
    "Mapped",
    "NearestPhrase",
    "PhraseEncoder",
    "Text2Node",
    "Text2NodeOptions",
    "TokenStates",
    "TokenTable",
    "WordSequences",
    "as_phrase_encoder",
    "mapping_loss",
    "phrase_words",
]
