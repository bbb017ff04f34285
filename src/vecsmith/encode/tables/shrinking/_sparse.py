"""Tables with few entries other than zero: which entries stay, and rows read from where they lie.

Two formats, whichever holds more entries in the bytes there are. "rows": pointers to each row's
entries (4 bytes a row), columns, values. "places": row, column and value of each entry. Columns and
rows are in the smallest integers that hold them; indices count as bytes like values do.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .._bits import index_bytes, smallest_integers
from .._embedding import CompressedEmbedding, TablePlan
from .._full import place_rows
from .._shape import FLOAT_BYTES, TableShape

POINTER_BYTES = 4
# above so many entries a sample finds the threshold of steps that are not the last
SAMPLE = 4_000_000


def most_entries(rows: int, dim: int, budget: float) -> tuple[str, int]:
    """Find the better format and how many entries it holds.

    Args:
        rows: Rows of the table.
        dim: Its width.
        budget: Bytes.

    Returns:
        "rows" or "places", and the number of entries.
    """
    column = index_bytes(dim - 1)
    by_rows = (budget - POINTER_BYTES * (rows + 1)) / (FLOAT_BYTES + column)
    by_places = budget / (FLOAT_BYTES + column + index_bytes(rows - 1))
    name, most = max((by_rows, "rows"), (by_places, "places"))[::-1]
    return str(name), min(int(float(most) + 1e-9), rows * dim)


def largest_entries(magnitudes: Tensor, number: int) -> Tensor:
    """Mark the largest entries.

    Args:
        magnitudes: Not negative, any shape.
        number: How many, exactly.

    Returns:
        bool, same shape.
    """
    mask = torch.zeros(magnitudes.numel(), dtype=torch.bool, device=magnitudes.device)
    if number > 0:
        mask[magnitudes.flatten().topk(min(number, magnitudes.numel())).indices] = True
    return mask.reshape(magnitudes.shape)


def to_sparse(table: Tensor, form: str) -> dict[str, Tensor]:
    """Store the entries that are not zero.

    Args:
        table: Shape (rows, dim).
        form: "rows" or "places".
    """
    rows, columns = table.nonzero(as_tuple=True)
    kept = {
        "values": table[rows, columns],
        "columns": smallest_integers(columns, table.shape[1] - 1),
    }
    if form == "places":
        return {**kept, "rows": smallest_integers(rows, len(table) - 1)}
    counts = torch.bincount(rows, minlength=len(table)).cumsum(0)
    pointers = torch.cat([counts.new_zeros(1), counts]).to(torch.int32)
    return {**kept, "pointers": pointers}


def read_sparse(tensors: dict[str, Tensor], places: Tensor, dim: int) -> Tensor:
    """Put rows together.

    Args:
        tensors: From `to_sparse`.
        places: Rows to read, shape (k,).
        dim: Width of the table.

    Returns:
        Shape (k, dim).
    """
    if "pointers" in tensors:
        start = tensors["pointers"][places].long()
        stop = tensors["pointers"][places + 1].long()
    else:
        rows = tensors["rows"].long()
        start, stop = torch.searchsorted(rows, places), torch.searchsorted(rows, places, right=True)
    lengths = stop - start
    out = tensors["values"].new_zeros(len(places), dim)
    owner = torch.arange(len(places), device=places.device).repeat_interleave(lengths)
    first = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
    inside = torch.arange(len(owner), device=places.device) - first
    entries = start.repeat_interleave(lengths) + inside
    out[owner, tensors["columns"][entries].long()] = tensors["values"][entries]
    return out


class SparseTable(CompressedEmbedding):
    """A table that ends with few entries; methods say when which ones go.

    Args:
        plan: From `build`.
    """

    family: ClassVar[str] = "shrinking"

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        self.form, self.entries = most_entries(shape.total, shape.dim, shape.budget(plan.rate))
        self.table = plan.normal(shape.total, shape.dim)

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the rate of one entry a field, however little that may be worth."""
        shape = plan.shape
        entry = FLOAT_BYTES + index_bytes(shape.dim - 1) + index_bytes(shape.total - 1)
        return shape.fields * entry / shape.full_bytes

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table."""
        with torch.no_grad():
            self.table.copy_(vectors)

    def effective(self) -> Tensor:
        """The table as lookups see it, before the last entries go."""
        return self.table

    def pruned(self) -> Tensor:
        """The table with no more entries than the budget allows."""
        table = self.effective().detach()
        return table * largest_entries(table.abs(), self.entries)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        return nn.functional.embedding(place_rows(ids, self.shape), self.effective())

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return {"form": self.form}, to_sparse(self.pruned(), self.form)

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        rows = place_rows(ids, shape).flatten()
        return read_sparse(tensors, rows, shape.dim).reshape(*ids.shape, -1)
