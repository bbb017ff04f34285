"""What a vector index costs and what it finds, against the exact search of the same vectors."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._index_parts import Vectors, blocks_of
from ._lists import Rows, drop, padded

TIMED = 100


@dataclass(frozen=True)
class IndexReport:
    """Figures of one index.

    Attributes:
        overlap_at_10: Part of the exact search's first ten that the index has among its first ten.
        mrr_at_10: Mean reciprocal rank of the first relevant document in ten; NaN without labels.
        recall_at_10: Part of the relevant documents found among ten; NaN without labels.
        recall_at_100: The same among a hundred.
        reconstruction_error: Squared distance of decoded vectors, as part of their squared length;
            NaN where the index cannot decode.
        bytes: Size of the saved index.
        bytes_per_document: The same divided by the documents.
        ms_per_query: Median milliseconds of a search for one query, ten results.
    """

    overlap_at_10: float
    mrr_at_10: float
    recall_at_10: float
    recall_at_100: float
    reconstruction_error: float
    bytes: int
    bytes_per_document: float
    ms_per_query: float

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def search_rows(index: Any, queries: Vectors, k: int, *, excluded: Rows | None = None) -> Rows:
    """Search, leaving out what a query must not find.

    Args:
        index: A faiss index.
        queries: Shape (queries, dims).
        k: Documents a query.
        excluded: Documents left out, shape (queries, any), padded with -1.

    Returns:
        Documents, best first, shape (queries, min(k, n)), padded with -1.
    """
    depth = min(k + (0 if excluded is None else excluded.shape[1]), index.ntotal)
    scores, rows = index.search(np.ascontiguousarray(queries, np.float32), depth)
    return drop(scores, rows, min(k, index.ntotal), excluded)[1]


def overlaps(found: Rows, exact: Rows, k: int = 10) -> NDArray[np.float64]:
    """Part of the exact lists that was found.

    Args:
        found: Lists of an index, shape (queries, at least k or all), padded with -1.
        exact: Lists of the exact search, same layout.
        k: Length that counts.

    Returns:
        Shape (queries,).
    """
    wanted = exact[:, :k]
    hit = (found[:, :k, None] == wanted[:, None, :]) & (wanted >= 0)[:, None, :]
    return np.asarray(hit.sum(axis=(1, 2)) / np.maximum((wanted >= 0).sum(axis=1), 1))


def relevance_figures(
    found: Rows, relevant: Sequence[Sequence[int]]
) -> dict[str, NDArray[np.float64]]:
    """Judge lists by labels.

    Args:
        found: Documents, best first, shape (queries, 100 or all), padded with -1.
        relevant: Relevant documents of each query, at least one.

    Returns:
        "mrr@10", "recall@10" and "recall@100" of each query.
    """
    wanted = padded(relevant)
    hits = ((found[:, :, None] == wanted[:, None, :]) & (wanted >= 0)[:, None, :]).any(-1)
    first = np.where(hits.any(1), hits.argmax(1), found.shape[1])
    count = (wanted >= 0).sum(1)
    out = {f"recall@{k}": hits[:, :k].sum(1) / count for k in (10, 100)}
    out["mrr@10"] = np.where(first < 10, 1.0 / (first + 1.0), 0.0)
    return out


def index_bytes(index: Any) -> int:
    """Size of an index as faiss saves it.

    Args:
        index: A faiss index.

    Returns:
        Bytes.
    """
    import faiss

    return len(faiss.serialize_index(index))


def reconstruction_error(index: Any, documents: Vectors) -> float:
    """How far decoded vectors lie from the documents.

    Args:
        index: A faiss index of them.
        documents: Shape (n, dims).

    Returns:
        Squared distance as part of the squared length; NaN where the index cannot decode.
    """
    import faiss

    ivf = faiss.try_extract_index_ivf(index)
    gap = length = 0.0
    try:
        if ivf is not None:
            ivf.make_direct_map(True)
        for start, block in blocks_of(documents):
            decoded = index.reconstruct_n(start, len(block))
            gap += float(np.square(decoded - block, dtype=np.float64).sum())
            length += float(np.square(block, dtype=np.float64).sum())
    except RuntimeError:
        return float("nan")
    finally:
        if ivf is not None:
            ivf.make_direct_map(False)
    return gap / length


def index_report(
    index: Any,
    documents: Vectors,
    queries: Vectors,
    exact: Rows,
    *,
    relevant: Sequence[Sequence[int]] | None = None,
    excluded: Rows | None = None,
) -> IndexReport:
    """Measure an index.

    Args:
        index: A faiss index.
        documents: The vectors it was made of, shape (n, dims).
        queries: Shape (queries, dims).
        exact: Lists of the exact search (`dense_lists`), at least ten deep.
        relevant: Relevant documents of each query, where there are labels.
        excluded: Documents that a query must not find, shape (queries, any), padded with -1.

    Returns:
        The figures.
    """
    found = search_rows(index, queries, 100, excluded=excluded)
    judged = {} if relevant is None else relevance_figures(found, relevant)
    size = index_bytes(index)
    return IndexReport(
        overlap_at_10=float(overlaps(found, exact).mean()),
        mrr_at_10=float(np.mean(judged.get("mrr@10", np.nan))),
        recall_at_10=float(np.mean(judged.get("recall@10", np.nan))),
        recall_at_100=float(np.mean(judged.get("recall@100", np.nan))),
        reconstruction_error=reconstruction_error(index, documents),
        bytes=size,
        bytes_per_document=size / len(documents),
        ms_per_query=milliseconds(index, queries),
    )


def milliseconds(index: Any, queries: Vectors) -> float:
    """Median time of a search for one query, ten results.

    Args:
        index: A faiss index.
        queries: Shape (queries, dims); at most `TIMED` are searched.

    Returns:
        Milliseconds.
    """
    took = []
    for query in np.ascontiguousarray(queries[:TIMED], np.float32):
        started = time.perf_counter()
        index.search(query[None], min(10, index.ntotal))
        took.append(time.perf_counter() - started)
    return 1000 * float(np.median(took))
