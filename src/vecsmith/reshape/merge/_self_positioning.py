"""Self Positioning: find by gradient descent where between the experts the merged model should lie.

*Improving General Text Embedding Model: Tackling Task Conflict and Data Imbalance through Model
Merging* (2024). Experts are trained separately; then only T + 1 numbers are learned, by the
ordinary training loss on a small probe set with equal numbers of every task::

    theta(a, lambda) = theta_0 + lambda * sum_t alpha_t tau_t,   alpha = softmax(a)
    min over a, lambda of  mean over tasks of loss(theta) + mu * lambda^2
    dL/dalpha_t = lambda * <dL/dtheta, tau_t>,   dL/dlambda = <dL/dtheta, sum_t alpha_t tau_t>

alpha is the direction and lambda the length. The gradient is exact and needs one ordinary backward
pass on a materialised model, then T inner products: no graph through the merge.

Use in place of tuning sampling ratios of multi-task training, to re-balance by other `weights` in
minutes, and with a single expert to find how far to go from the base towards it. Avoid when the
probe holds false negatives (see `EqualTargetLoss`), or is drawn from test data. Cost: steps x
tasks batches forward and backward; memory of the model, its gradient and T task vectors. The
merged model is one ordinary model of the base's size.
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, ModelError, numpy_generator, progress

from ._average import shares
from ._probe import Probe, rows_hash
from ._set import MergeSet, State

GRANULARITIES = ("model", "layer")
_LAYER = re.compile(r"(?:^|\.)((?:layers?|blocks?|h)\.\d+)(?:\.|$)")


def inner_products(
    gradient: State, vectors: Sequence[State], groups: Mapping[str, int], count: int
) -> Tensor:
    """Return the inner products of a gradient with each task vector, group by group.

    Args:
        gradient: Name -> dL/dtheta.
        vectors: Task vectors.
        groups: Name -> number of its group.
        count: Number of groups.

    Returns:
        Shape (groups, experts), float64.
    """
    products = torch.zeros(count, len(vectors), dtype=torch.float64)
    for name, part in gradient.items():
        for column, vector in enumerate(vectors):
            dot = torch.dot(part.flatten().to(vector[name].dtype), vector[name].flatten())
            products[groups[name], column] += dot.double().cpu()
    return products


def position_gradient(
    products: Tensor, logits: Tensor, lam: float, *, mu: float = 0.0
) -> tuple[Tensor, float]:
    """Return the gradient of the loss with respect to the coefficients.

    Args:
        products: <dL/dtheta, tau_t> by group, shape (groups, experts).
        logits: a, whose softmax over the experts is alpha, shape (groups, experts).
        lam: Length.
        mu: Weight of the penalty on lambda squared.

    Returns:
        Gradient of the logits, shape (groups, experts), and of lambda.
    """
    alpha = torch.softmax(logits, dim=-1)
    by_alpha = lam * products
    # the Jacobian of softmax: diag(alpha) - alpha alpha^T
    by_logits = alpha * (by_alpha - (alpha * by_alpha).sum(-1, keepdim=True))
    return by_logits, float((alpha * products).sum()) + 2.0 * mu * lam


@dataclass(frozen=True)
class PositionOptions:
    """How the coefficients are searched.

    Attributes:
        batch: Probe rows of every task a step.
        lr: Learning rate of Adam on the coefficients.
        lam: Length to start from; the direction starts even.
        normalise: Divide each task's loss by its loss under the base, where losses differ in scale.
        hold_out: Part of every task's probe kept aside; the coefficients with the lowest loss on it
            are taken. 0 takes the last ones.
        validate_every: Steps between looks at the part kept aside.
        patience: Looks without a lower loss before the search stops; None never stops early.
        seed: Seed of the order of the probe.
        collate: As for `Probe`.
    """

    batch: int = 16
    lr: float = 0.05
    lam: float = 1.0
    normalise: bool = False
    hold_out: float = 0.0
    validate_every: int = 10
    patience: int | None = None
    seed: int = 0
    collate: Callable[[list[Any]], Any] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.hold_out < 1.0:
            raise ConfigError(f"hold_out must be from 0 to below 1; got {self.hold_out!r}")
        if self.patience is not None and not self.hold_out:
            raise ConfigError("patience needs hold_out above 0; set it to 0.2, for example")
        if self.batch < 1 or self.validate_every < 1 or not self.lr > 0:
            raise ConfigError(
                "batch and validate_every must be at least 1 and lr above 0; got "
                f"{self.batch}, {self.validate_every}, {self.lr}"
            )


class SelfPositioning:
    """Search the coefficients of a merge.

    Args:
        ms: Base and experts.
        loss: As for `Probe`: a loss class of sentence-transformers, a function that makes a loss
            from the model, or for other modules a function of model and batch.
        probe: Task -> rows. The tasks need not be the experts: ``{"domain": …, "general": …}``
            places a single expert between what it learned and what the base knew.
        weights: Task -> what it counts; None counts all alike.
        granularity: "model" learns T + 1 numbers; "layer" learns one direction a layer.
        mu: Weight of the penalty on lambda squared.
        options: How to search.

    Attributes:
        alpha: Direction, one number an expert (with "layer": a dictionary by group).
        lam: Length.
        trace: One dictionary a step: step, loss, losses, alpha, lam, and held_out where measured.

    Raises:
        ConfigError: An argument is out of range, or the weights name other tasks.
        DataError: A task has no probe rows.
    """

    def __init__(
        self,
        ms: MergeSet,
        loss: Any,
        probe: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        *,
        granularity: str = "model",
        mu: float = 0.01,
        options: PositionOptions | None = None,
    ) -> None:
        if granularity not in GRANULARITIES:
            raise ConfigError(f"granularity must be 'model' or 'layer'; got {granularity!r}")
        if not mu >= 0:
            raise ConfigError(f"mu must be at least 0; got {mu!r}")
        self.ms, self.mu, self.granularity = ms, mu, granularity
        self.options, self.weights = options or PositionOptions(), weights
        # the copy whose tensors are overwritten at each step
        self._work = copy.deepcopy(ms.base).eval().requires_grad_(False)
        fitted, held = _split(probe, self.options)
        settings: dict[str, Any] = {
            "batch": self.options.batch,
            "collate": self.options.collate,
        }
        self.probe = Probe(self._work, loss, fitted, seed=self.options.seed, **settings)
        self.held = Probe(self._work, loss, held, **settings) if held else None
        self._share = shares(self.probe.tasks, weights)
        self._vectors = [ms.task_vector(task) for task in ms.tasks]
        self._targets = dict(self._work.named_parameters(remove_duplicate=False))
        for name in ms.names:
            if name in self._targets:
                self._targets[name].requires_grad_(True)
        found = sorted({_group(name, granularity) for name in ms.names})
        self.groups = {name: found.index(_group(name, granularity)) for name in ms.names}
        self._group_names = found
        self.logits = torch.zeros(len(found), len(ms), dtype=torch.float64)
        self.lam = float(self.options.lam)
        self.trace: list[dict[str, Any]] = []
        self._scales = dict.fromkeys(self.probe.tasks, 1.0)
        if self.options.normalise:
            self._scales = {task: self.probe.mean_loss(task) for task in self.probe.tasks}

    @property
    def alpha(self) -> Any:
        """Direction: a tuple, one number an expert; with "layer" a dictionary of tuples."""
        rows = [tuple(row) for row in torch.softmax(self.logits, dim=-1).tolist()]
        if self.granularity == "model":
            return rows[0]
        return dict(zip(self._group_names, rows, strict=True))

    def fit(self, steps: int = 100) -> Any:
        """Search, and build the merged model; a second call goes on from the coefficients found.

        Args:
            steps: Steps of gradient descent.

        Returns:
            A model of the base's kind, with its recipe.

        Raises:
            ConfigError: `steps` is below 1.
            ModelError: The loss is not finite.
        """
        if steps < 1:
            raise ConfigError(f"steps must be at least 1; got {steps}")
        logits = nn.Parameter(self.logits.clone())
        lam = nn.Parameter(torch.tensor(self.lam, dtype=torch.float64))
        optimizer = torch.optim.Adam([logits, lam], lr=self.options.lr)
        keeper = _Keeper(self.options.patience)
        self._look(keeper)
        for step in progress(range(1, steps + 1), "self positioning", unit="step"):
            self._place()
            losses, products = self._measure()
            logits.grad, by_lam = position_gradient(products, self.logits, self.lam, mu=self.mu)
            lam.grad = torch.tensor(by_lam, dtype=torch.float64)
            self._record(losses)
            optimizer.step()
            self.logits, self.lam = logits.detach().clone(), float(lam.detach())
            if step % self.options.validate_every == 0 and self._look(keeper):
                break
        if keeper.best is not None:
            self.logits, self.lam = keeper.best
        return self.ms.build(self.state(), self.recipe())

    def state(self) -> State:
        """Return the merged tensors at the coefficients of now."""
        alpha = torch.softmax(self.logits, dim=-1)
        merged = {}
        for name in self.ms.names:
            merged[name] = self.ms.start(name).clone()
            for column, vector in enumerate(self._vectors):
                factor = self.lam * float(alpha[self.groups[name], column])
                merged[name].add_(vector[name], alpha=factor)
        return merged

    def recipe(self) -> dict[str, Any]:
        """Return what made the merged model, JSON-ready."""
        options = {key: value for key, value in asdict(self.options).items() if key != "collate"}
        return {
            "method": "self_positioning",
            "tasks": list(self.ms.tasks),
            "alpha": self.alpha,
            "lambda": self.lam,
            "granularity": self.granularity,
            "mu": self.mu,
            "weights": dict(self.weights) if self.weights else None,
            "steps": len(self.trace),
            "options": options,
            "probe": {
                task: {"rows": len(rows), "hash": rows_hash(rows)}
                for task, rows in self.probe.data.items()
            },
        }

    def _place(self) -> None:
        """Write theta(alpha, lambda) into the working copy."""
        target = self._work.state_dict()
        with torch.no_grad():
            for name, value in self.state().items():
                target[name].copy_(value)

    def _measure(self) -> tuple[dict[str, float], Tensor]:
        """Losses of one batch of every task, and the inner products of their mean's gradient."""
        self._work.zero_grad(set_to_none=True)
        losses = {}
        for task, share in zip(self.probe.tasks, self._share.tolist(), strict=True):
            loss = self.probe.loss(task, self.probe.draw(task)) / self._scales[task]
            (share * loss).backward()  # type: ignore[no-untyped-call]
            losses[task] = float(loss.detach())
        gradient = {
            name: grad
            for name in self.ms.names
            if name in self._targets and (grad := self._targets[name].grad) is not None
        }
        return losses, inner_products(gradient, self._vectors, self.groups, len(self._group_names))

    def _record(self, losses: dict[str, float]) -> None:
        shared = zip(losses.values(), self._share.tolist(), strict=True)
        loss = sum(value * share for value, share in shared)
        step = len(self.trace) + 1
        if not torch.isfinite(torch.tensor(loss)):
            raise ModelError(
                f"the probe loss became {loss} at step {step} (lambda {self.lam:.3g}); use a lower "
                "lr, or a larger mu"
            )
        self.trace.append(
            {"step": step, "loss": loss, "losses": losses, "alpha": self.alpha, "lam": self.lam}
        )

    def _look(self, keeper: "_Keeper") -> bool:
        """Measure the part kept aside; tell whether to stop."""
        if self.held is None:
            return False
        self._place()
        values = [self.held.mean_loss(task) / self._scales[task] for task in self.held.tasks]
        loss = sum(v * s for v, s in zip(values, self._share.tolist(), strict=True))
        if self.trace:
            self.trace[-1]["held_out"] = loss
        return keeper.keep(loss, (self.logits.clone(), self.lam))


