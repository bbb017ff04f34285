"""The mean of the experts, and the base plus a multiple of the sum of their task vectors.

Wortsman et al. (2022), *Model soups*; Ilharco et al. (2023), *Editing Models with Task
Arithmetic*::

    average:          theta = theta_0 + sum_t w_t tau_t,     sum_t w_t = 1
    task arithmetic:  theta = theta_0 + scale * sum_t w_t tau_t

Use when the experts' task vectors are nearly orthogonal and of like length: then little beats it.
Avoid when a large task's long vector drowns a small one's. Cost: one pass over the tensors.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._set import Mergeable, Merged


def combine(start: Tensor, deltas: Tensor, coefficients: Tensor) -> Tensor:
    """Add weighted deltas to a tensor.

    Args:
        start: Shape (…).
        deltas: Shape (experts, …).
        coefficients: Shape (experts,).

    Returns:
        Shape (…).
    """
    return start + torch.tensordot(coefficients.to(deltas), deltas, dims=1)


def shares(tasks: tuple[str, ...], weights: Mapping[str, float] | None) -> Tensor:
    """Return what each task counts, in the tasks' order and summing to 1.

    Args:
        tasks: Names.
        weights: Name -> weight; None counts all alike.

    Returns:
        Shape (tasks,), float64.

    Raises:
        ConfigError: Names do not match, or a weight is negative, or all are 0.
    """
    if weights is None:
        return torch.full((len(tasks),), 1.0 / len(tasks), dtype=torch.float64)
    if set(weights) != set(tasks):
        raise ConfigError(
            f"weights must name exactly the tasks {sorted(tasks)}; got {sorted(weights)}"
        )
    values = torch.tensor([weights[task] for task in tasks], dtype=torch.float64)
    if not bool((values >= 0).all() and values.sum() > 0):
        raise ConfigError(
            f"weights must be at least 0 and not all 0; got {dict(weights)}: raise one of them"
        )
    return values / values.sum()


def average(ms: Mergeable, *, weights: Mapping[str, float] | None = None) -> Merged:
    """Give the (weighted) mean of the experts.

    Args:
        ms: Base and experts.
        weights: Expert -> weight; None counts all alike.

    Yields:
        Name and merged tensor.
    """
    share = shares(ms.tasks, weights)
    for name, start, deltas in ms.tensors():
        yield name, combine(start, deltas, share)


def task_arithmetic(
    ms: Mergeable, *, scale: float = 0.3, weights: Mapping[str, float] | None = None
) -> Merged:
    """Give the base plus `scale` times the sum of the task vectors.

    Args:
        ms: Base and experts.
        scale: Factor on the sum; 1 / number of experts is the mean.
        weights: Expert -> weight, rescaled to a mean of 1.

    Yields:
        Name and merged tensor.
    """
    factor = scale * len(ms) * shares(ms.tasks, weights)
    for name, start, deltas in ms.tensors():
        yield name, combine(start, deltas, factor)
