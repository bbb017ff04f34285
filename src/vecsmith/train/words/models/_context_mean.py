"""CBOW: the mean of the context predicts the target.

Paper: Efficient Estimation of Word Representations in Vector Space (T. Mikolov and others, 2013).

    f(w, c) = <x, o(w)>,   x = mean_i e(c_i) over the words that are there

Use for speed on large corpora and for topics. Avoid on small corpora: one step a window, so that it
needs more passes than Skip-gram. Cost: N + 1 products of d numbers a token.
"""

from typing import TYPE_CHECKING

from ._window_model import Shape, WindowModel

if TYPE_CHECKING:
    from torch import Tensor


class ContinuousBag(WindowModel):
    """The mean of the context."""

    name, ordered = "cbow", False

    @staticmethod
    def output_width(shape: Shape) -> int:
        """Give d."""
        return shape.dim

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates, shape (batch, 1, 1 + N)."""
        share = present.to(contexts.dtype)
        share = share / share.sum(1, keepdim=True).clamp(min=1)
        return (share[:, None] @ contexts) @ candidates.mT
