"""Search that returns only what is relevant: lists of any length, the empty one included.

The rule P(relevant) >= tau becomes one cosine cut-off a query (see `_cutoff`), so that filtering
costs one comparison a hit, or turns into the index's own range search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

from ._cutoff import CosineAdapter
from ._cutoff_lists import top_columns, unit_vectors

BLOCK = 256


@dataclass(frozen=True)
class FilteredHits:
    """Results of a batch of queries; row i of each list belongs to query i.

    Attributes:
        ids: Rows of the documents, best first.
        cosines: Their cosines.
        probabilities: Their probabilities of being relevant.
        cutoffs: Cosine cut-off of each query, shape (queries,).
    """

    ids: list[NDArray[np.int64]]
    cosines: list[NDArray[np.float32]]
    probabilities: list[NDArray[np.float64]]
    cutoffs: NDArray[np.float64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of results of each query."""
        return np.array([len(row) for row in self.ids], np.int64)

    @property
    def null_rate(self) -> float:
        """Share of queries without any result."""
        return float(np.mean(self.lengths == 0))


class FilteredIndex:
    """An index whose lists end where relevance ends.

    Args:
        index: A faiss index (inner product, or L2, over unit vectors); an array of unit vectors,
            shape (documents, dims); or anything with ``search(query_vecs, k) -> cosines, ids``
            that fills up with id -1.
        adapter: A fitted and calibrated adapter.

    Raises:
        ConfigError: The index is none of these, or its metric has no cosine.
    """

    def __init__(self, index: Any, adapter: CosineAdapter) -> None:
        self.adapter = adapter
        self.index = index
        self._l2 = False
        if isinstance(index, np.ndarray):
            self.index = unit_vectors(index, "index")
        elif not hasattr(index, "search"):
            raise ConfigError(
                "index must be a faiss index, an array of unit vectors, or have "
                f"search(query_vecs, k); got {type(index).__name__}"
            )
        elif hasattr(index, "metric_type"):
            import faiss

            if index.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
                raise ConfigError(
                    "a faiss index must measure inner products or L2 over unit vectors; "
                    f"got metric {index.metric_type}"
                )
            self._l2 = index.metric_type == faiss.METRIC_L2

    def search(self, query_vecs: ArrayLike, *, k: int = 100) -> FilteredHits:
        """Search the k nearest and drop those below the query's cut-off.

        Args:
            query_vecs: Unit vectors, shape (queries, dims).
            k: At most so many results a query.

        Returns:
            Lists of 0 to k hits.

        Raises:
            DataError: Query vectors are not of unit length.
        """
        queries = unit_vectors(query_vecs, "query_vecs")
        if isinstance(self.index, np.ndarray):
            cosines, ids = self._exact(queries, min(k, len(self.index)))
        else:
            found, ids = self.index.search(queries, k)
            cosines = np.asarray(found, np.float32)
            cosines = 1.0 - cosines / 2.0 if self._l2 else cosines
        return self._cut(queries, list(cosines), list(np.asarray(ids, np.int64)))

    def range_search(self, query_vecs: ArrayLike) -> FilteredHits:
        """Return all documents above each query's cut-off, however many.

        Args:
            query_vecs: Unit vectors, shape (queries, dims).

        Returns:
            Lists of any length.

        Raises:
            ConfigError: The index has no range search.
        """
        queries = unit_vectors(query_vecs, "query_vecs")
        if not isinstance(self.index, np.ndarray) and not hasattr(self.index, "range_search"):
            raise ConfigError(
                f"{type(self.index).__name__} has no range_search; use search(query_vecs, k=...)"
            )
        cosines, ids = [], []
        for query, cutoff in zip(queries, self.adapter.cutoff(queries), strict=True):
            # a little wide: the exact comparison follows in `_cut`
            radius = max(float(cutoff), -1.0) - 1e-5
            values, places = self._range(query[None, :], radius)
            order = np.lexsort((places, -values))
            cosines.append(values[order])
            ids.append(places[order])
        return self._cut(queries, cosines, ids)

    def _exact(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        cosines = np.empty((len(queries), k), np.float32)
        ids = np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK] @ self.index.T
            ids[start : start + BLOCK] = top = top_columns(block, k)
            cosines[start : start + BLOCK] = np.take_along_axis(block, top, axis=1)
        return cosines, ids

    def _range(
        self, query: NDArray[np.float32], radius: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if isinstance(self.index, np.ndarray):
            values = self.index @ query[0]
            places = np.flatnonzero(values > radius)
            return values[places], places.astype(np.int64)
        _, found, places = self.index.range_search(
            query, 2.0 - 2.0 * radius if self._l2 else radius
        )
        return (1.0 - found / 2.0 if self._l2 else found), np.asarray(places, np.int64)

    def _cut(
        self,
        queries: NDArray[np.float32],
        cosines: Sequence[NDArray[np.float32]],
        ids: Sequence[NDArray[np.int64]],
    ) -> FilteredHits:
        cutoffs = self.adapter.cutoff(queries)
        hits = FilteredHits([], [], [], cutoffs)
        for row, (values, places) in enumerate(zip(cosines, ids, strict=True)):
            keep = (places >= 0) & (values.astype(np.float64) >= cutoffs[row])
            kept = values[keep].astype(np.float32)
            hits.ids.append(places[keep])
            hits.cosines.append(kept)
            hits.probabilities.append(self.adapter.scores(queries[row : row + 1], kept[None, :])[0])
        return hits


def filter_hits(
    hits: Sequence[Sequence[Mapping[str, Any]]], query_vecs: ArrayLike, adapter: CosineAdapter
) -> list[list[dict[str, Any]]]:
    """Cut the lists that `sentence_transformers.util.semantic_search` returns.

    Args:
        hits: For each query, dictionaries with "score" (the cosine) and "corpus_id".
        query_vecs: The queries' unit vectors, shape (queries, dims).
        adapter: A fitted and calibrated adapter.

    Returns:
        The hits at or above the query's cut-off, each with a "probability" added.

    Raises:
        DataError: There are not as many lists as query vectors.
    """
    queries = unit_vectors(query_vecs, "query_vecs")
    if len(queries) != len(hits):
        raise DataError(
            f"hits and query_vecs must go together; got {len(hits)} lists, {len(queries)} vectors"
        )
    kept: list[list[dict[str, Any]]] = []
    for query, cutoff, row in zip(queries, adapter.cutoff(queries), hits, strict=True):
        passed = [hit for hit in row if hit["score"] >= cutoff]
        cosines = np.array([[hit["score"] for hit in passed]], np.float64)
        odds = adapter.scores(query[None, :], cosines)[0]
        kept.append([{**hit, "probability": float(p)} for hit, p in zip(passed, odds, strict=True)])
    return kept
