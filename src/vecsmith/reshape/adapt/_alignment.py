"""Two spaces of words made one by a rotation, from a small dictionary or none but a seed of it.

Procrustes (C. Xing and others, 2015): with rows of X and Y translations of each other, the
orthogonal W that minimises |X W - Y| is U V^T of the SVD of X^T Y. Retrieval by the nearest
neighbour suffers from hubs, words that are near to everything; cross-domain similarity local
scaling (A. Conneau and others, 2018) takes their crowdedness off:

    CSLS(x, y) = 2 cos(x, y) - r_Y(x) - r_X(y),   r: mean cosine to the k nearest of the other side

Self-learning (M. Artetxe and others, 2017): map, read off the pairs that are each other's nearest,
map again with these, until the mean similarity of the pairs stops rising.

Use for vectors of two languages, two corpora or two points in time. Avoid where the spaces are not
alike in shape (other domains, much smaller corpora): no rotation then fits. Cost: a product of both
tables in blocks for each round.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

Doubles = NDArray[np.float64]
_BLOCK = 1024


def unit_centred(vectors: ArrayLike) -> Doubles:
    """Rows of unit length, less their mean, of unit length again.

    Args:
        vectors: Shape (n, dims).

    Returns:
        Shape (n, dims); rows of zeros stay.

    Raises:
        DataError: No table, or values that are not finite.
    """
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise DataError(f"vectors must be a table of finite numbers; got shape {rows.shape}")
    rows = _unit(rows)
    return _unit(rows - rows.mean(0))


def orthogonal_map(source: ArrayLike, target: ArrayLike) -> Doubles:
    """Find the rotation that brings rows to their partners (Procrustes).

    Args:
        source: Shape (pairs, dims).
        target: Shape (pairs, dims).

    Returns:
        W, orthogonal, shape (dims, dims), for `source @ W`.

    Raises:
        DataError: Other shapes.
    """
    x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if x.ndim != 2 or x.shape != y.shape or not len(x):
        raise DataError(f"source and target must pair up row by row; got {x.shape} and {y.shape}")
    left, _, right = np.linalg.svd(x.T @ y)
    return np.asarray(left @ right)


def neighbourhood(queries: Doubles, others: Doubles, k: int) -> Doubles:
    """Mean cosine of each row to its k nearest rows of the other side.

    Args:
        queries: Unit rows, shape (n, dims).
        others: Unit rows, shape (m, dims).
        k: How many; at most m.

    Returns:
        Shape (n,).
    """
    k = min(k, len(others))
    found = np.empty(len(queries))
    for start in range(0, len(queries), _BLOCK):
        cosines = queries[start : start + _BLOCK] @ others.T
        found[start : start + _BLOCK] = np.partition(cosines, -k, axis=1)[:, -k:].mean(1)
    return found


def csls_scores(queries: ArrayLike, others: ArrayLike, *, k: int = 10) -> Doubles:
    """Score all pairs by cross-domain similarity local scaling.

    Args:
        queries: Shape (n, dims).
        others: Shape (m, dims).
        k: Neighbours that tell how crowded a row stands.

    Returns:
        Shape (n, m).

    Raises:
        ConfigError: k below 1.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1; got {k}")
    x, y = _unit(np.asarray(queries, np.float64)), _unit(np.asarray(others, np.float64))
    crowd = neighbourhood(y, x, k)
    return 2 * x @ y.T - neighbourhood(x, y, k)[:, None] - crowd


def translate(
    queries: ArrayLike, others: ArrayLike, *, topn: int = 1, csls: bool = True, k: int = 10
) -> NDArray[np.int64]:
    """Find the rows of another table that each query is nearest to.

    Args:
        queries: Mapped vectors, shape (n, dims).
        others: Shape (m, dims).
        topn: How many rows a query.
        csls: Take the crowdedness of candidates off; False goes by cosine alone. The queries
            themselves tell how crowded a candidate stands: give all words of the source side.
        k: Neighbours of that.

    Returns:
        Rows of `others`, the best first, shape (n, topn).

    Raises:
        ConfigError: topn or k out of range.
    """
    x, y = _unit(np.asarray(queries, np.float64)), _unit(np.asarray(others, np.float64))
    if not 1 <= topn <= len(y) or k < 1:
        raise ConfigError(f"topn must be from 1 to {len(y)} and k at least 1; got {topn}, {k}")
    crowd = neighbourhood(y, x, k) if csls else np.zeros(len(y))
    found = np.empty((len(x), topn), np.int64)
    for start in range(0, len(x), _BLOCK):
        scores = 2 * x[start : start + _BLOCK] @ y.T - crowd
        found[start : start + _BLOCK] = np.argsort(-scores, axis=1, kind="stable")[:, :topn]
    return found


