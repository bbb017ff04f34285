"""The vectors that a search starts from: data, half-samples, noisy ones, perturbed copies."""

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError
from vecsmith.data.formulas import PointSet
from vecsmith.encode.formulas import Snip

from ._optimizers import perturbed

Floats = NDArray[np.float64]
HALVES, NOISY = 0.3, 0.2


def initial_population(
    snip: Snip, points: PointSet, number: int, rng: np.random.Generator
) -> Floats:
    """Encode the data in several ways.

    Of 50 members, 1 is the data's vector, 15 are of random halves of the points, 10 of halves with
    noise of ``.01 * (i / 5 + 1)`` deviations of y on y, and 24 are copies with noise of their own.

    Args:
        snip: The encoders.
        points: Data.
        number: Members.
        rng: Source of randomness.

    Returns:
        Vectors, scaled so that coordinates are about 1, the data's first; shape (number, latent).

    Raises:
        ConfigError: No member is asked for.
    """
    if number < 1:
        raise ConfigError(f"pop must be at least 1; got {number}")
    halves = min(round(HALVES * number), number - 1)
    noisy = min(round(NOISY * number), number - 1 - halves)
    size = max(2, len(points.y) // 2)
    sets = [points, *(points.take(size, rng) for _ in range(halves))]
    spread = float(points.y.std())
    for i in range(noisy):
        X, y = points.take(size, rng)
        level = 0.01 * (i / 5 + 1) * spread
        sets.append(PointSet(X, y + level * rng.normal(size=len(y))))
    seed = int(rng.integers(2**31))
    vectors = snip.encode_points([s.X for s in sets], [s.y for s in sets], seed=seed)
    scaled = vectors.astype(np.float64) * snip.latent_scale
    return np.concatenate([scaled, perturbed(scaled[0], number - len(sets), rng)])
