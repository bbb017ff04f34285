"""Numbers as three tokens: sign, mantissa of a few digits, exponent to base 10.

``3.14`` is ``+ N3140 E-3``: the value is sign * mantissa * 10**exponent, the first digit of the
mantissa is not 0, except in 0 itself, which is ``+ N0000 E0``. A number of so many digits comes
back exactly; any other is rounded to so many.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError

Ids = NDArray[np.int64]
LARGEST_EXPONENT = 100


def split_numbers(values: ArrayLike, digits: int = 4) -> tuple[Ids, Ids, Ids]:
    """Cut numbers into sign, mantissa and exponent.

    Args:
        values: Finite numbers, any shape.
        digits: Digits of the mantissa.

    Returns:
        Signs (0 for plus, 1 for minus), mantissas from 0 to 10**digits - 1, and exponents from
        -100 to 100, each of the same shape. Numbers nearer to 0 than can be written become 0.

    Raises:
        DataError: A number is NaN, infinite or too large.
    """
    given = np.asarray(values, np.float64)
    largest = 10.0**LARGEST_EXPONENT * (10**digits - 1)
    wrong = ~(np.abs(given) <= largest)
    if wrong.any():
        raise DataError(
            f"numbers must be finite and at most {largest:g} in size; got {given[wrong].flat[0]} "
            f"({int(wrong.sum())} of {given.size}): leave such points out, or scale the data"
        )
    size = np.abs(given)
    zero = size < 10.0 ** (digits - 1 - LARGEST_EXPONENT)
    safe = np.where(zero, 1.0, size)
    exponent = np.floor(np.log10(safe)) - (digits - 1)
    mantissa = np.rint(_scaled(safe, -exponent))
    # the logarithm may be off by one at powers of ten, and rounding may carry over
    for wrong, step in ((mantissa >= 10**digits, 1), (mantissa < 10 ** (digits - 1), -1)):
        if wrong.any():
            exponent = np.where(wrong, exponent + step, exponent)
            mantissa = np.where(wrong, np.rint(_scaled(safe, -exponent)), mantissa)
    sign = (given < 0) & ~zero
    mantissa, exponent = np.where(zero, 0, mantissa), np.where(zero, 0, exponent)
    return sign.astype(np.int64), mantissa.astype(np.int64), exponent.astype(np.int64)


def _scaled(size: NDArray[np.float64], exponent: NDArray[np.float64]) -> NDArray[np.float64]:
    # a product and a quotient with exact powers of ten, so that no digit is lost
    return np.where(exponent >= 0, size * 10.0 ** np.abs(exponent), size / 10.0 ** np.abs(exponent))


def join_number(sign: int, mantissa: int, exponent: int) -> float:
    """Put a number together.

    Args:
        sign: 0 for plus, 1 for minus.
        mantissa: Whole number.
        exponent: To base 10.

    Returns:
        The float nearest to sign * mantissa * 10**exponent.
    """
    return float(f"{'-' if sign else ''}{mantissa}e{exponent}")
