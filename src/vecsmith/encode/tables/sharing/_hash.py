"""The hashing trick: values share whole vectors.

K. Weinberger and others, 2009, *Feature Hashing for Large Scale Multitask Learning*. Field f owns
m_f rows, e(i) = E_f[i mod m_f], or E_f[h_f(i) mod m_f] with `mixed` (a splitmix64 hash). Values of
one row cannot be told apart: the baseline of all sharing methods. Use when nothing else is at hand;
`compo_emb` costs the same and keeps values apart. Cost: one gather.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .._embedding import CompressedEmbedding, TablePlan
from .._hashing import hash_ids, salt_of
from .._shape import FLOAT_BYTES, TableShape


def shared_rows(sizes: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """Deal rows out to fields, in proportion to their values, at least one each.

    Args:
        sizes: Number of values of each field.
        rows: Rows of all, at least one a field.

    Returns:
        Rows of each field.
    """
    total = sum(sizes)
    given = [max(1, rows * size // total) for size in sizes]
    # what the single rows of small fields cost is taken from the largest
    while sum(given) > rows:
        given[given.index(max(given))] -= 1
    left = rows - sum(given)
    by_part = sorted(range(len(sizes)), key=lambda f: (given[f] * total / sizes[f], f))
    for field in by_part:
        added = min(left, sizes[field] - given[field], 1)
        given[field] += added
        left -= added
    return tuple(given)


class HashTable(CompressedEmbedding):
    """Whole vectors shared by hash."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            mixed: Hash the id; otherwise take its remainder.
        """

        mixed: bool = False

    name: ClassVar[str] = "hash"
    family: ClassVar[str] = "sharing"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        rows = int(shape.budget(plan.rate) / FLOAT_BYTES / shape.dim + 1e-9)
        self.rows = shared_rows(shape.sizes, min(rows, shape.total))
        self.salts = [salt_of(plan.seed, f"field {f}", 0) for f in range(shape.fields)]
        self.table = plan.normal(sum(self.rows), shape.dim)

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return plan.shape.fields / plan.shape.total

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        rows = _places(ids, self._config())
        return nn.functional.embedding(rows, self.table, sparse=self.plan.sparse)

    def _config(self) -> dict[str, Any]:
        salts = self.salts if self.plan.settings.mixed else None
        return {"rows": list(self.rows), "salts": salts}

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return self._config(), {"table": self.table}

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return nn.functional.embedding(_places(ids, config), tensors["table"])


def _places(ids: Tensor, config: dict[str, Any]) -> Tensor:
    rows = torch.tensor(config["rows"], device=ids.device)
    keys = ids
    if config["salts"] is not None:
        keys = hash_ids(ids, torch.tensor(config["salts"], device=ids.device))
    return keys % rows + (rows.cumsum(0) - rows)
