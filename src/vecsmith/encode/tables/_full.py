"""The whole table in float32: what all methods are compared with.

e(i) = E[i], one row a value. Use when memory is no question. Cost: 4 n D bytes.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ._embedding import CompressedEmbedding, TablePlan
from ._shape import TableShape


def place_rows(ids: Tensor, shape: TableShape) -> Tensor:
    """Number values over all fields.

    Args:
        ids: int64, shape (rows, fields).
        shape: The fields.

    Returns:
        Rows of a table of all values, same shape.
    """
    if shape.fields == 1:
        return ids
    return ids + torch.tensor(shape.offsets, device=ids.device)


class FullTable(CompressedEmbedding):
    """One float32 row a value."""

    name: ClassVar[str] = "full"
    family: ClassVar[str] = "none"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.table = plan.normal(plan.shape.total, plan.shape.dim)

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return 1.0

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        rows = place_rows(ids, self.shape)
        return nn.functional.embedding(rows, self.table, sparse=self.plan.sparse)

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table."""
        with torch.no_grad():
            self.table.copy_(vectors)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return {}, {"table": self.table}

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return nn.functional.embedding(place_rows(ids, shape), tensors["table"])
