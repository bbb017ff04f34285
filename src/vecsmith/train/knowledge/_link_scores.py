"""Judge a graph model by ranks: where does the true entity stand among all that could fill a hole?

Filtered (A. Bordes and others, 2013): other entities that make a true fact are no rivals. A rank is
the mean of the best and the worst that ties allow (M. Berrendorf and others, 2020): a model that
scores all alike gets the middle, not the first place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError


@dataclass(frozen=True)
class LinkScores:
    """How well holes of triples are filled.

    Attributes:
        mrr: Mean of 1 / rank, over heads and tails.
        mean_rank: Mean rank; 1 is best.
        hits: k -> part of the holes whose true entity is among the first k.
        ranks: Rank of each head, then of each tail, shape (2, triples).
    """

    mrr: float
    mean_rank: float
    hits: dict[int, float]
    ranks: NDArray[np.float64]


def filtered_ranks(
    scores: NDArray[np.floating], true: NDArray[np.int64], known: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Rank the true entity of each row among all that are not known to be true as well.

    Args:
        scores: Higher is better, shape (rows, entities).
        true: The entity that is asked for, shape (rows,).
        known: For each row, entities that fill the hole truly; they are left out.

    Returns:
        Ranks from 1, ties counted half, shape (rows,).

    Raises:
        DataError: A score that is not finite.
    """
    if not np.isfinite(scores).all():
        raise DataError("scores must be finite; got NaN or infinity: train with a lower lr")
    rivals = np.ones(scores.shape, bool)
    for row, others in enumerate(known):
        rivals[row, list(others)] = False
    rows = np.arange(len(scores))
    rivals[rows, true] = False
    own = scores[rows, true][:, None]
    above = ((scores > own) & rivals).sum(axis=1)
    level = ((scores == own) & rivals).sum(axis=1)
    return np.asarray(1.0 + above + level / 2)


def summarise_ranks(ranks: NDArray[np.float64], ks: Sequence[int] = (1, 3, 10)) -> LinkScores:
    """Average ranks.

    Args:
        ranks: Any shape.
        ks: The k of hits@k.

    Returns:
        The scores.
    """
    return LinkScores(
        mrr=float((1.0 / ranks).mean()),
        mean_rank=float(ranks.mean()),
        hits={k: float((ranks <= k).mean()) for k in ks},
        ranks=ranks,
    )
