"""Deduplicated blocks (Dedup): blocks of rows that are nearly alike are stored once.

L. Zhou and others, 2022, *Serving Deep Learning Models with Deduplication from Relational
Databases*. The table is trained whole, cut into blocks, and the blocks are visited by the third
quartile of their magnitudes, the smallest first. L2 hashes

    g(x) = floor((a.x + b) / r),   a normal, b uniform in [0, r)

in 90 tables propose blocks kept so far; the most alike of them stands for the block if a part
`similarity` of their entries differ by at most `tolerance`. When the budget is met the other blocks
stay, and the merged table is trained again. Where one pass merges too little, tolerance and hash
width double and the next pass begins: the budget is met in any case.

Use for tables whose blocks repeat (many values of one origin side by side). Avoid where neighbours
have nothing in common: merging then is random sharing. Cost: training needs the whole table; 90
projections a block.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import ConfigError, numpy_generator

from .._bits import index_bytes, smallest_integers
from .._columns import gather
from .._embedding import CompressedEmbedding, TablePlan
from .._full import place_rows
from .._shape import FLOAT_BYTES, TableShape
from .._staged import Stage

TABLES = 90
WIDTH = 0.09
MOST_ROWS = 10_000
# blocks that are compared with one, at most: those in most of its cells
CANDIDATES = 16
# of each cell that a block falls into
RECENT = 4


@dataclass(frozen=True)
class MergeRule:
    """When one block may stand for another.

    Attributes:
        similarity: Part of the entries that must be near.
        tolerance: How far apart near entries are at most.
        width: Width of the hashes' cells (r).
    """

    similarity: float = 0.7
    tolerance: float = 0.01
    width: float = WIDTH


def merge_blocks(
    blocks: NDArray[np.float32], most: int, *, rule: MergeRule, seed: int = 0
) -> NDArray[np.int64]:
    """Let blocks stand for each other until few enough are left.

    Args:
        blocks: One block a row, shape (blocks, numbers).
        most: How many may be left, at least 1.
        rule: What counts as alike in the first pass.
        seed: Seed of the hashes.

    Returns:
        For each block the one that stands for it, shape (blocks,); at most `most` different ones.
    """
    target = np.arange(len(blocks))
    order = np.argsort(np.quantile(np.abs(blocks), 0.75, axis=1), kind="stable")
    rng = numpy_generator(seed, "tables", "dedup")
    directions = rng.normal(size=(blocks.shape[1], TABLES)).astype(np.float32)
    offsets = rng.uniform(size=TABLES)
    projected = blocks @ directions
    spread = float(np.ptp(blocks)) + 1e-12
    left = len(blocks)
    while left > most:
        everything = rule.tolerance >= spread
        cells = np.floor(projected / rule.width + offsets).astype(np.int64)
        left = _merge_pass(blocks, target, order, cells, rule, most)
        if everything and left > most:
            rule = MergeRule(0.0, rule.tolerance, rule.width)
        rule = MergeRule(rule.similarity, rule.tolerance * 2, rule.width * 2)
    return target


def _merge_pass(
    blocks: NDArray[np.float32],
    target: NDArray[np.int64],
    order: NDArray[np.int64],
    cells: NDArray[np.int64],
    rule: MergeRule,
    most: int,
) -> int:
    """One visit of all blocks; changes `target` and returns how many are left."""
    buckets: list[dict[int, list[int]]] = [{} for _ in range(cells.shape[1])]
    left = int((target == np.arange(len(target))).sum())
    for block in order:
        if target[block] != block:
            continue
        if left <= most:
            break
        found: list[int] = []
        for table, cell in zip(buckets, cells[block].tolist(), strict=True):
            # a wide cell holds nearly all blocks; the last ones have the nearest quartile
            if cell in table:
                found += table[cell][-RECENT:]
        near = Counter(found)
        proposed = sorted(near, key=lambda other: (-near[other], other))[:CANDIDATES]
        best = _most_alike(blocks, int(block), proposed, rule)
        if best is None:
            for table, cell in zip(buckets, cells[block].tolist(), strict=True):
                table.setdefault(cell, []).append(int(block))
        else:
            target[target == block] = best
            left -= 1
    return left


def _most_alike(
    blocks: NDArray[np.float32], block: int, others: list[int], rule: MergeRule
) -> int | None:
    if not others:
        return None
    gaps = np.abs(blocks[others] - blocks[block])
    alike = (gaps <= rule.tolerance).mean(1)
    best = int(np.lexsort((gaps.mean(1), -alike))[0])
    return others[best] if alike[best] >= rule.similarity else None


class DedupTable(CompressedEmbedding):
    """A whole table until it is merged, then unique blocks and a map."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            block_rows: Rows a block; None: 10,000, or a thousandth of a smaller table.
            similarity: Part of the entries that must be near.
            tolerance: How far apart near entries are at most, in the first pass.
        """

        block_rows: int | None = None
        similarity: float = 0.7
        tolerance: float = 0.01

        def __post_init__(self) -> None:
            if self.block_rows is not None and self.block_rows < 1:
                raise ConfigError(f"block_rows must be at least 1; got {self.block_rows}")
            if not 0 < self.similarity <= 1 or not self.tolerance > 0:
                raise ConfigError(
                    "similarity must be above 0 and at most 1, tolerance above 0; "
                    f"got {self.similarity} and {self.tolerance}"
                )

    name: ClassVar[str] = "dedup"
    family: ClassVar[str] = "sharing"
    sparse_gradients: ClassVar[bool] = True
    blocks: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.block_rows = _block_rows(plan)
        number = _number(plan)
        self.register_buffer("blocks", torch.arange(number))
        padded = number * self.block_rows
        self.table = plan.normal(padded, plan.shape.dim)
        self.merged = False

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return (_map_bytes(plan) + _block_bytes(plan)) / plan.shape.full_bytes

    def stages(self) -> tuple[Stage, ...]:
        """Train whole, merge, train again."""
        return (Stage("train"), Stage("retrain", share=0.5))

    def end(self, stage: Stage) -> None:
        """Merge after the first stage."""
        if stage.name == "train":
            self.merge()

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table."""
        with torch.no_grad():
            self.table[: len(vectors)] = vectors

    def merge(self) -> None:
        """Merge blocks until the table fits; its rows so far are what is alike or not."""
        left = self.shape.budget(self.plan.rate) - _map_bytes(self.plan)
        most = max(1, int(left / _block_bytes(self.plan) + 1e-9))
        flat = self.table.detach().cpu().numpy().reshape(len(self.blocks), -1)
        settings = self.plan.settings
        rule = MergeRule(settings.similarity, settings.tolerance)
        target = merge_blocks(flat, most, rule=rule, seed=self.plan.seed)
        kept, back = np.unique(target, return_inverse=True)
        rows = torch.from_numpy(flat[kept]).reshape(-1, self.shape.dim)
        device = self.table.device
        self.table = nn.Parameter(rows.to(device))
        self.blocks = torch.from_numpy(back.reshape(-1)).to(device)
        self.merged = True

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        rows = _rows(ids, self.blocks, self.block_rows, self.shape)
        return gather(self.table, rows, sparse=self.plan.sparse)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs; a table that was not merged yet is merged in the copy."""
        if not self.merged and self.plan.rate < 1.0:
            copy = DedupTable(self.plan)
            copy.table = nn.Parameter(self.table.detach().clone())
            copy.merge()
            return copy.frozen()
        highest = max(0, len(self.table) // self.block_rows - 1)
        blocks = smallest_integers(self.blocks, highest)
        return {"block_rows": self.block_rows}, {"table": self.table, "blocks": blocks}

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        rows = _rows(ids, tensors["blocks"], config["block_rows"], shape)
        return gather(tensors["table"], rows)


def _rows(ids: Tensor, blocks: Tensor, size: int, shape: TableShape) -> Tensor:
    rows = place_rows(ids, shape)
    return blocks[rows // size].long() * size + rows % size


def _block_rows(plan: TablePlan) -> int:
    wanted = plan.settings.block_rows
    return wanted or min(MOST_ROWS, max(1, plan.shape.total // 1000))


def _number(plan: TablePlan) -> int:
    return -(-plan.shape.total // _block_rows(plan))


def _map_bytes(plan: TablePlan) -> int:
    return _number(plan) * index_bytes(_number(plan) - 1)


def _block_bytes(plan: TablePlan) -> int:
    return _block_rows(plan) * plan.shape.dim * FLOAT_BYTES
