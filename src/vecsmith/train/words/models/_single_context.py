"""Skip-gram: each context word alone predicts the target.

Paper: Efficient Estimation of Word Representations in Vector Space; Distributed Representations of
Words and Phrases and their Compositionality (T. Mikolov and others, 2013).

    f(w, c_i) = <e(c_i), o(w)>        e in R^{V x d}, o in R^{V x d}

With N noise words it factorises PMI(w, c) - log N (O. Levy and Y. Goldberg, 2014). The pairs of one
window share their noise words: each pair's loss is what it was, and a window moves each row once.

Use first, and on small corpora. Avoid where the order of words matters (grammar, tagging): take
"order". Cost: 2 k (N + 1) products of d numbers a token.
"""

from typing import TYPE_CHECKING

from ._window_model import Shape, WindowModel

if TYPE_CHECKING:
    from torch import Tensor


class SkipGram(WindowModel):
    """One context word at a time."""

    name, ordered = "skipgram", False

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
        """Score candidates for each context word, shape (batch, 2 k, 1 + N)."""
        return contexts @ candidates.mT

    @classmethod
    def counted(cls, present: "Tensor") -> "Tensor":
        """Count each word that is there."""
        return present
