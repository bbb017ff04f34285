"""Random walks on a graph: first order (DeepWalk) or biased by the step before (node2vec).

Papers: DeepWalk (B. Perozzi, R. Al-Rfou and S. Skiena, 2014); node2vec (A. Grover and J. Leskovec,
2016). From t by way of v, the next node is x with a probability in proportion to

    weight(v, x) * (1/p if x = t,  1 if an edge leads from t to x,  1/q else)

No table of edge pairs is made: a neighbour is proposed by weight and kept with probability bias /
max bias; after two dozen refusals the step is drawn from all neighbours at once. Both give the
probabilities above exactly. Memory: 12 bytes an edge, and the block of walks that is asked for.

Cost: some 5 million steps a second and core.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError
from vecsmith.data.graphs import GraphData

Ids = NDArray[np.int64]
Walks = NDArray[np.int32]


class RandomWalks:
    """Walks by number: any of them can be made at any time, and is always the same.

    Args:
        graph: The graph; walks follow its directions.
        length: Nodes of a walk, the first too.
        per_node: Walks from each node.
        p: Return parameter; above 1 walks seldom turn back at once.
        q: In-out parameter; below 1 walks strike out, above 1 they stay around.
        seed: Seed of all walks.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        graph: GraphData,
        *,
        length: int = 80,
        per_node: int = 10,
        p: float = 1.0,
        q: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_walks(length, per_node, p, q)
        if seed < 0:
            raise ConfigError(f"seed must be 0 or above; got {seed}")
        matrix = graph.adjacency
        self.nodes, self.length, self.per_node = len(graph), length, per_node
        self._bias, self.seed = (1.0 / p, 1.0 / q), seed
        self._indptr = matrix.indptr.astype(np.int64, copy=False)
        self._indices = matrix.indices.astype(np.int32, copy=False)
        self._sums = np.zeros(0)
        if matrix.nnz and matrix.data.min() != matrix.data.max():
            self._sums = cumulated(matrix.data, self._indptr)

    def __len__(self) -> int:
        return self.nodes * self.per_node

    def make(self, numbers: Ids, *, epoch: int = 0) -> Walks:
        """Make walks.

        Args:
            numbers: Their numbers, shape (walks,); walk w starts at node w modulo n.
            epoch: Other epochs have other walks.

        Returns:
            Numbers of nodes, -1 after a dead end, shape (walks, length).
        """
        from ._walk_kernels import walk

        made = np.empty((len(numbers), self.length), np.int32)
        state = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0]
        walk(
            self._indptr,
            self._indices,
            self._sums,
            np.asarray(numbers, np.int64),
            self.length,
            self._bias,
            state,
            made,
        )
        return made

    def blocks(self, size: int = 4096, *, epoch: int = 0) -> Iterator[Walks]:
        """Make all walks in their order.

        Args:
            size: Walks of a block.
            epoch: As for `make`.

        Yields:
            Blocks, shape (at most size, length).
        """
        for start in range(0, len(self), size):
            yield self.make(np.arange(start, min(start + size, len(self))), epoch=epoch)

    def visits(self) -> Ids:
        """Count how often the walks of the first epoch come to each node.

        Returns:
            Shape (n,).
        """
        counts = np.zeros(self.nodes + 1, np.int64)
        for block in self.blocks():
            # -1 counts in front
            counts += np.bincount(block.ravel() + 1, minlength=self.nodes + 1)
        return counts[1:]


def check_walks(length: int, per_node: int, p: float, q: float) -> None:
    """Refuse settings of walks that make no sense.

    Args:
        length: Nodes of a walk.
        per_node: Walks from each node.
        p: Return parameter.
        q: In-out parameter.

    Raises:
        ConfigError: One is out of its range.
    """
    if length < 2 or per_node < 1:
        raise ConfigError(
            f"walks must have at least 2 nodes, and each node 1 walk; got {length} and {per_node}"
        )
    for name, value in (("p", p), ("q", q)):
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be finite and above 0; got {value!r}")


def cumulated(weights: NDArray[np.float64], indptr: Ids) -> NDArray[np.float64]:
    """Sum up weights within each row.

    Args:
        weights: Of all cells, shape (cells,).
        indptr: Starts of the rows, shape (n + 1,).

    Returns:
        Shape (cells,).
    """
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    sums = np.cumsum(weights)
    before = np.r_[0.0, sums][indptr[:-1]]
    # rounding must not let a row start below 0
    return np.maximum(sums - before[rows], 0.0)
