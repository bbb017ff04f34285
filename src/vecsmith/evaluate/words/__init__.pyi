from ._tasks import AnalogyScore as AnalogyScore
from ._tasks import SimilarityScore as SimilarityScore
from ._tasks import word_analogies as word_analogies
from ._tasks import word_similarity as word_similarity

__all__ = ["AnalogyScore", "SimilarityScore", "word_analogies", "word_similarity"]
