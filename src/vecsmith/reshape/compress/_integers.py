"""Integers after training: each number of a finished table in 16, 8, 4 or 2 bits.

Column j has a scale s_j = max|x_ij| / (2^(b-1) - 1); x is rounded to the nearest multiple of it.
One scale serves all columns where the budget has no room for more. The most bits that fit are
taken. Use first of all: at a quarter of the bytes neighbours hardly change. Cost: a multiplication
a number.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from vecsmith.encode.tables import load_codes, packed_bytes, store_codes

from ._codec import Codec

BITS = (16, 8, 4, 2)


class Integers(Codec):
    """Rounded to integers."""

    name: ClassVar[str] = "int"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        return packed_bytes(dim, min(BITS)) / (4 * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        rows, dim = vectors.shape
        bits = next(b for b in BITS if rows * packed_bytes(dim, b) <= budget + 1e-6)
        limit = (1 << (bits - 1)) - 1
        scales = vectors.abs().amax(0).clamp(min=1e-20) / limit
        whole = rows * packed_bytes(dim, bits) + 4 * dim > budget
        if whole:
            scales = scales.max().expand(dim)
        codes = (vectors / scales).round().clamp(-limit, limit)
        kind = torch.int16 if bits > 8 else torch.int8
        tensors = {"codes": store_codes(codes.to(kind), bits)}
        config: dict[str, Any] = {"bits": bits, "dim": dim}
        if whole:
            config["scale"] = float(scales[0])
        else:
            tensors["scales"] = scales
        return config, tensors

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        codes = load_codes(tensors["codes"][rows], config["dim"], config["bits"])
        return codes * (tensors["scales"] if "scales" in tensors else config["scale"])
