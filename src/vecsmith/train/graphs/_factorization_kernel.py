"""Hot loop of graph factorisation, compiled by numba."""

from typing import Any

import numpy as np

from vecsmith.core import require

numba: Any = require("numba", "graphs")


def _jit(function: Any) -> Any:
    return numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)(function)


@_jit
def _step(made: Any, squares: Any, i: int, j: int, weight: Any, rate: Any, pull: Any) -> Any:
    """Move both ends of a pair; gives the gap before."""
    a, b, s, t = made[i], made[j], squares[i], squares[j]
    gap = weight
    for k in range(len(a)):
        gap -= a[k] * b[k]
    for k in range(len(a)):
        first = gap * b[k] - pull * a[k]
        second = gap * a[k] - pull * b[k]
        s[k] += first * first
        t[k] += second * second
        a[k] += rate * first / np.sqrt(s[k])
        b[k] += rate * second / np.sqrt(t[k])
    return gap


@_jit
def factor(
    rows: Any, columns: Any, weights: Any, noise: Any, made: Any, squares: Any, settings: Any
) -> float:
    """Go through the edges once.

    Args:
        rows: First ends.
        columns: Second ends.
        weights: Weights, float32.
        noise: Nodes that count as no neighbours of the first end, shape (edges, negative).
        made: Vectors, changed in place, shape (n, d).
        squares: AdaGrad's sums, changed in place, shape (n, d).
        settings: Learning rate and regularisation, float32.

    Returns:
        Mean of the squared gaps at edges.
    """
    rate, pull = settings
    total = 0.0
    for e in range(len(rows)):
        i, j = rows[e], columns[e]
        gap = _step(made, squares, i, j, weights[e], rate, pull)
        total += gap * gap
        for k in range(noise.shape[1]):
            other = noise[e, k]
            if other != i and other != j:
                _step(made, squares, i, other, np.float32(0), rate, pull)
    return total / len(rows)