def mutual_pairs(source: Doubles, target: Doubles, *, k: int = 10) -> NDArray[np.int64]:
    """Pairs of rows that are each other's best match by CSLS.

    Args:
        source: Mapped, shape (n, dims).
        target: Shape (m, dims).
        k: Neighbours that tell how crowded a row stands.

    Returns:
        Rows of source and of target, shape (pairs, 2).
    """
    there = translate(source, target, k=k)[:, 0]
    back = translate(target, source, k=k)[:, 0]
    rows = np.arange(len(source))
    mutual = back[there] == rows
    return np.stack([rows[mutual], there[mutual]], axis=1)


@dataclass(frozen=True)
class Alignment:
    """A rotation between two spaces.

    Attributes:
        matrix: W, orthogonal, shape (dims, dims).
        pairs: Rows that it was fitted on last, shape (pairs, 2).
        history: Mean cosine of the pairs after each round.
    """

    matrix: Doubles
    pairs: NDArray[np.int64]
    history: tuple[float, ...]

    def apply(self, vectors: ArrayLike) -> Doubles:
        """Bring vectors of the source to the target's space.

        Args:
            vectors: Shape (n, dims).

        Returns:
            Shape (n, dims).
        """
        return np.asarray(np.asarray(vectors, np.float64) @ self.matrix)


def align_spaces(
    source: ArrayLike,
    target: ArrayLike,
    pairs: ArrayLike,
    *,
    rounds: int = 0,
    words: int = 20_000,
    k: int = 10,
) -> Alignment:
    """Fit a rotation from a dictionary, and let it find more pairs by itself if asked.

    Args:
        source: Vectors, the most frequent words first, shape (n, dims); `unit_centred` helps.
        target: Vectors, shape (m, dims).
        pairs: Rows of source and target that translate each other, shape (pairs, 2).
        rounds: Rounds of self-learning at most; 0 takes the dictionary alone.
        words: Words from the top of each side that may become pairs.
        k: Neighbours of CSLS.

    Returns:
        The rotation.

    Raises:
        DataError: Dimensions that differ, no pairs, or rows that are not there.
        ConfigError: A number out of its range.
    """
    x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
    rows = np.asarray(pairs)
    if rounds < 0 or words < 1:
        raise ConfigError(f"rounds must be 0 or above, words at least 1; got {rounds}, {words}")
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise DataError(
            f"source and target must have the same dimensions; got {x.shape} and {y.shape}"
        )
    if rows.ndim != 2 or rows.shape[1:] != (2,) or not len(rows) or rows.dtype.kind not in "iu":
        raise DataError(
            f"pairs must hold rows of source and target, shape (pairs, 2); got {rows.shape}"
        )
    if rows.min() < 0 or (rows.max(0) >= (len(x), len(y))).any():
        raise DataError(f"pairs must be rows below {len(x)} and {len(y)}; got {rows.max(0)}")
    matrix = orthogonal_map(x[rows[:, 0]], y[rows[:, 1]])
    history = [_mean_cosine(x, y, rows, matrix)]
    for _ in range(rounds):
        found = mutual_pairs(x[:words] @ matrix, y[:words], k=k)
        if not len(found):
            break
        better = orthogonal_map(x[found[:, 0]], y[found[:, 1]])
        score = _mean_cosine(x, y, found, better)
        if len(history) > 1 and score <= history[-1] + 1e-6:
            break
        matrix, rows = better, found
        history.append(score)
    return Alignment(matrix, rows.astype(np.int64), tuple(history))


def _mean_cosine(x: Doubles, y: Doubles, rows: NDArray[np.int64], matrix: Doubles) -> float:
    left, right = _unit(x[rows[:, 0]] @ matrix), _unit(y[rows[:, 1]])
    return float((left * right).sum(1).mean())


def _unit(rows: Doubles) -> Doubles:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)
