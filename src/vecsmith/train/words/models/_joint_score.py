"""C&W: target and context are scored together; nothing is predicted.

Paper: A Unified Architecture for Natural Language Processing: Deep Neural Networks with Multitask
Learning (R. Collobert and J. Weston, 2008).

    f(w, c) = <u, tanh(H [e(c_-k) … e(w) … e(c_k)])>     H in R^{m x (2 k + 1) d}, u in R^m

The target stands in the middle place and nowhere else, and its row is one of e: there are no output
vectors. The paper ranks, max(0, 1 - f(w, c) + f(w', c)) (objective "rank"); S. Lai and others
(2016) train it with the logistic loss too ("neg").

Use to start a tagger from. Avoid for similarity and analogies: it trails all that predict. Cost: as
for "nnlm"; a noise word changes the middle place alone.
"""

from typing import TYPE_CHECKING

from ._window_model import Shape, WindowModel

if TYPE_CHECKING:
    from torch import Tensor


class JointScore(WindowModel):
    """Target and context in one layer."""

    name, joint = "cw", True

    @staticmethod
    def output_width(shape: Shape) -> int:
        """Give d: candidates are rows of e."""
        return shape.dim

    @staticmethod
    def weights(shape: Shape) -> dict[str, tuple[int, ...]]:
        """Name H and u."""
        return {
            "hidden": (shape.hidden, (2 * shape.window + 1) * shape.dim),
            "top": (shape.hidden,),
        }

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates, shape (batch, 1, 1 + N)."""
        side = contexts.shape[1] // 2 * contexts.shape[2]
        hidden, middle = weights["hidden"], slice(side, side + contexts.shape[2])
        around = contexts.flatten(1)
        # one product for the context, whatever the number of candidates
        fixed = (
            around[:, :side] @ hidden[:, :side].T + around[:, side:] @ hidden[:, middle.stop :].T
        )
        layer = (fixed[:, None] + candidates @ hidden[:, middle].T).tanh()
        return (layer @ weights["top"])[:, None]
