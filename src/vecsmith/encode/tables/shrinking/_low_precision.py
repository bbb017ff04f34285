"""Low-precision training (INT8/16): the table is held in small integers at all times.

H. Zhang and others, 2024, after S. Gupta and others, 2015, *Deep Learning with Limited Numerical
Precision*. A row is e = s q + m with integers q. After each step of the optimizer the rows that
were looked up are rounded at random,

    q = clip( floor((e - m) / s + u) ),  u uniform in [0, 1),

so that updates smaller than s are kept on average; rounding to nearest would lose them all. With
`per_row` scale and middle follow each row's least and largest entry.

Use first of all: half or a quarter of the bytes at hardly any loss. Avoid below a quarter of the
bytes. Cost: a multiplication a number; Adam's moments stay in float while training. Call
`layer.attach(optimizer)` in a loop of your own: the rows learn by it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._bits import pack, packed_bytes, unpack
from .._embedding import CompressedEmbedding, TablePlan
from .._full import place_rows
from .._rows_adam import adam_step, summed_rows
from .._shape import FLOAT_BYTES, TableShape

# e lies within this of the middle
RANGE = 1.28
BITS = (16, 8)
MORE_BITS = (16, 8, 4, 2)
# lookups without a step: nobody calls after_step
MOST_WAITING = 64


def stochastic_round(values: Tensor, noise: Tensor, bits: int) -> Tensor:
    """Round to one of the two neighbours, nearer ones more often.

    Args:
        values: Numbers in units of the scale.
        noise: Uniform in [0, 1), same shape.
        bits: Bits of the result, signed.

    Returns:
        Whole numbers as floats, within the range of the bits.
    """
    limit = 1 << (bits - 1)
    return (values + noise).floor().clamp(-limit, limit - 1)


def integer_type(bits: int) -> torch.dtype:
    """Type that holds codes while training.

    Args:
        bits: Bits of a code.
    """
    return torch.int16 if bits > 8 else torch.int8


def store_codes(codes: Tensor, bits: int) -> Tensor:
    """Bring codes into as few bytes as they need.

    Args:
        codes: Signed codes, shape (rows, dim).
        bits: Bits of a code.
    """
    return codes if bits >= 8 else pack(codes.long() + (1 << (bits - 1)), bits)


def load_codes(stored: Tensor, dim: int, bits: int) -> Tensor:
    """Undo `store_codes` for some rows.

    Args:
        stored: Rows of it, shape (rows, bytes or dim).
        dim: Numbers a row.
        bits: Bits of a code.

    Returns:
        float32, shape (rows, dim).
    """
    if bits >= 8:
        return stored.float()
    return (unpack(stored, dim, bits) - (1 << (bits - 1))).float()


@dataclass(frozen=True)
class IntegerSettings:
    """Settings.

    Attributes:
        bits: 16, 8, 4 or 2; None: 16 or 8, what fits.
        scale: What one step of the integers is worth; None: 1.28 / 2**(bits - 1).
        per_row: Scale and middle of each row follow its least and largest entry.
        adam: Adam on the rows; otherwise plain gradient descent.
    """

    bits: int | None = None
    scale: float | None = None
    per_row: bool = False
    adam: bool = True

    def __post_init__(self) -> None:
        if self.bits not in (None, *MORE_BITS):
            raise ConfigError(f"bits must be one of {MORE_BITS}; got {self.bits}")
        if self.scale is not None and not self.scale > 0:
            raise ConfigError(f"scale must be above 0; got {self.scale}")


class LowPrecision(CompressedEmbedding):
    """Rows of small integers, rounded at random after each step."""

    Settings = IntegerSettings
    name: ClassVar[str] = "int"
    several_processes: ClassVar[bool] = False
    family: ClassVar[str] = "shrinking"
    row_numbers: ClassVar[int] = 0
    codes: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    scales: Tensor
    middles: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        self.bits = _bits(plan, self._row_floats(plan))
        shape = (plan.shape.total, plan.shape.dim)
        scale = plan.settings.scale or RANGE / (1 << (self.bits - 1))
        self.register_buffer("codes", torch.zeros(shape, dtype=integer_type(self.bits)))
        rows = shape[0] if self._row_floats(plan) else 1
        self.register_buffer("scales", torch.full((rows, 1), scale))
        self.register_buffer("middles", torch.zeros(rows, 1))
        kept = shape if plan.settings.adam else (0, shape[1])
        self.register_buffer("first", torch.zeros(kept))
        self.register_buffer("second", torch.zeros(kept))
        self.register_buffer("steps", torch.zeros(()))
        self._waiting: list[tuple[Tensor, Tensor]] = []
        generator = plan.generator("start")
        for start in range(0, shape[0], 1 << 20):
            stop = min(start + (1 << 20), shape[0])
            rows_now = torch.arange(start, stop)
            values = torch.empty(stop - start, shape[1]).normal_(0, plan.std, generator=generator)
            noise = torch.rand(values.shape, generator=generator)
            self._store(rows_now, values, noise)

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table; the scale follows their range."""
        limit = (1 << (self.bits - 1)) - 1
        if len(self.scales) == 1:
            self.scales.fill_(float(vectors.abs().max()) / limit)
        else:
            self.scales.copy_(vectors.abs().amax(1, keepdim=True).clamp(min=1e-12) / limit)
        rows = torch.arange(len(vectors), device=vectors.device)
        self._store(rows, vectors, torch.full_like(vectors, 0.5))

    @classmethod
    def _row_floats(cls, plan: TablePlan) -> int:
        """Floats stored with each row."""
        return 2 if plan.settings.per_row else 0

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        bits = plan.settings.bits or min(BITS)
        return _bytes(plan, bits, cls._row_floats(plan)) / plan.shape.full_bytes

    def _decoded(self, rows: Tensor) -> Tensor:
        """Float rows of the table."""
        codes = self.codes[rows].to(self.scales.dtype)
        if len(self.scales) == 1:
            return codes * self.scales[0] + self.middles[0]
        return codes * self.scales[rows] + self.middles[rows]

    def _store(self, rows: Tensor, values: Tensor, noise: Tensor) -> None:
        """Round float rows into the table."""
        if self.plan.settings.per_row:
            low, high = values.aminmax(dim=1, keepdim=True)
            limit = (1 << self.bits) - 1
            scale = ((high - low) / limit).clamp(min=1e-12)
            self.scales[rows] = scale
            self.middles[rows] = low + scale * (1 << (self.bits - 1))
        index = rows if len(self.scales) > 1 else slice(None)
        scaled = (values - self.middles[index]) / self.scales[index]
        self.codes[rows] = stochastic_round(scaled, noise, self.bits).to(self.codes.dtype)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        rows = place_rows(ids, self.shape)
        if not (self.training and torch.is_grad_enabled()):
            return self._decoded(rows.flatten()).reshape(*ids.shape, -1)
        if len(self._waiting) >= MOST_WAITING:
            raise ConfigError(
                f"{MOST_WAITING} lookups in train mode without a step: the rows of {self.name!r} "
                "learn by after_step; call layer.attach(optimizer) before training"
            )
        distinct, back = rows.unique(return_inverse=True)
        leaf = self._decoded(distinct).requires_grad_()
        self._waiting.append((distinct, leaf))
        return nn.functional.embedding(back, leaf)

    def begin(self, stage: Any, steps: int) -> None:
        """Forget lookups of before."""
        self._waiting = []

    def _moved(self, lr: float) -> tuple[Tensor, Tensor] | None:
        """Places and new float values of the rows that were looked up."""
        waiting = [(rows, leaf.grad) for rows, leaf in self._waiting if leaf.grad is not None]
        self._waiting = []
        if not waiting:
            return None
        gradients = [gradient for _, gradient in waiting if gradient is not None]
        rows, gradient = summed_rows([rows for rows, _ in waiting], gradients)
        self.steps += 1
        if not self.plan.settings.adam:
            return rows, self._decoded(rows) - lr * gradient
        moments, step = (self.first, self.second), float(self.steps)
        change = adam_step(rows, gradient, moments=moments, step=step, lr=lr)
        return rows, self._decoded(rows) - change

    def after_step(self, lr: float) -> None:
        """Move the rows that were looked up, and round them."""
        with torch.no_grad():
            moved = self._moved(lr)
            if moved is not None:
                rows, values = moved
                self._store(rows, values, torch.rand_like(values))

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        tensors = {"codes": store_codes(self.codes, self.bits)}
        config: dict[str, Any] = {"bits": self.bits}
        if len(self.scales) == 1:
            config |= {"scale": float(self.scales), "middle": float(self.middles)}
        else:
            tensors["scales"] = self.scales[:, 0]
            if self.plan.settings.per_row:
                tensors["middles"] = self.middles[:, 0]
        return config, tensors

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        rows = place_rows(ids, shape).flatten()
        found = load_codes(tensors["codes"][rows], shape.dim, config["bits"])
        if "scales" not in tensors:
            found = found * config["scale"] + config["middle"]
        else:
            found = found * tensors["scales"][rows, None]
            if "middles" in tensors:
                found = found + tensors["middles"][rows, None]
        return found.reshape(*ids.shape, -1)


def _bytes(plan: TablePlan, bits: int, row_floats: int) -> int:
    row = packed_bytes(plan.shape.dim, bits) + FLOAT_BYTES * row_floats
    return plan.shape.total * row


def _bits(plan: TablePlan, row_floats: int) -> int:
    if plan.settings.bits is not None:
        return int(plan.settings.bits)
    allowed = plan.shape.budget(plan.rate) + 1e-6
    return next(b for b in BITS if _bytes(plan, b, row_floats) <= allowed)
