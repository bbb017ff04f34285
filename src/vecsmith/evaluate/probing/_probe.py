"""Probes: what a simple classifier reads off vectors, less what it could learn by heart.

A probe's accuracy alone says little, since a classifier may memorise. A control task (J. Hewitt and
P. Liang, 2019) gives each *type* (a word) a random label from the distribution of the true ones;
only memory helps there. Selectivity is accuracy less control accuracy, at equal capacity. Here both
are measured on held-out tokens whose types may have been seen, as in that paper, or, with
`unseen_types`, on types that were not: control is then chance by construction.

Cost: two logistic regressions over (tokens, dims).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator


class Probe(NamedTuple):
    """What a probe found.

    Attributes:
        accuracy: On held-out tokens.
        control: The same on the control task.
        majority: Share of the most frequent label among the held-out tokens.
        tokens: How many were held out.
    """

    accuracy: float
    control: float
    majority: float
    tokens: int

    @property
    def selectivity(self) -> float:
        """Accuracy less control accuracy."""
        return self.accuracy - self.control


def control_labels(
    labels: Sequence[object], types: Sequence[object], *, seed: int = 0
) -> NDArray[np.int64]:
    """Give each type a random label.

    Args:
        labels: True labels, one a token.
        types: What each token is a case of, one a token.
        seed: Seed of the draw.

    Returns:
        Labels by number, shape (tokens,), equal for tokens of a type, drawn from the distribution
        of the true ones.
    """
    _, codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    _, kinds = np.unique(np.asarray(types).astype(str), return_inverse=True)
    rng = numpy_generator(seed, "control task")
    return np.asarray(rng.choice(codes, size=kinds.max() + 1)[kinds], np.int64)


def probe(
    vectors: ArrayLike,
    labels: Sequence[object],
    types: Sequence[object],
    *,
    held_out: float = 0.3,
    unseen_types: bool = False,
    strength: float = 1.0,
    seed: int = 0,
) -> Probe:
    """Read labels off vectors by a linear classifier, and random labels of the types too.

    Args:
        vectors: Shape (tokens, dims).
        labels: One a token.
        types: What each token is a case of, such as its word.
        held_out: Share of the tokens (of the types, with `unseen_types`) that judges.
        unseen_types: Judge on types that the classifier was not trained on.
        strength: Inverse weight of the L2 penalty.
        seed: Seed of the split and of the control task.

    Returns:
        Accuracies.

    Raises:
        DataError: Sizes that differ, one label alone, or vectors that are not finite.
        ConfigError: A number out of its range.
    """
    if not 0 < held_out < 1 or not strength > 0:
        raise ConfigError(
            f"held_out must be between 0 and 1, strength above 0; got {held_out}, {strength}"
        )
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or not len(rows) == len(labels) == len(types):
        raise DataError(
            f"vectors, labels and types must be of one number; got {rows.shape}, {len(labels)}, "
            f"{len(types)}"
        )
    if not np.isfinite(rows).all():
        raise DataError("vectors must be finite; look for NaN")
    _, true = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    _, kinds = np.unique(np.asarray(types).astype(str), return_inverse=True)
    if true.max() == 0:
        raise DataError("labels must be of at least two kinds; got one")
    rng = numpy_generator(seed, "probe")
    unit = kinds if unseen_types else np.arange(len(rows))
    drawn = rng.permutation(unit.max() + 1)[: max(1, round(held_out * (unit.max() + 1)))]
    judged = np.isin(unit, drawn)
    if judged.all() or len(np.unique(true[~judged])) < 2:
        raise DataError("too few tokens are left to train on; lower held_out or give more")
    control = control_labels(labels, types, seed=seed)
    scale = rows[~judged].std(0)
    rows = (rows - rows[~judged].mean(0)) / np.where(scale > 0, scale, 1)
    found = [_accuracy(rows, given, judged, strength) for given in (true, control)]
    majority = float(np.bincount(true[judged]).max() / judged.sum())
    return Probe(found[0], found[1], majority, int(judged.sum()))


def _accuracy(
    rows: NDArray[np.float64], labels: NDArray[np.int64], judged: NDArray[np.bool_], strength: float
) -> float:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels[~judged])) < 2:
        return float((labels[judged] == labels[~judged][0]).mean())
    model = LogisticRegression(C=strength, max_iter=1000).fit(rows[~judged], labels[~judged])
    return float((model.predict(rows[judged]) == labels[judged]).mean())
