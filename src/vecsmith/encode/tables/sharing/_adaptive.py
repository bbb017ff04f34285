"""Adaptive embedding (AdaptEmb): frequent values have rows of their own, rare ones share.

The frequency-based mapping of A. Deng and others, 2021, *DeepRec*'s adaptive embeddings, as H.
Zhang and others, 2024, compare it. For each field the most frequent values own a row; the k-th of
the others reads row k mod m of a shared part:

    e(i) = E_own[rank among the frequent]  or  E_shared[(i - frequent values below i) mod m]

Only the sorted ids of frequent values are stored: both ranks follow from one binary search.

Use where few values make most of the traffic. Needs counts of the training rows; values that
become frequent later go on sharing. Cost: a binary search and a gather.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from .._bits import index_bytes, smallest_integers
from .._budget import largest
from .._columns import gather, join, starts, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._frequency import most_frequent, required
from .._shape import FLOAT_BYTES, TableShape

STEPS = 100_000


class AdaptiveRows(CompressedEmbedding):
    """Own rows for frequent values, shared rows for the others."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            own: Part of the rows that frequent values own; the others share what is left.
            threshold: Fields with so few values are kept whole.
        """

        own: float = 0.2
        threshold: int = 32

        def __post_init__(self) -> None:
            if not 0.0 <= self.own < 1.0:
                raise ConfigError(f"own must be from 0 to below 1; got {self.own}")

    name: ClassVar[str] = "adapt_emb"
    family: ClassVar[str] = "sharing"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape, counts = plan.shape, required(plan.counts, self.name)
        allowed = shape.budget(plan.rate)
        step = largest(0, STEPS, lambda s: _bytes(plan, s / STEPS) <= allowed + 1e-6)
        assert step is not None
        rows = [_rows(size, step / STEPS, plan.settings) for size in shape.sizes]
        self.columns = [c for c, r in enumerate(rows) if r is not None]
        self.kept = [c for c, r in enumerate(rows) if r is None]
        chosen = [r for r in rows if r is not None]
        self.own = [own for own, _ in chosen]
        self.shared = [shared for _, shared in chosen]
        for place, (column, number) in enumerate(zip(self.columns, self.own, strict=True)):
            start, size = shape.offsets[column], shape.sizes[column]
            frequent = most_frequent(counts[start : start + size], number, seed=plan.seed)
            self.register_buffer(
                f"frequent_{place}", smallest_integers(torch.from_numpy(frequent), size - 1)
            )
        self.table = plan.normal(sum(self.own) + sum(self.shared), shape.dim)
        whole = sum(shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return _bytes(plan, 0.0) / plan.shape.full_bytes

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        config = {
            "columns": self.columns,
            "kept": self.kept,
            "own": self.own,
            "shared": self.shared,
        }
        tensors: dict[str, Tensor] = {"table": self.table}
        for place in range(len(self.columns)):
            tensors[f"frequent{place}"] = getattr(self, f"frequent_{place}")
        if self.whole is not None:
            tensors["whole"] = self.whole
        return config, tensors

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        config, tensors = self.frozen()
        return _read(config, tensors, ids, self.shape, self.plan.sparse)

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return _read(config, tensors, ids, shape, False)


def _rows(size: int, part: float, settings: AdaptiveRows.Settings) -> tuple[int, int] | None:
    """Own and shared rows of a field; None where it is kept whole."""
    total = max(1, int(part * size))
    number = min(int(settings.own * total), total - 1)
    return (number, total - number) if size > settings.threshold and total < size else None


def _bytes(plan: TablePlan, part: float) -> int:
    """Bytes of all fields when each has this part of its rows."""
    width, found = FLOAT_BYTES * plan.shape.dim, 0
    for size in plan.shape.sizes:
        rows = _rows(size, part, plan.settings)
        if rows is None:
            found += size * width
        else:
            found += sum(rows) * width + rows[0] * index_bytes(size - 1)
    return found


def _read(
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    ids: Tensor,
    shape: TableShape,
    sparse: bool,
) -> Tensor:
    found = []
    if config["columns"]:
        sizes = [n for pair in zip(config["own"], config["shared"], strict=True) for n in pair]
        first, rows = starts(sizes), []
        for place, column in enumerate(config["columns"]):
            given = ids[:, column].contiguous()
            own, shared = first[2 * place], first[2 * place + 1]
            frequent = tensors[f"frequent{place}"].long()
            below = torch.searchsorted(frequent, given)
            row = shared + (given - below) % config["shared"][place]
            if len(frequent):
                hit = frequent[below.clamp(max=len(frequent) - 1)] == given
                row = torch.where(hit, own + below, row)
            rows.append(row)
        stacked = torch.stack(rows, 1)
        found.append((config["columns"], gather(tensors["table"], stacked, sparse=sparse)))
    if config["kept"]:
        places = whole_rows(ids, shape, config["kept"])
        found.append((config["kept"], gather(tensors["whole"], places, sparse=sparse)))
    return join(found)
