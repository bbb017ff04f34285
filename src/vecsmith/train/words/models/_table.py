"""The models by name."""

from ._context_mean import ContinuousBag
from ._context_order import ContextOrder
from ._hidden_layer import LogBilinear, NeuralLanguageModel
from ._joint_score import JointScore
from ._single_context import SkipGram
from ._window_model import WindowModel

# those that go through windows; "glove" goes through counts
WINDOW_MODELS: dict[str, type[WindowModel]] = {
    model.name: model
    for model in (
        SkipGram,
        ContinuousBag,
        ContextOrder,
        LogBilinear,
        NeuralLanguageModel,
        JointScore,
    )
}
MODELS: tuple[str, ...] = (*WINDOW_MODELS, "glove")
