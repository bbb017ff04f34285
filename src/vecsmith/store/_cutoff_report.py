"""How well scores separate relevant from irrelevant pairs over all queries at once.

Everything here pools (query, document) pairs: a measure averaged per query cannot see whether one
threshold fits all queries, since no increasing map of a query's own scores changes its ranking.

With labels y in [0, 1] (graded ones count in part) and thresholds t from high to low,
P(t) = sum of y above t / pairs above t, R(t) = sum of y above t / sum of y,
PR AUC = sum_n (R_n - R_{n-1}) P_n, one step for each distinct score.

Use when choosing or judging a cut-off. Avoid for ranking quality (use nDCG). Cost: one sort.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

Floats = NDArray[np.float64]
RECALLS = (0.50, 0.80, 0.90, 0.95, 0.99)


def pool(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Flatten lists to pairs.

    Args:
        scores: One score a pair, any shape.
        labels: Relevance in [0, 1], the same shape.
        mask: True where there is a pair (lists may be shorter than the array is wide).

    Returns:
        Scores and labels, shape (pairs,).

    Raises:
        DataError: Shapes differ, a score is not finite, a label is outside [0, 1], nothing is
            relevant, or no pair is left.
    """
    s, y = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    if s.shape != y.shape or (mask is not None and np.shape(mask) != s.shape):
        raise DataError(
            "scores, labels and mask must have one shape; got "
            f"{s.shape}, {y.shape} and {None if mask is None else np.shape(mask)}"
        )
    keep = np.ones(s.shape, bool) if mask is None else np.asarray(mask, bool)
    s, y = s[keep], y[keep]
    if not s.size or not np.isfinite(s).all() or y.min() < 0.0 or y.max() > 1.0 or not y.any():
        raise DataError(
            "scores must be finite and labels lie in [0, 1] with at least one above 0; got "
            f"{s.size} pairs, {int((~np.isfinite(s)).sum())} scores not finite, "
            f"labels that sum to {y.sum()}: mask out missing pairs and check the judgements"
        )
    return s, y


def pooled_curve(scores: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision and recall at every distinct score.

    Args:
        scores: Shape (pairs,).
        labels: Shape (pairs,).

    Returns:
        Thresholds (falling), precision and recall of "score >= threshold", shape (distinct,) each.
    """
    order = np.argsort(-scores, kind="stable")
    s, hits = scores[order], np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(s)), s.size - 1)
    return s[last], hits[last] / (last + 1.0), hits[last] / hits[-1]


def pr_auc(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Area under the pooled precision-recall curve (average precision; equal scores are one step).

    Args:
        scores: One score a pair.
        labels: Relevance in [0, 1].
        mask: True where there is a pair.

    Returns:
        A number in (0, 1].
    """
    _, precision, recall = pooled_curve(*pool(scores, labels, mask))
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def choose_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    recall: float | None = None,
    precision: float | None = None,
) -> float:
    """Choose one threshold for all queries on labelled pairs that no test uses.

    Args:
        scores: One score a pair.
        labels: Relevance in [0, 1].
        mask: True where there is a pair.
        recall: Take the highest threshold that keeps this share of the relevant pairs.
        precision: Take the lowest threshold above which this share of pairs is relevant.

    Returns:
        The threshold; a pair passes when its score is at least this.

    Raises:
        ConfigError: Not exactly one target, a target outside (0, 1], or a precision out of reach.
    """
    targets = [value for value in (recall, precision) if value is not None]
    if len(targets) != 1 or not 0.0 < targets[0] <= 1.0:
        raise ConfigError(
            "exactly one of recall and precision must be given, in (0, 1]; "
            f"got recall={recall}, precision={precision}"
        )
    thresholds, precisions, recalls = pooled_curve(*pool(scores, labels, mask))
    if recall is not None:
        return float(thresholds[np.flatnonzero(recalls >= recall - 1e-12)[0]])
    good = np.flatnonzero(precisions >= targets[0])
    if not good.size:
        raise ConfigError(
            f"precision={precision} is out of reach on these pairs: the best is "
            f"{precisions.max():.4f}; ask for less, or calibrate by recall"
        )
    return float(thresholds[good[-1]])


