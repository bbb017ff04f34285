"""Locally linear embedding: each node the mean of its neighbours.

Paper: Nonlinear Dimensionality Reduction by Locally Linear Embedding (S. Roweis and L. Saul, 2000),
with the graph's weights for those of the reconstruction, as graph studies take it. With W the
undirected weights, each row divided by its sum,

    minimise sum_i ||y_i - sum_j W_ij y_j||^2  subject to  Y^T Y = I:
    (I - W)^T (I - W) y = lambda y;    the smallest lambda, without the constant vector
    score(i, j) = -||y_i - y_j||^2

Use as Laplacian eigenmaps, from which it differs in how much hubs weigh. Avoid with hubs of
thousands of edges: (I - W)^T (I - W) joins all their neighbours. Cost: one sparse LU of that
matrix.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array

from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder
from ._laplacian import connected_nodes
from ._spectrum import smallest_eigenvectors


class LocallyLinearEmbedding(GraphEmbedder):
    """Node vectors that lie where the mean of their neighbours lies.

    Args:
        dim: Dimensions, below the number of nodes with an edge.
        random_state: Seed of the start.

    Attributes:
        eigenvalues_: Rising, shape (dim,).
    """

    name: ClassVar[str] = "lle"
    measure = "euclidean"
    kept = ("eigenvalues_",)

    def __init__(self, dim: int = 128, *, random_state: int = 0) -> None:
        self.dim, self.random_state = dim, random_state

    def _embed(self, graph: GraphData) -> NDArray[np.float64]:
        nodes = connected_nodes(graph, self.dim)
        weights = graph.undirected().adjacency[nodes][:, nodes]
        weights.setdiag(0)
        means = diags_array(1 / np.asarray(weights.sum(1)).ravel()) @ weights
        gap = eye_array(len(nodes)) - means
        matrix = csr_array(gap.T @ gap)
        self.eigenvalues_, vectors = smallest_eigenvectors(
            matrix, self.dim, besides=np.ones(len(nodes)), seed=self.random_state
        )
        made = np.zeros((len(graph), self.dim))
        # as large as coordinates of the unit ball, whatever the number of nodes
        made[nodes] = vectors * np.sqrt(len(nodes))
        return made
