"""Multi-granular quantised embedding (MGQE): rare values may use only some of the codewords.

W. Kang and others, 2020, *Learning Multi-granular Quantized Embeddings for Large-Vocab Categorical
Features in Recommender Systems*. A vector in P parts; each part is stood for by the nearest of K
codewords of its field, by batch-normalised negative squared distances. Values among the most
frequent tenth choose among all K, the others among the first quarter. Forward takes the codeword,
backward goes straight through to the value's own vector, and

    loss += | codeword - stop(e) |^2

moves the codewords. Frozen: P codes a value and the codebooks.

Use at moderate budgets for large vocabularies with a long tail; without counts all values choose
among all codewords. Cost: training holds the whole table; a lookup is P gathers.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._embedding import TablePlan
from .._frequency import most_frequent
from .._product_quantiser import negative_distances, read_codes
from ._codes import CodedTable, CodeSettings


class MultiGranular(CodedTable):
    """Codes by nearest codeword, fewer codewords for rare values."""

    @dataclass(frozen=True)
    class Settings(CodeSettings):
        """Settings.

        Attributes:
            frequent: Part of each field's values that may use all codewords.
            rare_share: Part of the codewords that the others may use.
        """

        frequent: float = 0.1
        rare_share: float = 0.25

        def __post_init__(self) -> None:
            if not 0 <= self.frequent <= 1 or not 0 < self.rare_share <= 1:
                raise ConfigError(
                    "frequent must be from 0 to 1 and rare_share above 0 and at most 1; "
                    f"got {self.frequent} and {self.rare_share}"
                )

    name: ClassVar[str] = "mgqe"
    family: ClassVar[str] = "sharing"

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        width = plan.shape.dim // self.parts
        self.codebooks, self.norms = nn.ParameterList(), nn.ModuleList()
        for place, (column, bits) in enumerate(zip(self.columns, self.bits, strict=True)):
            words = 1 << bits
            self.codebooks.append(plan.normal(self.parts, words, width, name=f"codewords {column}"))
            self.norms.append(nn.BatchNorm1d(self.parts * words, affine=False))
            self.register_buffer(f"allowed_{place}", _allowed(plan, column, words))
        self._extra: list[Tensor] = []

    @classmethod
    def choice_bits(cls, settings: Any, bits: int) -> float:
        """Bits by which a code tells values apart: rare values have fewer codewords."""
        few = max(1, int((1 << bits) * settings.rare_share))
        return settings.frequent * bits + (1 - settings.frequent) * math.log2(few)

    def codebook(self, place: int) -> Tensor:
        """Return the codebooks of a coded field."""
        return self.codebooks[place]

    def codes(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Choose codewords."""
        with torch.no_grad():
            scores = negative_distances(vectors, self.codebooks[place])
            norm = self.norms[place]
            assert isinstance(norm, nn.BatchNorm1d)
            flat = scores.transpose(0, 1).flatten(1)
            if norm.training and len(flat) < 2:
                flat = nn.functional.batch_norm(flat, norm.running_mean, norm.running_var)
            else:
                flat = norm(flat)
            scores = flat.unflatten(1, (self.parts, -1))
            beyond = torch.arange(scores.shape[-1], device=ids.device)
            allowed = getattr(self, f"allowed_{place}")[ids].long()
            return scores.masked_fill(beyond >= allowed[:, None, None], -torch.inf).argmax(-1)

    def quantised(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Quantise with a gradient straight through."""
        chosen = read_codes(self.codes(place, vectors, ids), self.codebooks[place])
        if self.training:
            self._extra.append((chosen - vectors.detach()).square().sum(-1).mean())
        return vectors + (chosen - vectors).detach()

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        self._extra = []
        return super().vectors(ids)

    def penalty(self) -> Tensor | None:
        """Squared distance of codewords to the vectors of the last lookup."""
        return torch.stack(self._extra).sum() if self._extra else None


def _allowed(plan: TablePlan, column: int, words: int) -> Tensor:
    """How many codewords each value may use."""
    size, start = plan.shape.sizes[column], plan.shape.offsets[column]
    if plan.counts is None:
        return torch.full((size,), words, dtype=torch.int16)
    few = max(1, int(words * plan.settings.rare_share))
    allowed = torch.full((size,), few, dtype=torch.int16)
    number = max(1, round(size * plan.settings.frequent)) if plan.settings.frequent else 0
    counts = plan.counts[start : start + size]
    allowed[torch.from_numpy(most_frequent(counts, number, exact=False))] = words
    return allowed
