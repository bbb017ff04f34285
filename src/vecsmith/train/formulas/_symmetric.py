"""Symmetric contrastive loss of SNIP, over vectors of any length and a tau of its own."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def symmetric_contrastive(
    formulas: Tensor,
    points: Tensor,
    *,
    temperature: Tensor | float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """Compute the loss of a batch; with several processes, against the rows of all.

    Args:
        formulas: Vectors of formulas, shape (rows, dims).
        points: Vectors of their points, same shape.
        temperature: What inner products are divided by.
        groups: Number of each row's formula, shape (rows,); rows of one formula are no negatives of
            each other. None takes all for different.

    Returns:
        A scalar.
    """
    all_formulas, all_points, all_groups, offset = formulas, points, groups, 0
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        from sentence_transformers.util import all_gather, all_gather_with_grad

        all_formulas, all_points = all_gather_with_grad(formulas), all_gather_with_grad(points)
        all_groups = None if groups is None else all_gather(groups)
        offset = torch.distributed.get_rank() * len(formulas)
    forth = formulas @ all_points.T / temperature
    back = points @ all_formulas.T / temperature
    target = offset + torch.arange(len(formulas), device=formulas.device)
    if groups is not None and all_groups is not None:
        same = groups[:, None] == all_groups[None]
        same[torch.arange(len(same)), target] = False
        forth, back = (logits.masked_fill(same, -torch.inf) for logits in (forth, back))
    return (F.cross_entropy(forth, target) + F.cross_entropy(back, target)) / 2
