from ._aspects import AspectScores as AspectScores
from ._aspects import aspect_bias as aspect_bias
from ._aspects import evaluate_aspects as evaluate_aspects
from ._label_curve import LabelledImages as LabelledImages
from ._label_curve import finetune as finetune
from ._label_curve import label_curve as label_curve
from ._label_curve import linear_probe as linear_probe
from ._precision_at_k import precision_at_k as precision_at_k
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
    "LabelledImages",
    "compare",
    "document_ranks",
    "evaluate_index",
    "finetune",
    "label_curve",
    "linear_probe",
    "metric_values",
    "precision_at_k",
    "read_queries",
    "score_store",
    "summarise",
    "AspectScores",
    "aspect_bias",
    "evaluate_aspects",
]
