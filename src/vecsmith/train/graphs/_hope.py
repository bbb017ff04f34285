"""HOPE: Katz proximity, factored without ever being formed.

Paper: Asymmetric Transitivity Preserving Graph Embedding (M. Ou, P. Cui, J. Pei, Z. Zhang and W.
Zhu, 2016). With adjacency A, spectral radius rho and b < 1 / rho,

    S = (I - b A)^-1 (b A) = b A + b^2 A^2 + ...        all paths, longer ones for less
    S ~ U Sigma V^T, k = d / 2;    X_s = U sqrt(Sigma),   X_t = V sqrt(Sigma),   X = [X_s | X_t]
    score(i, j) = X_s[i] . X_t[j]

The singular value decomposition asks for products with S and S^T alone: a product with b A, then a
solution of (I - b A) x = y, by a sparse LU made once, or by conjugate gradients (undirected graphs)
where the factors of a large graph would not fit.

Use where directions matter, and for what lies two steps away. Avoid where only direct edges count.
Cost: the LU (small for sparse graphs with few hubs), then some 5 k products and solutions. At b = 0
the result is that of A itself; the nearer b is to 1 / rho, the more the largest hub rules.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator

from vecsmith.core import ConfigError, DataError, ModelError, did_you_mean, numpy_generator
from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder
from ._scores import Floats

Doubles = NDArray[np.float64]

SOLVERS = ("auto", "cg", "lu")
# above so many nodes, factors of an undirected graph may not fit
LU_NODES = 50_000
_SHARE = 0.5


def spectral_radius(matrix: csr_array, *, seed: int = 0) -> float:
    """Find the largest absolute eigenvalue of a matrix without negative numbers.

    Args:
        matrix: Shape (n, n).
        seed: Seed of the start.

    Returns:
        rho; 0 for a directed graph without cycles.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    # rho is that of the strong components; those of one node count only by their loops
    number, names = connected_components(matrix, directed=True, connection="strong")
    sizes = np.bincount(names, minlength=number)
    rho = float(matrix.diagonal().max(initial=0.0))
    inside = np.flatnonzero(sizes[names] > 1)
    if not len(inside):
        return rho
    part = matrix[inside][:, inside]
    if len(inside) < 50:
        return max(rho, float(np.abs(np.linalg.eigvals(part.toarray())).max()))
    start = numpy_generator(seed, "hope", "radius").random(len(inside)) + 0.5
    # all eigenvalues of a cycle are as large; a diagonal sets the one apart that is wanted
    shift = float(part.sum()) / len(inside)
    part = part + shift * eye_array(len(inside))
    try:
        found = eigs(part, k=1, which="LM", v0=start, return_eigenvectors=False, maxiter=5000)
    except ArpackNoConvergence as error:
        raise ModelError(
            f"the spectral radius of {len(inside)} nodes was not found ({error}); give beta"
        ) from error
    return max(rho, float(np.abs(found).max()) - shift)


