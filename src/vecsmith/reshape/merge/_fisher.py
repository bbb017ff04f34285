"""Fisher merging: every number of the merged model leans to the experts that depend on it.

Matena and Raffel (2022), *Merging Models with Fisher-Weighted Averaging*::

    theta = sum_t w_t F_t theta_t / sum_t w_t F_t,   F_t = mean over batches of (dL_t / dtheta_t)^2

The diagonal is the empirical one, of the loss of whole batches: contrastive losses have no loss of
a single example. Each expert's F is divided by its mean, so that losses of other scales compare.
Use with likelihood-like losses and some data of every task. Avoid where experts have converged so
far that gradients vanish. Cost: one backward pass over each expert's data, memory of one F an
expert.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from ._average import shares
from ._probe import Probe
from ._set import Merged, MergeSet, State


def fisher_mean(tensors: Tensor, fishers: Tensor, share: Tensor, floor: float = 1e-6) -> Tensor:
    """Return the mean weighted number by number.

    Args:
        tensors: Of the experts, shape (experts, …).
        fishers: Their diagonals, at least 0, shape (experts, …).
        share: What each expert counts, shape (experts,).
        floor: Added to each diagonal: where all are 0 the plain mean is left.

    Returns:
        Shape (…).
    """
    weight = (fishers + floor) * share.to(tensors).reshape(-1, *[1] * (tensors.ndim - 1))
    return (weight * tensors).sum(0) / weight.sum(0)


def diagonal_fisher(probe: Probe, task: str, names: tuple[str, ...]) -> State:
    """Return the mean squared gradient of a task's batches.

    Args:
        probe: Of the expert.
        task: One of the probe's tasks.
        names: Tensors to take it of.

    Returns:
        Name -> diagonal, for those that are parameters.
    """
    found = dict(probe.model.named_parameters(remove_duplicate=False))
    wanted = {name: found[name] for name in names if name in found}
    total = {name: torch.zeros_like(value) for name, value in wanted.items()}
    batches = list(probe.walk(task))
    for batch in batches:
        parts = torch.autograd.grad(
            probe.loss(task, batch), list(wanted.values()), allow_unused=True
        )
        for name, part in zip(wanted, parts, strict=True):
            if part is not None:
                total[name] += part.square() / len(batches)
    return total


def fisher(
    ms: MergeSet,
    *,
    data: Mapping[str, Any],
    loss: Any,
    batch: int = 16,
    weights: Mapping[str, float] | None = None,
    floor: float = 1e-6,
    collate: Callable[[list[Any]], Any] | None = None,
) -> Merged:
    """Merge by Fisher-weighted averaging.

    Args:
        ms: Base and experts.
        data: Expert -> rows of its task.
        loss: As for `Probe`.
        batch: Rows a batch.
        weights: Expert -> weight; None counts all alike.
        floor: Least weight of a number, relative to the mean.
        collate: As for `Probe`.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: The data name other tasks than the experts.
    """
    check_tasks(ms, data)
    diagonals = []
    for task in ms.tasks:
        model = copy.deepcopy(ms.experts[task]).eval().requires_grad_(True)
        probe = Probe(model, _only(loss, task), {task: data[task]}, batch=batch, collate=collate)
        diagonal = diagonal_fisher(probe, task, ms.names)
        count = sum(value.numel() for value in diagonal.values())
        mean = sum(float(value.double().sum()) for value in diagonal.values()) / count
        diagonals.append({name: value / (mean or 1.0) for name, value in diagonal.items()})
    share = shares(ms.tasks, weights)
    for name, start, deltas in ms.tensors():
        rows = [d.get(name, torch.zeros_like(start)).to(start) for d in diagonals]
        yield name, start + fisher_mean(deltas, torch.stack(rows), share, floor)


def check_tasks(ms: MergeSet, data: Mapping[str, Any]) -> None:
    """Refuse data that do not name exactly the experts.

    Args:
        ms: Base and experts.
        data: Expert -> rows.

    Raises:
        ConfigError: They do not.
    """
    if set(data) != set(ms.tasks):
        raise ConfigError(
            f"data must name exactly the experts {sorted(ms.tasks)}; got {sorted(data)}"
        )


def _only(loss: Any, task: str) -> Any:
    return {task: loss[task]} if isinstance(loss, Mapping) else loss
