"""Factorised tables: the best approximation of a given rank, plain or for two groups by length.

E ~ (U S) V^T by singular values (C. Eckart and G. Young, 1936): r (n + D) numbers, so that the rank
is r n D / (n + D) at rate r. "svd_by_norm" factorises the vectors that make up half of the total
length by themselves, with twice the rank. Use where few directions hold most of the length; word
vectors are not so. Cost: one singular value decomposition; a lookup is a product of r x D.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.encode.tables import mark_bytes

from ._codec import Codec
from ._norm_groups import find_groups, long_rows, store_groups


def factors(vectors: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factorise a table.

    Args:
        vectors: Shape (rows, dim).
        rank: Rank.

    Returns:
        Shapes (rows, rank) and (rank, dim).
    """
    # the directions come from the small side: a corpus may have millions of rows
    square = vectors.double().T @ vectors.double()
    _, directions = torch.linalg.eigh(square)
    right = directions[:, -rank:].flip(1).T
    return (vectors.double() @ right.T).float(), right.float().contiguous()


class LowRank(Codec):
    """One factorisation."""

    name: ClassVar[str] = "svd"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return (rows + dim) / (rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        rows, dim = vectors.shape
        rank = min(int(budget / 4 / (rows + dim) + 1e-9), dim, rows)
        left, right = factors(vectors, rank)
        return {}, {"left": left, "right": right}

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        return tensors["left"][rows] @ tensors["right"]


class LowRankByNorm(Codec):
    """Two factorisations, the one of long vectors with twice the rank."""

    name: ClassVar[str] = "svd_by_norm"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return (4 * (2 * rows + 3 * dim) + mark_bytes(rows)) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        dim, mask = vectors.shape[1], long_rows(vectors)
        long, short = int(mask.sum()), int((~mask).sum())
        left = (budget - mark_bytes(len(vectors))) / 4
        rank = max(1, int(left / (2 * (long + dim) + short + dim)))
        double = min(2 * rank, dim, long)
        # what the long ones cannot use goes to the others
        rank = max(1, min(int((left - double * (long + dim)) / (short + dim)), dim, short))
        tensors = store_groups(mask)
        tensors["long_left"], tensors["long_right"] = factors(vectors[mask], double)
        tensors["short_left"], tensors["short_right"] = factors(vectors[~mask], rank)
        return {}, tensors

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        long, place = find_groups(tensors, rows)
        out = tensors["long_right"].new_empty(len(rows), tensors["long_right"].shape[1])
        out[long] = tensors["long_left"][place[long]] @ tensors["long_right"]
        out[~long] = tensors["short_left"][place[~long]] @ tensors["short_right"]
        return out
