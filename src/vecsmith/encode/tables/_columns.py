"""Fields that are compressed beside fields that are kept whole, in one lookup.

A field is compressed only where that makes it smaller; the others keep float32 rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ._shape import TableShape


def starts(sizes: Sequence[int]) -> list[int]:
    """Place of each part's first row when parts lie one after the other.

    Args:
        sizes: Rows of each part.
    """
    found, total = [], 0
    for size in sizes:
        found.append(total)
        total += size
    return found


def whole_rows(ids: Tensor, shape: TableShape, columns: Sequence[int]) -> Tensor:
    """Rows of kept fields in a table that holds only these.

    Args:
        ids: int64, shape (rows, fields).
        shape: All fields.
        columns: The kept ones, ascending.

    Returns:
        Shape (rows, kept fields).
    """
    first = starts([shape.sizes[column] for column in columns])
    return ids[:, list(columns)] + torch.tensor(first, device=ids.device, dtype=ids.dtype)


def join(parts: Sequence[tuple[Sequence[int], Tensor]]) -> Tensor:
    """Put columns back in order.

    Args:
        parts: Columns, and their vectors of shape (rows, columns, dim).

    Returns:
        Shape (rows, all columns, dim).
    """
    some = [(list(columns), vectors) for columns, vectors in parts if len(columns)]
    order = [column for columns, _ in some for column in columns]
    if order == sorted(order):
        return torch.cat([vectors for _, vectors in some], 1) if len(some) > 1 else some[0][1]
    back = torch.tensor(order, device=some[0][1].device).argsort()
    return torch.cat([vectors for _, vectors in some], 1)[:, back]


def gather(table: Tensor, rows: Tensor, *, sparse: bool = False) -> Tensor:
    """Take rows of a table.

    Args:
        table: Shape (values, dim).
        rows: int64, any shape.
        sparse: Gradients of gathered rows only.

    Returns:
        The shape of `rows` and `dim`.
    """
    return nn.functional.embedding(rows, table, sparse=sparse)
