from ._adapt import ADAPTERS as ADAPTERS
from ._adapt import METHODS as METHODS
from ._adapt import AdaptOptions as AdaptOptions
from ._adapt import CosineHead as CosineHead
from ._adapt import adapt as adapt
from ._classifier import Guess as Guess
from ._classifier import IncrementalClassifier as IncrementalClassifier
from ._prototypes import Prototypes as Prototypes

__all__ = [
    "ADAPTERS",
    "METHODS",
    "AdaptOptions",
    "CosineHead",
    "Guess",
    "IncrementalClassifier",
    "Prototypes",
    "adapt",
]
