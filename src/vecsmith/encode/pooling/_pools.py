"""Texts from word vectors: means, weighted means, extremes; a sentence encoder without training.

With x_1 … x_n the vectors of a text's words,

    mean       sum_i w_i x_i / n
      tfidf      w = 1 + log((1 + texts) / (1 + texts with the word))
      sif        w = a / (a + p(word)), p its share of all words   (S. Arora, Y. Liang, T. Ma, 2017)
    max, min   by dimension
    power      (sum_i x_i^p / n)^(1/p) side by side for each p, the root signed; p may be infinite
               (A. Rueckle and others, 2018)
    attention  w_j = mean_i softmax_j(cos(x_i, x_j) / t): self-attention without parameters

and, where `components` is above 0, minus the projections on the first singular vectors of the
fitted texts (the second half of SIF), which hold what all texts share.

Use SIF first: on short texts it is hard to beat without training. Avoid taking components off where
texts are few or alike. Cost: one look-up a word; attention is square in a text's words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError

Doubles = NDArray[np.float64]

POOLINGS = ("attention", "max", "mean", "min", "power")
WEIGHTS = ("none", "sif", "tfidf")


@dataclass(frozen=True)
class PoolingOptions:
    """Further settings of pooling.

    Attributes:
        sif: a of SIF.
        components: How many shared directions are taken off; needs `fit`.
        powers: Of "power": whole numbers from 1, or plus or minus infinity (max, min).
        temperature: t of "attention".
        fold_case: Look a word up as it stands and then in lower case, and the other way round.
    """

    sif: float = 1e-3
    components: int = 0
    powers: tuple[float, ...] = (-np.inf, 1, np.inf)
    temperature: float = 1.0
    fold_case: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "powers", tuple(float(p) for p in self.powers))
        if not (np.isfinite(self.sif) and self.sif > 0) or not self.temperature > 0:
            raise ConfigError(
                f"sif and temperature must be above 0; got {self.sif} and {self.temperature}"
            )
        if self.components < 0:
            raise ConfigError(f"components must be 0 or above; got {self.components}")
        if not self.powers or not all(np.isinf(p) or (p >= 1 and p % 1 == 0) for p in self.powers):
            raise ConfigError(
                f"powers must be whole numbers from 1, or plus or minus infinity; got {self.powers}"
            )


def attention_weights(rows: ArrayLike, temperature: float = 1.0) -> Doubles:
    """Weigh words by how much the others look at them.

    Args:
        rows: Vectors of a text's words, shape (words, dims).
        temperature: t.

    Returns:
        Shape (words,), summing to 1.
    """
    vectors = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    scores = unit @ unit.T / temperature
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray((scores / scores.sum(1, keepdims=True)).mean(0))


def power_mean(rows: ArrayLike, power: float) -> Doubles:
    """Average by dimension, large numbers weighing more the higher the power.

    Args:
        rows: Shape (words, dims).
        power: p, a whole number from 1, or plus or minus infinity.

    Returns:
        Shape (dims,).
    """
    vectors = np.asarray(rows, np.float64)
    if np.isinf(power):
        return np.asarray(vectors.max(0) if power > 0 else vectors.min(0))
    mean = (vectors**power).mean(0)
    return np.asarray(np.sign(mean) * np.abs(mean) ** (1 / power))


def pool_words(
    rows: ArrayLike,
    how: str = "mean",
    *,
    weights: ArrayLike | None = None,
    options: PoolingOptions | None = None,
) -> Doubles:
    """Pool the words of one text.

    Args:
        rows: Shape (words, dims), at least one word.
        how: One of `POOLINGS`.
        weights: Of the words, for "mean", shape (words,).
        options: Powers and temperature.

    Returns:
        Shape (dims,); for "power" (powers * dims,).
    """
    vectors = np.asarray(rows, np.float64)
    settings = options or PoolingOptions()
    if how == "mean":
        return vectors.mean(0) if weights is None else np.asarray(weights) @ vectors / len(vectors)
    if how == "attention":
        return np.asarray(attention_weights(vectors, settings.temperature) @ vectors)
    powers = {"max": (np.inf,), "min": (-np.inf,)}.get(how, settings.powers)
    return np.concatenate([power_mean(vectors, power) for power in powers])


def sif_weights(counts: ArrayLike, total: int, a: float) -> Doubles:
    """Weigh words by smooth inverse frequency.

    Args:
        counts: How often each was seen; 0 weighs 1.
        total: How often all were.
        a: Share of a word that weighs a half.

    Returns:
        Shape (words,), in (0, 1].
    """
    return np.asarray(a / (a + np.asarray(counts, np.float64) / max(total, 1)))


def shared_directions(rows: ArrayLike, components: int) -> Doubles:
    """Find the first right singular vectors, without centring.

    Args:
        rows: Shape (texts, dims).
        components: How many; fewer where the rows have fewer.

    Returns:
        Orthonormal rows, shape (components, dims).
    """
    vectors = np.asarray(rows, np.float64)
    # of dims by dims, so that the number of texts does not matter
    values, directions = np.linalg.eigh(vectors.T @ vectors)
    found = directions[:, ::-1][:, :components][:, values[::-1][:components] > 0]
    return np.ascontiguousarray(found.T)
