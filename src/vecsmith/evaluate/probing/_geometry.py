"""How a space is filled: common direction, evenness of its directions, intrinsic dimension.

*Anisotropy*: mean cosine of random pairs (K. Ethayarajh, 2019); 0 where directions are even, near 1
in a narrow cone. *Isotropy* (J. Mu and P. Viswanath, 2018): min over max, over the eigenvectors a
of W^T W, of Z(a) = sum_i exp(a . w_i); 1 is even. *Intrinsic dimension* by two neighbours
(E. Facco and others, 2017): with mu_i the distance to the second nearest over that to the nearest,

    d = n / sum_i log mu_i       (maximum likelihood of the Pareto law of mu)

Cost: one product of the sample with itself.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError, numpy_generator


class Geometry(NamedTuple):
    """Shape of a space.

    Attributes:
        anisotropy: Mean cosine of random pairs.
        isotropy: In (0, 1]; 1 is even.
        intrinsic_dimension: By two neighbours.
        vectors: How many were measured.
    """

    anisotropy: float
    isotropy: float
    intrinsic_dimension: float
    vectors: int


def anisotropy(vectors: ArrayLike) -> float:
    """Mean cosine over distinct pairs.

    Args:
        vectors: Shape (n, dims), n at least 2.

    Returns:
        In [-1, 1].

    Raises:
        DataError: Fewer than two vectors, or one of zeros.
    """
    rows = _checked(vectors, 2)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise DataError("a vector of zeros has no direction; leave it out")
    unit = rows / lengths
    total = unit.sum(0)
    n = len(unit)
    return float((total @ total - n) / (n * (n - 1)))


def isotropy(vectors: ArrayLike) -> float:
    """Least over largest partition function along the principal directions, of unit-scaled rows.

    Args:
        vectors: Shape (n, dims); divided by their mean length first.

    Returns:
        In (0, 1]; 1 where all directions are alike.

    Raises:
        DataError: Fewer than two vectors.
    """
    rows = _checked(vectors, 2)
    rows = rows / max(float(np.linalg.norm(rows, axis=1).mean()), 1e-300)
    _, directions = np.linalg.eigh(rows.T @ rows)
    sums = np.concatenate([np.exp(sign * rows @ directions).sum(0) for sign in (1, -1)])
    return float(sums.min() / sums.max())


def intrinsic_dimension(vectors: ArrayLike) -> float:
    """Dimension of the data's surface, from the two nearest neighbours of each vector.

    Args:
        vectors: Shape (n, dims), at least 3 different ones; equal ones count once.

    Returns:
        The dimension.

    Raises:
        DataError: Fewer than three different vectors.
    """
    rows = np.unique(_checked(vectors, 3), axis=0)
    if len(rows) < 3:
        raise DataError(f"intrinsic dimension needs 3 different vectors; got {len(rows)}")
    squares = (rows * rows).sum(1)
    ratios: list[NDArray[np.float64]] = []
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        gaps = squares[start : start + 1024, None] + squares - 2 * part @ rows.T
        gaps[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        near = np.sqrt(np.maximum(np.partition(gaps, 1, axis=1)[:, :2], 1e-300))
        ratios.append(near.max(1) / near.min(1))
    logs = np.log(np.concatenate(ratios))
    return float(len(logs) / max(logs.sum(), 1e-300))


def geometry(vectors: ArrayLike, *, sample: int = 5000, seed: int = 0) -> Geometry:
    """Measure all three on a sample.

    Args:
        vectors: Shape (n, dims).
        sample: Vectors at most.
        seed: Seed of the sample.

    Returns:
        The figures.

    Raises:
        DataError: Fewer than three different vectors.
    """
    rows = _checked(vectors, 3)
    if len(rows) > sample:
        rows = rows[numpy_generator(seed, "geometry").choice(len(rows), sample, replace=False)]
    return Geometry(anisotropy(rows), isotropy(rows), intrinsic_dimension(rows), len(rows))


def _checked(vectors: ArrayLike, least: int) -> NDArray[np.float64]:
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or len(rows) < least or not np.isfinite(rows).all():
        raise DataError(
            f"vectors must be a finite table of at least {least} rows; got shape {rows.shape}"
        )
    return rows
