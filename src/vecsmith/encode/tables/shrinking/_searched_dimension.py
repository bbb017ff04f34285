"""Searched dimensions (AutoDim): the width of each field's vectors is found by gradient descent.

X. Zhao and others, 2021, *AutoDim: Field-aware Embedding Dimension Search in Recommender Systems*.
Every field f has a table for each candidate width d_k in {2, 4, ..., D}, a linear layer to D, and a
batch norm without weights that makes candidates comparable. They are mixed,

    e = sum_k p_fk BN(E_fk[i] W_k + b_k),   p_f = softmax((log alpha_f + Gumbel noise) / T),

with a temperature T that falls from 1 to 0.01 over the search. Weights learn on training batches,
alpha on validation batches, by turns (first order). Then each field keeps its best width and the
model is trained anew.

Use when widths are to be found rather than set; there is no budget: read `nbytes()` afterwards.
Cost: the search holds a table a candidate, about twice the whole one.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._columns import join
from .._embedding import CompressedEmbedding, TablePlan
from .._full import place_rows
from .._rows_adam import adam_step
from .._shape import TableShape
from .._staged import Stage

LEAST_TEMPERATURE = 0.01


def candidate_dims(dim: int) -> tuple[int, ...]:
    """Powers of two from 2 below a width, and the width.

    Args:
        dim: Width of the vectors.
    """
    found, width = [], 2
    while width < dim:
        found.append(width)
        width *= 2
    return (*found, dim)


class _Search(nn.Module):
    """All candidates of all fields, mixed."""

    def __init__(self, plan: TablePlan, dims: tuple[int, ...]) -> None:
        super().__init__()
        shape = plan.shape
        self.dims, self.shape = dims, shape
        self.table = plan.normal(shape.total, sum(dims))
        self.projections = nn.ParameterList(
            plan.normal(shape.fields, d, shape.dim, std=d**-0.5, name=f"to {d}") for d in dims
        )
        # biases vanish in the batch norms
        self.norm = nn.BatchNorm1d(shape.fields * len(dims) * shape.dim, affine=False)
        self.alpha = nn.Parameter(torch.zeros(shape.fields, len(dims)))
        self.temperature = 1.0

    def forward(self, ids: Tensor) -> Tensor:
        wide = nn.functional.embedding(place_rows(ids, self.shape), self.table)
        mapped = torch.stack(
            [
                torch.einsum("bfd,fde->bfe", part, projection)
                for part, projection in zip(
                    wide.split(self.dims, -1), self.projections, strict=True
                )
            ],
            2,
        )
        flat = mapped.flatten(1)
        if self.training and len(flat) < 2:
            norm = self.norm
            flat = nn.functional.batch_norm(flat, norm.running_mean, norm.running_var)
        else:
            flat = self.norm(flat)
        weights = self.weights()
        return (flat.reshape(mapped.shape) * weights[..., None]).sum(2)

    def weights(self) -> Tensor:
        """Shares of the candidates, shape (fields, candidates)."""
        logits: Tensor = self.alpha
        if self.training:
            noise = torch.empty_like(logits).exponential_().clamp_(min=1e-20).log()
            logits = logits - noise
        return (logits / self.temperature).softmax(-1)


class _Narrow(nn.Module):
    """Tables of the widths that were chosen."""

    def __init__(self, plan: TablePlan, dims: tuple[int, ...]) -> None:
        super().__init__()
        shape = plan.shape
        self.dims = dims
        self.tables = nn.ParameterList(
            plan.normal(size, dim, name=f"rows {f}")
            for f, (size, dim) in enumerate(zip(shape.sizes, dims, strict=True))
        )
        self.narrow = [f for f, dim in enumerate(dims) if dim < shape.dim]
        self.layers = nn.ModuleList(nn.Linear(dims[f], shape.dim) for f in self.narrow)
        for field, layer in zip(self.narrow, self.layers, strict=True):
            assert isinstance(layer, nn.Linear)
            with torch.no_grad():
                start = plan.normal(dims[field], shape.dim, std=dims[field] ** -0.5, name="to")
                layer.weight.copy_(start.T)
                layer.bias.zero_()

    def layer_of(self, field: int) -> nn.Linear | None:
        """Layer of a narrow field."""
        if field not in self.narrow:
            return None
        layer = self.layers[self.narrow.index(field)]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, ids: Tensor) -> Tensor:
        found = []
        for field, table in enumerate(self.tables):
            rows = nn.functional.embedding(ids[:, field], table)
            layer = self.layer_of(field)
            found.append(([field], (rows if layer is None else layer(rows))[:, None]))
        return join(found)


class SearchedDimension(CompressedEmbedding):
    """Candidate widths, then the best of each field."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            alpha_lr: Rate of Adam on the candidates' weights.
        """

        alpha_lr: float = 1e-3

        def __post_init__(self) -> None:
            if not self.alpha_lr > 0:
                raise ConfigError(f"alpha_lr must be above 0; got {self.alpha_lr}")

    name: ClassVar[str] = "auto_dim"
    several_processes: ClassVar[bool] = False
    family: ClassVar[str] = "shrinking"
    exact_budget: ClassVar[bool] = False
    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.candidates = candidate_dims(plan.shape.dim)
        self.inner: _Search | _Narrow = _Search(plan, self.candidates)
        shape = (plan.shape.fields, len(self.candidates))
        self.register_buffer("first", torch.zeros(shape))
        self.register_buffer("second", torch.zeros(shape))
        self.register_buffer("steps", torch.zeros(()))
        self._planned = 1

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the rate that is sure to be met."""
        return 1.0

    @property
    def dims(self) -> tuple[int, ...]:
        """Width of each field; while searching the likeliest."""
        if isinstance(self.inner, _Narrow):
            return self.inner.dims
        best = self.inner.alpha.detach().argmax(-1).tolist()
        return tuple(self.candidates[place] for place in best)

    def stages(self) -> tuple[Stage, ...]:
        """Search, then train anew."""
        return (Stage("search", search=True), Stage("retrain", fresh=True))

    def begin(self, stage: Stage, steps: int) -> None:
        """Start the clock of the temperature."""
        self.steps.zero_()
        self._planned = steps

    def architecture(self) -> list[nn.Parameter]:
        """The candidates' weights."""
        return [self.inner.alpha] if isinstance(self.inner, _Search) else []

    def search_step(self, lr: float) -> None:
        """Move the candidates' weights by Adam."""
        if not isinstance(self.inner, _Search) or self.inner.alpha.grad is None:
            return
        self.steps += 1
        with torch.no_grad():
            rows = torch.arange(len(self.first), device=self.first.device)
            change = adam_step(
                rows,
                self.inner.alpha.grad,
                moments=(self.first, self.second),
                step=float(self.steps),
                lr=self.plan.settings.alpha_lr,
            )
            self.inner.alpha.sub_(change)
        self.inner.temperature = max(LEAST_TEMPERATURE, 1 - float(self.steps) / self._planned)

    def end(self, stage: Stage) -> None:
        """Keep the best width of each field."""
        if stage.name == "search":
            device = self.first.device
            self.inner = _Narrow(self.plan, self.dims).to(device)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        return self.inner(ids)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs; while searching that of the likeliest widths, untrained."""
        inner = self.inner
        if isinstance(inner, _Search):
            inner = _Narrow(self.plan, self.dims).to(self.first.device)
        tensors, whole = {}, []
        for field, table in enumerate(inner.tables):
            layer, size = inner.layer_of(field), self.shape.sizes[field]
            rows: Tensor = table
            if layer is not None and table.numel() + layer.weight.numel() + self.shape.dim >= (
                size * self.shape.dim
            ):
                # a small field is smaller without its layer
                rows, layer = layer(table), None
            tensors[f"table{field}"] = rows
            if layer is None:
                whole.append(field)
            else:
                tensors[f"weight{field}"], tensors[f"bias{field}"] = layer.weight, layer.bias
        return {"whole": whole}, tensors

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        found = []
        for field in range(shape.fields):
            rows = nn.functional.embedding(ids[:, field], tensors[f"table{field}"])
            if field not in config["whole"]:
                weight, bias = tensors[f"weight{field}"], tensors[f"bias{field}"]
                rows = nn.functional.linear(rows, weight, bias)
            found.append(([field], rows[:, None]))
        return join(found)
