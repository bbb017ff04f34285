from ._word_hosts import vectors_of_words as vectors_of_words
from ._word_search import nearest as nearest
from ._word_search import row_norms as row_norms
from ._word_search import solve_analogies as solve_analogies
from ._word_vectors import WordVectors as WordVectors

__all__ = ["WordVectors", "nearest", "row_norms", "solve_analogies", "vectors_of_words"]
