"""What a model says about a window: scores of the target and of noise words in its context.

The word vectors e are a table of (words + 1, d), the last row that of the padding `</s>`. A model
scores candidates, of which the first is the target and the others are noise words, by a table of
its own, or by e itself where target and context are scored together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """Sizes of a model.

    Attributes:
        words: Words of the vocabulary.
        dim: d, dimensions of a word vector.
        window: k, words on each side.
        hidden: m, units of the hidden layer.
    """

    words: int
    dim: int
    window: int
    hidden: int


class WindowModel:
    """Base of the models that go through a corpus window by window.

    Attributes:
        name: What users call it.
        ordered: Whether places of the context are told apart; windows are then padded.
        joint: Whether candidates are rows of e, not of a table of their own.
    """

    name: ClassVar[str]
    ordered: ClassVar[bool] = True
    joint: ClassVar[bool] = False

    @staticmethod
    def output_width(shape: Shape) -> int:
        """Give the width of a candidate's row.

        Args:
            shape: Sizes.

        Returns:
            Columns of the table o.
        """
        raise NotImplementedError

    @staticmethod
    def weights(shape: Shape) -> dict[str, tuple[int, ...]]:
        """Name the parameters that belong to no word.

        Args:
            shape: Sizes.

        Returns:
            Name -> shape.
        """
        return {}

    @staticmethod
    def scores(
        contexts: "Tensor",
        present: "Tensor",
        candidates: "Tensor",
        weights: "dict[str, Tensor]",
    ) -> "Tensor":
        """Score candidates.

        Args:
            contexts: e of the context words, left to right, shape (batch, 2 k, d).
            present: Whether each is a word, not padding, shape (batch, 2 k).
            candidates: Rows of the target and of the noise words, shape (batch, 1 + N, width).
            weights: Further parameters.

        Returns:
            f, shape (batch, predictions, 1 + N): a window is one prediction, or one a context word.
        """
        raise NotImplementedError

    @classmethod
    def counted(cls, present: "Tensor") -> "Tensor":
        """Say which predictions are made.

        Args:
            present: As for `scores`.

        Returns:
            Shape (batch, predictions).
        """
        import torch

        if cls.ordered:
            return torch.ones_like(present[:, :1])
        return present.any(1, keepdim=True)
