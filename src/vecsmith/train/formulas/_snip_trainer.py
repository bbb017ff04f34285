"""Contrastive pre-training of SNIP: each formula must find its points in the batch, and back.

Meidani et al. 2024. Data are made on the fly by an `ExpressionGenerator`, or are your own samples.
Defaults are for small models and minutes; `SnipTraining.paper()` has the paper's settings.
Rows of a batch that hold one formula are no negatives of each other, which the paper leaves open
and small generators need (``x`` alone is one of thirty).

Cost: two cores, the tiny model, batch 128: 0.1 s a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import Budget, ConfigError, FitOptions, FitResult, fit
from vecsmith.data.formulas import ExpressionGenerator, Sample
from vecsmith.encode.formulas import Snip

from ._source import PairBatch, PairSource
from ._symmetric import symmetric_contrastive

INVERSE_SQRT = "inverse_sqrt"


@dataclass(frozen=True)
class SnipTraining:
    """How to train.

    Attributes:
        lr: Peak rate.
        schedule: "inverse_sqrt" (the paper's: rises over `warmup_steps`, then falls with the root
            of the step), or one of `FitOptions`.
        warmup_steps: Steps over which the rate rises.
        weight_decay: On matrices; 0 is the paper's Adam.
        max_norm: Gradients are clipped to this norm.
        epoch: Steps of an epoch of generated data.
        workers: Processes that generate data.
        drop_equal: Whether rows of one formula are left out as negatives.
        precision: "no", "bf16" or "fp16".
        seed: Seed of data and order.
        cpu: Stay on the CPU even where there is a GPU.
    """

    lr: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 50
    weight_decay: float = 0.0
    max_norm: float = 0.5
    epoch: int = 1000
    workers: int = 0
    drop_equal: bool = True
    precision: str = "no"
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        if not self.lr > 0 or self.warmup_steps < 0 or not self.max_norm > 0:
            raise ConfigError(
                "lr and max_norm must be above 0, warmup_steps at least 0; got "
                f"{self.lr}, {self.max_norm} and {self.warmup_steps}"
            )

    @classmethod
    def paper(cls, **changes: Any) -> "SnipTraining":
        """Return the paper's settings, for days on a GPU with batch 256.

        Args:
            **changes: What differs.

        Returns:
            The settings.
        """
        made = cls(lr=4e-5, schedule=INVERSE_SQRT, warmup_steps=10_000, drop_equal=False)
        return replace(made, **changes)


def inverse_sqrt(step: int, warmup: int) -> float:
    """Return the factor on the rate: rising to 1 over the warm-up, then falling with the root.

    Args:
        step: From 1.
        warmup: Steps of rising.

    Returns:
        From 0 to 1.
    """
    return min(step / warmup, (warmup / step) ** 0.5) if warmup else step**-0.5


class _Pairs(nn.Module):
    """The model as `fit` wants it: called with a batch, it gives the loss."""

    def __init__(self, model: Snip, drop_equal: bool) -> None:
        super().__init__()
        self.model, self.drop_equal = model, drop_equal

    def forward(self, batch: PairBatch) -> Tensor:
        formulas, points = self.model(batch.formulas, batch.points, batch.mask)
        return symmetric_contrastive(
            formulas.float(),
            points.float(),
            temperature=self.model.temperature,
            groups=batch.groups if self.drop_equal else None,
        )


class SnipTrainer:
    """Trains the two encoders together.

    Args:
        model: What to train, in place.
        source: A generator, or samples (formula, X, y).
        batch: Pairs a step; each is set against all others.
        steps: Optimizer steps.
        seconds: Limit of the time; None has none.
        options: How.

    Raises:
        ConfigError: A number is out of range, or the generator does not fit the model.
        DataError: Samples that the model cannot read.
    """

    def __init__(
        self,
        model: Snip,
        source: ExpressionGenerator | Sequence[Sample],
        *,
        batch: int = 256,
        steps: int = 1000,
        seconds: float | None = None,
        options: SnipTraining | None = None,
    ) -> None:
        self.model, self.options = model, options or SnipTraining()
        self.budget = Budget(steps=steps, seconds=seconds)
        o = self.options
        self.source = PairSource(
            model, source, batch=batch, epoch=o.epoch, seed=o.seed, workers=o.workers
        )

    def train(self, *, checkpoint: str | Path | None = None) -> FitResult:
        """Train; go on from the checkpoint if there is one.

        Args:
            checkpoint: Folder for it; None keeps none.

        Returns:
            The model, in evaluation mode, and how the training went.
        """
        o, steps = self.options, self.budget.steps or 1
        own = o.schedule == INVERSE_SQRT
        options = FitOptions(
            lr=o.lr,
            schedule="constant" if own else o.schedule,
            warmup=0.0 if own else min(o.warmup_steps / steps, 0.5),
            max_norm=o.max_norm,
            precision=o.precision,
            seed=o.seed,
            cpu=o.cpu,
        )
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": o.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=o.lr)
        if own:
            optimizer.register_step_pre_hook(self._scale)
        self.model.train()
        result = fit(
            _Pairs(self.model, o.drop_equal),
            lambda net, batch: net(batch),
            self.source,
            budget=self.budget,
            options=options,
            optimizer=optimizer,
            checkpoint=checkpoint,
        )
        result.model = self.model.eval()
        return result

    def _scale(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        # the step is the optimizer's own, which a checkpoint keeps
        states = [int(state["step"]) for state in optimizer.state.values() if "step" in state]
        factor = inverse_sqrt(1 + max(states, default=0), self.options.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] *= factor


def matched(formulas: NDArray[np.float32], points: NDArray[np.float32], top_k: int = 1) -> float:
    """Measure how often a formula finds its points, and points their formula.

    Args:
        formulas: Vectors, shape (pairs, dims).
        points: Vectors of their points, same shape.
        top_k: Among how many.

    Returns:
        Share, mean of both directions; a tie counts against.
    """
    scores = formulas @ points.T
    own = np.diag(scores)
    ranks = [(scores >= own[:, None]).sum(1), (scores >= own[None]).sum(0)]
    return float(np.mean([np.mean(rank <= top_k) for rank in ranks]))
