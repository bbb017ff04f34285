"""Health of an embedding space: anisotropy, dimensions in use, collapse.

*Anisotropy* is the mean cosine of random pairs (K. Ethayarajh, 2019): 0 in a space that is used in
all directions, near 1 where all vectors point the same way. *Dimensions in use* is the
participation ratio of the covariance's eigenvalues, (sum l)^2 / sum l^2: as many as there are where
all carry the same variance, 1 where a single one carries everything. Cost: one product of the
sample with itself.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vecsmith.core import DataError

from ._findings import Finding, graded


class SpaceHealth(NamedTuple):
    """What a sample of vectors tells.

    Attributes:
        anisotropy: Mean cosine of distinct pairs, in [-1, 1].
        dims_in_use: Participation ratio, in [1, dims].
        dead_dims: Share of dimensions that hardly vary: below a thousandth of the mean variance.
        dims: Dimensions.
    """

    anisotropy: float
    dims_in_use: float
    dead_dims: float
    dims: int


def space_health(vectors: ArrayLike) -> SpaceHealth:
    """Measure a sample of vectors.

    Args:
        vectors: Shape (n, dims), n at least 2, of distinct texts.

    Returns:
        The figures.

    Raises:
        DataError: Fewer than two vectors, or some that are not finite.
    """
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all():
        raise DataError(f"needs 2 or more finite vectors, shape (n, dims); got {rows.shape}")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1.0)
    n = len(unit)
    total = unit.sum(axis=0)
    anisotropy = (total @ total - (unit * unit).sum()) / (n * (n - 1))
    variances = unit.var(axis=0)
    centred = unit - unit.mean(axis=0)
    products = centred @ centred.T if n < unit.shape[1] else centred.T @ centred
    trace, squares = np.trace(products), float((products * products).sum())
    in_use = trace * trace / squares if squares > 1e-24 else 1.0
    dead = float((variances <= 1e-3 * variances.mean()).mean()) if variances.mean() > 0 else 1.0
    return SpaceHealth(float(anisotropy), float(in_use), dead, unit.shape[1])


def space_findings(now: SpaceHealth, start: SpaceHealth | None = None) -> list[Finding]:
    """Judge a space, against what it was at the start where that is known.

    Args:
        now: Health now.
        start: Health before training.

    Returns:
        Findings on anisotropy, dimensions in use and dead dimensions.
    """
    before = "" if start is None else f" (at the start {start.anisotropy:.2f})"
    in_use = "" if start is None else f" (at the start {start.dims_in_use:.0f})"
    return [
        graded(
            "anisotropy",
            now.anisotropy,
            (0.4, 0.7, 0.95),
            f"random texts have a mean cosine of {now.anisotropy:.2f}{before}",
            "cosines hardly tell texts apart: train with in-batch negatives and a lower "
            "temperature, more varied data, or a whitening objective (whitened-cse); where it "
            "grows while training goes on, lower the learning rate",
        ),
        graded(
            "collapse",
            # a healthy space uses dozens; a small one, a good part of what it has
            1.0 - min(now.dims_in_use / min(10.0, now.dims / 4.0), 1.0),
            (0.2, 0.6, 0.85),
            f"texts vary as if over {now.dims_in_use:.0f} equal dimensions of {now.dims}{in_use}",
            "the space has collapsed to a few directions: check that negatives differ from "
            "positives, lower the learning rate, and start again from the base model",
        ),
        graded(
            "dead dimensions",
            now.dead_dims,
            (0.05, 0.3),
            f"{now.dead_dims:.0%} of the dimensions hardly vary",
            "cut the model to fewer dimensions (matryoshka), they are paid for and carry nothing",
        ),
    ]
