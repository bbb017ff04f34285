from ._context_mean import ContinuousBag as ContinuousBag
from ._context_order import ContextOrder as ContextOrder
from ._hidden_layer import LogBilinear as LogBilinear
from ._hidden_layer import NeuralLanguageModel as NeuralLanguageModel
from ._joint_score import JointScore as JointScore
from ._log_counts import log_count_loss as log_count_loss
from ._objectives import OBJECTIVES as OBJECTIVES
from ._objectives import logistic_loss as logistic_loss
from ._objectives import ranking_loss as ranking_loss
from ._single_context import SkipGram as SkipGram
from ._table import MODELS as MODELS
from ._window_model import Shape as Shape
from ._window_model import WindowModel as WindowModel

__all__ = [
    "ContextOrder",
    "ContinuousBag",
    "JointScore",
    "LogBilinear",
    "MODELS",
    "NeuralLanguageModel",
    "OBJECTIVES",
    "Shape",
    "SkipGram",
    "WindowModel",
    "log_count_loss",
    "logistic_loss",
    "ranking_loss",
]
