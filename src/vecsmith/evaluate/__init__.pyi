from ._aspects import AspectScores as AspectScores
from ._aspects import aspect_bias as aspect_bias
from ._aspects import evaluate_aspects as evaluate_aspects
from ._compression_benchmark import CompressionBenchmark as CompressionBenchmark
from ._compression_benchmark import CompressionResult as CompressionResult
from ._compression_benchmark import CompressionRow as CompressionRow
from ._compression_benchmark import Recommendation as Recommendation
from ._compression_benchmark import lookup_ms as lookup_ms
from ._ctr import CTRScores as CTRScores
from ._ctr import evaluate_ctr as evaluate_ctr
from ._grid import Grid as Grid
from ._grid import SizeResult as SizeResult
from ._grid import evaluate_grid as evaluate_grid
from ._grid import evaluate_menu as evaluate_menu
from ._grid import layer_times as layer_times
from ._hierarchy import HierarchyProbe as HierarchyProbe
from ._hierarchy import HierarchyResult as HierarchyResult
from ._hierarchy import evaluate_hierarchy as evaluate_hierarchy
from ._hierarchy import word_overlap as word_overlap
from ._label_curve import LabelledImages as LabelledImages
from ._label_curve import finetune as finetune
from ._label_curve import label_curve as label_curve
from ._label_curve import linear_probe as linear_probe
from ._mteb import mteb_evaluation as mteb_evaluation
from ._mteb import task_evaluation as task_evaluation
from ._pairs import BestF1 as BestF1
from ._pairs import f1max as f1max
from ._pairs import pair_auc as pair_auc
from ._precision_at_k import precision_at_k as precision_at_k
from ._queries import HeldOut as HeldOut
from ._queries import read_queries as read_queries
from ._quick import Evaluation as Evaluation
from ._quick import Score as Score
from ._quick import own_queries as own_queries
from ._quick import score_model as score_model
from ._quick import spearman as spearman
from ._quick import text_similarity as text_similarity
from ._retrieval import METRICS as METRICS
from ._retrieval import Groups as Groups
from ._retrieval import compare as compare
from ._retrieval import document_ranks as document_ranks
from ._retrieval import evaluate_index as evaluate_index
from ._retrieval import metric_values as metric_values
from ._retrieval import score_store as score_store
from ._retrieval import summarise as summarise
from ._space import alignment as alignment
from ._space import alignment_uniformity as alignment_uniformity
from ._space import length_bias as length_bias
from ._space import uniformity as uniformity
from .bias import BiasQuestions as BiasQuestions
from .bias import BiasReport as BiasReport
from .bias import association_test as association_test
from .bias import bias_report as bias_report
from .bias import direct_bias as direct_bias
from .bias import generate_analogies as generate_analogies
from .bias import indirect_bias as indirect_bias
from .bias import report_words as report_words
from .bias import residual_bias as residual_bias
from .cognition import EncodingFit as EncodingFit
from .cognition import encode_ridge as encode_ridge
from .cognition import rsa as rsa
from .grounding import goal_accuracy as goal_accuracy
from .grounding import make_scenes as make_scenes
from .probing import Probe as Probe
from .probing import SparseCodes as SparseCodes
from .probing import geometry as geometry
from .probing import numeracy as numeracy
from .probing import probe as probe
from .probing import sparse_codes as sparse_codes
from .topics import CoherenceScore as CoherenceScore
from .topics import topic_coherence as topic_coherence
from .topics import topic_diversity as topic_diversity
from .words import EmbeddingStudy as EmbeddingStudy
from .words import compare_word_vectors as compare_word_vectors
from .words import performance_gain_ratio as performance_gain_ratio
from .words import study_tasks as study_tasks
from .words import word_analogies as word_analogies
from .words import word_similarity as word_similarity

__all__ = [
    "AspectScores",
    "BestF1",
    "BiasQuestions",
    "BiasReport",
    "CTRScores",
    "CoherenceScore",
    "CompressionBenchmark",
    "CompressionResult",
    "CompressionRow",
    "EmbeddingStudy",
    "EncodingFit",
    "Evaluation",
    "Grid",
    "Groups",
    "HeldOut",
    "HierarchyProbe",
    "HierarchyResult",
    "LabelledImages",
    "METRICS",
    "Probe",
    "Recommendation",
    "Score",
    "SizeResult",
    "SparseCodes",
    "alignment",
    "alignment_uniformity",
    "aspect_bias",
    "association_test",
    "bias_report",
    "compare",
    "compare_word_vectors",
    "direct_bias",
    "document_ranks",
    "encode_ridge",
    "evaluate_aspects",
    "evaluate_ctr",
    "evaluate_grid",
    "evaluate_hierarchy",
    "evaluate_index",
    "evaluate_menu",
    "f1max",
    "finetune",
    "generate_analogies",
    "geometry",
    "goal_accuracy",
    "indirect_bias",
    "label_curve",
    "layer_times",
    "length_bias",
    "linear_probe",
    "lookup_ms",
    "make_scenes",
    "metric_values",
    "mteb_evaluation",
    "numeracy",
    "own_queries",
    "pair_auc",
    "performance_gain_ratio",
    "precision_at_k",
    "probe",
    "read_queries",
    "report_words",
    "residual_bias",
    "rsa",
    "score_model",
    "score_store",
    "sparse_codes",
    "spearman",
    "study_tasks",
    "summarise",
    "task_evaluation",
    "text_similarity",
    "topic_coherence",
    "topic_diversity",
    "uniformity",
    "word_analogies",
    "word_overlap",
    "word_similarity",
]
