"""LBL and NNLM: a hidden layer over the ordered context predicts the target.

Papers: Three New Graphical Models for Statistical Language Modelling (A. Mnih and G. Hinton, 2007);
A Neural Probabilistic Language Model (Y. Bengio and others, 2003); both with noise words in place
of the softmax, and no bias terms, as in How to Generate a Good Word Embedding? (S. Lai and others,
2016).

    LBL    f(w, c) = <H x, o(w)>          x = [e(c_-k) … e(c_k)] in R^{2 k d}, H in R^{m x 2 k d}
    NNLM   f(w, c) = <tanh(H x), o(w)>    o in R^{V x m}

Use on corpora of 100 million tokens and more. Avoid on small ones: Skip-gram and Order are better
there. Cost: three products of m x 2 k d numbers a token, as matrices over a batch.
"""

from typing import TYPE_CHECKING

from ._window_model import Shape, WindowModel

if TYPE_CHECKING:
    from torch import Tensor


class LogBilinear(WindowModel):
    """A linear hidden layer."""

    name = "lbl"

    @staticmethod
    def output_width(shape: Shape) -> int:
        """Give m."""
        return shape.hidden

    @staticmethod
    def weights(shape: Shape) -> dict[str, tuple[int, ...]]:
        """Name H."""
        return {"hidden": (shape.hidden, 2 * shape.window * shape.dim)}

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates, shape (batch, 1, 1 + N)."""
        return (contexts.flatten(1) @ weights["hidden"].T)[:, None] @ candidates.mT


class NeuralLanguageModel(LogBilinear):
    """A hidden layer with tanh."""

    name = "nnlm"

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates, shape (batch, 1, 1 + N)."""
        return (contexts.flatten(1) @ weights["hidden"].T).tanh()[:, None] @ candidates.mT
