"""Representational similarity: do vectors and people (or brains) find the same things alike?

RSA (N. Kriegeskorte and others, 2008): both sides give a matrix of similarities of the same
items; the correlation of their upper triangles is the fit. Its p comes from permuting the items of
one side (a Mantel test), since the entries of a matrix are not independent. Cost: permutations *
n^2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

KINDS = ("pearson", "spearman")


class RepresentationFit(NamedTuple):
    """How two matrices of similarities agree.

    Attributes:
        correlation: Of the upper triangles.
        p: Share of permutations with as much; NaN without permutations.
        pairs: Entries compared.
    """

    correlation: float
    p: float
    pairs: int


def cosine_matrix(vectors: ArrayLike) -> NDArray[np.float64]:
    """Cosines of all pairs.

    Args:
        vectors: Shape (n, dims), or a scipy sparse matrix, which stays sparse.

    Returns:
        Shape (n, n).
    """
    from scipy.sparse import issparse

    if issparse(vectors):
        from sklearn.preprocessing import normalize

        unit = normalize(vectors)
        return np.asarray((unit @ unit.T).todense(), np.float64)
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths == 0, 1, lengths)
    return np.asarray(unit @ unit.T)


def rsa(
    vectors: ArrayLike,
    human: ArrayLike,
    *,
    kind: str = "pearson",
    permutations: int = 0,
    seed: int = 0,
) -> RepresentationFit:
    """Correlate the cosines of vectors with a matrix of similarities of the same items.

    Args:
        vectors: One an item, shape (n, dims), dense or sparse.
        human: Similarities, shape (n, n), symmetric; NaN entries are left out.
        kind: "pearson" or "spearman".
        permutations: How often items are shuffled for p.
        seed: Seed of that.

    Returns:
        The fit.

    Raises:
        DataError: A matrix of another shape, or fewer than three pairs.
        ConfigError: Unknown kind.
    """
    if kind not in KINDS or permutations < 0:
        raise ConfigError(
            f"kind must be one of {KINDS} and permutations 0 or above; got {kind!r}, {permutations}"
        )
    model, wanted = cosine_matrix(vectors), np.asarray(human, np.float64)
    if wanted.shape != model.shape:
        raise DataError(
            f"human must be a matrix of the same {len(model)} items; got shape {wanted.shape}"
        )
    if not np.allclose(wanted, wanted.T, equal_nan=True):
        raise DataError("human must be symmetric; average it with its transpose if that is meant")
    upper = np.triu_indices(len(model), 1)
    known = np.isfinite(wanted[upper])
    if known.sum() < 3:
        raise DataError(f"three pairs or more must have a similarity; got {known.sum()}")
    gold = _ranked(wanted[upper][known], kind)
    fit = _correlation(_ranked(model[upper][known], kind), gold)
    if not permutations:
        return RepresentationFit(fit, float("nan"), int(known.sum()))
    rng = numpy_generator(seed, "rsa")
    beaten = 1
    for _ in range(permutations):
        order = rng.permutation(len(model))
        shuffled = model[np.ix_(order, order)][upper][known]
        beaten += _correlation(_ranked(shuffled, kind), gold) >= fit
    return RepresentationFit(fit, beaten / (permutations + 1), int(known.sum()))


def _ranked(values: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    if kind == "pearson":
        return values
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / scale) if scale else float("nan")
