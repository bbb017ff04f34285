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
    "METRICS",
    "Groups",
    "HeldOut",
    "compare",
    "document_ranks",
    "evaluate_index",
    "metric_values",
    "read_queries",
    "score_store",
    "summarise",
]
