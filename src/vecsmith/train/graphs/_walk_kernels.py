"""Hot loops of random walks, compiled by numba.

Each walk has a random stream of its own, from a seed and the walk's number (splitmix64: G. Steele,
D. Lea and C. Flood, 2014), so that no walk depends on which thread made it, or when.
"""

from typing import Any

import numpy as np

from vecsmith.core import require

numba: Any = require("numba", "graphs")

U = np.uint64
_GAMMA, _ONE, _TWO = U(0x9E3779B97F4A7C15), U(0xBF58476D1CE4E5B9), U(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = U(30), U(27), U(31), U(11)
# proposals before a step is drawn from all its neighbours at once
TRIES = 24


def _jit(function: Any) -> Any:
    return numba.njit(nogil=True, error_model="numpy", cache=True)(function)


@_jit
def _mix(z: Any) -> Any:
    z = (z ^ (z >> _S30)) * _ONE
    z = (z ^ (z >> _S27)) * _TWO
    return z ^ (z >> _S31)


@_jit
def _share(state: Any) -> float:
    return float(_mix(state) >> _S11) * (1.0 / 9007199254740992.0)


@_jit
def _cell(indptr: Any, indices: Any, a: int, b: int) -> int:
    """Find the edge from a to b, or -1; columns of a row ascend."""
    low, high = indptr[a], indptr[a + 1]
    while low < high:
        middle = (low + high) >> 1
        if indices[middle] < b:
            low = middle + 1
        else:
            high = middle
    return low if low < indptr[a + 1] and indices[low] == b else -1


@_jit
def _weight(indptr: Any, sums: Any, row: int, cell: int) -> float:
    if len(sums) == 0:
        return 1.0
    return sums[cell] - (sums[cell - 1] if cell > indptr[row] else 0.0)


@_jit
def _first_order(indptr: Any, sums: Any, at: int, share: float) -> int:
    """Draw a cell of a row by weight; without sums all weigh the same."""
    low, high = indptr[at], indptr[at + 1]
    if len(sums) == 0:
        return min(low + int(share * (high - low)), high - 1)
    last, wanted = high - 1, share * sums[high - 1]
    while low < high:
        middle = (low + high) >> 1
        if sums[middle] <= wanted:
            low = middle + 1
        else:
            high = middle
    return min(low, last)


@_jit
def _bias(indptr: Any, indices: Any, before: int, to: int, bias: Any) -> float:
    if to == before:
        return bias[0]
    return 1.0 if _cell(indptr, indices, before, to) >= 0 else bias[1]


@_jit
def _exact(
    indptr: Any, indices: Any, sums: Any, before: int, at: int, bias: Any, share: float
) -> int:
    """Draw a cell by weight times bias, going through all neighbours."""
    total = 0.0
    for turn in range(2):
        wanted, total = share * total, 0.0
        for cell in range(indptr[at], indptr[at + 1]):
            weight = _weight(indptr, sums, at, cell)
            total += weight * _bias(indptr, indices, before, indices[cell], bias)
            if turn == 1 and total > wanted:
                return cell
    return indptr[at + 1] - 1


@_jit
def _second_order(
    indptr: Any, indices: Any, sums: Any, before: int, at: int, bias: Any, state: Any
) -> Any:
    """Draw a cell by proposals; what turning back weighs above the others is drawn apart."""
    most = max(bias[1], 1.0)
    turn = _cell(indptr, indices, at, before) if bias[0] > most else -1
    above, whole = 0.0, 1.0
    if turn >= 0:
        row = sums[indptr[at + 1] - 1] if len(sums) else float(indptr[at + 1] - indptr[at])
        above = _weight(indptr, sums, at, turn) * (bias[0] - most)
        whole = above + row * most
    level = (min(bias[0], most), bias[1])
    least = min(level[0], level[1], 1.0)
    for _ in range(TRIES):
        if turn >= 0:
            state += _GAMMA
            if _share(state) * whole < above:
                return turn, state
        state += _GAMMA
        cell = _first_order(indptr, sums, at, _share(state))
        state += _GAMMA
        wanted = _share(state) * most
        # below the least bias it does not matter which one this is
        if wanted < least or wanted < _bias(indptr, indices, before, indices[cell], level):
            return cell, state
    state += _GAMMA
    return _exact(indptr, indices, sums, before, at, bias, _share(state)), state


@_jit
def walk(
    indptr: Any,
    indices: Any,
    sums: Any,
    numbers: Any,
    length: int,
    bias: Any,
    seed: Any,
    made: Any,
) -> None:
    """Make walks.

    Args:
        indptr: Starts of the rows.
        indices: Neighbours, ascending in each row.
        sums: Weights cumulated within each row; empty where all are equal.
        numbers: Numbers of the walks; walk w starts at node w modulo n.
        length: Nodes of a walk.
        bias: 1 / p and 1 / q.
        seed: 64 bits.
        made: Filled with the walks, shape (walks, length); -1 after a dead end.
    """
    plain = bias[0] == 1.0 and bias[1] == 1.0
    n = len(indptr) - 1
    for row in range(len(numbers)):
        state = _mix(seed + _GAMMA * U(numbers[row] + 1))
        at, before = numbers[row] % n, -1
        made[row, 0] = at
        for step in range(1, length):
            if indptr[at] == indptr[at + 1]:
                made[row, step:] = -1
                break
            if plain or before < 0:
                state += _GAMMA
                cell = _first_order(indptr, sums, at, _share(state))
            else:
                cell, state = _second_order(indptr, indices, sums, before, at, bias, state)
            before, at = at, indices[cell]
            made[row, step] = at
