"""Random offset block embedding (ROBE): every coordinate of every value is a place in one array.

A. Desai and others, 2022, *Random Offset Block Embedding (ROBE) for Compressed Embedding Tables in
Deep Learning Recommendation Systems*. One array M of r n D numbers. Coordinate c of value x in
field f lies in chunk q = c // Z at z = c mod Z:

    e_c = s M[ (((A f + B x + C q + H) mod P) mod |M| + z) mod |M| ],
    s = 2 (((A' f + B' x + C' c + H') mod P) mod 2) - 1

with random coefficients, P = 2038074743, in 64 bits. Z = 1 shares single numbers; a larger Z reads
blocks. Use at any budget down to a few numbers in all. Cost: D gathers of one number, D / Z blocks.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.core import ConfigError, numpy_generator

from .._columns import gather
from .._embedding import CompressedEmbedding, TablePlan
from .._shape import FLOAT_BYTES, TableShape

PRIME = 2038074743


def places_and_signs(
    ids: Tensor, dim: int, *, length: int, coefficients: list[int], block: int
) -> tuple[Tensor, Tensor]:
    """Where the coordinates of values lie.

    Args:
        ids: int64, shape (rows, fields).
        dim: Width of the vectors.
        length: Length of the array.
        coefficients: A, B, C, H and A', B', C', H', below PRIME.
        block: Z.

    Returns:
        Places from 0 to `length` - 1 and signs (1 or -1), shape (rows, fields, dim).
    """
    device = ids.device
    field = torch.arange(ids.shape[1], device=device)[:, None]
    coordinate = torch.arange(dim, device=device)
    a, b, c, h, a2, b2, c2, h2 = coefficients
    value = ids[..., None]
    start = (a * field + b * value + c * (coordinate // block) + h) % PRIME % length
    places = (start + coordinate % block) % length
    signs = 2 * ((a2 * field + b2 * value + c2 * coordinate + h2) % PRIME % 2) - 1
    return places, signs


class RandomOffsetBlock(CompressedEmbedding):
    """One array for all coordinates."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            block: Neighbouring coordinates that are read together (Z).
        """

        block: int = 1

        def __post_init__(self) -> None:
            if self.block < 1:
                raise ConfigError(f"block must be at least 1; got {self.block}")

    name: ClassVar[str] = "robe"
    family: ClassVar[str] = "sharing"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        length = max(1, int(plan.shape.budget(plan.rate) / FLOAT_BYTES + 1e-9))
        rng = numpy_generator(plan.seed, "table", "robe")
        self.coefficients = [int(n) for n in rng.integers(1, PRIME, 8)]
        self.array = plan.normal(length, 1)

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return 1 / (plan.shape.total * plan.shape.dim)

    def _config(self) -> dict[str, Any]:
        return {"coefficients": self.coefficients, "block": self.plan.settings.block}

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        return _read(self._config(), self.array, ids, self.shape, self.plan.sparse)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return self._config(), {"array": self.array}

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return _read(config, tensors["array"], ids, shape, False)


def _read(
    config: dict[str, Any], array: Tensor, ids: Tensor, shape: TableShape, sparse: bool
) -> Tensor:
    places, signs = places_and_signs(
        ids,
        shape.dim,
        length=len(array),
        coefficients=config["coefficients"],
        block=config["block"],
    )
    return gather(array, places, sparse=sparse).squeeze(-1) * signs
