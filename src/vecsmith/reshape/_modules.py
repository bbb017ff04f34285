"""Encoders with further modules behind them: what projections, cuts and whitening are made of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import require

from ._records import attach_record

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def linear_layer(matrix: NDArray[np.floating], bias: NDArray[np.floating] | None = None) -> Any:
    """Make a layer y = matrix x + bias that sentence-transformers has itself.

    Args:
        matrix: Shape (outputs, inputs).
        bias: Shape (outputs,).

    Returns:
        A Dense module without activation.
    """
    import torch

    base = require("sentence_transformers.base.modules", "train")
    outputs, inputs = matrix.shape
    return base.Dense(
        inputs,
        outputs,
        bias=bias is not None,
        activation_function=torch.nn.Identity(),
        init_weight=torch.from_numpy(np.ascontiguousarray(matrix, np.float32)),
        init_bias=None if bias is None else torch.from_numpy(np.asarray(bias, np.float32)),
    )


def normalises(model: "SentenceTransformer") -> bool:
    """Tell whether an encoder gives vectors of unit length.

    Args:
        model: The encoder.
    """
    return any(type(module).__name__ == "Normalize" for module in model)


def with_modules(model: "SentenceTransformer", modules: Sequence[Any]) -> "SentenceTransformer":
    """Make an encoder of other modules and a model's settings.

    Args:
        model: Whose prompts, similarity, device and records are taken over.
        modules: All modules of the new one, which it shares.

    Returns:
        A new encoder, in eval mode.
    """
    st = require("sentence_transformers", "train")
    made: SentenceTransformer = st.SentenceTransformer(
        modules=list(modules),
        device=str(model.device),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
    )
    for name, value in getattr(model, "records", {}).items():
        attach_record(made, name, value)
    return made.eval()


def appended(model: "SentenceTransformer", layer: Any) -> tuple["SentenceTransformer", int]:
    """Put a layer behind an encoder, and unit length again where it had it.

    Args:
        model: The encoder.
        layer: The module.

    Returns:
        A new encoder that shares the old one's modules, and how many modules were added.
    """
    base = require("sentence_transformers.base.modules", "train")
    more = [layer, base.Normalize()] if normalises(model) else [layer]
    return with_modules(model, [*model, *more]), len(more)
