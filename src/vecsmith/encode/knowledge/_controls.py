"""Tables of entity vectors put together, and the random ones that any gain must be held against.

Random vectors of another scale are no control: a row ten times as long as a word's drowns the
words, whatever it says. `matched_random` keeps the mean and the lengths of the real ones.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

Table = Mapping[Any, NDArray[np.floating]]
KINDS = ("gaussian", "shuffled")


def matched_random(
    vectors: NDArray[np.floating], *, seed: int = 0, kind: str = "gaussian"
) -> NDArray[np.float32]:
    """Make vectors that know nothing but the mean and the spread of the real ones.

    Args:
        vectors: Real ones, shape (entities, dims).
        seed: Seed of the draw.
        kind: "gaussian": the mean plus noise whose sample mean is 0 and whose mean squared length
            is that of the real deviations; "shuffled": the real rows, each for another entity.

    Returns:
        Same shape.

    Raises:
        ConfigError: Unknown kind.
        DataError: No table of finite numbers.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind must be one of {KINDS}; got {kind!r}")
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise DataError(f"vectors must be a table of finite numbers; got shape {rows.shape}")
    rng = numpy_generator(seed, "matched random")
    if kind == "shuffled":
        return rows[rng.permutation(len(rows))].astype(np.float32)
    noise = rng.standard_normal(rows.shape)
    noise -= noise.mean(axis=0)
    mean = rows.mean(axis=0)
    spread, own = np.square(rows - mean).sum(), np.square(noise).sum()
    scale = np.sqrt(spread / own) if own else 0.0
    return (mean + scale * noise).astype(np.float32)


def mean_vectors(*tables: Table) -> dict[Hashable, NDArray[np.float32]]:
    """Average tables of vectors; an entity that some of them lack has the mean of the others.

    Args:
        *tables: Entity to vector, all of the same width.

    Returns:
        Entity to vector, in the order they were met.

    Raises:
        DataError: No vectors, or widths that differ.
    """
    widths = {np.shape(vector) for table in tables for vector in table.values()}
    if len(widths) != 1 or any(len(width) != 1 for width in widths):
        raise DataError(f"vectors must all have one width; got {sorted(widths)[:5]}")
    ids = dict.fromkeys(key for table in tables for key in table)
    return {
        key: np.mean([table[key] for table in tables if key in table], axis=0).astype(np.float32)
        for key in ids
    }
