"""Product quantisation of a finished table, plain or with more bits for long vectors.

H. Jegou, M. Douze and C. Schmid, 2011. A vector is cut into M parts, each stood for by the nearest
of 256 codewords (k-means, by faiss): M bytes a vector. "pq_by_norm" gives the vectors that make up
half of the total length twice the parts of the others, and codewords of their own.

Use for corpora at a tenth of the bytes and below; it is far ahead of pruning and factorising there.
Cost: k-means on a sample; a lookup is M gathers.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vecsmith.core import progress
from vecsmith.encode.tables import mark_bytes, pack, packed_bytes, read_codes, unpack

from ._codec import Codec
from ._norm_groups import find_groups, long_rows, store_groups

BITS = (8, 7, 6, 5, 4)
PIECE = 262_144


def code_bytes(rows: int, dim: int, parts: int, bits: int) -> int:
    """Bytes of codes and codewords.

    Args:
        rows: Vectors.
        dim: Their width.
        parts: Codewords that make a vector.
        bits: Bits of a code.
    """
    return rows * packed_bytes(parts, bits) + 4 * dim * (1 << bits)


def _divisors(dim: int) -> list[int]:
    """Numbers of parts: single numbers are better rounded (`int`) than looked up."""
    return [p for p in range(1, max(1, dim // 2) + 1) if dim % p == 0]


def _settings(rows: int, dim: int, budget: float) -> tuple[int, int] | None:
    """Parts and bits, as many bits a vector as fit; None where nothing does."""
    # k-means wants some vectors for each codeword
    bits = [b for b in BITS if (1 << b) <= max(16, rows // 4)]
    fitting = [
        (parts, b)
        for parts in _divisors(dim)
        for b in bits
        if code_bytes(rows, dim, parts, b) <= budget
    ]
    return max(fitting, key=lambda pair: (pair[0] * pair[1], pair[1])) if fitting else None


def _encode(vectors: Tensor, parts: int, bits: int, *, seed: int, name: str) -> dict[str, Tensor]:
    import faiss

    data = np.ascontiguousarray(vectors.numpy(), np.float32)
    quantiser = faiss.ProductQuantizer(data.shape[1], parts, bits)
    quantiser.cp.seed = seed
    quantiser.cp.min_points_per_centroid = 1
    quantiser.train(data)
    books = faiss.vector_to_array(quantiser.centroids).reshape(parts, 1 << bits, -1)
    packed = []
    for start in progress(range(0, len(data), PIECE), "codes", unit="piece"):
        raw = torch.from_numpy(quantiser.compute_codes(data[start : start + PIECE]))
        # faiss packs the bits of a row as `pack` does
        codes = unpack(raw, parts, bits)
        packed.append(pack(codes, bits))
    return {f"{name}codes": torch.cat(packed), f"{name}books": torch.from_numpy(books.copy())}


def _decode(tensors: dict[str, Tensor], rows: Tensor, *, name: str) -> Tensor:
    books = tensors[f"{name}books"]
    bits = (books.shape[1] - 1).bit_length()
    codes = unpack(tensors[f"{name}codes"][rows], len(books), bits)
    return read_codes(codes, books)


class ProductCodes(Codec):
    """Codes of the same length for all vectors."""

    name: ClassVar[str] = "pq"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        bits = [b for b in BITS if (1 << b) <= max(16, rows // 4)]
        return min(code_bytes(rows, dim, 1, b) for b in bits) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        found = _settings(len(vectors), vectors.shape[1], budget)
        assert found is not None
        return {}, _encode(vectors, *found, seed=seed, name="")

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        return _decode(tensors, rows, name="")


class ProductCodesByNorm(Codec):
    """Longer codes for longer vectors."""

    name: ClassVar[str] = "pq_by_norm"

    @classmethod
    def least_rate(cls, rows: int, dim: int) -> float:
        """Return the least rate that is reached."""
        half = max(1, rows // 2)
        least = 2 * ProductCodes.least_rate(half, dim) * 4 * half * dim
        return (least + mark_bytes(rows)) / (4 * rows * dim)

    @classmethod
    def encode(
        cls, vectors: Tensor, budget: float, *, seed: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Encode a table."""
        dim, mask = vectors.shape[1], long_rows(vectors)
        left = budget - mark_bytes(len(vectors))
        long, short = int(mask.sum()), int((~mask).sum())
        best = (0, 0, 0)
        for parts in (p for p in _divisors(dim) if 2 * p in _divisors(dim)):
            for bits in BITS:
                if (1 << bits) > max(16, min(long, short) // 4):
                    continue
                used = code_bytes(short, dim, parts, bits) + code_bytes(long, dim, 2 * parts, bits)
                if used <= left:
                    best = max(best, (parts * bits, bits, parts))
        _, bits, parts = best
        if not parts:
            # no width to halve, or groups too uneven for two sets of codewords
            return ProductCodes.encode(vectors, budget, seed=seed)
        tensors = store_groups(mask)
        tensors |= _encode(vectors[mask], 2 * parts, bits, seed=seed, name="long_")
        tensors |= _encode(vectors[~mask], parts, bits, seed=seed, name="short_")
        return {}, tensors

    @classmethod
    def decode(cls, config: dict[str, Any], tensors: dict[str, Tensor], rows: Tensor) -> Tensor:
        """Put rows together."""
        if "books" in tensors:
            return _decode(tensors, rows, name="")
        long, place = find_groups(tensors, rows)
        books = tensors["long_books"]
        out = books.new_empty(len(rows), len(books) * books.shape[-1])
        out[long] = _decode(tensors, place[long], name="long_")
        out[~long] = _decode(tensors, place[~long], name="short_")
        return out
