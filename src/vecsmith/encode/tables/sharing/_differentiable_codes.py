"""Differentiable product quantisation (DPQ): codes that learn through a softmax.

T. Chen, L. Li and Y. Sun, 2020, *Differentiable Product Quantization for End-to-End Embedding
Compression*. Each value's own vector chooses among the codewords of its field; forward takes the
nearest, backward goes through the softmax of the negative distances to both (`ProductQuantiser`).
Frozen: codes and codebooks, as in MGQE, whose rare values have fewer codewords.

Use like MGQE where counts are not known, for example a vocabulary of texts. Cost: training holds
the whole table and a softmax over the codewords of each part.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from .._embedding import TablePlan
from .._product_quantiser import ProductQuantiser
from ._codes import CodedTable, CodeSettings


class DifferentiableCodes(CodedTable):
    """Codes through a softmax."""

    @dataclass(frozen=True)
    class Settings(CodeSettings):
        """Settings.

        Attributes:
            temperature: Divides the distances, as part of the vectors' expected squared norm.
        """

        temperature: float = 1.0

    name: ClassVar[str] = "dpq"
    family: ClassVar[str] = "sharing"

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        dim = plan.shape.dim
        # distances are in units of the squared norms of a part
        unit = 2 * plan.std**2 * dim / self.parts
        made: list[Any] = []
        for column, bits in zip(self.columns, self.bits, strict=True):
            quantiser = ProductQuantiser(
                dim, self.parts, 1 << bits, temperature=plan.settings.temperature * unit
            )
            start = plan.normal(*quantiser.codebooks.shape, name=f"codewords {column}")
            quantiser.codebooks = start
            made.append(quantiser)
        self.quantisers = nn.ModuleList(made)

    def _of(self, place: int) -> ProductQuantiser:
        found = self.quantisers[place]
        assert isinstance(found, ProductQuantiser)
        return found

    def codebook(self, place: int) -> Tensor:
        """Return the codebooks of a coded field."""
        return self._of(place).codebooks

    def codes(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Choose codewords."""
        return self._of(place).encode(vectors)

    def quantised(self, place: int, vectors: Tensor, ids: Tensor) -> Tensor:
        """Quantise with the softmax's gradient."""
        return self._of(place)(vectors)
