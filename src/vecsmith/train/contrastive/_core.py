"""The contrastive core: similarity blocks, masks, logits, cross-entropy, as functions of tensors.

A batch has B rows (query, positive, negatives). Four blocks hold what row i is set against:

==== ================================== ==============================================
name similarity                          shape
==== ================================== ==============================================
qp   query i, positive j (the target is j = i)   (B, C)
qn   query i, negative j (all columns side by side) (B, C x negative columns)
qq   query i, query j                    (B, C)
pp   positive i, positive j              (B, C)
==== ================================== ==============================================

C equals B on one process; over several, columns are gathered and `offset` says where the rows of
this process begin. Everything is computed in at least float32, whatever autocast says. A loss is
then: blocks, masks, `contrastive_logits`, `cross_entropy_rows`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError, did_you_mean

BLOCKS = ("qp", "qn", "qq", "pp")


class Rows(NamedTuple):
    """Vectors of the rows of this process.

    Attributes:
        query: Shape (B, dims).
        positive: Shape (B, dims).
    """

    query: Tensor
    positive: Tensor


class Columns(NamedTuple):
    """Vectors of all rows of the batch, over all processes.

    Attributes:
        query: Shape (C, dims).
        positive: Shape (C, dims).
        negatives: Shape (C, dims) each.
        offset: Column of this process's first row.
    """

    query: Tensor
    positive: Tensor
    negatives: tuple[Tensor, ...] = ()
    offset: int = 0


def check_blocks(names: Sequence[str]) -> tuple[str, ...]:
    """Check names of blocks.

    Args:
        names: Some of `BLOCKS`; "qp" must be among them.

    Returns:
        The names in the order of `BLOCKS`.

    Raises:
        ConfigError: An unknown name, or no "qp".
    """
    for name in names:
        if name not in BLOCKS:
            raise ConfigError(f"no block is called {name!r}; {did_you_mean(name, BLOCKS)}")
    if "qp" not in names:
        raise ConfigError(f"blocks must hold 'qp', where the target lies; got {tuple(names)}")
    return tuple(name for name in BLOCKS if name in names)


def unit(vectors: Tensor) -> Tensor:
    """Scale rows to length 1 in float32 (float64 stays).

    Args:
        vectors: Shape (..., dims).

    Returns:
        The same shape; a zero row stays zero.
    """
    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    return F.normalize(wide, dim=-1)


def similarity_blocks(
    rows: Rows, columns: Columns, names: Sequence[str] = BLOCKS
) -> dict[str, Tensor]:
    """Compute the cosine blocks.

    Args:
        rows: Vectors of this process's rows.
        columns: Vectors to set them against.
        names: Which blocks.

    Returns:
        Name -> cosines, in the order of `BLOCKS`; "qn" only where there are negatives.
    """
    with torch.autocast(rows.query.device.type, enabled=False):
        query, positive = unit(rows.query), unit(rows.positive)
        blocks = {}
        for name in check_blocks(names):
            if name == "qp":
                blocks[name] = query @ unit(columns.positive).T
            elif name == "qn" and columns.negatives:
                blocks[name] = query @ unit(torch.cat(columns.negatives)).T
            elif name == "qq":
                blocks[name] = query @ unit(columns.query).T
            elif name == "pp":
                blocks[name] = positive @ unit(columns.positive).T
    return blocks


def diagonal(block: Tensor, offset: int = 0) -> Tensor:
    """Mark the entry of each row that stands for the row itself.

    Args:
        block: Shape (B, C).
        offset: Column of the first row.

    Returns:
        True on the diagonal that starts at `offset`, shape (B, C).
    """
    marked = torch.zeros_like(block, dtype=torch.bool)
    places = torch.arange(block.shape[0], device=block.device)
    marked[places, offset + places] = True
    return marked


def structural_masks(blocks: Mapping[str, Tensor], offset: int = 0) -> dict[str, Tensor]:
    """Mark what can never be a negative: each row's own vector in qq and pp.

    The target in qp is not marked: it is no negative, and it must stay.

    Args:
        blocks: Similarity blocks.
        offset: Column of the first row.

    Returns:
        Name -> True where the entry must be left out.
    """
    return {
        name: diagonal(block, offset)
        if name in {"qq", "pp"}
        else torch.zeros_like(block, dtype=torch.bool)
        for name, block in blocks.items()
    }


def contrastive_logits(
    blocks: Mapping[str, Tensor], dropped: Mapping[str, Tensor], *, temperature: float
) -> Tensor:
    """Lay the blocks side by side; dropped entries become minus infinity, not zero.

    Args:
        blocks: Similarity blocks, "qp" first.
        dropped: Name -> True where the entry is left out.
        temperature: What cosines are divided by.

    Returns:
        Logits, shape (B, all columns); the target of row i is column `offset` + i.
    """
    parts = [blocks[name].masked_fill(dropped[name], -torch.inf) for name in blocks]
    return torch.cat(parts, dim=1) / temperature


def cross_entropy_rows(logits: Tensor, offset: int = 0) -> Tensor:
    """Cross-entropy of each row against its own positive.

    A row whose negatives are all dropped has loss 0 and gradient 0.

    Args:
        logits: From `contrastive_logits`, shape (B, columns).
        offset: Column of the first row.

    Returns:
        Shape (B,).
    """
    targets = offset + torch.arange(logits.shape[0], device=logits.device)
    return F.cross_entropy(logits, targets, reduction="none")


def contrastive_cross_entropy(logits: Tensor, offset: int = 0) -> Tensor:
    """Mean of `cross_entropy_rows`.

    Args:
        logits: From `contrastive_logits`.
        offset: Column of the first row.

    Returns:
        A scalar.
    """
    return cross_entropy_rows(logits, offset).mean()


def soft_target_rows(logits: Tensor, target_logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each row's softmax from a target's softmax.

    Args:
        logits: Shape (B, C).
        target_logits: Shape (B, C); minus infinity leaves an entry out of the target.

    Returns:
        KL(target || softmax(logits)), shape (B,).
    """
    target = target_logits.softmax(dim=1)
    logs = logits.log_softmax(dim=1)
    # 0 log 0 = 0: an entry left out on both sides is minus infinity in both logarithms
    terms = torch.where(target > 0, target * (target_logits.log_softmax(dim=1) - logs), 0.0)
    return terms.sum(dim=1)


def other_rows(blocks: Mapping[str, Tensor], offset: int, pool_rows: int) -> dict[str, Tensor]:
    """Mark what belongs to other rows of the batch: everything but a row's own texts.

    Args:
        blocks: Similarity blocks.
        offset: Column of the first row.
        pool_rows: Rows of all processes, C; block "qn" holds C entries a negative column.

    Returns:
        Name -> True where the entry is another row's; the target in qp is not marked.
    """
    return {
        name: ~torch.cat([diagonal(part, offset) for part in block.split(pool_rows, 1)], dim=1)
        for name, block in blocks.items()
    }
