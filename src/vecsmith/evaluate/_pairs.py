"""How well scores tell pairs that belong together from pairs that do not."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vecsmith.core import DataError


class BestF1(NamedTuple):
    """The best F1 over all thresholds.

    Attributes:
        f1: The harmonic mean of precision and recall.
        precision: Precision there.
        recall: Recall there.
        threshold: Pairs that score this or more are called positive.
    """

    f1: float
    precision: float
    recall: float
    threshold: float


def f1max(scores: ArrayLike, labels: ArrayLike) -> BestF1:
    """Find the threshold with the best F1.

    The threshold is chosen on the pairs that it is judged on, so report it alike for all that is
    compared, and beside it `pair_auc`: with balanced classes the answer "all belong together"
    already has an F1 of two thirds.

    Args:
        scores: One number a pair, higher for pairs that belong together, shape (n,).
        labels: True or 1 for those that do, shape (n,).

    Returns:
        The best F1; of equal ones the highest threshold.

    Raises:
        DataError: Shapes differ, numbers are not finite, or no pair is positive.
    """
    values, positive = _checked(scores, labels)
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], np.cumsum(positive[order])
    # equal scores fall on one side of any threshold
    last = np.append(ranked[1:] != ranked[:-1], True)
    called = np.arange(1, len(values) + 1)
    f1 = np.where(last, 2.0 * hits / (called + positive.sum()), -1.0)
    best = int(f1.argmax())
    return BestF1(
        float(f1[best]),
        float(hits[best] / called[best]),
        float(hits[best] / positive.sum()),
        float(ranked[best]),
    )


def pair_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Compute the chance that a positive pair scores above a negative one (ties count half).

    Args:
        scores: One number a pair, shape (n,).
        labels: True or 1 for pairs that belong together, shape (n,).

    Returns:
        Area under the ROC curve.

    Raises:
        DataError: Shapes differ, numbers are not finite, or one of the classes is empty.
    """
    from scipy import stats

    values, positive = _checked(scores, labels)
    count = int(positive.sum())
    if count == len(values):
        raise DataError("labels must hold pairs that do not belong together; all of them do")
    ranks = stats.rankdata(values)
    above = ranks[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(values) - count)))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(labels).astype(bool)
    if values.ndim != 1 or values.shape != positive.shape or not np.isfinite(values).all():
        raise DataError(
            "scores must be finite numbers, one a pair, and labels as many; "
            f"got shapes {values.shape} and {positive.shape}"
        )
    if not positive.any():
        raise DataError("labels must hold pairs that belong together; none does")
    return values, positive
