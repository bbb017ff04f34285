"""Anything that can be assessed: a node embedder, or vectors with a way to tell an edge by them."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError
from vecsmith.train.graphs import block_scores, pair_scores
from vecsmith.train.graphs._scores import check_measure

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


class Scorer(Protocol):
    """What `restore` needs of a method."""

    @property
    def vectors(self) -> Floats:
        """Vector of each node, shape (n, d)."""

    @property
    def n_parameters(self) -> int:
        """Numbers that scores are made from."""

    @property
    def scored_by(self) -> str:
        """How vectors tell of an edge."""

    def score(self, i: Ids, j: Ids) -> Floats:
        """Score pairs of nodes, shape (pairs,)."""

    def score_rows(self, idx: Ids) -> Floats:
        """Score some nodes against all, shape (rows, n)."""


class VectorScores:
    """Vectors from anywhere, and how they tell of an edge.

    Args:
        vectors: Shape (n, d), finite, in the order of the graph's nodes.
        measure: "cosine", "dot" or "euclidean".

    Raises:
        DataError: Not such vectors.
        ConfigError: Unknown measure.
    """

    def __init__(self, vectors: ArrayLike, measure: str = "cosine") -> None:
        check_measure(measure)
        made = np.asarray(vectors)
        if made.ndim != 2 or made.dtype.kind not in "fiu" or not made.size:
            raise DataError(
                f"vectors must be numbers of shape (nodes, dims); got {made.dtype} of shape "
                f"{made.shape}"
            )
        if not np.isfinite(made).all():
            rows = np.flatnonzero(~np.isfinite(made).all(1))
            raise DataError(
                f"vectors must be finite; {len(rows)} rows are not, the first {rows[0]}: give a "
                "vector for each node"
            )
        self._vectors: Floats = np.ascontiguousarray(made, np.float32)
        self.measure = measure

    @property
    def vectors(self) -> Floats:
        """Vector of each node, shape (n, d)."""
        return self._vectors

    @property
    def n_parameters(self) -> int:
        """Numbers that scores are made from."""
        return self._vectors.size

    @property
    def scored_by(self) -> str:
        """How vectors tell of an edge."""
        return self.measure

    def score(self, i: Ids, j: Ids) -> Floats:
        """Score pairs.

        Args:
            i: Numbers of the first ends, shape (pairs,).
            j: Numbers of the second ends, shape (pairs,).

        Returns:
            Shape (pairs,).
        """
        return pair_scores(self._vectors[i], self._vectors[j], self.measure)

    def score_rows(self, idx: Ids) -> Floats:
        """Score some nodes against all.

        Args:
            idx: Numbers of nodes, shape (rows,).

        Returns:
            Shape (rows, n).
        """
        return block_scores(self._vectors[np.atleast_1d(idx)], self._vectors, self.measure)


class SentenceVectors(VectorScores):
    """Labels of nodes as a text encoder sees them.

    Args:
        model: A `SentenceTransformer`, or anything whose ``encode`` takes a list of texts.
        labels: Text of each node.
        measure: "cosine", "dot" or "euclidean".
    """

    def __init__(self, model: Any, labels: Sequence[str], measure: str = "cosine") -> None:
        super().__init__(np.asarray(model.encode(list(labels))), measure)


def as_scorer(name: str, method: Any, nodes: int) -> Scorer:
    """Take a method.

    Args:
        name: Its name, for errors.
        method: A fitted embedder, a scorer, or vectors (cosine).
        nodes: n.

    Returns:
        A scorer of n nodes.

    Raises:
        DataError: It is none, or has vectors of another number of nodes.
    """
    made: Any = method
    if not all(hasattr(method, part) for part in ("score_rows", "score", "vectors")):
        try:
            made = VectorScores(method)
        except (DataError, ValueError, TypeError) as error:
            raise DataError(
                f"the method {name!r} should be a fitted node embedder or vectors of shape "
                f"({nodes}, dims): {error}"
            ) from error
    if len(made.vectors) != nodes:
        raise DataError(
            f"the method {name!r} has vectors of {len(made.vectors)} nodes and the graph {nodes}; "
            "give vectors in the order of graph.node_ids"
        )
    scorer: Scorer = made
    return scorer
