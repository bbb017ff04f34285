from ._char_words import CharWordEmbedding as CharWordEmbedding
from ._cipher_embedding import EmbeddingOptions as EmbeddingOptions
from ._cipher_embedding import cipher_embedding as cipher_embedding
from ._cipher_embedding import replace_embeddings as replace_embeddings
from ._cipher_vectors import CipherOptions as CipherOptions
from ._cipher_vectors import CipherVectors as CipherVectors
from ._cipher_vectors import context_vectors as context_vectors
from ._cipher_vectors import log_transform as log_transform
from ._corpus import WordCorpus as WordCorpus
from ._counts import CooccurrenceCounter as CooccurrenceCounter
from ._counts import Pairs as Pairs
from ._counts import Ranking as Ranking
from ._counts import count_offset as count_offset
from ._counts import merge_pairs as merge_pairs
from ._ppmi import PPMIOptions as PPMIOptions
from ._ppmi import PPMIVectors as PPMIVectors
from ._ppmi import ppmi as ppmi
from ._ppmi import truncated_svd as truncated_svd
from ._ppmi import window_weight as window_weight
from ._ppmi import windowed_counts as windowed_counts
from ._tokens import TokenBlock as TokenBlock
from ._tokens import split_words as split_words
from ._tokens import token_blocks as token_blocks
from ._trainer import WordEmbeddingTrainer as WordEmbeddingTrainer
from ._training_options import Pass as Pass
from ._training_options import WordTraining as WordTraining

__all__ = [
    "CharWordEmbedding",
    "CipherOptions",
    "CipherVectors",
    "CooccurrenceCounter",
    "EmbeddingOptions",
    "PPMIOptions",
    "PPMIVectors",
    "Pairs",
    "Pass",
    "Ranking",
    "TokenBlock",
    "WordCorpus",
    "WordEmbeddingTrainer",
    "WordTraining",
    "cipher_embedding",
    "context_vectors",
    "count_offset",
    "log_transform",
    "merge_pairs",
    "ppmi",
    "replace_embeddings",
    "split_words",
    "token_blocks",
    "truncated_svd",
    "window_weight",
    "windowed_counts",
]
