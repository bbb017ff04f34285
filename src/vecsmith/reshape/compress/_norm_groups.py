"""Rows in two groups by the length of their vectors, found by counting bits.

Long vectors matter more for dot products: those that make up half of the total length form the
first group. Which rows these are takes one bit a row and a count every 32 rows.
"""

import torch
from torch import Tensor

WORD = 32


def group_bytes(rows: int) -> int:
    """Bytes of the bits and counts.

    Args:
        rows: Rows of the table.
    """
    return 8 * -(-rows // WORD)


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
    padded = torch.nn.functional.pad(mask.long(), (0, -len(mask) % WORD)).reshape(-1, WORD)
    words = (padded << torch.arange(WORD)).sum(1)
    before = padded.sum(1).cumsum(0) - padded.sum(1)
    return {
        "long_words": torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32),
        "long_before": before.to(torch.int32),
    }


def find_groups(tensors: dict[str, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
    """Find the group of rows, and their places in it.

    Args:
        tensors: From `store_groups`.
        rows: int64, shape (k,).

    Returns:
        Whether each is long, and its place among those of its group, shape (k,).
    """
    place, bit = rows // WORD, rows % WORD
    words = tensors["long_words"][place].long() & 0xFFFFFFFF
    long = ((words >> bit) & 1).bool()
    below = words & ((1 << bit) - 1)
    count = ((below[:, None] >> torch.arange(WORD, device=rows.device)) & 1).sum(1)
    rank = tensors["long_before"][place].long() + count
    return long, torch.where(long, rank, rows - rank)
