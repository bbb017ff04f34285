"""How sure an answer is: a logistic model of whether the best concept is the right one.

It learns from phrases that were held out of training, each twice: with all concepts, where the best
one is right or wrong, and with its own concept taken out, where whatever comes is wrong. So a
phrase that has no concept in the taxonomy gets a low confidence too. Features are the best score,
its lead over the second, and the cosine in node space.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, require

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
LEAST = 10


@dataclass(frozen=True)
class Confidence:
    """A logistic model, P = 1 / (1 + exp(-(weights . features + bias))).

    Attributes:
        weights: Shape (3,).
        bias: A number.
    """

    weights: tuple[float, ...]
    bias: float

    def probabilities(self, features: Floats) -> NDArray[np.float64]:
        """Say how likely answers are right.

        Args:
            features: From `features`, shape (phrases, 3).

        Returns:
            Shape (phrases,).
        """
        logits = features.astype(np.float64) @ np.array(self.weights) + self.bias
        return 0.5 * (1 + np.tanh(logits / 2))


def confidence_features(scores: Floats, cosines: Floats) -> tuple[Ids, Floats]:
    """Describe the best answer of each row.

    Args:
        scores: Of all concepts, shape (phrases, concepts), at least two concepts.
        cosines: Their part from node space, same shape.

    Returns:
        Number of the best concept, shape (phrases,), and features, shape (phrases, 3).
    """
    best = scores.argmax(1)
    rows = np.arange(len(scores))
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return best, np.stack([two[:, 1], two[:, 1] - two[:, 0], cosines[rows, best]], 1)


def held_out(concepts: Ids, count: int, rng: np.random.Generator) -> Ids:
    """Choose phrases to learn confidences from: those whose concept keeps another one, if it can.

    A concept whose only phrase is taken away is as hard to find as one that never had any, and
    confidences learned from such phrases would be far too low for all others.

    Args:
        concepts: Number of the concept of each phrase, shape (phrases,).
        count: Phrases to choose at most; only if fewer than ten can be spared, others fill up.
        rng: Draws them.

    Returns:
        Their numbers, in the order drawn.
    """
    left = np.bincount(concepts)
    spared, others = [], []
    for row in rng.permutation(len(concepts)):
        if left[concepts[row]] > 1:
            left[concepts[row]] -= 1
            spared.append(row)
        else:
            others.append(row)
    if len(spared) < LEAST:
        spared += others
    return np.array(spared[:count], np.int64)


def fit_confidence(features: Floats, right: NDArray[np.bool_]) -> Confidence:
    """Learn the model.

    Args:
        features: Of answers, shape (answers, 3).
        right: Whether each was right, shape (answers,).

    Returns:
        The model; a constant one where all answers are alike.

    Raises:
        DataError: Fewer than ten answers.
    """
    if len(right) < LEAST:
        raise DataError(
            f"confidences need at least {LEAST} answers to learn from; got {len(right)}: give more "
            "phrases, or share=0 for none"
        )
    if right.all() or not right.any():
        rate = (right.sum() + 1) / (len(right) + 2)
        return Confidence((0.0,) * features.shape[1], float(np.log(rate / (1 - rate))))
    linear: Any = require("sklearn.linear_model", "graphs")
    # weak ridge: features are of one size, and few phrases must not give infinite weights
    model = linear.LogisticRegression(C=100.0, max_iter=1000).fit(features, right)
    return Confidence(tuple(float(w) for w in model.coef_[0]), float(model.intercept_[0]))
