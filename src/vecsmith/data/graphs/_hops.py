"""Distances in steps, by breadth-first search from many nodes at once."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

UNREACHED = -1


def hop_distances(
    adjacency: "csr_array", sources: NDArray[np.int64], *, max_hops: int
) -> NDArray[np.int16]:
    """Count the steps from some nodes to all.

    Weights do not matter; a directed graph is walked along its edges. Cost: edges times sources
    for each hop, and 7 bytes for each pair of source and node: give sources in blocks.

    Args:
        adjacency: Shape (n, n).
        sources: Places of nodes, shape (sources,).
        max_hops: Nodes farther away count as not reached.

    Returns:
        Steps, 0 at the source itself and -1 where none lead, shape (sources, n).

    Raises:
        ConfigError: `max_hops` is below 1.
        DataError: A source is out of range.
    """
    from scipy.sparse import csr_array

    if max_hops < 1:
        raise ConfigError(f"max_hops must be at least 1; got {max_hops}")
    sources = np.asarray(sources, np.int64)
    n = adjacency.shape[0]
    if len(sources) and not (sources.min() >= 0 and sources.max() < n):
        raise DataError(
            f"sources must be places from 0 to {n - 1}; got {sources.min()} to {sources.max()}"
        )
    ones = np.ones(adjacency.nnz, np.float32)
    into = csr_array((ones, adjacency.indices, adjacency.indptr), shape=adjacency.shape).T.tocsr()
    columns = np.arange(len(sources))
    steps = np.full((n, len(sources)), UNREACHED, np.int16)
    steps[sources, columns] = 0
    frontier = np.zeros((n, len(sources)), np.float32)
    frontier[sources, columns] = 1
    for hop in range(1, max_hops + 1):
        fresh = ((into @ frontier) > 0) & (steps == UNREACHED)
        if not fresh.any():
            break
        steps[fresh] = hop
        frontier = fresh.astype(np.float32)
    return np.ascontiguousarray(steps.T)
