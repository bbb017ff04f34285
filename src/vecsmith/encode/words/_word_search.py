"""Nearest rows of a table of word vectors by cosine, and analogies, in batches and blocks.

The table is never copied: its rows are divided by their lengths as scores, block by block, so that
three million words of 300 dimensions need 3.6 GB and not twice that.

    3CosAdd (T. Mikolov and others, 2013)       argmax_x  x . (b - a + c) / |b - a + c|
    3CosMul (O. Levy and Y. Goldberg, 2014)     argmax_x  s(x, b) s(x, c) / (s(x, a) + 0.001)

over unit vectors, with s(x, y) = (1 + x . y) / 2; the words of the question are left out. Cost: one
product of the queries with the table (three for 3CosMul).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
# scores held at once
BLOCK = 1 << 24
QUERIES = 512
METHODS = ("add", "mul")
EPSILON = 1e-3


def row_norms(table: Floats) -> Floats:
    """Lengths of rows, without a copy of the table.

    Args:
        table: Shape (words, dims).

    Returns:
        Shape (words,); 1 where a row is zero, so that its cosines are 0.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", table, table))
    norms[norms == 0] = 1
    return norms


def nearest(
    table: Floats,
    queries: Floats,
    top_k: int,
    *,
    norms: Floats | None = None,
    exclude: Ids | None = None,
) -> tuple[Floats, Ids]:
    """Find the rows with the highest cosine to each query.

    Args:
        table: Shape (words, dims).
        queries: Shape (queries, dims).
        top_k: How many rows a query gets; fewer where the table has fewer.
        norms: From `row_norms(table)`, where it is known.
        exclude: Rows that a query must not get, shape (queries, any); -1 stands for none.

    Returns:
        Cosines, falling, and rows, both of shape (queries, top_k); -inf and -1 where nothing is
        left.
    """
    norms = row_norms(table) if norms is None else norms
    unit = queries / row_norms(queries)[:, None]

    def scores(rows: slice, part: slice) -> Floats:
        return np.asarray(unit[part] @ table[rows].T / norms[rows], np.float32)

    return _top(scores, (len(queries), len(table)), top_k, exclude)


def solve_analogies(
    table: Floats,
    questions: Ids,
    top_k: int = 1,
    *,
    norms: Floats | None = None,
    method: str = "add",
) -> tuple[Floats, Ids]:
    """Answer "a is to b as c is to …" for many questions.

    Args:
        table: Shape (words, dims).
        questions: Rows of a, b and c, shape (questions, 3).
        top_k: How many answers.
        norms: From `row_norms(table)`, where it is known.
        method: "add" (3CosAdd) or "mul" (3CosMul).

    Returns:
        Scores, falling, and rows, both of shape (questions, top_k), as `nearest` gives them.

    Raises:
        ConfigError: Unknown method.
    """
    if method not in METHODS:
        raise ConfigError(f"method of an analogy must be one of {METHODS}; got {method!r}")
    norms = row_norms(table) if norms is None else norms
    a, b, c = (table[questions[:, i]] / norms[questions[:, i], None] for i in range(3))
    if method == "add":
        return nearest(table, b - a + c, top_k, norms=norms, exclude=questions)

    def scores(rows: slice, part: slice) -> Floats:
        block = table[rows].T / norms[rows]
        far, near, also = (0.5 + 0.5 * (x[part] @ block) for x in (a, b, c))
        return np.asarray(near * also / (far + EPSILON), np.float32)

    return _top(scores, (len(questions), len(table)), top_k, questions)


def _top(
    scores: Callable[[slice, slice], Floats],
    shape: tuple[int, int],
    top_k: int,
    exclude: Ids | None,
) -> tuple[Floats, Ids]:
    """Keep the best of each block of rows, for each batch of queries."""
    if top_k < 1:
        raise ConfigError(f"top_k must be at least 1; got {top_k}")
    queries, words = shape
    top_k = min(top_k, words)
    best = np.full((queries, top_k), -np.inf, np.float32)
    ids = np.full((queries, top_k), -1, np.int64)
    for first in range(0, queries, QUERIES):
        part = slice(first, min(first + QUERIES, queries))
        step = max(1, BLOCK // (part.stop - part.start))
        for start in range(0, words, step):
            rows = slice(start, min(start + step, words))
            block = scores(rows, part)
            if exclude is not None:
                _leave_out(block, exclude[part], start)
            best[part], ids[part] = _merge(best[part], ids[part], block, start)
    ids[np.isneginf(best)] = -1
    return best, ids


def _leave_out(block: Floats, exclude: Ids, start: int) -> None:
    query, place = np.nonzero((exclude >= start) & (exclude < start + block.shape[1]))
    block[query, exclude[query, place] - start] = -np.inf


def _merge(best: Floats, ids: Ids, block: Floats, start: int) -> tuple[Floats, Ids]:
    top_k = best.shape[1]
    if block.shape[1] > top_k:
        places = np.argpartition(-block, top_k - 1, axis=1)[:, :top_k]
        block = np.take_along_axis(block, places, 1)
    else:
        places = np.broadcast_to(np.arange(block.shape[1]), block.shape)
    values = np.concatenate([best, block], 1)
    rows = np.concatenate([ids, places + start], 1)
    # equal scores: the lower row first
    order = np.lexsort((rows, -values), axis=1)[:, :top_k]
    return np.take_along_axis(values, order, 1), np.take_along_axis(rows, order, 1)
