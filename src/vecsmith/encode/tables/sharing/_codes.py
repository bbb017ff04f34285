"""What MGQE and DPQ share: a field's vectors are rows of codes into a few codebooks.

While training every value has a float vector that is quantised in each lookup; when frozen only
codes (packed bits) and codebooks are left. How many parts and codewords a field has follows from
the budget: of all pairs that fit, the one with most bits a vector.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._bits import pack, packed_bytes, unpack
from .._columns import gather, join, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._product_quantiser import read_codes
from .._shape import FLOAT_BYTES, TableShape

MOST_BITS = 8
LEAST_BITS = 2


@dataclass(frozen=True)
class CodeSettings:
    """Settings.

    Attributes:
        parts: Codewords that make a vector; None: what fits.
        bits: Bits of a code; None: what fits, at most 8.
    """

    parts: int | None = None
    bits: int | None = None


def field_bits(size: int, bits: int) -> int:
    """Bits of a code in one field: small fields have fewer codewords, 0 keeps them whole.

    Args:
        size: Values of the field.
        bits: Bits in large fields.
    """
    found = min(bits, max(0, (size // 4).bit_length() - 1))
    return found if found >= LEAST_BITS else 0


def code_bytes(size: int, dim: int, parts: int, bits: int) -> int:
    """Bytes of codes and codebooks of a field.

    Args:
        size: Values of the field.
        dim: Width of the vectors.
        parts: Codewords that make a vector.
        bits: Bits of a code.
    """
    return size * packed_bytes(parts, bits) + FLOAT_BYTES * dim * (1 << bits)


class CodedTable(CompressedEmbedding):
    """Codes and codebooks for large fields, rows for small ones.

    Args:
        plan: From `build`.
    """

    Settings = CodeSettings

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        self.parts, wanted = _choose(plan, type(self))
        bits = [_coded(size, shape.dim, self.parts, wanted) for size in shape.sizes]
        self.columns = [c for c, b in enumerate(bits) if b]
        self.kept = [c for c, b in enumerate(bits) if not b]
        self.bits = [b for b in bits if b]
        self.tables = nn.ParameterList(
            plan.normal(shape.sizes[c], shape.dim, name=f"rows {c}") for c in self.columns
        )
        whole = sum(shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return min(_bytes(plan, *pair) for pair in _pairs(plan)) / plan.shape.full_bytes

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table; codewords are pieces of some of them."""
        generator = self.plan.generator("codewords of vectors")
        parts = vectors.split(self.shape.sizes)
        with torch.no_grad():
            for place, (column, table) in enumerate(zip(self.columns, self.tables, strict=True)):
                table.copy_(parts[column])
                book = self.codebook(place)
                for part, words in enumerate(book):
                    chosen = torch.randint(len(table), (len(words),), generator=generator)
                    width = words.shape[1]
                    piece = table[chosen, part * width : (part + 1) * width]
                    # equal codewords would never part
                    noise = torch.randn(piece.shape, generator=generator) * 1e-3 * piece.std()
                    words.copy_(piece + noise)
            if self.whole is not None:
                self.whole.copy_(torch.cat([parts[c] for c in self.kept]))

    @classmethod
    def choice_bits(cls, settings: Any, bits: int) -> float:
        """Bits by which a code tells values apart, mean over values.

        Args:
            settings: The method's own.
            bits: Bits of a code.
        """
        return bits

    def quantised(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Quantise looked-up vectors of a coded field, with gradients.

        Args:
            place: Which of the coded fields.
            vectors: Shape (rows, dim).
            ids: Their ids, shape (rows,).
        """
        raise NotImplementedError

    def codes(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Return the codes that `quantised` takes in eval mode, shape (rows, parts).

        Args:
            place: Which of the coded fields.
            vectors: Shape (rows, dim).
            ids: Their ids, shape (rows,).
        """
        raise NotImplementedError

    def codebook(self, place: int) -> Tensor:
        """Return the codebooks of a coded field, shape (parts, codewords, dim / parts).

        Args:
            place: Which of the coded fields.
        """
        raise NotImplementedError

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        found = []
        for place, (column, table) in enumerate(zip(self.columns, self.tables, strict=True)):
            rows = ids[:, column]
            found.append(([column], self.quantised(place, gather(table, rows), rows)[:, None]))
        if self.whole is not None:
            found.append((self.kept, gather(self.whole, whole_rows(ids, self.shape, self.kept))))
        return join(found)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        config = {
            "columns": self.columns,
            "kept": self.kept,
            "parts": self.parts,
            "bits": self.bits,
        }
        tensors = {}
        for place, (table, bits) in enumerate(zip(self.tables, self.bits, strict=True)):
            packed = []
            for start in range(0, len(table), 65536):
                rows = torch.arange(start, min(start + 65536, len(table)), device=table.device)
                packed.append(pack(self.codes(place, table[rows], rows), bits))
            tensors[f"codes{place}"] = torch.cat(packed)
            tensors[f"codebooks{place}"] = self.codebook(place)
        if self.whole is not None:
            tensors["whole"] = self.whole
        return config, tensors

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        found = []
        for place, (column, bits) in enumerate(zip(config["columns"], config["bits"], strict=True)):
            packed = tensors[f"codes{place}"][ids[:, column]]
            codes = unpack(packed, config["parts"], bits)
            found.append(([column], read_codes(codes, tensors[f"codebooks{place}"])[:, None]))
        if config["kept"]:
            places = whole_rows(ids, shape, config["kept"])
            found.append((config["kept"], gather(tensors["whole"], places)))
        return join(found)


def _coded(size: int, dim: int, parts: int, bits: int) -> int:
    """Bits of a field's codes; 0 where codes would not make it smaller."""
    own = field_bits(size, bits)
    return own if own and code_bytes(size, dim, parts, own) < FLOAT_BYTES * size * dim else 0


def _bytes(plan: TablePlan, parts: int, bits: int) -> int:
    dim, found = plan.shape.dim, 0
    for size in plan.shape.sizes:
        own = _coded(size, dim, parts, bits)
        found += code_bytes(size, dim, parts, own) if own else FLOAT_BYTES * size * dim
    return found


def _pairs(plan: TablePlan) -> list[tuple[int, int]]:
    settings, dim = plan.settings, plan.shape.dim
    parts = [p for p in range(1, dim + 1) if dim % p == 0 and settings.parts in (None, p)]
    bits = [b for b in range(MOST_BITS, LEAST_BITS - 1, -1) if settings.bits in (None, b)]
    return list(itertools.product(parts, bits))


def _choose(plan: TablePlan, kind: type[CodedTable]) -> tuple[int, int]:
    allowed = plan.shape.budget(plan.rate) + 1e-6
    fitting = [pair for pair in _pairs(plan) if _bytes(plan, *pair) <= allowed]
    return max(fitting, key=lambda pair: (pair[0] * kind.choice_bits(plan.settings, pair[1]), pair))
