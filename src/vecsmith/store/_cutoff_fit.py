"""Training of the Cosine Adapter (see `_cutoff`): the one part of it that needs torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import DataError, numpy_generator, torch_generator

from ._cutoff_families import EPS, GAMMA_LIMIT, MIN_SLOPE
from ._cutoff_lists import LabelledLists

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class AdapterOptions:
    """How the network is trained.

    Attributes:
        epochs: At most so many passes.
        patience: Stop after so many passes without a lower validation loss.
        batch_size: Queries a step.
        lr: Learning rate of AdamW.
        weight_decay: Decay of the two matrices; the global offsets are not decayed.
        dropout: Share of hidden units dropped in training.
        device: Where to train.
    """

    epochs: int = 150
    patience: int = 15
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    device: str = "cpu"


@dataclass(frozen=True)
class Fitted:
    """The best of the families that were fitted."""

    family: str
    weights: dict[str, NDArray[np.float32]]
    history: dict[str, Any]
    validation: LabelledLists


@dataclass(frozen=True)
class _Part:
    """Lists of one side of the split, as tensors."""

    queries: Tensor  # (n, dim)
    cosines: Tensor  # (n, k)
    labels: Tensor  # (n, k)
    mask: Tensor  # (n, k)


def fit_adapter(
    lists: LabelledLists,
    families: tuple[str, ...],
    *,
    hidden: int,
    val: float,
    seed: int,
    options: AdapterOptions | None,
) -> Fitted:
    """Fit every family on the same split; the lowest validation loss wins.

    Args:
        lists: Labelled lists.
        families: Names to try.
        hidden: Width of the network.
        val: Share of queries held out.
        seed: Seed of split, start and order.
        options: Settings of the training.

    Returns:
        Weights as NumPy arrays, losses by family, and the held-out lists.

    Raises:
        DataError: A side of the split holds nothing relevant, or nothing irrelevant.
    """
    settings = options or AdapterOptions()
    held = split_queries(lists.query_vecs, val, seed)
    # injected positives were never listed by the search: they may train, not judge
    train = _part(lists, ~held, lists.mask, settings.device)
    test = _part(lists, held, lists.mask & ~lists.injected, settings.device)
    for part, name in ((train, "training"), (test, "held-out")):
        share = float(part.labels[part.mask].mean()) if bool(part.mask.any()) else 0.0
        if not 0.0 < share < 1.0:
            raise DataError(
                f"the {name} queries must list both relevant and irrelevant documents; "
                f"{len(part.queries)} queries with a relevant share of {share:.3f} came: "
                "give more labelled queries, or another seed or val"
            )
    runs = {name: train_family(train, test, name, hidden, seed, settings) for name in families}
    family = min(runs, key=lambda name: runs[name][1]["val_loss"])
    weights = {name: value.cpu().numpy() for name, value in runs[family][0].items()}
    history = {"families": {name: run[1] for name, run in runs.items()}, "queries": len(held)}
    return Fitted(family, weights, history, lists.rows(held))


def split_queries(query_vecs: NDArray[np.float32], val: float, seed: int) -> NDArray[np.bool_]:
    """Hold out a share of the distinct query vectors, so that no query is on both sides.

    Args:
        query_vecs: Shape (queries, dim).
        val: Share, in (0, 1).
        seed: Seed of the draw.

    Returns:
        True for held-out rows, shape (queries,).

    Raises:
        DataError: `val` is out of range or there are fewer than two distinct queries.
    """
    _, group = np.unique(query_vecs, axis=0, return_inverse=True)
    groups = int(group.max()) + 1 if group.size else 0
    if not 0.0 < val < 1.0 or groups < 2:
        raise DataError(
            f"val must lie in (0, 1) and there must be 2 distinct queries; got {val} and {groups}"
        )
    order = numpy_generator(seed, "cutoff", "split").permutation(groups)
    count = min(max(round(val * groups), 1), groups - 1)
    return np.isin(group.reshape(-1), order[:count])


def _part(
    lists: LabelledLists, rows: NDArray[np.bool_], mask: NDArray[np.bool_], device: str
) -> _Part:
    return _Part(
        torch.from_numpy(lists.query_vecs[rows]).to(device),
        torch.from_numpy(lists.cosines[rows]).to(device),
        torch.from_numpy(lists.labels[rows]).to(device),
        torch.from_numpy(mask[rows]).to(device),
    )


def adapter_logits(
    weights: Weights, queries: Tensor, cosines: Tensor, *, family: str, keep: Tensor | None = None
) -> Tensor:
    """Evaluate F(c; g(q)) with gradients.

    Args:
        weights: "inner" (hidden, dim), "inner_bias" (hidden,), "outer" (3, hidden), "offsets" (3,).
        queries: Shape (n, dim).
        cosines: Shape (n, k).
        family: Name of the family.
        keep: Dropout mask, already scaled, shape (n, hidden).

    Returns:
        Logits, shape (n, k).
    """
    hidden = F.relu(F.linear(queries, weights["inner"], weights["inner_bias"]))
    hidden = hidden if keep is None else hidden * keep
    raw = F.linear(hidden, weights["outer"]) + weights["offsets"]
    slope = F.softplus(raw[:, 0:1]) + MIN_SLOPE
    if family == "linear":
        bent = cosines
    else:
        gamma = torch.exp(GAMMA_LIMIT * torch.tanh(raw[:, 2:3] / GAMMA_LIMIT))
        power = {"sqrt": 0.5, "quadratic": 2.0}.get(family, gamma)
        bent = cosines.clamp_min(EPS) ** power
    return slope * bent + raw[:, 1:2]


def adapter_loss(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy over the pairs that are there; labels may be graded.

    Args:
        logits: Shape (n, k).
        labels: In [0, 1], shape (n, k).
        mask: True where there is a pair.

    Returns:
        A scalar.
    """
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (each * mask).sum() / mask.sum().clamp_min(1)