class _Keeper:
    """The coefficients with the lowest loss so far."""

    def __init__(self, patience: int | None) -> None:
        self.patience, self.misses, self.loss = patience, 0, float("inf")
        self.best: tuple[Tensor, float] | None = None

    def keep(self, loss: float, values: tuple[Tensor, float]) -> bool:
        """Keep the values if they are better; tell whether patience has run out."""
        if loss < self.loss:
            self.loss, self.best, self.misses = loss, values, 0
            return False
        self.misses += 1
        return self.patience is not None and self.misses >= self.patience


def _group(name: str, granularity: str) -> str:
    if granularity == "model":
        return "model"
    found = _LAYER.search(name)
    return found.group(1) if found else name.partition(".")[0]


def _split(probe: Mapping[str, Any], options: PositionOptions) -> tuple[Any, Any]:
    """Part every task's rows into those to fit and those kept aside."""
    if not options.hold_out:
        return probe, {}
    fitted, held = {}, {}
    for task, rows in probe.items():
        order = numpy_generator(options.seed, "hold-out", task).permutation(len(rows)).tolist()
        aside = max(1, round(options.hold_out * len(rows)))
        if aside >= len(rows):
            raise ConfigError(
                f"hold_out {options.hold_out} leaves no row of task {task!r} ({len(rows)} rows); "
                "lower it or give more rows"
            )
        held[task] = [rows[index] for index in order[:aside]]
        fitted[task] = [rows[index] for index in order[aside:]]
    return fitted, held
