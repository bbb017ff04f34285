"""Rows in two groups by the length of their vectors.

Long vectors matter more for dot products: those that make up half of the total length form the
first group. Which rows these are takes a bit a row and a count every 32 rows.
"""

import torch
from torch import Tensor

from vecsmith.encode.tables import find_marks, store_marks


def long_rows(vectors: Tensor) -> Tensor:
    """Mark the longest vectors, as many as make up half of the total length, at least one.

    Args:
        vectors: Shape (rows, dim).

    Returns:
        bool, shape (rows,).
    """
    norms = vectors.double().norm(dim=1)
    order = norms.argsort(descending=True, stable=True)
    sums = norms[order].cumsum(0)
    number = max(1, int((sums <= sums[-1] / 2).sum()))
    mask = torch.zeros(len(vectors), dtype=torch.bool)
    mask[order[:number]] = True
    return mask


def store_groups(mask: Tensor) -> dict[str, Tensor]:
    """Store which rows are long.

    Args:
        mask: bool, shape (rows,).
    """
    words, before = store_marks(mask)
    return {"long_words": words, "long_before": before}


def find_groups(tensors: dict[str, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
    """Find the group of rows, and their places in it.

    Args:
        tensors: From `store_groups`.
        rows: int64, shape (k,).

    Returns:
        Whether each is long, and its place among those of its group, shape (k,).
    """
    long, rank = find_marks(tensors["long_words"], tensors["long_before"], rows)
    return long, torch.where(long, rank, rows - rank)