def platt(bent: Tensor, labels: Tensor) -> tuple[float, float]:
    """Fit one logistic calibration to all pairs (Newton's method in float64).

    Args:
        bent: Values, shape (pairs,).
        labels: In [0, 1], shape (pairs,).

    Returns:
        Slope and offset.
    """
    x = torch.stack([bent.double(), torch.ones_like(bent, dtype=torch.float64)], dim=1)
    y, theta = labels.double(), torch.zeros(2, dtype=torch.float64, device=bent.device)
    ridge = 1e-6 * torch.eye(2, dtype=torch.float64, device=bent.device)

    def loss(value: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(x @ value, y) + 0.5 * value @ ridge @ value

    for _ in range(100):
        p = torch.sigmoid(x @ theta)
        gradient = x.T @ (p - y) / len(y) + ridge @ theta
        hessian = (x * (p * (1 - p))[:, None]).T @ x / len(y) + ridge
        step = torch.linalg.solve(hessian, gradient)
        # halve the step until the loss falls: Newton alone overshoots on separable data
        size, before = 1.0, loss(theta)
        while size > 1e-6 and loss(theta - size * step) > before:
            size /= 2
        theta = theta - size * step
        if float(step.abs().max()) < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def _start(part: _Part, family: str, hidden: int, seed: int) -> Weights:
    generator, dim = torch_generator(seed, "cutoff", "start"), part.queries.shape[1]
    bound = dim**-0.5
    inner = torch.empty(hidden, dim).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(hidden).uniform_(-bound, bound, generator=generator)
    power = {"sqrt": 0.5, "quadratic": 2.0}.get(family, 1.0)
    values = part.cosines[part.mask]
    bent = values if family == "linear" else values.clamp_min(EPS) ** power
    slope, offset = platt(bent, part.labels[part.mask])
    # the inverse of softplus; a falling calibration starts nearly flat instead
    raw = float(np.log(np.expm1(np.clip(slope - MIN_SLOPE, 1e-2, 500.0))))
    start = {
        "inner": inner,
        "inner_bias": bias,
        "outer": torch.zeros(3, hidden),
        "offsets": torch.tensor([raw, offset, 0.0]),
    }
    device = part.queries.device
    return {name: value.to(device).requires_grad_() for name, value in start.items()}


def train_family(
    train: _Part, test: _Part, family: str, hidden: int, seed: int, options: AdapterOptions
) -> tuple[Weights, dict[str, float]]:
    """Train one family; the epoch of lowest held-out loss wins, the Platt start included.

    Args:
        train: Training lists.
        test: Held-out lists.
        family: Name of the family.
        hidden: Width of the network.
        seed: Seed of start, order and dropout.
        options: Settings.

    Returns:
        Weights, and the held-out loss before and after with the number of epochs run.
    """
    weights = _start(train, family, hidden, seed)
    groups = [
        {"params": [weights["inner"], weights["outer"]], "weight_decay": options.weight_decay},
        {"params": [weights["inner_bias"], weights["offsets"]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.lr)
    generator = torch_generator(seed, "cutoff", "order")
    best = before = _held_out(weights, test, family)
    kept, since, epoch = _copy(weights), 0, 0
    for epoch in range(1, options.epochs + 1):  # noqa: B007
        for rows in torch.randperm(len(train.queries), generator=generator).split(
            options.batch_size
        ):
            keep = torch.rand(len(rows), hidden, generator=generator) >= options.dropout
            scaled = (keep / (1.0 - options.dropout)).to(train.queries.device)
            at = rows.to(train.queries.device)
            logits = adapter_logits(
                weights, train.queries[at], train.cosines[at], family=family, keep=scaled
            )
            optimizer.zero_grad()
            adapter_loss(logits, train.labels[at], train.mask[at]).backward()
            optimizer.step()
        now = _held_out(weights, test, family)
        if now < best - 1e-7:
            best, kept, since = now, _copy(weights), 0
        else:
            since += 1
            if since >= options.patience:
                break
    return kept, {"platt_loss": before, "val_loss": best, "epochs": float(epoch)}


def _held_out(weights: Weights, test: _Part, family: str) -> float:
    with torch.no_grad():
        logits = adapter_logits(weights, test.queries, test.cosines, family=family)
        return float(adapter_loss(logits, test.labels, test.mask))


def _copy(weights: Weights) -> Weights:
    return {name: value.detach().clone() for name, value in weights.items()}
