"""Mixed-dimension embedding (MDE): fields with many values get narrow vectors, by a rule.

A. Ginart and others, 2021, *Mixed Dimension Embeddings with Application to Memory-Efficient
Recommendation Systems*. For fields of n_f values, the smallest of n_min,

    d_f = D (n_f / n_min)^-alpha, rounded to a power of two,   e(i) = E_f[i] W_f,

E_f of n_f x d_f and W_f of d_f x D (no W_f where d_f = D). The least alpha in [0, 1] that fits is
taken. A single field is compared with one value: a factorisation of rank d.

Use where field sizes differ by orders of magnitude: no training beyond the model's own. Avoid below
one number a value. Cost: a small product a field.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .._columns import gather, join, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._shape import FLOAT_BYTES, TableShape

STEPS = 1000


def field_dims(shape: TableShape, alpha: float) -> tuple[int, ...]:
    """Width of each field by the rule.

    Args:
        shape: The fields.
        alpha: How strongly widths fall with size.

    Returns:
        Powers of two from 1, or the whole width where narrower vectors save nothing.
    """
    # a single field is factorised: there is no other to compare it with
    least: int = min(shape.sizes) if shape.fields > 1 else 1
    found = []
    for size in shape.sizes:
        wanted = shape.dim * (size / least) ** -alpha
        dim = 1 << max(0, round(math.log2(wanted)))
        narrow = size * dim + dim * shape.dim
        found.append(dim if dim < shape.dim and narrow < size * shape.dim else shape.dim)
    return tuple(found)


def _numbers(shape: TableShape, dims: tuple[int, ...]) -> int:
    return sum(
        size * dim + (dim * shape.dim if dim < shape.dim else 0)
        for size, dim in zip(shape.sizes, dims, strict=True)
    )


class MixedDimension(CompressedEmbedding):
    """Narrow vectors for large fields."""

    name: ClassVar[str] = "mde"
    family: ClassVar[str] = "shrinking"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        allowed = shape.budget(plan.rate) / FLOAT_BYTES + 1e-6
        steps = (s for s in range(STEPS + 1))
        self.dims = next(
            dims
            for step in steps
            if _numbers(shape, dims := field_dims(shape, step / STEPS)) <= allowed
        )
        self.columns = [c for c, d in enumerate(self.dims) if d < shape.dim]
        self.kept = [c for c, d in enumerate(self.dims) if d == shape.dim]
        self.tables, self.projections = nn.ParameterList(), nn.ParameterList()
        for column in self.columns:
            dim = self.dims[column]
            self.tables.append(plan.normal(shape.sizes[column], dim, name=f"rows {column}"))
            std = dim**-0.5
            self.projections.append(plan.normal(dim, shape.dim, std=std, name=f"to {column}"))
        whole = sum(shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        shape = plan.shape
        return _numbers(shape, field_dims(shape, 1.0)) / (shape.total * shape.dim)

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table: their best factors of each rank."""
        parts = vectors.split(self.shape.sizes)
        with torch.no_grad():
            for place, column in enumerate(self.columns):
                dim = self.dims[column]
                square = parts[column].double().T @ parts[column].double()
                directions = torch.linalg.eigh(square)[1][:, -dim:]
                self.tables[place].copy_(parts[column].double() @ directions)
                self.projections[place].copy_(directions.T)
            if self.whole is not None:
                self.whole.copy_(torch.cat([parts[c] for c in self.kept]))

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        tensors: dict[str, Tensor] = {}
        for place, (table, projection) in enumerate(
            zip(self.tables, self.projections, strict=True)
        ):
            tensors[f"table{place}"], tensors[f"projection{place}"] = table, projection
        if self.whole is not None:
            tensors["whole"] = self.whole
        return {"columns": self.columns, "kept": self.kept}, tensors

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        config, tensors = self.frozen()
        return _read(config, tensors, ids, self.shape, self.plan.sparse)

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return _read(config, tensors, ids, shape, False)


def _read(
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    ids: Tensor,
    shape: TableShape,
    sparse: bool,
) -> Tensor:
    found = []
    for place, column in enumerate(config["columns"]):
        rows = gather(tensors[f"table{place}"], ids[:, column], sparse=sparse)
        found.append(([column], (rows @ tensors[f"projection{place}"])[:, None]))
    if config["kept"]:
        places = whole_rows(ids, shape, config["kept"])
        found.append((config["kept"], gather(tensors["whole"], places, sparse=sparse)))
    return join(found)