def calibration_error(
    probabilities: Floats, labels: Floats, *, buckets: int = 15
) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error over buckets of equal width.

    Args:
        probabilities: In [0, 1], shape (pairs,).
        labels: Shape (pairs,).
        buckets: How many.

    Returns:
        The error (mean distance of probability and relevance, weighted by pairs), and for each
        bucket that is not empty its mean probability, its share relevant and its size.
    """
    place = np.minimum((probabilities * buckets).astype(int), buckets - 1)
    size = np.bincount(place, minlength=buckets)
    said = np.bincount(place, probabilities, buckets)
    found = np.bincount(place, labels, buckets)
    error = float(np.abs(said - found).sum() / size.sum())
    used = np.flatnonzero(size)
    return error, [(said[i] / size[i], found[i] / size[i], int(size[i])) for i in used]


@dataclass(frozen=True)
class FilterFigures:
    """What one kind of score achieves.

    Attributes:
        pr_auc: Area under the pooled precision-recall curve.
        precision_at: Recall target -> precision there (the threshold is set on these very pairs).
        filtered_at: Recall target -> share of pairs that fall below that threshold.
        threshold: The threshold that the next figures hold for.
        recall: Share of the listed relevant pairs that pass it.
        precision: Share of relevant pairs among those that pass; 0.0 where none does.
        filtered: Share of pairs dropped.
        mean_length: Mean number of results a query.
        null_rate: Share of queries left with no result.
        null_rate_answerable: The same among queries whose list holds something relevant.
        ece: Expected calibration error; None where scores are no probabilities.
        buckets: Calibration by bucket: mean probability, share relevant, pairs.
    """

    pr_auc: float
    precision_at: dict[float, float]
    filtered_at: dict[float, float]
    threshold: float
    recall: float
    precision: float
    filtered: float
    mean_length: float
    null_rate: float
    null_rate_answerable: float
    ece: float | None = None
    buckets: list[tuple[float, float, int]] = field(default_factory=list)


def filter_report(
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    mask: ArrayLike | None = None,
    thresholds: Mapping[str, float] | None = None,
    probabilities: Iterable[str] = (),
) -> dict[str, FilterFigures]:
    """Compare several scores of the same lists.

    Args:
        labels: Relevance in [0, 1], shape (queries, k). Pairs nobody judged must be masked out, or
            counted as irrelevant knowingly.
        scores: Name -> scores of that shape.
        mask: True where there is a pair.
        thresholds: Name -> threshold chosen on validation data; where a name has none, the one of
            95% recall on these very pairs is taken, which flatters.
        probabilities: Names whose scores claim to be probabilities; they get an `ece`.

    Returns:
        Name -> figures.

    Raises:
        DataError: Shapes differ, or `labels` is not two-dimensional.
    """
    y = np.asarray(labels, np.float64)
    if y.ndim != 2:
        raise DataError(f"labels must have shape (queries, k); got {y.shape}")
    keep = np.ones(y.shape, bool) if mask is None else np.asarray(mask, bool)
    claimed = set(probabilities)
    return {
        name: _figures(
            np.asarray(values, np.float64), y, keep, (thresholds or {}).get(name), name in claimed
        )
        for name, values in scores.items()
    }


def _figures(
    scores: Floats, labels: Floats, mask: NDArray[np.bool_], threshold: float | None, prob: bool
) -> FilterFigures:
    s, y = pool(scores, labels, mask)
    _, precision, recall = pooled_curve(s, y)
    at = {target: choose_threshold(s, y, recall=target) for target in RECALLS}
    first = {target: np.flatnonzero(recall >= target - 1e-12)[0] for target in RECALLS}
    tau = at[0.95] if threshold is None else threshold
    passed = (scores >= tau) & mask
    lengths = passed.sum(axis=1)
    answerable = (labels * mask).sum(axis=1) > 0
    error, buckets = calibration_error(s, y) if prob else (None, [])
    kept, found = int(passed.sum()), float(labels[passed].sum())
    return FilterFigures(
        pr_auc=float(np.sum(np.diff(recall, prepend=0.0) * precision)),
        precision_at={target: float(precision[place]) for target, place in first.items()},
        filtered_at={target: float(np.mean(s < at[target])) for target in RECALLS},
        threshold=float(tau),
        recall=found / float(y.sum()),
        precision=found / kept if kept else 0.0,
        filtered=1.0 - kept / s.size,
        mean_length=float(lengths.mean()),
        null_rate=float(np.mean(lengths == 0)),
        null_rate_answerable=float(np.mean(lengths[answerable] == 0)),
        ece=error,
        buckets=buckets,
    )
