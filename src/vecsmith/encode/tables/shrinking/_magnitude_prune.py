"""Magnitude pruning while training (DeepLight): small entries go, and may come back.

W. Deng and others, 2021, *DeepLight: Deep Lightweight Feature Interactions for Accelerating CTR
Predictions in Ad Serving*. After a warm-up the smallest entries of the whole table are set to zero
every ten steps, up to a sparsity that rises to the target p:

    p (1 - 0.99^(step / 100))

In between all entries learn, so that zeros may grow again. Scores count only once the sparsity is
within 0.001 of p. Where a run is too short for this pace, the ramp is steeper: p is reached at
three fifths of the steps.

Use at moderate budgets (a tenth and above) for trained-from-scratch tables. Avoid below one entry a
value. Cost: training holds the whole table; a selection of the largest entries every ten steps.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from .._embedding import TablePlan
from .._staged import Stage
from ._sparse import SAMPLE, SparseTable, largest_entries

PACE = -math.log(0.99) / 100
CLOSE = 1e-3
RAMP = 0.6


class MagnitudePrune(SparseTable):
    """Smallest entries go every few steps."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            every: Steps between prunings.
            warm_up: Epochs of the warm-up as part of a training's.
        """

        every: int = 10
        warm_up: float = 0.2

        def __post_init__(self) -> None:
            if self.every < 1 or self.warm_up < 0:
                raise ConfigError(
                    f"every must be at least 1 and warm_up from 0; got {self.every}, {self.warm_up}"
                )

    name: ClassVar[str] = "deep_light"
    steps: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.target = 1 - self.entries / self.table.numel()
        self.pace = PACE
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.pruning = False

    def stages(self) -> tuple[Stage, ...]:
        """Warm up, then prune."""
        share = self.plan.settings.warm_up
        warm = Stage("warm up", share=share, early_stop=False)
        return (*((warm,) if share else ()), Stage("prune"))

    def begin(self, stage: Stage, steps: int) -> None:
        """Choose the pace."""
        self.pruning = stage.name == "prune"
        self.pace = max(PACE, -math.log(CLOSE / 2) / (RAMP * steps))

    @property
    def sparsity(self) -> float:
        """Part of the entries that must be zero now."""
        return self.target * (1 - math.exp(-self.pace * int(self.steps)))

    def readiness(self) -> float:
        """1.0 once the sparsity is near the target; prunes, as scores are of the pruned table."""
        if not self.pruning:
            return 1.0
        self._prune(exact=True)
        near = self.sparsity >= self.target - CLOSE * self.target
        return 1.0 if near else min(0.99, self.sparsity / self.target)

    def after_step(self, lr: float) -> None:
        """Prune when it is time."""
        if self.pruning:
            self.steps += 1
            if int(self.steps) % self.plan.settings.every == 0:
                self._prune(exact=False)

    @torch.no_grad()
    def _prune(self, *, exact: bool) -> None:
        near = self.sparsity >= self.target - CLOSE * self.target
        kept = self.entries if near else round((1 - self.sparsity) * self.table.numel())
        magnitudes = self.table.abs()
        if exact or magnitudes.numel() <= SAMPLE:
            self.table.mul_(largest_entries(magnitudes, kept))
            return
        flat = magnitudes.flatten()
        sample = flat[torch.randint(len(flat), (SAMPLE,), device=flat.device)]
        place = max(1, round(len(sample) * (1 - kept / len(flat))))
        self.table.mul_(magnitudes > sample.kthvalue(place).values)

    def end(self, stage: Stage) -> None:
        """Leave no more entries than allowed."""
        if stage.name == "prune":
            with torch.no_grad():
                self.table.copy_(self.pruned())