def katz_operator(matrix: csr_array, beta: float, *, solver: str = "lu") -> LinearOperator:
    """Make Katz proximity an operator: products with it and its transpose, no matrix.

    Args:
        matrix: Adjacency A, shape (n, n).
        beta: b, below 1 / rho.
        solver: "lu", or "cg" for symmetric A.

    Returns:
        S as an operator, shape (n, n).

    Raises:
        ModelError: Conjugate gradients did not come to an end.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import cg, splu

    n = matrix.shape[0]
    damped = beta * matrix
    left = (eye_array(n) - damped).tocsc()
    if solver == "lu":
        factors = splu(left)

        def solve(y: Doubles, kind: str) -> Doubles:
            return factors.solve(y, kind)
    else:

        def solve(y: Doubles, kind: str) -> Doubles:
            flat = np.atleast_2d(y.T).T
            made = np.empty_like(flat)
            for column in range(flat.shape[1]):
                made[:, column], left_over = cg(left, flat[:, column], rtol=1e-10, maxiter=10 * n)
                if left_over:
                    raise ModelError(
                        "conjugate gradients did not reach 1e-10; give a smaller beta, or "
                        "solver='lu'"
                    )
            return made.reshape(y.shape)

    turned = damped.T.tocsr()
    # A commutes with (I - b A)^-1
    return LinearOperator(
        (n, n),
        matvec=lambda x: solve(damped @ x, "N"),
        rmatvec=lambda x: solve(turned @ x, "T"),
        matmat=lambda x: solve(damped @ x, "N"),
        rmatmat=lambda x: solve(turned @ x, "T"),
        dtype=np.float64,
    )


class HOPE(GraphEmbedder):
    """Node vectors from Katz proximity, a half for each end of an edge.

    Args:
        dim: Dimensions, even: d / 2 singular values.
        beta: b, below 1 / rho; "auto" takes 0.5 / rho, or 0.5 where the graph has no cycle.
        solver: "lu", "cg" (undirected graphs), or "auto": cg from 50,000 nodes of an undirected
            graph on.
        random_state: Seed of the start.

    Attributes:
        beta_: b as it was used.
        radius_: rho.
        singular_values_: Falling, shape (dim / 2,).
    """

    name: ClassVar[str] = "hope"
    kept = ("beta_", "radius_", "singular_values_")

    def __init__(
        self,
        dim: int = 128,
        *,
        beta: float | str = "auto",
        solver: str = "auto",
        random_state: int = 0,
    ) -> None:
        self.dim, self.beta, self.solver, self.random_state = dim, beta, solver, random_state

    def _check(self, graph: GraphData) -> None:
        super()._check(graph)
        if self.solver not in SOLVERS:
            raise ConfigError(
                f"solver cannot be {self.solver!r}; {did_you_mean(str(self.solver), SOLVERS)}"
            )
        if self.solver == "cg" and graph.directed:
            raise ConfigError("solver 'cg' needs an undirected graph; give 'lu', or 'auto'")
        if self.dim % 2:
            raise ConfigError(f"dim must be even, a half for each end of an edge; got {self.dim}")
        most = 2 * (len(graph) - 1)
        if self.dim > most:
            raise DataError(
                f"{len(graph)} nodes give at most {most} dimensions; got dim={self.dim}"
            )

    def _embed(self, graph: GraphData) -> Doubles:
        from scipy.sparse.linalg import svds

        self.radius_ = spectral_radius(graph.adjacency, seed=self.random_state)
        self.beta_ = self._beta()
        solver = self.solver
        if solver == "auto":
            solver = "cg" if len(graph) >= LU_NODES and not graph.directed else "lu"
        katz = katz_operator(graph.adjacency, self.beta_, solver=solver)
        start = numpy_generator(self.random_state, "hope").standard_normal(len(graph))
        left, values, right = svds(katz, k=self.dim // 2, v0=start)
        order = np.argsort(-values, kind="stable")
        left, values, right = left[:, order], np.maximum(values[order], 0), right[order].T
        signs = np.sign(left[np.abs(left).argmax(0), np.arange(len(values))])
        signs[signs == 0] = 1
        self.singular_values_ = values
        root = np.sqrt(values) * signs
        return np.hstack([left * root, right * root])

    def _beta(self) -> float:
        if self.beta == "auto":
            return _SHARE / self.radius_ if self.radius_ > 0 else _SHARE
        beta = self.beta
        if isinstance(beta, str | bool) or not isinstance(beta, int | float | np.number):
            raise ConfigError(f"beta must be a number above 0, or 'auto'; got {beta!r}")
        beta, most = float(beta), 1 / self.radius_ if self.radius_ > 0 else np.inf
        if not 0 < beta < most or not np.isfinite(beta):
            raise ConfigError(
                f"beta must be above 0 and below 1 / rho = {most:.6g}, where the sum over paths "
                f"ends; got {beta}: give a smaller one, or 'auto' ({_SHARE * most:.6g})"
            )
        return beta

    def _sides(self) -> tuple[Floats, Floats]:
        half = self.dim // 2
        return self.embedding_[:, :half], self.embedding_[:, half:]
