from ._autoencoder import MaskedAutoencoder as MaskedAutoencoder
from ._autoencoder import masked_lm_loss as masked_lm_loss
from ._collator import TextCollator as TextCollator
from ._collator import WordMasker as WordMasker
from ._collator import mask_places as mask_places
from ._collator import visible_keys as visible_keys
from ._collator import word_numbers as word_numbers
from ._decoder import DecoderLayer as DecoderLayer
from ._decoder import InputEmbedding as InputEmbedding
from ._duplex import DuplexContrastiveLoss as DuplexContrastiveLoss
from ._duplex import DuplexEmbedding as DuplexEmbedding
from ._duplex import DuplexQuery as DuplexQuery
from ._duplex import DuplexRetriever as DuplexRetriever
from ._duplex import duplex_scores as duplex_scores
from ._duplex import keep_heaviest as keep_heaviest
from ._dupmae import DupMAE as DupMAE
from ._dupmae import bag_of_words as bag_of_words
from ._dupmae import bag_of_words_loss as bag_of_words_loss
from ._dupmae import vocabulary_maxima as vocabulary_maxima
from ._head import VocabularyHead as VocabularyHead
from ._head import backbone as backbone
from ._head import save_masked_model as save_masked_model
from ._head import word_vectors as word_vectors
from ._smae import SMAE as SMAE

__all__ = [
    "DecoderLayer",
    "DupMAE",
    "DuplexContrastiveLoss",
    "DuplexEmbedding",
    "DuplexQuery",
    "DuplexRetriever",
    "InputEmbedding",
    "MaskedAutoencoder",
    "SMAE",
    "TextCollator",
    "VocabularyHead",
    "WordMasker",
    "backbone",
    "bag_of_words",
    "bag_of_words_loss",
    "duplex_scores",
    "keep_heaviest",
    "mask_places",
    "masked_lm_loss",
    "save_masked_model",
    "visible_keys",
    "vocabulary_maxima",
    "word_numbers",
    "word_vectors",
]
