"""How likely vectors say an edge is: one number for pairs, or rows of numbers against all nodes."""

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, did_you_mean

Floats = NDArray[np.float32]

MEASURES = ("cosine", "dot", "euclidean")


def check_measure(measure: str) -> None:
    """Refuse an unknown measure.

    Args:
        measure: Its name.

    Raises:
        ConfigError: It is not among `MEASURES`.
    """
    if measure not in MEASURES:
        raise ConfigError(f"measure cannot be {measure!r}; {did_you_mean(str(measure), MEASURES)}")


def unit_rows(vectors: Floats) -> Floats:
    """Bring rows to length 1.

    Args:
        vectors: Shape (n, d).

    Returns:
        The same shape; rows of zeros stay.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


def pair_scores(left: Floats, right: Floats, measure: str) -> Floats:
    """Score pairs.

    Args:
        left: First ends, shape (pairs, d).
        right: Second ends, shape (pairs, d).
        measure: "dot", "cosine", or "euclidean": minus the squared distance.

    Returns:
        Higher is nearer, shape (pairs,).

    Raises:
        ConfigError: Unknown measure.
    """
    check_measure(measure)
    if measure == "cosine":
        left, right = unit_rows(left), unit_rows(right)
    if measure == "euclidean":
        made = -((left - right) ** 2).sum(1)
    else:
        made = np.einsum("ij,ij->i", left, right)
    return made.astype(np.float32, copy=False)


def block_scores(left: Floats, right: Floats, measure: str) -> Floats:
    """Score some nodes against all.

    Args:
        left: Some nodes, shape (rows, d).
        right: All, shape (n, d).
        measure: As for `pair_scores`.

    Returns:
        Higher is nearer, shape (rows, n).

    Raises:
        ConfigError: Unknown measure.
    """
    check_measure(measure)
    if measure == "cosine":
        left, right = unit_rows(left), unit_rows(right)
    made = left @ right.T
    if measure == "euclidean":
        made = 2 * made - (left**2).sum(1)[:, None] - (right**2).sum(1)
    return made.astype(np.float32, copy=False)
