"""OptEmbed: which values deserve a vector at all, and how many dimensions each field needs.

F. Lyu and others, 2022, *OptEmbed: Learning Optimal Embedding Table for Click-through Rate
Prediction*. Rows and dimensions are masked,

    v = m_e m_d E[x],  m_e = S(|E[x]|_1 - t_f),  S(z) = 1 if z > 0 else 0,  m_d the first d entries.

1. Supernet: each example and field draws its own d, uniformly from 1..D; thresholds t learn by
   plain gradient descent under loss + alpha sum_f exp(-t_f), S by a long-tailed straight-through
   gradient: 2 - 4|z| up to 0.4, then 0.4 up to 1, then 0. Table and network learn by Adam, best
   with coupled L2 (`CTROptions.l2`): rows without data then shrink below their threshold.
2. Evolution: rows below their thresholds go; widths are searched by the validation AUC of the
   supernet, without training (`evolve`).
3. Retrain: dense tables of kept rows and chosen widths, from the weights of the start.

Use for large, redundant vocabularies and hardware without sparse kernels: the result is dense.
There is no budget but `max_params`: read `nbytes()`. Cost: two trainings, some hundred evaluations.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, numpy_generator

from .._columns import gather, join
from .._embedding import CompressedEmbedding, TablePlan
from .._full import place_rows
from .._marks import find_marks, store_marks
from .._shape import TableShape
from .._staged import Stage
from ._evolution import Evolution, EvolutionOptions, evolve

NEAR, FAR, TAIL = 0.4, 1.0, 0.4


class LongTailedStep(torch.autograd.Function):
    """S(z) = 1 if z > 0 else 0, with a gradient that reaches beyond the step."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """Step."""
        ctx.save_for_backward(z)
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """2 - 4|z| up to 0.4, 0.4 up to 1, 0 beyond."""
        (z,) = ctx.saved_tensors
        size = z.abs()
        slope = torch.where(size <= NEAR, 2 - 4 * size, (size <= FAR).to(z.dtype) * TAIL)
        return gradients[0] * slope


class _Dense(nn.Module):
    """Tables of kept rows and chosen widths."""

    words: Tensor
    before: Tensor

    def __init__(
        self, shape: TableShape, keep: Tensor, dims: tuple[int, ...], start: Tensor
    ) -> None:
        super().__init__()
        words, before = store_marks(keep)
        self.register_buffer("words", words)
        self.register_buffer("before", before)
        self.tables = nn.ParameterList()
        for offset, size, dim in zip(shape.offsets, shape.sizes, dims, strict=True):
            part = slice(offset, offset + size)
            self.tables.append(nn.Parameter(start[part][keep[part], :dim].clone()))

    def parts(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `read` needs."""
        tensors = {f"table{f}": table for f, table in enumerate(self.tables)}
        return {}, {**tensors, "words": self.words, "before": self.before}


