"""Labelled top-k lists of a frozen encoder: what a relevance cut-off is fitted on.

`harvest_lists` runs an exact search for every query and looks its results up in the judgements. It
says how many results nobody judged, and what it did with them. Cost: queries x documents x dims
multiplications; memory is bounded by blocks of queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

from ._cutoff_report import pool

BLOCK = 256


@dataclass(frozen=True)
class LabelledLists:
    """Top-k lists with labels; row i belongs to query i.

    Attributes:
        query_vecs: Unit vectors, shape (queries, dims), float32.
        cosines: Shape (queries, k), float32, falling along a row but for injected pairs.
        labels: Relevance in [0, 1], shape (queries, k), float32.
        mask: True where there is a pair, shape (queries, k).
        documents: Row of the document in the corpus, -1 where there is no pair.
        injected: True for relevant documents that the search missed and that were added for
            training; such pairs must not be in validation or test lists.
        unjudged: How many results had no judgement.
        unjudged_are: "irrelevant" or "masked".
        recall: Share of the judged relevant documents that the search itself listed.
    """

    query_vecs: NDArray[np.float32]
    cosines: NDArray[np.float32]
    labels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    documents: NDArray[np.int64]
    injected: NDArray[np.bool_]
    unjudged: int
    unjudged_are: str
    recall: float

    def rows(self, which: ArrayLike) -> "LabelledLists":
        """Return some of the queries.

        Args:
            which: Row numbers or a boolean mask over queries.

        Returns:
            Lists of those queries; the counts stay those of the whole.
        """
        picked = np.asarray(which)
        return LabelledLists(
            self.query_vecs[picked],
            self.cosines[picked],
            self.labels[picked],
            self.mask[picked],
            self.documents[picked],
            self.injected[picked],
            self.unjudged,
            self.unjudged_are,
            self.recall,
        )


def harvest_lists(
    query_vecs: ArrayLike,
    doc_vecs: ArrayLike,
    relevant: Sequence[Mapping[int, float]],
    *,
    k: int = 100,
    unjudged: str = "irrelevant",
    inject: int = 0,
) -> LabelledLists:
    """Search every query exactly and label what comes back.

    Args:
        query_vecs: Unit vectors, shape (queries, dims).
        doc_vecs: Unit vectors, shape (documents, dims).
        relevant: For each query: row of a judged document -> relevance in [0, 1]; 0 says "judged
            irrelevant".
        k: Length of a list.
        unjudged: What a result without judgement counts as: "irrelevant", or "masked" (left out).
        inject: Add up to so many relevant documents that the search missed, for training only.

    Returns:
        The lists, `k` + `inject` wide.

    Raises:
        DataError: Shapes do not fit, vectors are not of unit length.
        ConfigError: `unjudged` is neither of the two, or `k` or `inject` is out of range.
    """
    queries, documents = unit_vectors(query_vecs, "query_vecs"), unit_vectors(doc_vecs, "doc_vecs")
    if unjudged not in {"irrelevant", "masked"} or k < 1 or inject < 0:
        raise ConfigError(
            "unjudged must be 'irrelevant' or 'masked', k at least 1, inject at least 0; "
            f"got {unjudged!r}, {k}, {inject}"
        )
    if queries.shape[1] != documents.shape[1] or len(relevant) != len(queries):
        raise DataError(
            "query_vecs, doc_vecs and relevant must fit together; got "
            f"{queries.shape}, {documents.shape} and {len(relevant)} judgements"
        )
    width = min(k, len(documents))
    shape = (len(queries), width + inject)
    cosines, labels = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    mask, injected = np.zeros(shape, bool), np.zeros(shape, bool)
    found = np.full(shape, -1, np.int64)
    missing = listed = total = 0
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] @ documents.T
        ranked = top_columns(block, width)
        for offset, order in enumerate(ranked):
            row, truth = start + offset, relevant[start + offset]
            grades = np.array([truth.get(int(item), -1.0) for item in order])
            missed = [item for item, grade in truth.items() if grade > 0 and item not in set(order)]
            listed += int((grades > 0).sum())
            total += int((grades > 0).sum()) + len(missed)
            missing += int((grades < 0).sum())
            added = np.array(sorted(missed)[:inject], np.int64)
            every = np.concatenate([order, added])
            n = len(every)
            found[row, :n], cosines[row, :n] = every, block[offset, every]
            labels[row, :n] = [max(truth.get(int(item), 0.0), 0.0) for item in every]
            mask[row, :n] = np.append(
                grades >= 0 if unjudged == "masked" else np.ones(width, bool),
                np.ones(len(added), bool),
            )
            injected[row, width:n] = True
    recall = listed / total if total else 0.0
    return LabelledLists(queries, cosines, labels, mask, found, injected, missing, unjudged, recall)


def top_columns(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k largest entries of each row, largest first, ties by column.

    Args:
        scores: Shape (rows, columns).
        k: At most the number of columns.

    Returns:
        Shape (rows, k).
    """
    if k < scores.shape[1]:
        part = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    else:
        part = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1).astype(np.int64)


def unit_vectors(vectors: ArrayLike, name: str) -> NDArray[np.float32]:
    """Check that an array holds unit vectors.

    Args:
        vectors: Shape (n, dims).
        name: Name of the argument, for the error text.

    Returns:
        The array as float32.

    Raises:
        DataError: Not two-dimensional, not finite, or lengths more than 1% away from 1.
    """
    array = np.asarray(vectors, np.float32)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise DataError(f"{name} must be finite, of shape (n, dims); got shape {array.shape}")
    lengths = np.linalg.norm(array, axis=1)
    if array.size and np.abs(lengths - 1.0).max() > 0.01:
        raise DataError(
            f"{name} must hold unit vectors; lengths lie between {lengths.min():.3f} and "
            f"{lengths.max():.3f}: divide each row by its length"
        )
    return array


def as_lists(
    query_vecs: ArrayLike | LabelledLists,
    cosines: ArrayLike | None,
    labels: ArrayLike | None,
    mask: ArrayLike | None,
) -> LabelledLists:
    """Bring the forms that `fit` takes to one.

    Args:
        query_vecs: Vectors or lists.
        cosines: Shape (queries, k), where vectors were given.
        labels: The same shape.
        mask: The same shape, or None for "all".

    Returns:
        The lists.

    Raises:
        DataError: Shapes do not fit.
    """
    if isinstance(query_vecs, LabelledLists):
        return query_vecs
    queries = np.asarray(query_vecs, np.float32)
    if cosines is None or labels is None:
        raise DataError("fit needs query_vecs, cosines and labels, or LabelledLists")
    values = np.asarray(cosines, np.float32)
    truth = np.asarray(labels, np.float32)
    if queries.ndim != 2 or values.ndim != 2 or len(values) != len(queries):
        raise DataError(
            "query_vecs must have shape (queries, dim), cosines (queries, k); "
            f"got {queries.shape} and {values.shape}"
        )
    keep = np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool)
    pool(values, truth, keep)  # refuses labels and cosines that make no sense
    nothing = np.zeros(values.shape, bool)
    documents = np.full(values.shape, -1, np.int64)
    return LabelledLists(
        queries, values, truth, keep, documents, nothing, 0, "irrelevant", float("nan")
    )
