"""Encoding models: how well vectors of stimuli predict responses to stimuli that were not seen.

Ridge regression from vectors to each response (voxels, reading times, feature norms), as
T. Mitchell and others (2008) predicted images of the brain from words; the penalty of each response
is chosen by leave-one-out error on the training part, closed form over one SVD. Judged in outer
folds by the correlation of predictions with responses, and by how often a pair of held-out stimuli
is told apart (two against two). Cost: one SVD a fold, n * dims^2, and products with all responses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

Doubles = NDArray[np.float64]
PENALTIES = tuple(10.0**power for power in range(-3, 6))


@dataclass(frozen=True)
class EncodingFit:
    """What vectors predict.

    Attributes:
        correlation: Of predictions and responses over held-out stimuli, shape (responses,); NaN
            where a response does not vary.
        pairs_told: Share of pairs of held-out stimuli of a fold whose predictions match them better
            than crossed, by cosine; 0.5 is chance.
        predictions: Shape (stimuli, responses).
    """

    correlation: Doubles
    pairs_told: float
    predictions: Doubles

    @property
    def mean(self) -> float:
        """Mean correlation."""
        return float(np.nanmean(self.correlation))


def ridge_predictions(
    x: Doubles, y: Doubles, new: Doubles, penalties: tuple[float, ...] = PENALTIES
) -> Doubles:
    """Fit a ridge regression with one penalty a response, and predict.

    Args:
        x: Shape (n, dims).
        y: Shape (n, responses).
        new: Shape (m, dims).
        penalties: To choose from, by leave-one-out error.

    Returns:
        Shape (m, responses).
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    left, values, right = np.linalg.svd(x - mean_x, full_matrices=False)
    projected = left.T @ (y - mean_y)
    best = np.full(y.shape[1], np.inf)
    found = np.empty((len(new), y.shape[1]))
    ahead = (new - mean_x) @ right.T
    for penalty in penalties:
        shrink = values**2 / (values**2 + penalty)
        residual = y - mean_y - left @ (shrink[:, None] * projected)
        # the mean is estimated too, which takes a share 1 / n of each row
        leverage = (left**2 * shrink).sum(1) + 1 / len(x)
        error = ((residual / np.maximum(1 - leverage, 1e-12)[:, None]) ** 2).mean(0)
        better = error < best
        best[better] = error[better]
        weights = (values / (values**2 + penalty))[:, None] * projected[:, better]
        found[:, better] = ahead @ weights + mean_y[better]
    return found


def encode_ridge(
    vectors: ArrayLike,
    responses: ArrayLike,
    *,
    folds: int = 5,
    groups: ArrayLike | None = None,
    penalties: tuple[float, ...] = PENALTIES,
    seed: int = 0,
) -> EncodingFit:
    """Predict responses to stimuli from their vectors, in folds.

    Args:
        vectors: Shape (stimuli, dims).
        responses: Shape (stimuli, responses), or (stimuli,).
        folds: Parts; each is predicted from the others.
        groups: Stimuli of one group (a story, a subject's session) fall in one part; shape
            (stimuli,).
        penalties: To choose from for each response.
        seed: Seed of the parts.

    Returns:
        The fit.

    Raises:
        DataError: Numbers of rows that differ, values that are not finite, or too few groups.
        ConfigError: Fewer than two folds, or no positive penalties.
    """
    if folds < 2 or not penalties or min(penalties) <= 0:
        raise ConfigError(
            f"folds must be at least 2 and penalties above 0; got {folds}, {penalties}"
        )
    x, y = np.asarray(vectors, np.float64), np.asarray(responses, np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise DataError(f"vectors and responses must pair up; got {x.shape} and {y.shape}")
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError("vectors and responses must be finite; leave stimuli with NaN out")
    names = np.arange(len(x)) if groups is None else np.asarray(groups)
    kinds, member = np.unique(names, return_inverse=True)
    if len(member) != len(x) or len(kinds) < folds:
        raise DataError(f"{folds} folds need as many stimuli or groups; got {len(kinds)}")
    part = numpy_generator(seed, "encoding folds").permutation(len(kinds))[member] % folds
    found = np.empty_like(y)
    told = []
    for fold in range(folds):
        held = part == fold
        found[held] = ridge_predictions(x[~held], y[~held], x[held], penalties)
        told.append(_pairs_told(found[held], y[held]))
    return EncodingFit(_columns(found, y), float(np.nanmean(told)), found)


def _columns(a: Doubles, b: Doubles) -> Doubles:
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.where(scale > 1e-12, (a * b).sum(0) / np.where(scale > 1e-12, scale, 1), np.nan)


def _pairs_told(predicted: Doubles, true: Doubles) -> float:
    """Two against two: do the straight matches beat the crossed ones?"""
    if len(true) < 2:
        return float("nan")
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            for rows in (predicted, true)]  # fmt: skip
    cosines = unit[0] @ unit[1].T
    own = np.diag(cosines)
    straight = own[:, None] + own
    crossed = cosines + cosines.T
    rows, columns = np.triu_indices(len(true), 1)
    gaps = (straight - crossed)[rows, columns]
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())
