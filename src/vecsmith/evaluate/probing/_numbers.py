"""Numeracy: how well the size of numbers is read off their vectors, on numbers that were not seen.

A ridge regression from vectors to log10(1 + |x|), its penalty by leave-one-out error; judged by the
root mean squared error in log10 units on held-out *numbers* (E. Wallace and others, 2019, probed
language models so). Cost: one SVD.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vecsmith.core import ConfigError, DataError, numpy_generator


class NumeracyScore(NamedTuple):
    """Error of a regression.

    Attributes:
        rmse: In log10 units, on held-out numbers.
        constant: The same of always saying the training mean.
        numbers: How many were held out.
    """

    rmse: float
    constant: float
    numbers: int


def numeracy(
    encode: Callable[[Sequence[float]], ArrayLike],
    numbers: Sequence[float],
    *,
    held_out: float = 0.3,
    seed: int = 0,
) -> NumeracyScore:
    """Regress log10(1 + |x|) on vectors of numbers.

    Args:
        encode: Numbers to vectors, shape (n, dims); texts of numbers: wrap the encoder.
        numbers: Finite; each different number is used once.
        held_out: Share of the numbers that judges.
        seed: Seed of the split.

    Returns:
        Errors.

    Raises:
        DataError: Fewer than ten different numbers, or vectors that do not fit.
        ConfigError: held_out out of range.
    """
    from vecsmith.evaluate.cognition import ridge_predictions

    if not 0 < held_out < 1:
        raise ConfigError(f"held_out must be between 0 and 1; got {held_out}")
    values = np.unique(np.asarray(numbers, np.float64))
    if len(values) < 10 or not np.isfinite(values).all():
        raise DataError(f"numbers must be at least 10 different finite ones; got {len(values)}")
    rows = np.asarray(encode(values.tolist()), np.float64)
    if rows.ndim != 2 or len(rows) != len(values) or not np.isfinite(rows).all():
        raise DataError(f"encode must give one finite vector a number; got shape {rows.shape}")
    order = numpy_generator(seed, "numeracy").permutation(len(values))
    cut = max(1, round(held_out * len(values)))
    held, rest = order[:cut], order[cut:]
    sizes = np.log10(1 + np.abs(values))[:, None]
    found = ridge_predictions(rows[rest], sizes[rest], rows[held])
    errors = [found - sizes[held], sizes[rest].mean() - sizes[held]]
    rmse, constant = (float(np.sqrt((error**2).mean())) for error in errors)
    return NumeracyScore(rmse, constant, cut)
