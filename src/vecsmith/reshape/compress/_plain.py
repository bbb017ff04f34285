"""Codecs that drop or share what is there: the largest entries, deduplicated blocks, random rows.

"magnitude" keeps the largest entries of the whole table. "dedup" cuts it into blocks of rows and
columns and lets blocks that are nearly alike stand for each other (`merge_blocks`). "random_rows"
lets vectors share rows at random (their mean): useless for finished vectors, and there to show it.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vecsmith.core import numpy_generator
from vecsmith.encode.tables import index_bytes, smallest_integers
from vecsmith.encode.tables.sharing import MergeRule, merge_blocks
from vecsmith.encode.tables.shrinking import largest_entries, most_entries, read_sparse, to_sparse

from ._codec import Codec

# blocks that merging goes through in seconds
MOST_BLOCKS = 4096


class LargestEntries(Codec):
    """Entries of largest magnitude."""

    name: ClassVar[str] = "magnitude"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return (4 + index_bytes(dim - 1) + index_bytes(rows - 1)) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        form, entries = most_entries(len(vectors), vectors.shape[1], budget)
        kept = vectors * largest_entries(vectors.abs(), entries)
        return {"dim": vectors.shape[1]}, to_sparse(kept, form)

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        return read_sparse(tensors, rows, config["dim"])


def _block_shape(rows: int, dim: int) -> tuple[int, int]:
    """Rows and columns of a block: a few columns, so that blocks can be alike at all."""
    columns = next(c for c in range(min(dim, 16), 0, -1) if dim % c == 0)
    height = 1
    while -(-rows // height) * (dim // columns) > MOST_BLOCKS:
        height *= 2
    return height, columns


class DedupBlocks(Codec):
    """Blocks of rows and columns that stand for each other."""

    name: ClassVar[str] = "dedup"

    @classmethod
    def _sizes(cls, rows: int, dim: int) -> tuple[int, int, int]:
        """Number of blocks, bytes of the map, bytes of a block."""
        height, columns = _block_shape(rows, dim)
        number = -(-rows // height) * (dim // columns)
        return number, number * index_bytes(number - 1), 4 * height * columns

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        _, map_bytes, block = cls._sizes(rows, dim)
        return (map_bytes + block) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        rows, dim = vectors.shape
        height, columns = _block_shape(rows, dim)
        number, map_bytes, block = cls._sizes(rows, dim)
        padded = torch.nn.functional.pad(vectors, (0, 0, 0, -rows % height))
        cut = padded.reshape(-1, height, dim // columns, columns).transpose(1, 2)
        blocks = np.ascontiguousarray(cut.reshape(-1, height * columns).numpy())
        most = max(1, int((budget - map_bytes) / block + 1e-9))
        target = merge_blocks(blocks, min(most, number), rule=MergeRule(), seed=seed)
        kept, places = np.unique(target, return_inverse=True)
        across = dim // columns
        return (
            {"height": height, "columns": columns},
            {
                "blocks": torch.from_numpy(blocks[kept]),
                "places": smallest_integers(
                    torch.from_numpy(places.reshape(-1, across)), number - 1
                ),
            },
        )

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        height, columns = config["height"], config["columns"]
        blocks = tensors["blocks"].reshape(-1, height, columns)
        places = tensors["places"][rows // height].long()
        return blocks[places, (rows % height)[:, None]].flatten(1)


class RandomRows(Codec):
    """Vectors share rows at random."""

    name: ClassVar[str] = "random_rows"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return (4 * dim + rows) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        rows, dim = vectors.shape
        number = 1
        for width in (1, 2, 4):
            fitting = int((budget - rows * width) / (4 * dim))
            if fitting >= 1 and index_bytes(fitting - 1) <= width:
                number = fitting
        number = min(number, rows)
        rng = numpy_generator(seed, "compress", "random rows")
        owner = torch.from_numpy(rng.permutation(rows) % number)
        table = torch.zeros(number, dim).index_add_(0, owner, vectors)
        table /= torch.bincount(owner, minlength=number)[:, None]
        return {}, {"table": table, "owner": smallest_integers(owner, number - 1)}

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        return tensors["table"][tensors["owner"][rows].long()]
