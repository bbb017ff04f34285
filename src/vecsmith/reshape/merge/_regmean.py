"""RegMean: the linear layer whose outputs are nearest to all experts' on their own inputs.

Jin et al. (2023), *Dataless Knowledge Fusion by Merging Weights of Language Models*. Least squares
has a closed form, layer by layer::

    W = (sum_t w_t W_t G_t) (sum_t w_t G_t)^-1
    G_t = X_t^T X_t / rows,   its off-diagonal numbers * shrink

Biases, LayerNorms and embeddings are averaged. Padding is left out of X. Use when experts see
different inputs (other domains). Avoid when they see the same inputs: the G are then alike and it
is the average. Cost: one forward pass over each expert's data, one (inputs x inputs) matrix a
layer.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from ._average import combine, shares
from ._fisher import _only, check_tasks
from ._probe import Probe
from ._set import Merged, MergeSet


def regression_mean(matrices: Tensor, grams: Tensor, share: Tensor, shrink: float = 0.9) -> Tensor:
    """Return the matrix nearest to all experts' on their inputs.

    Args:
        matrices: Shape (experts, outputs, inputs).
        grams: X^T X of the inputs, shape (experts, inputs, inputs).
        share: What each expert counts, shape (experts,).
        shrink: Factor on the off-diagonal numbers of the grams.

    Returns:
        Shape (outputs, inputs).
    """
    eye = torch.eye(grams.shape[-1], dtype=torch.float64, device=grams.device)
    weighted = share.to(grams.device).reshape(-1, 1, 1) * grams.double()
    weighted = weighted * (shrink + (1.0 - shrink) * eye)
    total = weighted.sum(0)
    # inputs that never differ from 0 leave the system singular
    ridge = 1e-8 * total.diagonal().mean().clamp_min(1e-12)
    weighted = weighted + ridge * share.to(grams.device).reshape(-1, 1, 1) * eye
    right = (matrices.double() @ weighted).sum(0)
    solved = torch.linalg.solve(weighted.sum(0), right.T).T
    return solved.to(matrices.dtype)


def collect_grams(probe: Probe, task: str) -> dict[str, Tensor]:
    """Run a task's data through the model and gather X^T X / rows of each linear layer.

    Args:
        probe: Of the expert.
        task: One of its tasks.

    Returns:
        Name of the layer's weight -> shape (inputs, inputs).
    """
    grams: dict[str, Tensor] = {}
    rows: dict[str, int] = {}
    mask: list[Tensor | None] = [None]

    def remember(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        features = inputs[0] if inputs and isinstance(inputs[0], Mapping) else {}
        mask[0] = features.get("attention_mask")

    def gather(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            flat = inputs[0].detach()
            seen = mask[0]
            if seen is not None and flat.shape[:-1] == seen.shape:
                flat = flat[seen.bool()]
            flat = flat.reshape(-1, flat.shape[-1]).float()
            grams[name] = grams.get(name, 0) + flat.T @ flat
            rows[name] = rows.get(name, 0) + flat.shape[0]

        return hook

    hooks = [probe.model.register_forward_pre_hook(remember)]
    for path, module in probe.model.named_modules():
        if isinstance(module, nn.Linear):
            hooks.append(module.register_forward_pre_hook(gather(f"{path}.weight".lstrip("."))))
    try:
        probe.mean_loss(task)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: gram / rows[name] for name, gram in grams.items()}


def regmean(
    ms: MergeSet,
    *,
    data: Mapping[str, Any],
    loss: Any,
    shrink: float = 0.9,
    batch: int = 16,
    weights: Mapping[str, float] | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
) -> Merged:
    """Merge by RegMean.

    Args:
        ms: Base and experts.
        data: Expert -> rows of its task.
        loss: As for `Probe`; only its forward pass is used.
        shrink: Factor on the off-diagonal numbers of the grams.
        batch: Rows a batch.
        weights: Expert -> weight; None counts all alike.
        collate: As for `Probe`.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: The data name other tasks than the experts, or `shrink` is outside 0 to 1.
    """
    check_tasks(ms, data)
    if not 0.0 <= shrink <= 1.0:
        raise ConfigError(f"shrink must be from 0 to 1; got {shrink!r}")
    grams = []
    for task in ms.tasks:
        model = copy.deepcopy(ms.experts[task]).eval()
        probe = Probe(model, _only(loss, task), {task: data[task]}, batch=batch, collate=collate)
        grams.append(collect_grams(probe, task))
    share = shares(ms.tasks, weights)
    for name, start, deltas in ms.tensors():
        if all(name in gram for gram in grams):
            # on deltas: the base's part is the same on both sides, and precision is kept
            stacked = torch.stack([gram[name] for gram in grams])
            yield name, start + regression_mean(deltas, stacked, share, shrink)
        else:
            yield name, combine(start, deltas, share)
