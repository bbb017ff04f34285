"""What a codec is: vectors to few numbers, and any rows back."""

from typing import Any, ClassVar

from torch import Tensor

from vecsmith.core import ConfigError


class Codec:
    """Turns a finished table into arrays, and rows of it back.

    A codec has no state: what `encode` returns is all that `decode` needs.
    """

    name: ClassVar[str]

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached.

        Args:
            rows: Vectors.
            dim: Their width.
        """
        raise NotImplementedError

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table.

        Args:
            vectors: float32, shape (rows, dim).
            budget: Bytes that the arrays may have.
            seed: Seed of whatever is drawn.

        Returns:
            Numbers as JSON takes them, and arrays.
        """
        raise NotImplementedError

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together.

        Args:
            config: Numbers.
            tensors: Arrays.
            rows: int64, shape (k,).

        Returns:
            float32, shape (k, dim).
        """
        raise NotImplementedError


def refuse(name: str, rate: float, least: float, shape: tuple[int, int]) -> ConfigError:
    """Say that a rate cannot be reached, and which can.

    Args:
        name: Of the codec.
        rate: What was asked for.
        least: What can be reached.
        shape: Of the table.

    Returns:
        The error to raise.
    """
    return ConfigError(
        f"rate {rate:g} cannot be reached by {name!r} for a table of {shape[0]} x {shape[1]}: it "
        f"reaches rates from {least:.3g}; take such a rate or another codec"
    )
