"""Compositional embedding (CompoEmb): each value combines a few shared rows in a way of its own.

H. Shi and others, 2020, *Compositional Embeddings Using Complementary Partitions for Memory-
Efficient Recommendation Systems*. With a divisor m, two tables for a field of n values:

    e(i) = Q[i // m] (*) R[i mod m],   ceil(n / m) + m rows in place of n

(*) is the elementwise product (or the sum). No two values share both rows, so no two share a
vector. With `parts` above 2 the quotient is divided again (mixed radix), which reaches p n^(1/p)
rows. One m serves all fields (up to n^(1/p) in smaller ones); the least m that fits is taken.

Use for id-like fields at moderate to small budgets; `hash` costs the same and confuses values.
Avoid below p n^(1/p) rows. Cost: p gathers and products.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.core import ConfigError

from .._columns import gather, join, starts, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._shape import FLOAT_BYTES, TableShape

MOST_PARTS = 6
OPERATIONS = ("product", "sum")


def digit_sizes(size: int, divisor: int, parts: int) -> tuple[int, ...]:
    """Rows that each digit of a field's values needs.

    Args:
        size: Values of the field.
        divisor: Base of the digits.
        parts: How many digits.

    Returns:
        Rows of each digit, the lowest first; (size,) where digits would need as many rows.
    """
    root = 1
    while root**parts < size:
        root += 1
    base = min(divisor, root)
    sizes = (base,) * (parts - 1) + (-(-size // base ** (parts - 1)),)
    return sizes if sum(sizes) < size else (size,)


def _rows(shape: TableShape, divisor: int, parts: int) -> int:
    return sum(sum(digit_sizes(size, divisor, parts)) for size in shape.sizes)


def _divisor(plan: TablePlan, parts: int) -> int | None:
    """The least divisor that fits, or None."""
    allowed = plan.shape.budget(plan.rate) / (FLOAT_BYTES * plan.shape.dim) + 1e-9
    high = 2
    while high**parts < max(plan.shape.sizes):
        high += 1
    if _rows(plan.shape, high, parts) > allowed:
        return None
    low = 2
    while low < high:
        middle = (low + high) // 2
        if _rows(plan.shape, middle, parts) <= allowed:
            high = middle
        else:
            low = middle + 1
    return low


class QuotientRemainder(CompressedEmbedding):
    """Rows combined by the digits of the id."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            operation: "product" or "sum".
            parts: Digits; None: 2, or as few as reach the rate.
        """

        operation: str = "product"
        parts: int | None = None

        def __post_init__(self) -> None:
            if self.operation not in OPERATIONS:
                raise ConfigError(f"operation must be one of {OPERATIONS}; got {self.operation!r}")
            if self.parts is not None and not 2 <= self.parts <= MOST_PARTS:
                raise ConfigError(f"parts must be from 2 to {MOST_PARTS}; got {self.parts}")

    name: ClassVar[str] = "compo_emb"
    family: ClassVar[str] = "sharing"
    sparse_gradients: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.parts, self.divisor = _choose(plan)
        sizes = [digit_sizes(size, self.divisor, self.parts) for size in plan.shape.sizes]
        self.columns = [c for c, digits in enumerate(sizes) if len(digits) > 1]
        self.kept = [c for c, digits in enumerate(sizes) if len(digits) == 1]
        self.digits = [sizes[c] for c in self.columns]
        product = plan.settings.operation == "product"
        std = plan.std ** (1 / self.parts) if product else plan.std / self.parts**0.5
        self.table = plan.normal(sum(map(sum, self.digits)), plan.shape.dim, std=std)
        whole = sum(plan.shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, plan.shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        high = max(plan.shape.sizes)
        parts = plan.settings.parts
        choices = range(2, MOST_PARTS + 1) if parts is None else (parts,)
        return min(_rows(plan.shape, high, p) for p in choices) / plan.shape.total

    def _config(self) -> dict[str, Any]:
        return {
            "operation": self.plan.settings.operation,
            "columns": self.columns,
            "kept": self.kept,
            "digits": [list(digits) for digits in self.digits],
        }

    def _tensors(self) -> dict[str, Tensor]:
        whole = {} if self.whole is None else {"whole": self.whole}
        return {"table": self.table, **whole}

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        return _combined(self._config(), self._tensors(), ids, self.shape, self.plan.sparse)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        return self._config(), self._tensors()

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        return _combined(config, tensors, ids, shape, False)


def _choose(plan: TablePlan) -> tuple[int, int]:
    wanted = plan.settings.parts
    for parts in range(2, MOST_PARTS + 1) if wanted is None else (wanted,):
        divisor = _divisor(plan, parts)
        if divisor is not None:
            return parts, divisor
    raise AssertionError("least_rate was checked")


def _combined(
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    ids: Tensor,
    shape: TableShape,
    sparse: bool,
) -> Tensor:
    found = []
    columns, digits = config["columns"], config["digits"]
    if columns:
        first = torch.tensor(starts([size for field in digits for size in field]))
        first = first.to(ids.device).reshape(len(columns), -1)
        bases = torch.tensor(digits, device=ids.device)
        rest, out = ids[:, columns], None
        for place in range(bases.shape[1]):
            digit = rest % bases[:, place]
            rest = rest // bases[:, place]
            vectors = gather(tensors["table"], digit + first[:, place], sparse=sparse)
            if out is None:
                out = vectors
            else:
                out = out * vectors if config["operation"] == "product" else out + vectors
        assert out is not None
        found.append((columns, out))
    if config["kept"]:
        rows = whole_rows(ids, shape, config["kept"])
        found.append((config["kept"], gather(tensors["whole"], rows, sparse=sparse)))
    return join(found)
