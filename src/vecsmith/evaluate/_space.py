"""Alignment, uniformity and length bias of an embedding space.

*Alignment*, mean squared distance of true pairs, and *uniformity*, log of the mean Gaussian
potential of random pairs, both over unit vectors and lower is better (T. Wang, P. Isola, 2020).
*Length bias*: rank correlation of cosine with minus the difference in length, over random pairs;
an encoder that takes texts of one length for similar shows it (ESimCSE, X. Wu and others, 2022).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError, numpy_generator

from ._quick import spearman


def _unit(vectors: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def alignment(left: ArrayLike, right: ArrayLike) -> float:
    """Mean squared distance of pairs that belong together.

    Args:
        left: Vectors, shape (n, dims).
        right: Their partners, shape (n, dims).

    Returns:
        In [0, 4]; lower is better.
    """
    gaps = _unit(left) - _unit(right)
    return float((gaps * gaps).sum(axis=1).mean())


def uniformity(vectors: ArrayLike, *, temperature: float = 2.0) -> float:
    """Log of the mean of exp(-t |x - y|^2) over distinct pairs.

    Args:
        vectors: Shape (n, dims), n at least 2.
        temperature: t.

    Returns:
        At most 0; lower is better.

    Raises:
        DataError: Fewer than two vectors.
    """
    unit = _unit(vectors)
    if len(unit) < 2:
        raise DataError(f"uniformity needs 2 vectors or more; got {len(unit)}")
    rows, columns = np.triu_indices(len(unit), 1)
    squares = 2.0 - 2.0 * (unit @ unit.T)[rows, columns]
    return float(np.log(np.exp(-temperature * squares).mean()))


def alignment_uniformity(
    model: Any, pairs: Sequence[tuple[str, str]], texts: Sequence[str]
) -> dict[str, float]:
    """Measure a model.

    Args:
        model: A `SentenceTransformer`.
        pairs: Texts that belong together.
        texts: Texts at random.

    Returns:
        "alignment" and "uniformity".
    """
    left, right, others = (
        model.encode(list(part), show_progress_bar=False)
        for part in ([a for a, _ in pairs], [b for _, b in pairs], texts)
    )
    return {"alignment": alignment(left, right), "uniformity": uniformity(others)}


def length_bias(
    vectors: ArrayLike,
    lengths: ArrayLike,
    *,
    pairs: int = 20_000,
    gold: ArrayLike | None = None,
    seed: int = 0,
) -> float:
    """Rank correlation of cosine with minus the difference in length, over random pairs.

    Args:
        vectors: Shape (n, dims).
        lengths: Tokens of each text, shape (n,).
        pairs: How many pairs are drawn.
        gold: True similarities, shape (n, n); given, their part is taken out (partial
            correlation).
        seed: Seed of the draw.

    Returns:
        In [-1, 1]; 0 without bias.

    Raises:
        DataError: Fewer than three texts, or lengths that do not fit.
    """
    unit, sizes = _unit(vectors), np.asarray(lengths, np.float64)
    if len(unit) < 3 or sizes.shape != (len(unit),):
        raise DataError(
            f"needs 3 texts or more with a length each; got {len(unit)} vectors and lengths of "
            f"shape {sizes.shape}"
        )
    rng = numpy_generator(seed, "length bias")
    left = rng.integers(len(unit), size=pairs)
    right = (left + rng.integers(1, len(unit), size=pairs)) % len(unit)
    cosines = (unit[left] * unit[right]).sum(axis=1)
    near = -np.abs(sizes[left] - sizes[right])
    plain = spearman(cosines, near)
    if gold is None:
        return plain
    truth = np.asarray(gold, np.float64)[left, right]
    with_gold, of_length = spearman(cosines, truth), spearman(near, truth)
    rest = (1.0 - with_gold**2) * (1.0 - of_length**2)
    return float((plain - with_gold * of_length) / np.sqrt(rest)) if rest > 0 else 0.0
