from ._bit_cipher import BitCipher as BitCipher
from ._bit_cipher import cipher_rounds as cipher_rounds
from ._bit_cipher import least_bits as least_bits
from ._bit_cipher import smoothing_shares as smoothing_shares
from ._subword_vectors import SubwordVectors as SubwordVectors
from ._subword_vectors import ngram_buckets as ngram_buckets
from ._word_hosts import vectors_of_words as vectors_of_words
from ._word_search import nearest as nearest
from ._word_search import row_norms as row_norms
from ._word_search import solve_analogies as solve_analogies
from ._word_vectors import WordVectors as WordVectors

__all__ = [
    "BitCipher",
    "SubwordVectors",
    "WordVectors",
    "cipher_rounds",
    "least_bits",
    "nearest",
    "ngram_buckets",
    "row_norms",
    "smoothing_shares",
    "solve_analogies",
    "vectors_of_words",
]
