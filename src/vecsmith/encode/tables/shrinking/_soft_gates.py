"""Soft dimension gates (AutoSrh): how many coordinates values of one frequency deserve is learned.

S. Kong and others, 2022, *AutoSrh: An Embedding Dimensionality Search Framework for Tabular Data
Prediction*. Values are dealt out to six groups by their counts; e(i) = E[i] * alpha[g(i)] with
alpha of 6 x D, which starts at one. After a warm-up E learns on training batches and alpha on
validation batches, by turns, along g / mean|g| (the mean of each group: rare
values have small gradients) with an L1 penalty, clipped to [0, 1]. Then the
largest entries of E * alpha stay, by magnitude over the whole table, and are trained again with
alpha fixed.

Use at moderate budgets when validation data and training time are at hand. Needs counts. Cost:
training holds the whole table, and a second batch a step while searching.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._embedding import TablePlan
from .._frequency import frequency_groups, required
from .._full import place_rows
from .._staged import Stage
from ._sparse import SparseTable, largest_entries


class SoftGates(SparseTable):
    """Gates a group of values and a coordinate."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            groups: Groups of values by count.
            alpha_lr: Rate of the gates.
            l1: Penalty on the gates.
        """

        groups: int = 6
        alpha_lr: float = 1e-3
        l1: float = 1e-5

        def __post_init__(self) -> None:
            if self.groups < 1 or not self.alpha_lr > 0 or self.l1 < 0:
                raise ConfigError(
                    "groups must be at least 1, alpha_lr above 0 and l1 from 0; "
                    f"got {self.groups}, {self.alpha_lr} and {self.l1}"
                )

    name: ClassVar[str] = "auto_srh"
    several_processes: ClassVar[bool] = False
    group: Tensor
    mask: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        counts = required(plan.counts, self.name)
        groups = frequency_groups(counts, plan.settings.groups)
        self.register_buffer("group", torch.from_numpy(groups))
        self.register_buffer("mask", torch.ones(0, dtype=torch.bool))
        self.alpha = nn.Parameter(torch.ones(plan.settings.groups, plan.shape.dim))

    def stages(self) -> tuple[Stage, ...]:
        """Warm up, search, retrain."""
        warm = Stage("warm up", share=0.2, early_stop=False)
        return (warm, Stage("search", share=0.5, search=True), Stage("retrain"))

    def begin(self, stage: Stage, steps: int) -> None:
        """Gates learn while searching alone."""
        self.alpha.requires_grad_(stage.name == "search")

    def architecture(self) -> list[nn.Parameter]:
        """The gates."""
        return [self.alpha]

    def search_step(self, lr: float) -> None:
        """Move the gates along their normalised gradient."""
        gradient, settings = self.alpha.grad, self.plan.settings
        if gradient is None:
            return
        with torch.no_grad():
            mean = gradient.abs().mean(1, keepdim=True).clamp(min=1e-20)
            step = gradient / mean + settings.l1
            self.alpha.sub_(settings.alpha_lr * step).clamp_(0, 1)

    def end(self, stage: Stage) -> None:
        """Fix which entries stay."""
        if stage.name == "search":
            table = self.effective().detach().abs()
            self.mask = largest_entries(table, self.entries)

    def effective(self) -> Tensor:
        """Rows times their gates, without the entries that have gone."""
        gated = self.table * self.alpha[self.group]
        return gated * self.mask if len(self.mask) else gated

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        rows = place_rows(ids, self.shape)
        found = nn.functional.embedding(rows, self.table)
        found = found * nn.functional.embedding(self.group[rows], self.alpha)
        return found * self.mask[rows] if len(self.mask) else found
