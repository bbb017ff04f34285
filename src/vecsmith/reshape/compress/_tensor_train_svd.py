"""Tensor train of a finished table by successive singular value decompositions (TT-SVD).

I. Oseledets, 2011, *Tensor-Train Decomposition*. The table is read as a tensor of three axes
(n1 d1, n2 d2, n3 d3), as in TT-Rec, and split twice, each time keeping the R largest singular
values; R is the largest that fits. Use to compare: rows of a finished table have no order that such
a tensor could use, and most of what they say is lost. Cost: two decompositions.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.encode.tables.sharing import (
    core_numbers,
    near_cube,
    tensor_train,
    three_factors,
)

from ._codec import Codec


def _split(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Best factors of a matrix, filled up with zeros to the rank; from its smaller side."""
    wide = matrix.shape[0] <= matrix.shape[1]
    square = matrix @ matrix.T if wide else matrix.T @ matrix
    directions = torch.linalg.eigh(square)[1][:, -rank:].flip(1)
    directions = torch.nn.functional.pad(directions, (0, rank - min(rank, len(square))))
    return (directions, directions.T @ matrix) if wide else (matrix @ directions, directions.T)


class TensorTrainSVD(Codec):
    """Three cores from two decompositions."""

    name: ClassVar[str] = "tt_svd"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return core_numbers(rows, dim, 1) / (rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        rows, dim = vectors.shape
        rank = 1
        while 4 * core_numbers(rows, dim, rank + 1) <= budget:
            rank += 1
        n, d = near_cube(rows), three_factors(dim)
        size = n[0] * n[1] * n[2]
        padded = torch.nn.functional.pad(vectors.double(), (0, 0, 0, size - rows))
        # row i = i1 + n1 (i2 + n2 i3), column = (j1 d2 + j2) d3 + j3
        tensor = padded.reshape(n[2], n[1], n[0], *d).permute(2, 3, 1, 4, 0, 5)
        first, rest = _split(tensor.reshape(n[0] * d[0], -1), rank)
        middle = rest.reshape(rank * n[1] * d[1], n[2] * d[2])
        second, third = _split(middle, rank)
        cores = {
            # rows of a core belong to its digit
            "core0": first.reshape(n[0], d[0] * rank),
            "core1": second.reshape(rank, n[1], d[1], rank).transpose(0, 1).reshape(n[1], -1),
            "core2": third.reshape(rank, n[2], d[2]).transpose(0, 1).reshape(n[2], -1),
        }
        tensors = {name: core.float().contiguous() for name, core in cores.items()}
        return {"rank": rank}, tensors

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        n1, n2 = len(tensors["core0"]), len(tensors["core1"])
        return tensor_train(
            tensors["core0"][rows % n1],
            tensors["core1"][rows // n1 % n2],
            tensors["core2"][rows // n1 // n2],
            config["rank"],
        )
