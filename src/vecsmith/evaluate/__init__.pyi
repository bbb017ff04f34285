from ._grid import Grid as Grid
from ._grid import SizeResult as SizeResult
from ._grid import evaluate_grid as evaluate_grid
from ._grid import evaluate_menu as evaluate_menu
from ._grid import layer_times as layer_times
from ._queries import HeldOut as HeldOut
from ._queries import read_queries as read_queries
from ._retrieval import METRICS as METRICS
from ._retrieval import Groups as Groups
from ._retrieval import compare as compare
from ._retrieval import document_ranks as document_ranks
from ._retrieval import evaluate_index as evaluate_index
from ._retrieval import metric_values as metric_values
from ._retrieval import score_store as score_store
from ._retrieval import summarise as summarise

__all__ = [
    "Grid",
    "Groups",
    "HeldOut",
    "METRICS",
    "SizeResult",
    "compare",
    "document_ranks",
    "evaluate_grid",
    "evaluate_index",
    "evaluate_menu",
    "layer_times",
    "metric_values",
    "read_queries",
    "score_store",
    "summarise",
]
