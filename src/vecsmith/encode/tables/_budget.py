"""Finding the largest setting of a method that still fits the bytes it may use."""

from collections.abc import Callable

from vecsmith.core import ConfigError

from ._shape import TableShape


def largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """Find the largest whole number that fits, by halving.

    Args:
        low: Least number.
        high: Largest number.
        fits: True up to some number, False above it.

    Returns:
        The number; None where not even the least fits.
    """
    if low > high or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def refuse_rate(method: str, rate: float, shape: TableShape, *, least: float) -> ConfigError:
    """Say that a rate cannot be reached, and which can.

    Args:
        method: Name of the method.
        rate: What was asked for.
        shape: The fields.
        least: Least rate that the method reaches for them.

    Returns:
        The error to raise.
    """
    if least >= 1.0:
        reached = f"{method!r} makes this table no smaller"
    else:
        reached = f"{method!r} reaches rates from {least:.3g} for it"
    return ConfigError(
        f"rate {rate:g} cannot be reached by {method!r} for a table of {shape.total} x "
        f"{shape.dim} in {shape.fields} field(s): {reached}; take such a rate or another method"
    )