class OptEmbed(CompressedEmbedding):
    """Row thresholds, sampled widths, evolution, dense tables."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            threshold: One a "field", or one a "value".
            norm: 1 or 2, the norm of a row that is compared with its threshold.
            alpha: Weight of sum exp(-t), which pushes thresholds up.
            threshold_lr: Rate of the thresholds.
            rows: Whether rows go (False: dimensions only).
            widths: Whether widths are searched (False: rows only).
            rewind: Retrain from the weights of the start; otherwise from those of the supernet.
            max_params: Candidates with more numbers are not scored.
            evolution: How widths are searched.
        """

        threshold: str = "field"
        norm: int = 1
        alpha: float = 1e-5
        threshold_lr: float = 1e-4
        rows: bool = True
        widths: bool = True
        rewind: bool = True
        max_params: int | None = None
        evolution: EvolutionOptions = field(default_factory=EvolutionOptions)

        def __post_init__(self) -> None:
            if self.threshold not in ("field", "value"):
                raise ConfigError(f"threshold must be 'field' or 'value'; got {self.threshold!r}")
            if isinstance(self.evolution, dict):
                # as JSON has it
                object.__setattr__(self, "evolution", EvolutionOptions(**self.evolution))
            if self.norm not in (1, 2):
                raise ConfigError(f"norm must be 1 or 2; got {self.norm}")
            if self.alpha < 0 or not self.threshold_lr > 0:
                raise ConfigError(
                    "alpha must be from 0 and threshold_lr above 0; "
                    f"got {self.alpha} and {self.threshold_lr}"
                )

    name: ClassVar[str] = "opt_embed"
    several_processes: ClassVar[bool] = False
    family: ClassVar[str] = "shrinking"
    exact_budget: ClassVar[bool] = False

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        self.table: nn.Parameter | None = plan.normal(shape.total, shape.dim)
        each = shape.total if plan.settings.threshold == "value" else shape.fields
        self.thresholds = nn.Parameter(torch.zeros(each))
        self.dense: _Dense | None = None
        self.keep: Tensor | None = None
        self.dims = (shape.dim,) * shape.fields
        self.evolution: Evolution | None = None
        self._sampling = True
        self._rewind = plan.settings.rewind

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the rate that is sure to be met."""
        return 1.0

    def stages(self) -> tuple[Stage, ...]:
        """Supernet, evolution, retrain."""
        return (
            Stage("supernet"),
            Stage("evolution", select=True),
            Stage("retrain", fresh=self._rewind),
        )

    def architecture(self) -> list[nn.Parameter]:
        """The thresholds, which learn at a rate of their own."""
        return [self.thresholds] if self.plan.settings.rows and self.dense is None else []

    def after_step(self, lr: float) -> None:
        """Move the thresholds by plain gradient descent."""
        if self.thresholds.grad is not None:
            with torch.no_grad():
                self.thresholds.sub_(self.plan.settings.threshold_lr * self.thresholds.grad)
            self.thresholds.grad = None

    def penalty(self) -> Tensor | None:
        """Alpha sum exp(-t)."""
        if self.dense is not None or not self.plan.settings.rows:
            return None
        return self.plan.settings.alpha * (-self.thresholds).exp().sum()

    def row_distance(self, rows: Tensor) -> Tensor:
        """Norm of rows less their thresholds.

        Args:
            rows: Places in the table of all values, shape (..., fields) or (values,).
        """
        assert self.table is not None
        vectors = nn.functional.embedding(rows, self.table)
        norms = vectors.abs().sum(-1) if self.plan.settings.norm == 1 else vectors.norm(dim=-1)
        if self.plan.settings.threshold == "value":
            return norms - self.thresholds[rows]
        return norms - self.thresholds

    def rows_mask(self) -> Tensor:
        """Which values keep a vector, bool, shape (values of all fields,)."""
        if self.keep is not None:
            return self.keep
        if not self.plan.settings.rows:
            return torch.ones(self.shape.total, dtype=torch.bool, device=self.thresholds.device)
        parts = []
        with torch.no_grad():
            for place, (offset, size) in enumerate(
                zip(self.shape.offsets, self.shape.sizes, strict=True)
            ):
                rows = torch.arange(offset, offset + size, device=self.thresholds.device)
                assert self.table is not None
                vectors = self.table[rows]
                norm = self.plan.settings.norm
                norms = vectors.abs().sum(-1) if norm == 1 else vectors.norm(dim=-1)
                by_value = self.plan.settings.threshold == "value"
                parts.append(norms > self.thresholds[rows if by_value else place])
        return torch.cat(parts)

    def sample_dims(self, rows: int) -> Tensor:
        """Draw widths, uniform from 1 to D, shape (rows, fields).

        Args:
            rows: How many examples.
        """
        size = (rows, self.shape.fields)
        return torch.randint(1, self.shape.dim + 1, size, device=self.thresholds.device)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        if self.dense is not None:
            return self.read(*self.dense.parts(), ids, self.shape)
        assert self.table is not None
        rows = place_rows(ids, self.shape)
        found = nn.functional.embedding(rows, self.table)
        if self.keep is not None:
            found = found * self.keep[rows][..., None]
        elif self.plan.settings.rows:
            found = found * LongTailedStep.apply(self.row_distance(rows))[..., None]
        if self.training and self._sampling and self.plan.settings.widths:
            widths = self.sample_dims(len(ids))
        else:
            widths = torch.tensor([self.dims], device=ids.device)
        inside = torch.arange(self.shape.dim, device=ids.device) < widths[..., None]
        return found * inside

    def params(self, dims: tuple[int, ...]) -> int:
        """Numbers that are left with some widths.

        Args:
            dims: Width of each field.
        """
        kept = [int(part.sum()) for part in self.rows_mask().split(self.shape.sizes)]
        return sum(rows * dim for rows, dim in zip(kept, dims, strict=True))

    def select(self, score: Callable[[], float]) -> None:
        """Drop the rows below their thresholds, and search the widths.

        Args:
            score: Validation score of the model with this table as it is.
        """
        self.keep = self.rows_mask()
        self._sampling = False
        settings, shape = self.plan.settings, self.shape
        if not settings.widths:
            return

        def judge(dims: tuple[int, ...]) -> float:
            self.dims = dims
            return score()

        limit = settings.max_params
        self.evolution = evolve(
            judge,
            shape.fields,
            shape.dim,
            options=settings.evolution,
            rng=numpy_generator(self.plan.seed, "table", "evolution"),
            allowed=None if limit is None else lambda dims: self.params(dims) <= limit,
        )
        self.dims = self.evolution.dims

    def rewind_to_start(self, rewind: bool) -> None:
        """Choose what the dense tables start from.

        Args:
            rewind: The weights of the start; otherwise those of the supernet.
        """
        self._rewind = rewind

    def begin(self, stage: Stage, steps: int) -> None:
        """Rebuild the table before it is trained again."""
        if stage.name == "retrain":
            self.dense = self._rebuilt(rewind=self._rewind)
            self.table = None
            self.thresholds.requires_grad_(False)

    def _rebuilt(self, *, rewind: bool) -> _Dense:
        assert self.table is not None
        # the seed gives the weights of the start again
        shape = self.table.shape
        start = self.plan.normal(*shape).detach() if rewind else self.table.detach()
        start = start.to(self.table.device)
        return _Dense(self.shape, self.rows_mask(), self.dims, start)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return (self.dense or self._rebuilt(rewind=False)).parts()

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together; values that were dropped have zeros."""
        kept, place = find_marks(tensors["words"], tensors["before"], place_rows(ids, shape))
        found, first = [], 0
        for column in range(shape.fields):
            table = tensors[f"table{column}"]
            own, row = kept[:, column], place[:, column] - first
            first += len(table)
            if not len(table):
                found.append(([column], table.new_zeros(len(ids), 1, shape.dim)))
                continue
            vectors = gather(table, torch.where(own, row, 0)) * own[:, None]
            wide = nn.functional.pad(vectors, (0, shape.dim - table.shape[1]))
            found.append(([column], wide[:, None]))
        return join(found)
