"""Fuse a lexical and a vector ranking of one query into one.

Two methods, both with a weight w in [0, 1] for the vector side:

- convex: ``w * cosine + (1 - w) * b / (b + s)``, b the BM25 score, s a scale fixed for the
  collection. The sum is absolute, so it compares between queries and can be calibrated (Bruch,
  Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, 2022, find convex sums ahead
  of ranks).
- rrf: ``w / (60 + rank) + (1 - w) / (60 + rank)`` over both lists (Cormack, Clarke, Büttcher 2009).

Cost: linear in the two lists.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError

METHODS = ("convex", "rrf")
_RRF = 60.0


@dataclass(frozen=True)
class Fusion:
    """How two rankings become one.

    Attributes:
        method: "convex" or "rrf".
        weight: Weight of the vector side; 1 is vectors alone, 0 words alone.
        scale: BM25 score that counts half (convex only).
    """

    method: str = "convex"
    weight: float = 0.5
    scale: float = 10.0

    def __post_init__(self) -> None:
        if self.method not in METHODS or not 0 <= self.weight <= 1 or not self.scale > 0:
            raise ConfigError(
                f"fusion needs a method of {METHODS}, a weight in [0, 1] and a scale above 0; "
                f"got {self}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return asdict(self)

    def scores(
        self, cosines: NDArray[np.float64], lexical: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Fuse the scores of the candidates of one query.

        Args:
            cosines: Cosine of each candidate, shape (n,).
            lexical: BM25 score of each candidate, 0 where no word matches, shape (n,).

        Returns:
            Fused scores in [-1, 1], higher is better, shape (n,).
        """
        if self.method == "convex":
            return self.weight * cosines + (1 - self.weight) * lexical / (lexical + self.scale)
        by_vector = _reciprocal(cosines, np.ones(len(cosines), bool))
        by_word = _reciprocal(lexical, lexical > 0)
        # Times 61, so that first in both lists is 1, whatever the weight.
        return (_RRF + 1) * (self.weight * by_vector + (1 - self.weight) * by_word)


def _reciprocal(scores: NDArray[np.float64], listed: NDArray[np.bool_]) -> NDArray[np.float64]:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(listed, 1.0 / (_RRF + ranks), 0.0)


def fusion_grid(scale: float) -> list[Fusion]:
    """List the fusions among which validation chooses.

    Args:
        scale: BM25 score that counts half.

    Returns:
        Both methods at eleven weights; words alone and vectors alone are among them.
    """
    weights = [round(0.1 * step, 1) for step in range(11)]
    convex = [Fusion("convex", weight, scale) for weight in weights]
    return convex + [Fusion("rrf", weight, scale) for weight in weights[1:-1]]
