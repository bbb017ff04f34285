"""Laplacian eigenmaps: neighbours near each other, weighed by their edges.

Paper: Laplacian Eigenmaps for Dimensionality Reduction and Data Representation (M. Belkin and P.
Niyogi, 2003). With degrees D and the weights W of the undirected graph,

    minimise sum_ij w_ij ||y_i - y_j||^2  subject to  Y^T D Y = I:
    (D - W) y = lambda D y;    the vectors of the smallest lambda, without the constant one
    score(i, j) = -||y_i - y_j||^2

Use for the coarse shape of a graph: its parts and what bridges them. Avoid where single edges must
be told. Cost: one sparse LU and some products for each dimension. Directions are forgotten. Of a
graph in c parts, the first c - 1 dimensions tell the parts apart.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array, eye_array

from vecsmith.core import DataError
from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder
from ._spectrum import smallest_eigenvectors


class LaplacianEigenmaps(GraphEmbedder):
    """Node vectors that lie near where edges are heavy.

    Args:
        dim: Dimensions, below the number of nodes with an edge.
        random_state: Seed of the start.

    Attributes:
        eigenvalues_: Rising, shape (dim,); from 0 to 2.
    """

    name: ClassVar[str] = "lap"
    measure = "euclidean"
    kept = ("eigenvalues_",)

    def __init__(self, dim: int = 128, *, random_state: int = 0) -> None:
        self.dim, self.random_state = dim, random_state

    def _embed(self, graph: GraphData) -> NDArray[np.float64]:
        nodes = connected_nodes(graph, self.dim)
        weights = graph.undirected().adjacency[nodes][:, nodes]
        # a loop is no distance
        weights.setdiag(0)
        scale = 1 / np.sqrt(np.asarray(weights.sum(1)).ravel())
        root = diags_array(scale)
        matrix = (eye_array(len(nodes)) - root @ weights @ root).tocsr()
        self.eigenvalues_, vectors = smallest_eigenvectors(
            matrix, self.dim, besides=1 / scale, seed=self.random_state
        )
        made = np.zeros((len(graph), self.dim))
        made[nodes] = vectors * scale[:, None]
        return made


def connected_nodes(graph: GraphData, dim: int) -> NDArray[np.int64]:
    """List the nodes with an edge to another one.

    Args:
        graph: The graph.
        dim: Dimensions that are asked for.

    Returns:
        Their numbers.

    Raises:
        DataError: There are too few of them.
    """
    kept = np.setdiff1d(np.arange(len(graph)), graph.isolated)
    if dim >= len(kept):
        raise DataError(
            f"{len(kept)} nodes with edges give at most {len(kept) - 1} dimensions; got dim={dim}"
        )
    return kept
