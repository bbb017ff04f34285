"""Which values are frequent: counts over training rows only, never over test rows."""

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, numpy_generator


def most_frequent(
    counts: NDArray[np.int64], number: int, *, exact: bool = True, seed: int = 0
) -> NDArray[np.int64]:
    """Find the most frequent values.

    Args:
        counts: How often each value occurs, shape (values,).
        number: How many, at least.
        exact: Exactly so many, equal counts split at random; otherwise values with equal counts
            stay together, so that there may be more.
        seed: Seed of the split.

    Returns:
        Their places, ascending.
    """
    if number <= 0:
        return np.zeros(0, np.int64)
    if number >= len(counts):
        return np.arange(len(counts))
    threshold = np.partition(counts, len(counts) - number)[len(counts) - number]
    if not exact:
        return np.flatnonzero(counts >= threshold)
    above = np.flatnonzero(counts > threshold)
    ties = np.flatnonzero(counts == threshold)
    rng = numpy_generator(seed, "tables", "ties")
    chosen = rng.choice(ties, number - len(above), replace=False)
    return np.sort(np.concatenate([above, chosen]))


def frequency_groups(counts: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Deal values out to groups of nearly equal size by ascending count.

    Args:
        counts: How often each value occurs, shape (values,).
        groups: How many.

    Returns:
        Group of each value, 0 the rarest; values with equal counts are in one group.
    """
    order = np.argsort(counts, kind="stable")
    by_rank = np.minimum(np.arange(len(counts)) * groups // max(len(counts), 1), groups - 1)
    sorted_counts = counts[order]
    # the first of equal counts decides for all of them
    first = np.searchsorted(sorted_counts, sorted_counts, side="left")
    found = np.empty(len(counts), np.int64)
    found[order] = by_rank[first]
    return found


def required(counts: NDArray[np.int64] | None, method: str) -> NDArray[np.int64]:
    """Return the counts that a method cannot do without.

    Args:
        counts: Counts or None.
        method: Its name.

    Raises:
        ConfigError: There are none.
    """
    if counts is None:
        raise ConfigError(
            f"{method!r} needs counts, how often each value occurs in the training rows; give "
            "counts=FieldTable.counts(), or take a method that needs none"
        )
    return counts
