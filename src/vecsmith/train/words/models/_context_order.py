"""Order: the context words side by side predict the target.

Paper: How to Generate a Good Word Embedding? (S. Lai and others, 2016), the step between CBOW and
the log-bilinear model: places are told apart, and no layer lies between.

    f(w, c) = <x, o(w)>     x = [e(c_-k) … e(c_-1) e(c_1) … e(c_k)] in R^{2 k d}
                            o in R^{V x 2 k d}

Use where grammar counts (tagging, syntactic analogies) and the corpus is small. Cost: N + 1
products of 2 k d numbers a token, and V x 2 k d numbers of memory, twice with AdaGrad's.
"""

from typing import TYPE_CHECKING

from ._window_model import Shape, WindowModel

if TYPE_CHECKING:
    from torch import Tensor


class ContextOrder(WindowModel):
    """The context side by side."""

    name = "order"

    @staticmethod
    def output_width(shape: Shape) -> int:
        """Give 2 k d."""
        return 2 * shape.window * shape.dim

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates, shape (batch, 1, 1 + N)."""
        return contexts.flatten(1)[:, None] @ candidates.mT
