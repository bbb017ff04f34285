"""TIES: trim task vectors, elect a sign for every number, and average those that agree with it.

Yadav et al. (2023), *TIES-Merging: Resolving Interference When Merging Models*::

    trim:   keep the `density` largest numbers of each task vector by magnitude, 0 for the others
    elect:  sign_p = sign(sum_t w_t tau_tp)
    merge:  tau_p  = mean of the w_t tau_tp that are not 0 and have sign_p
    theta = theta_0 + scale * tau

Use when several long task vectors interfere. Avoid with two nearly orthogonal experts: trimming
then only throws away. Cost: two passes over the tensors; the threshold of a whole model needs its
magnitudes at once (``per_tensor=True`` does not).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._average import shares
from ._set import MergeSet, State


def threshold(magnitudes: Tensor, density: float) -> Tensor:
    """Return the smallest magnitude that is kept.

    Args:
        magnitudes: Any shape, at least 0.
        density: Part to keep, above 0 to 1.

    Returns:
        A scalar; what is at least as large is kept.
    """
    flat = magnitudes.flatten()
    kept = max(1, round(density * flat.numel()))
    return flat.kthvalue(flat.numel() - kept + 1).values


def elect_and_average(deltas: Tensor, share: Tensor) -> Tensor:
    """Average, number by number, the entries whose sign wins.

    Args:
        deltas: Trimmed task vectors, shape (experts, …).
        share: What each expert counts, shape (experts,).

    Returns:
        Shape (…).
    """
    column = share.to(deltas).reshape(-1, *[1] * (deltas.ndim - 1))
    sign = torch.sign((column * deltas).sum(0))
    agree = (torch.sign(deltas) == sign) & (deltas != 0)
    total = (column * agree).sum(0)
    return (column * deltas * agree).sum(0) / total.clamp_min(torch.finfo(deltas.dtype).tiny)


def ties(
    ms: MergeSet,
    *,
    density: float = 0.2,
    scale: float = 1.0,
    weights: Mapping[str, float] | None = None,
    per_tensor: bool = False,
) -> State:
    """Merge by TIES.

    Args:
        ms: Base and experts.
        density: Part of each task vector that is kept.
        scale: Factor on the merged task vector.
        weights: Expert -> weight; None counts all alike.
        per_tensor: Trim tensor by tensor in place of over the whole model.

    Returns:
        Merged tensors.

    Raises:
        ConfigError: `density` is outside 0 to 1.
    """
    if not 0.0 < density <= 1.0:
        raise ConfigError(f"density must be above 0 and at most 1; got {density!r}")
    share, merged = shares(ms.tasks, weights), {}
    limits = [] if per_tensor else [_whole(ms, task, density) for task in ms.tasks]
    for name, start, deltas in ms.tensors():
        cut = limits or [threshold(delta.abs(), density) for delta in deltas]
        kept = torch.stack([d * (d.abs() >= c) for d, c in zip(deltas, cut, strict=True)])
        merged[name] = start + scale * elect_and_average(kept, share)
    return merged


def _whole(ms: MergeSet, task: str, density: float) -> Tensor:
    return threshold(torch.cat([ms.delta(task, n).abs().flatten() for n in ms.names]), density)
