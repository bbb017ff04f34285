"""AUC and log-loss of click models.

AUC = P(score of a random positive > score of a random negative), ties half (Mann and Whitney);
log-loss = -mean(y log p + (1 - y) log(1 - p)). Cost: one sort.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError


def _checked(
    labels: ArrayLike, scores: ArrayLike, what: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, s = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if y.ndim != 1 or y.shape != s.shape or not y.size:
        raise DataError(
            f"labels and {what} must be lists of one length; got shapes {y.shape} and {s.shape}"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("labels must be 0 or 1; got other values")
    if not np.isfinite(s).all():
        raise DataError(f"{what} must be finite numbers; {(~np.isfinite(s)).sum()} are not")
    return y, s


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: Higher for 1, shape (rows,).

    Returns:
        From 0 to 1; 0.5 is chance.

    Raises:
        DataError: Unequal lengths, labels other than 0 and 1, all labels equal, or NaN.
    """
    from scipy.stats import rankdata

    y, s = _checked(labels, scores, "scores")
    positive = int(y.sum())
    negative = y.size - positive
    if not positive or not negative:
        raise DataError(
            f"AUC needs rows of both labels; got {positive} positive and {negative} negative"
        )
    ranks = rankdata(s)
    return float((ranks[y == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def log_loss(labels: ArrayLike, logits: ArrayLike) -> float:
    """Binary cross-entropy in nats.

    Args:
        labels: 0 or 1, shape (rows,).
        logits: Scores before the sigmoid, shape (rows,).

    Returns:
        The mean over rows.

    Raises:
        DataError: Unequal lengths, labels other than 0 and 1, or NaN.
    """
    y, z = _checked(labels, logits, "logits")
    return float((np.logaddexp(0.0, z) - y * z).mean())
