"""Adaptive low-precision training (ALPT): small integers with a learned scale for each row.

S. Li and others, 2023, *Adaptive Low-Precision Training for Embeddings in Click-Through Rate
Prediction*. A step has two parts. First the float rows w move by the gradient. Then, with w fixed,
the loss of a second pass over the same batch is taken with s round(w / s) in the rows' place; its
gradient with respect to the scale s (learned step size, S. Esser and others, 2020),

    d/ds = round(w / s) - w / s  in range, else the limit;  times 1 / sqrt(B D (2^(b-1) - 1)),

moves s by Adam. Last w is rounded at random in units of the new s (`int`).

Use where `int` with one scale for all is too coarse: 8 bits and below. Cost: two passes a step, and
4 bytes a row for the scale.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._embedding import TablePlan
from .._full import place_rows
from .._rows_adam import adam_step
from ._low_precision import BITS, MORE_BITS, LowPrecision

LEAST_SCALE = 1e-8


def quantise_with_scale(values: Tensor, scales: Tensor, bits: int, factor: float) -> Tensor:
    """Round to nearest in units of a scale, with the gradient of the learned step size.

    Args:
        values: Shape (rows, dim), without a gradient of their own.
        scales: Shape (rows, 1).
        bits: Bits of a code, signed.
        factor: On the gradient of the scales.

    Returns:
        Shape (rows, dim).
    """
    slowed = scales * factor + (scales * (1 - factor)).detach()
    limit = 1 << (bits - 1)
    scaled = (values / slowed).clamp(-limit, limit - 1)
    return (scaled + (scaled.round() - scaled).detach()) * slowed


class LearnedScale(LowPrecision):
    """Integers with a learned scale for each row."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            bits: 16, 8, 4 or 2; None: 16 or 8, what fits.
            scale: Start of the scales; None: 1.28 / 2**(bits - 1), 0.01 for 8 bits.
            scale_lr: Rate of the scales.
        """

        bits: int | None = None
        scale: float | None = None
        scale_lr: float = 2e-5

        # what the rows themselves do
        per_row: ClassVar[bool] = False
        adam: ClassVar[bool] = True

        def __post_init__(self) -> None:
            if self.bits not in (None, *MORE_BITS):
                raise ConfigError(f"bits must be one of {MORE_BITS}; got {self.bits}")
            if self.scale is not None and not self.scale > 0:
                raise ConfigError(f"scale must be above 0; got {self.scale}")

    name: ClassVar[str] = "alpt"
    scale_first: Tensor
    scale_second: Tensor

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        for name in ("scale_first", "scale_second"):
            self.register_buffer(name, torch.zeros_like(self.scales))
        self._moving: tuple[Tensor, Tensor, Tensor] | None = None
        self._lookups = 0

    @classmethod
    def _row_floats(cls, plan: TablePlan) -> int:
        return 1

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        bits = plan.settings.bits or min(BITS)
        return (bits / 8 * plan.shape.dim + 4) / (4 * plan.shape.dim)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up; in the second pass the rows that have just moved."""
        if self._moving is None:
            self._lookups = ids.numel()
            return super().vectors(ids)
        rows, values, scales = self._moving
        factor = (self._lookups * self.shape.dim * ((1 << (self.bits - 1)) - 1)) ** -0.5
        fake = quantise_with_scale(values, scales, self.bits, factor)
        # of a batch with several lookups only the rows that moved have new values
        places = place_rows(ids, self.shape)
        found = torch.searchsorted(rows, places).clamp(max=len(rows) - 1)
        known = rows[found] == places
        vectors = nn.functional.embedding(found, fake)
        if known.all():
            return vectors
        others = self._decoded(places.flatten()).reshape(vectors.shape)
        return torch.where(known[..., None], vectors, others)

    def after_step(self, lr: float) -> None:
        """Move rows, then their scales by a second pass, and round."""
        with torch.no_grad():
            moved = self._moved(lr)
        if moved is None:
            return
        if self.second_pass is None:
            raise ConfigError(
                "'alpt' learns its scales by a second pass over the batch: before each step set "
                "layer.second_pass to a function that returns the loss, or train with fit_ctr"
            )
        rows, values = moved
        scales = self.scales[rows].clone().requires_grad_()
        self._moving = (rows, values, scales)
        try:
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(self.second_pass(), [scales])
        finally:
            self._moving = None
        with torch.no_grad():
            change = adam_step(
                rows,
                gradient,
                moments=(self.scale_first, self.scale_second),
                step=float(self.steps),
                lr=self.plan.settings.scale_lr,
            )
            self.scales[rows] = (scales - change).clamp(min=LEAST_SCALE)
            self._store(rows, values, torch.rand_like(values))

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        config, tensors = super().frozen()
        if "scales" not in tensors:
            tensors["scales"] = self.scales[:, 0]
        return config, tensors
