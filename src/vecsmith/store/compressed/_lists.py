"""Exact lists of the best documents, and the candidates that training draws from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError

from ._index_parts import Vectors, blocks_of

Rows = NDArray[np.int64]


def checked_vectors(vectors: Vectors, name: str, dims: int | None = None) -> Vectors:
    """Refuse what no index can hold.

    Args:
        vectors: Shape (n, dims); a memory map is looked at in blocks.
        name: Argument's name, for the error.
        dims: Dimensions wanted; None takes any.

    Returns:
        The vectors as they came.

    Raises:
        DataError: Not a matrix, no rows, other dimensions, or values that are not finite.
    """
    if vectors.ndim != 2 or not len(vectors) or (dims and vectors.shape[1] != dims):
        wanted = f"(n, {dims or 'dims'})"
        raise DataError(
            f"{name} must have shape {wanted} and at least one row; got {vectors.shape}"
        )
    for start, block in blocks_of(vectors):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            raise DataError(
                f"{name} must be finite; row {start + bad[0]} holds NaN or infinity: "
                "encode it again or leave it out"
            )
    return vectors


def drop(scores: Vectors, rows: Rows, k: int, excluded: Rows | None) -> tuple[Vectors, Rows]:
    """Cut ranked lists to k, leaving out rows that a query must not find.

    Args:
        scores: Best first, shape (queries, depth).
        rows: Document of each score, same shape.
        k: Length of the lists that remain.
        excluded: Documents to leave out, shape (queries, any), padded with -1; None: none.

    Returns:
        Scores and rows, shape (queries, min(k, depth)).
    """
    if excluded is None or not excluded.size:
        return scores[:, :k], rows[:, :k]
    bad = (rows[:, :, None] == excluded[:, None, :]).any(-1) & (rows >= 0)
    order = np.argsort(bad, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(bad, order, 1)
    found = np.where(kept, -1, np.take_along_axis(rows, order, 1))
    return np.where(kept, -np.inf, np.take_along_axis(scores, order, 1)).astype(np.float32), found


def dense_lists(
    queries: Vectors, documents: Vectors, k: int, *, excluded: Rows | None = None
) -> tuple[Vectors, Rows]:
    """Find the documents of largest inner product exactly, a block of documents at a time.

    Args:
        queries: Shape (queries, dims).
        documents: Shape (n, dims); a memory map is read in blocks.
        k: Documents a query.
        excluded: Documents that a query must not find, shape (queries, any), padded with -1.

    Returns:
        Scores and documents, best first, shape (queries, min(k, n)); where fewer remain, -1.
    """
    import faiss

    queries = np.ascontiguousarray(queries, np.float32)
    extra = 0 if excluded is None else excluded.shape[1]
    depth = min(k + extra, len(documents))
    scores = np.full((len(queries), 0), -np.inf, np.float32)
    rows = np.full((len(queries), 0), -1, np.int64)
    for start, block in blocks_of(documents):
        few = min(depth, len(block))
        near, found = faiss.knn(queries, block, few, metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, near], axis=1)
        rows = np.concatenate([rows, found + start], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    return drop(scores, rows, min(k, len(documents)), excluded)


@dataclass(frozen=True)
class CandidateSampling:
    """Which documents a query is compared with in training.

    Attributes:
        top_k: Depth of the dense list that candidates come from (the paper: 200).
        per_query: Candidates drawn from it anew in each epoch; None takes the whole list.
        leaders: One of this many best is always among them, as the released recipe has a positive;
            0 draws from the whole list alike.
        in_batch: Candidates of the other queries of a batch are candidates, too.
    """

    top_k: int = 200
    per_query: int | None = 20
    leaders: int = 1
    in_batch: bool = True

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1; got {self.top_k}")
        if self.per_query is not None and not 1 <= self.per_query <= self.top_k:
            raise ConfigError(
                f"per_query must be from 1 to top_k {self.top_k}; got {self.per_query}"
            )
        if not 0 <= self.leaders <= self.top_k:
            raise ConfigError(f"leaders must be from 0 to top_k {self.top_k}; got {self.leaders}")

    def draw(self, near: Rows, rng: np.random.Generator) -> Rows:
        """Draw candidates.

        Args:
            near: Dense lists of some queries, shape (queries, depth), padded with -1.
            rng: Source of randomness.

        Returns:
            Documents, shape (queries, per_query or depth), padded with -1.
        """
        if self.per_query is None or self.per_query >= near.shape[1]:
            return near
        # the places of the smallest keys are a draw without replacement
        keys = rng.uniform(size=near.shape) + (near < 0)
        if self.leaders:
            best = rng.integers(0, min(self.leaders, near.shape[1]), len(near))
            keys[np.arange(len(near)), best] = -1.0
        chosen = np.argpartition(keys, self.per_query - 1, axis=1)[:, : self.per_query]
        return np.take_along_axis(near, chosen, 1)


def batches_of_candidates(
    near: Rows,
    sampling: CandidateSampling,
    rng: np.random.Generator,
    *,
    batch_size: int,
    relevant: Sequence[Sequence[int]] | None = None,
    excluded: Rows | None = None,
) -> Iterator[tuple[Rows, Rows, NDArray[np.bool_]]]:
    """Go through all queries once, in random order.

    Args:
        near: Dense lists of all queries, shape (queries, depth), padded with -1.
        sampling: How candidates are drawn.
        rng: Source of randomness.
        batch_size: Queries a batch; the last may be smaller.
        relevant: Documents known to be relevant to each query; they are always candidates.
        excluded: Documents that are no candidates of a query, shape (queries, any), padded with -1.

    Yields:
        Queries (rows), their documents without repetition (rows), and which document is a candidate
        of which query, shape (queries, documents).
    """
    order = rng.permutation(len(near))
    for start in range(0, len(order), batch_size):
        queries = order[start : start + batch_size]
        drawn = sampling.draw(near[queries], rng)
        if relevant is not None:
            drawn = np.concatenate([drawn, padded([relevant[q] for q in queries])], axis=1)
        documents = np.unique(drawn[drawn >= 0])
        mask = np.zeros((len(queries), len(documents)), bool)
        if sampling.in_batch:
            mask[:] = True
            if excluded is not None:
                mask &= ~among(documents, excluded[queries])
        own = among(documents, drawn)
        mask |= own
        # a query without any candidate teaches nothing
        some = mask.any(axis=1)
        if some.any():
            yield queries[some], documents, mask[some]


def among(documents: Rows, rows: Rows) -> NDArray[np.bool_]:
    """Mark which documents each query names.

    Args:
        documents: Ascending, each once, at least one, shape (n,).
        rows: Documents that each query names, shape (queries, any), padded with -1.

    Returns:
        Shape (queries, n).
    """
    out = np.zeros((len(rows), len(documents) + 1), bool)
    place = np.searchsorted(documents, rows)
    held = np.minimum(place, len(documents) - 1)
    place = np.where((rows >= 0) & (documents[held] == rows), held, len(documents))
    np.put_along_axis(out, place, True, axis=1)
    return out[:, :-1]


def padded(rows: Sequence[Sequence[int]]) -> Rows:
    """Lay lists of documents out as one array.

    Args:
        rows: Documents of each query; any number.

    Returns:
        Shape (queries, longest), padded with -1.
    """
    width = max((len(row) for row in rows), default=0)
    out = np.full((len(rows), width), -1, np.int64)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return out
