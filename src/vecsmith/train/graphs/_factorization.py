"""Graph factorisation: dot products that equal the weights of edges.

Paper: Distributed Large-scale Natural Graph Factorization (A. Ahmed, N. Shervashidze, S.
Narayanamurthy, V. Josifovski and A. Smola, 2013). Over the edges alone,

    minimise 1/2 sum_(i,j) (w_ij - y_i . y_j)^2 + lambda / 2 sum_i ||y_i||^2

by stochastic gradient descent, edge by edge, in compiled loops; no step looks at pairs without an
edge. `negative` (ours; 0 is the paper's) draws for each edge so many other nodes, whose weight is
0 where they are no neighbours: without them nothing tells an edge from a gap, and reconstruction is
poor, as others found.

Use for weights of edges that are to be filled in, and as a baseline. Cost: epochs * edges * dim.
"""

from typing import Any, ClassVar

import numpy as np

from vecsmith.core import ConfigError, numpy_generator, progress
from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder, Ids
from ._scores import Floats


class GraphFactorization(GraphEmbedder):
    """Node vectors whose dot products are the weights of edges.

    Args:
        dim: Dimensions.
        epochs: Passes over the edges.
        rate: Learning rate of AdaGrad.
        regularization: lambda.
        negative: Nodes that are drawn for each edge.
        random_state: Seed.

    Attributes:
        losses_: Mean of the squared gaps at edges, a number a pass.
    """

    name: ClassVar[str] = "gf"
    kept = ("losses_",)

    def __init__(
        self,
        dim: int = 128,
        *,
        epochs: int = 50,
        rate: float = 0.05,
        regularization: float = 1e-3,
        negative: int = 0,
        random_state: int = 0,
    ) -> None:
        self.dim, self.epochs, self.rate = dim, epochs, rate
        self.regularization, self.negative = regularization, negative
        self.random_state = random_state

    def _check(self, graph: GraphData) -> None:
        super()._check(graph)
        if self.epochs < 1 or self.negative < 0:
            raise ConfigError(
                "epochs must be at least 1 and negative at least 0; got "
                f"{self.epochs} and {self.negative}"
            )
        for name in ("rate", "regularization"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0 or (name == "rate" and value == 0):
                raise ConfigError(f"{name} must be finite and not below 0; got {value!r}")

    def _embed(self, graph: GraphData) -> Floats:
        from ._factorization_kernel import factor

        rows, columns, weights = graph.edges()
        apart = rows != columns
        rows, columns = rows[apart], columns[apart]
        weights = weights[apart].astype(np.float32)
        rng = numpy_generator(self.random_state, "gf")
        # dot products of some 0.3 at the start
        spread = (0.3 / np.sqrt(self.dim)) ** 0.5
        made = (rng.standard_normal((len(graph), self.dim)) * spread).astype(np.float32)
        squares = np.full(made.shape, 1e-8, np.float32)
        losses = []
        settings: Any = (np.float32(self.rate), np.float32(self.regularization))
        for _ in progress(range(self.epochs), "graph factorisation"):
            order = rng.permutation(len(rows))
            noise = gaps(graph, rows[order], self.negative, rng)
            losses.append(
                factor(rows[order], columns[order], weights[order], noise, made, squares, settings)
            )
        self.losses_ = np.array(losses)
        return made


def gaps(graph: GraphData, nodes: Ids, number: int, rng: np.random.Generator) -> Ids:
    """Draw nodes that others have no edge to.

    Args:
        graph: The graph.
        nodes: Numbers of nodes, shape (nodes,).
        number: Draws for each.
        rng: Source of randomness.

    Returns:
        Numbers of nodes, the node itself where a neighbour was drawn, shape (nodes, number).
    """
    n, matrix = len(graph), graph.adjacency
    drawn = rng.integers(0, n, (len(nodes), number))
    owners = np.repeat(np.arange(n), np.diff(matrix.indptr))
    # rows and columns ascend, so that the cells do
    cells = owners * n + matrix.indices
    wanted = nodes[:, None] * n + drawn
    places = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    return np.where(cells[places] == wanted, nodes[:, None], drawn)
