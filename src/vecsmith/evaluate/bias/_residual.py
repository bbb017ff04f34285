"""What debiasing leaves behind: whether the old side of neutral words can be found again.

Paper: Lipstick on a Pig: Debiasing Methods Cover up Systematic Gender Biases in Word Embeddings But
do not Remove Them (H. Gonen and Y. Goldberg, 2019). The most biased neutral words of each side, by
the vectors before debiasing, are taken as two classes, in the vectors after it:

    a support vector machine with a radial kernel, trained on half of them, tells the other half
    two clusters (2-means) agree with the two sides, up to their names

0.5 is what a space without a trace gives. Cost: one kernel machine and ten k-means on 1,000 words.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vecsmith.core import ConfigError, DataError, numpy_generator, require
from vecsmith.encode.words import WordVectors
from vecsmith.reshape.debias import BiasSubspace

from ._association import _unit


class ResidualBias(NamedTuple):
    """How well the old side of neutral words is found.

    Attributes:
        classified: Accuracy of the classifier on the words it was not trained on.
        clustered: Share of words in the cluster of their side.
        words: Words of both sides together.
    """

    classified: float
    clustered: float
    words: int


def most_biased(
    vectors: WordVectors, subspace: BiasSubspace, neutral: Sequence[str], count: int
) -> tuple[list[str], list[str]]:
    """Take the words that lean most to each side.

    Args:
        vectors: Word vectors before debiasing.
        subspace: Of them; its first direction counts.
        neutral: Neutral words that have vectors.
        count: Words of a side.

    Returns:
        Words towards the first members of the defining sets, and towards the last, most biased
        first.

    Raises:
        DataError: Too few neutral words.
        ConfigError: `count` is below 2.
    """
    if count < 2:
        raise ConfigError(f"count must be at least 2; got {count}")
    if len(neutral) < 2 * count:
        raise DataError(
            f"two sides of {count} words need {2 * count} neutral words; got {len(neutral)}: "
            "lower count or give more words"
        )
    words = list(neutral)
    order = np.argsort(subspace.coordinates(_unit(vectors[words]))[:, 0], kind="stable")
    return [words[i] for i in order[::-1][:count]], [words[i] for i in order[:count]]


def residual_bias(
    vectors: WordVectors, first: Sequence[str], second: Sequence[str], *, seed: int = 0
) -> ResidualBias:
    """Try to find the old sides again.

    Args:
        vectors: Word vectors after debiasing (or before, to compare).
        first: Words of one old side, from `most_biased`.
        second: Words of the other.
        seed: Seed of the halves and of the clusters.

    Returns:
        Accuracy and agreement.

    Raises:
        DataError: A word has no vector, or a side has fewer than two.
    """
    if min(len(first), len(second)) < 2:
        raise DataError("each side needs two words at least; take them from most_biased")
    svm, cluster = require("sklearn.svm", "train"), require("sklearn.cluster", "train")
    unit = _unit(vectors[[*first, *second]])
    side = np.repeat([0, 1], [len(first), len(second)])
    rng = numpy_generator(seed, "residual-bias")
    train = np.zeros(len(side), bool)
    for places in (np.flatnonzero(side == 0), np.flatnonzero(side == 1)):
        train[rng.permutation(places)[: len(places) // 2]] = True
    model = svm.SVC(kernel="rbf").fit(unit[train], side[train])
    groups = cluster.KMeans(2, n_init=10, random_state=seed).fit_predict(unit)
    agreed = float((groups == side).mean())
    return ResidualBias(
        float(model.score(unit[~train], side[~train])), max(agreed, 1 - agreed), len(side)
    )
