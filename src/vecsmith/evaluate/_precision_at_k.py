"""Precision among the first k of a search by class: does a query find things of its own class?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError


def precision_at_k(
    queries: NDArray[np.float32],
    candidates: NDArray[np.float32],
    query_labels: Sequence[Any] | NDArray[Any],
    candidate_labels: Sequence[Any] | NDArray[Any],
    *,
    ks: Sequence[int] = (5, 10, 50),
) -> dict[int, NDArray[np.float64]]:
    """Rank candidates by cosine and count those of the query's class.

    The measure of ConVIRT's retrieval tests (CheXpert 8x200: 8 classes, 10 queries and 200
    candidates each). Queries may be pictures or texts; candidates must not hold the queries.

    Args:
        queries: Vectors of any length, shape (queries, dims).
        candidates: Vectors in the same space, shape (candidates, dims).
        query_labels: Class of each query.
        candidate_labels: Class of each candidate.
        ks: How many of the first candidates count.

    Returns:
        k -> the part of the first k that has the query's class, for each query.

    Raises:
        DataError: Lengths or dimensions do not agree, or k is above the number of candidates.
    """
    wanted, given = np.asarray(query_labels), np.asarray(candidate_labels)
    if (len(wanted), len(given)) != (len(queries), len(candidates)):
        raise DataError(
            f"every query and candidate needs one label; got {len(wanted)} for {len(queries)} "
            f"queries and {len(given)} for {len(candidates)} candidates"
        )
    if queries.shape[1] != candidates.shape[1]:
        raise DataError(
            "queries and candidates must be of one space; got "
            f"{queries.shape[1]} and {candidates.shape[1]} dimensions"
        )
    if min(ks) < 1 or max(ks) > len(candidates):
        raise DataError(f"ks must lie from 1 to {len(candidates)} candidates; got {tuple(ks)}")
    scores = _unit(queries) @ _unit(candidates).T
    # ties go by place, so that a result does not depend on how the sorting treats them
    order = np.argsort(-scores, axis=1, kind="stable")[:, : max(ks)]
    hits = given[order] == wanted[:, None]
    return {k: hits[:, :k].mean(axis=1) for k in ks}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))
