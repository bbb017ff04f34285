"""TIES: trim task vectors, elect a sign for every number, and average those that agree with it.

Yadav et al. (2023), *TIES-Merging: Resolving Interference When Merging Models*::

    trim:   keep the `density` largest numbers of each task vector by magnitude, 0 for the others
    elect:  sign_p = sign(sum_t w_t tau_tp)
    merge:  tau_p  = mean of the w_t tau_tp that are not 0 and have sign_p
    theta = theta_0 + scale * tau

Use when several long task vectors interfere. Avoid with two nearly orthogonal experts: trimming
then only throws away. Cost: three passes over the tensors and none of them held; one with
``per_tensor=True``.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._average import shares
from ._set import Mergeable, Merged

# bits told apart in one pass over the numbers
_DIGIT = 16


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
    ms: Mergeable,
    *,
    density: float = 0.2,
    scale: float = 1.0,
    weights: Mapping[str, float] | None = None,
    per_tensor: bool = False,
) -> Merged:
    """Merge by TIES.

    Args:
        ms: Base and experts.
        density: Part of each task vector that is kept.
        scale: Factor on the merged task vector.
        weights: Expert -> weight; None counts all alike.
        per_tensor: Trim tensor by tensor in place of over the whole model.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: `density` is outside 0 to 1.
    """
    if not 0.0 < density <= 1.0:
        raise ConfigError(f"density must be above 0 and at most 1; got {density!r}")
    share = shares(ms.tasks, weights)
    limits = [] if per_tensor else [_whole(ms, task, density) for task in ms.tasks]
    for name, start, deltas in ms.tensors():
        cut = limits or [threshold(delta.abs(), density) for delta in deltas]
        kept = torch.stack([d * (d.abs() >= c) for d, c in zip(deltas, cut, strict=True)])
        yield name, start + scale * elect_and_average(kept, share)


def _whole(ms: Mergeable, task: str, density: float) -> Tensor:
    """The threshold over all tensors, none of which is held longer than it is looked at."""
    count = sum(ms.start(name).numel() for name in ms.names)
    kept = max(1, round(density * count))
    return kth_largest(lambda: (ms.delta(task, name).abs() for name in ms.names), kept)


def kth_largest(tensors: Callable[[], Iterator[Tensor]], kept: int) -> Tensor:
    """Return the k-th largest of many numbers, exactly, without sorting or holding them.

    The bits of numbers that are at least 0 sort as the numbers do: counts of 16 bits at a time
    narrow them down.

    Args:
        tensors: Function that gives the tensors, of one type, at least 0, each time from the start.
        kept: k, from 1.

    Returns:
        A scalar.
    """
    kind = next(tensors()).dtype
    bits = torch.finfo(kind).bits
    whole = {16: torch.int16, 32: torch.int32, 64: torch.int64}[bits]
    prefix = 0
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        counts = torch.zeros(1 << _DIGIT, dtype=torch.int64)
        for tensor in tensors():
            keys = tensor.flatten().view(whole).to(torch.int64)
            keys = keys[keys >> (shift + _DIGIT) == prefix] if shift + _DIGIT < bits else keys
            digits = (keys >> shift) & ((1 << _DIGIT) - 1)
            counts += torch.bincount(digits, minlength=1 << _DIGIT).cpu()
        above = counts.flip(0).cumsum(0)
        place = int((above >= kept).nonzero()[0])
        digit = (1 << _DIGIT) - 1 - place
        kept -= int(above[place] - counts[digit])
        prefix = prefix << _DIGIT | digit
    return torch.tensor(prefix, dtype=whole).view(kind)
