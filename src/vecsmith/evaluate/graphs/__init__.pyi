from ._reconstruction import HopScore as HopScore
from ._reconstruction import average_precisions as average_precisions
from ._reconstruction import random_floor as random_floor
from ._reconstruction import reconstruction as reconstruction
from ._report import MethodScores as MethodScores
from ._report import RestoreReport as RestoreReport
from ._restore import restore as restore
from ._scorers import SentenceVectors as SentenceVectors
from ._scorers import VectorScores as VectorScores
from ._semantics import SemanticScore as SemanticScore
from ._semantics import analogy_test as analogy_test
from ._semantics import hop_distances_in_space as hop_distances_in_space
from ._semantics import similarity_test as similarity_test

__all__ = [
    "HopScore",
    "MethodScores",
    "RestoreReport",
    "SemanticScore",
    "SentenceVectors",
    "VectorScores",
    "analogy_test",
    "average_precisions",
    "hop_distances_in_space",
    "random_floor",
    "reconstruction",
    "restore",
    "similarity_test",
]
