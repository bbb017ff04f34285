"""One step of Adam on some rows of a table."""

import torch
from torch import Tensor


def adam_step(
    rows: Tensor,
    gradient: Tensor,
    *,
    moments: tuple[Tensor, Tensor],
    step: float,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Tensor:
    """How far rows move; their moments change in place (D. Kingma and J. Ba, 2015).

    Args:
        rows: Distinct places, shape (k,).
        gradient: Their gradients, shape (k, dim).
        moments: First and second moments, shape of the table.
        step: Number of this step, from 1.
        lr: Learning rate.
        betas: Decay of the moments.
        eps: Added to the root.

    Returns:
        What is to be subtracted, shape (k, dim).
    """
    first = moments[0][rows].lerp(gradient, 1 - betas[0])
    second = moments[1][rows].lerp(gradient.square(), 1 - betas[1])
    moments[0][rows], moments[1][rows] = first, second
    root = (second / (1 - betas[1] ** step)).sqrt_().add_(eps)
    return lr / (1 - betas[0] ** step) * first / root


def summed_rows(rows: list[Tensor], gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Add the gradients of equal rows.

    Args:
        rows: Places, several lists of them.
        gradients: Gradients of each list, shape (k, dim).

    Returns:
        Distinct places and their gradients.
    """
    if len(rows) == 1:
        return rows[0], gradients[0]
    distinct, back = torch.cat(rows).unique(return_inverse=True)
    total = gradients[0].new_zeros(len(distinct), gradients[0].shape[1])
    return distinct, total.index_add_(0, back, torch.cat(gradients))
