"""Fields of a table of vectors, and what its bytes are compared with."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError

FLOAT_BYTES = 4


@dataclass(frozen=True)
class TableShape:
    """Sizes of fields that share one dimension.

    Attributes:
        sizes: Number of values of each field.
        dim: Width of the vectors.
    """

    sizes: tuple[int, ...]
    dim: int

    def __post_init__(self) -> None:
        whole = all(isinstance(size, int | np.integer) and size >= 1 for size in self.sizes)
        if not self.sizes or not whole:
            raise ConfigError(
                f"field_sizes must be whole numbers from 1, one a field; got {self.sizes}"
            )
        if not isinstance(self.dim, int | np.integer) or self.dim < 1:
            raise ConfigError(f"dim must be a whole number from 1; got {self.dim!r}")
        object.__setattr__(self, "sizes", tuple(int(size) for size in self.sizes))

    @property
    def fields(self) -> int:
        """Number of fields."""
        return len(self.sizes)

    @functools.cached_property
    def total(self) -> int:
        """Number of values of all fields."""
        return sum(self.sizes)

    @functools.cached_property
    def offsets(self) -> tuple[int, ...]:
        """Place of each field's first value in a table of all."""
        return (0, *accumulate(self.sizes[:-1]))

    @property
    def full_bytes(self) -> int:
        """Bytes of the whole table in float32."""
        return FLOAT_BYTES * self.total * self.dim

    def budget(self, rate: float) -> float:
        """Bytes that a rate allows.

        Args:
            rate: Part of the whole table's bytes.
        """
        return rate * self.full_bytes


def joined_counts(counts: Sequence[Any] | None, shape: TableShape) -> NDArray[np.int64] | None:
    """Check how often values occur, and join the fields.

    Args:
        counts: One array a field; or one array where there is one field; None: not known.
        shape: The fields.

    Returns:
        Shape (values of all fields,), or None.

    Raises:
        ConfigError: The counts are not those of the fields.
    """
    if counts is None:
        return None
    if shape.fields == 1 and np.ndim(counts[0]) == 0:
        counts = [counts]
    arrays = [np.asarray(field) for field in counts]
    if tuple(array.size for array in arrays) != shape.sizes:
        raise ConfigError(
            f"counts must hold one array a field, of sizes {shape.sizes}; "
            f"got sizes {tuple(array.size for array in arrays)}"
        )
    joined = np.concatenate([array.ravel() for array in arrays])
    if joined.dtype.kind not in "iu" or joined.min() < 0:
        raise ConfigError(
            f"counts must be whole numbers from 0; got {joined.dtype} with minimum {joined.min()}"
        )
    return joined.astype(np.int64)
