"""What a curve is like: convexity, upwardness, mean and oscillation, as numbers to predict.

Meidani et al. 2024 predict such properties of the data from the formula alone. All take the points
of one input, sort them by x, and scale y to [0, 1].
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator

from ._points import PointSet, scale_values

Floats = NDArray[np.float64]
TRIPLES = 1000
CHORD_EPS = 1e-9
RISE_EPS = 1e-3


def non_convexity(x: Floats, y: Floats, *, triples: int = TRIPLES, seed: int = 0) -> float:
    """Non-convexity ratio (NCR): share of triples whose middle lies above the chord.

    Args:
        x: Rising, shape (points,).
        y: Shape (points,).
        triples: How many are drawn.
        seed: Seed of the draw.

    Returns:
        0 for a convex curve, 1 for a strictly concave one.
    """
    rng = numpy_generator(seed, "ncr", str(len(x)))
    drawn = _triples(len(x), triples, rng)
    (a, b, c), (ya, yb, yc) = x[drawn].T, y[drawn].T
    # equal x have no chord between them
    part = np.divide(b - a, c - a, out=np.full(triples, 0.5), where=c > a)
    return float(1.0 - np.mean(yb <= ya + part * (yc - ya) + CHORD_EPS))


def _triples(points: int, number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw places of three different points, rising, shape (number, 3)."""
    first, second, third = (rng.integers(0, points - taken, number) for taken in range(3))
    second = second + (second >= first)
    low, high = np.minimum(first, second), np.maximum(first, second)
    third = third + (third >= low)
    third = third + (third >= high)
    return np.sort(np.stack([first, second, third], axis=1), axis=1)


def upwardness(x: Floats, y: Floats) -> float:
    """Rises less falls, as a share of the steps; steps of at most 0.001 are neither.

    Args:
        x: Rising, shape (points,).
        y: Shape (points,).

    Returns:
        From -1 (falls everywhere) to 1.
    """
    steps = np.diff(y)
    return float(((steps > RISE_EPS).sum() - (steps < -RISE_EPS).sum()) / len(steps))


def mean_level(x: Floats, y: Floats) -> float:
    """Mean of the scaled values.

    Args:
        x: Rising, shape (points,).
        y: Shape (points,), scaled.

    Returns:
        From 0 to 1.
    """
    return float(y.mean())


def oscillation(x: Floats, y: Floats) -> float:
    """log(1 + changes of direction).

    Args:
        x: Rising, shape (points,).
        y: Shape (points,).

    Returns:
        0 for a monotone curve.
    """
    signs = np.sign(np.diff(y))
    signs = signs[signs != 0]
    return float(np.log1p((signs[1:] != signs[:-1]).sum()))


PROPERTIES: dict[str, Callable[..., float]] = {
    "ncr": non_convexity,
    "upwardness": upwardness,
    "mean": mean_level,
    "oscillation": oscillation,
}


def property_of(name: str, X: ArrayLike, y: ArrayLike, **options: Any) -> float:
    """Measure one property of a curve.

    Args:
        name: One of `PROPERTIES`.
        X: Points of one input, in any order, shape (points,) or (points, 1).
        y: Shape (points,).
        **options: Of the property.

    Returns:
        The number.

    Raises:
        ConfigError: Unknown property.
        DataError: More than one input, fewer than three points, or NaN.
    """
    if name not in PROPERTIES:
        raise ConfigError(f"property {name!r} is unknown; {did_you_mean(name, PROPERTIES)}")
    points = PointSet.of(X, y)
    if points.X.shape[1] != 1 or len(points.y) < 3:
        raise DataError(
            "properties are of curves: one input and at least three points; got "
            f"{points.X.shape[1]} input(s) and {len(points.y)} point(s)"
        )
    order = np.argsort(points.X[:, 0], kind="stable")
    return PROPERTIES[name](points.X[order, 0], scale_values(points.y[order]), **options)
