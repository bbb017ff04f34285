"""Tensor-train embedding (TT-Rec): a table as a product of three small cores.

C. Yin and others, 2021, *TT-Rec: Tensor Train Compression for Deep Learning Recommendation Models*.
With n <= n1 n2 n3, D = d1 d2 d3 and digits i1 = i mod n1, i2 = (i // n1) mod n2, i3 = the rest:

    e(i) = reshape( G1[i1] (d1 x R)  G2[i2] (R x d2 R)  G3[i3] (R x d3) )

so (n1 d1 + n2 d2 R + n3 d3) R numbers in place of n D. The rank R, one for all fields, is the
largest that fits. Cores start from normals of which only |z| > 2 are kept, scaled so that the
product has the usual variance: products of plain normals pile up at zero.

Use where big tables must become hundreds of times smaller. Avoid where a lookup must be fast: two
small matrix products each. Cost: D R (1 + R) multiplications about.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .._budget import largest
from .._columns import gather, join, starts, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._shape import FLOAT_BYTES, TableShape

CUT = 2.0


def near_cube(size: int) -> tuple[int, int, int]:
    """Three factors near the cube root whose product is at least `size`.

    Args:
        size: A number.
    """
    root = max(1, round(size ** (1 / 3)))
    while root**3 < size:
        root += 1
    second = -(-size // root)
    side = max(1, math.isqrt(second))
    while side * root < second:
        side += 1
    return root, side, -(-size // (root * side))


def three_factors(dim: int) -> tuple[int, int, int]:
    """Three factors, ascending and as equal as they get, whose product is `dim`.

    Args:
        dim: A number.
    """
    best = (1, 1, dim)
    for a in range(1, round(dim ** (1 / 3)) + 1):
        if dim % a:
            continue
        for b in range(a, math.isqrt(dim // a) + 1):
            if (dim // a) % b == 0 and dim // a // b - a < best[2] - best[0]:
                best = (a, b, dim // a // b)
    return best


def core_numbers(size: int, dim: int, rank: int) -> int:
    """Numbers in the cores of a field.

    Args:
        size: Values of the field.
        dim: Width of the vectors.
        rank: Rank R.
    """
    n, d = near_cube(size), three_factors(dim)
    return (n[0] * d[0] + n[1] * d[1] * rank + n[2] * d[2]) * rank


def tensor_train(first: Tensor, second: Tensor, third: Tensor, rank: int) -> Tensor:
    """Multiply rows of the three cores.

    Args:
        first: Shape (..., d1 * rank).
        second: Shape (..., rank * d2 * rank).
        third: Shape (..., rank * d3).
        rank: Rank R.

    Returns:
        Shape (..., d1 * d2 * d3).
    """
    left = first.unflatten(-1, (-1, rank)) @ second.unflatten(-1, (rank, -1))
    whole = left.unflatten(-1, (-1, rank)).flatten(-3, -2) @ third.unflatten(-1, (rank, -1))
    return whole.flatten(-2)


def outer_normal(size: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Draw normals of which only |z| > 2 are kept, scaled to a standard deviation.

    Args:
        size: Shape.
        std: Standard deviation of the result.
        generator: Source of randomness.
    """
    tail = math.erfc(CUT / math.sqrt(2))
    density = math.exp(-CUT * CUT / 2) / math.sqrt(2 * math.pi)
    variance = 1 + 2 * CUT * density / tail
    part = torch.rand(size, generator=generator, dtype=torch.float64).clamp_(min=1e-12)
    above = math.sqrt(2) * torch.erfinv(1 - part * tail)
    sign = torch.randint(0, 2, size, generator=generator) * 2 - 1
    return (above * sign * (std / math.sqrt(variance))).float()


class TensorTrain(CompressedEmbedding):
    """Three cores a field."""

    name: ClassVar[str] = "tt_rec"
    family: ClassVar[str] = "sharing"

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        allowed = shape.budget(plan.rate) / FLOAT_BYTES
        top = max(2, shape.total)
        rank = largest(1, top, lambda r: _numbers(shape, r) <= allowed + 1e-6)
        assert rank is not None
        sizes = [core_numbers(size, shape.dim, rank) for size in shape.sizes]
        self.columns = [c for c, n in enumerate(sizes) if n < shape.sizes[c] * shape.dim]
        self.kept = [c for c in range(shape.fields) if c not in self.columns]
        # without a compressed field any rank will do
        self.rank = rank if self.columns else 1
        self.factors = [near_cube(shape.sizes[c]) for c in self.columns]
        self.dims = three_factors(shape.dim)
        # each entry of the product sums over rank * rank paths of three numbers
        std = (plan.std / self.rank) ** (1 / 3)
        widths = (
            self.dims[0] * self.rank,
            self.rank * self.dims[1] * self.rank,
            self.rank * self.dims[2],
        )
        self.cores = nn.ParameterList(
            nn.Parameter(
                outer_normal(
                    (sum(f[place] for f in self.factors), widths[place]),
                    std,
                    plan.generator(f"core {place}"),
                )
            )
            for place in range(3 if self.columns else 0)
        )
        whole = sum(shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return _numbers(plan.shape, 1) / (plan.shape.total * plan.shape.dim)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        config = {
            "rank": self.rank,
            "columns": self.columns,
            "kept": self.kept,
            "factors": [list(f) for f in self.factors],
        }
        tensors = {f"core{place}": core for place, core in enumerate(self.cores)}
        if self.whole is not None:
            tensors["whole"] = self.whole
        return config, tensors

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        return self.read(*self.frozen(), ids, self.shape)

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        found = []
        if config["columns"]:
            factors = torch.tensor(config["factors"], device=ids.device)
            rest = ids[:, config["columns"]]
            rows: list[Any] = []
            for place in range(3):
                digit = rest % factors[:, place]
                rest = rest // factors[:, place]
                first = torch.tensor(starts([f[place] for f in config["factors"]]))
                rows.append(gather(tensors[f"core{place}"], digit + first.to(ids.device)))
            first_rows, second_rows, third_rows = rows
            vectors = tensor_train(first_rows, second_rows, third_rows, config["rank"])
            found.append((config["columns"], vectors))
        if config["kept"]:
            places = whole_rows(ids, shape, config["kept"])
            found.append((config["kept"], gather(tensors["whole"], places)))
        return join(found)


def _numbers(shape: TableShape, rank: int) -> int:
    return sum(min(n * shape.dim, core_numbers(n, shape.dim, rank)) for n in shape.sizes)
