from ._features import Feature as Feature
from ._features import reading_features as reading_features
from ._options import ReadingOptions as ReadingOptions
from ._reader import Reader as Reader
from ._spans import best_span as best_span
from ._spans import span_in_window as span_in_window

__all__ = [
    "Feature",
    "Reader",
    "ReadingOptions",
    "best_span",
    "reading_features",
    "span_in_window",
]
