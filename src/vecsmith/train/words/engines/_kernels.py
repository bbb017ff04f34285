"""Hot loops of word models, window by window; compiled by numba where it is installed.

The same mathematics as in `models`, with gradients by hand: of a window all scores are taken first,
then its rows are moved, each by AdaGrad; a hidden layer moves every `LAYER_STEP` windows. All
kernels take the stream of padded word ids, the places of the targets, their noise words, k, the
tables (each followed by its sums of squares), the learning rate, and a task: 0 measures the
logistic loss, 1 learns by it; 2 measures the ranking loss, 3 learns by it. They return the sum of
losses (0 when they learn) and the number of predictions.
"""

from typing import Any

import numpy as np

from vecsmith.core import MissingExtra, require

try:
    numba: Any = require("numba", "words")
except MissingExtra:
    numba = None

# windows whose gradients a hidden layer sums before it moves
LAYER_STEP = 16

F = np.float32
_ZERO, _ONE, _HALF = F(0), F(1), F(0.5)


def _jit(function: Any) -> Any:
    if numba is None:
        return function
    return numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)(function)


@_jit
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), to 1e-6, by a fraction that compilers turn into vector code."""
    y = min(max(x, F(-16)), F(16)) * F(0.25)
    z = y * y
    over = y * (F(135135) + z * (F(17325) + z * (F(378) + z)))
    # tanh(x / 4), from its continued fraction, and by the double angle tanh(x / 2)
    t = over / (F(135135) + z * (F(62370) + z * (F(3150) + z * F(28))))
    return _HALF + t / (_ONE + t * t)


@_jit
def _tanh(x: Any) -> Any:
    return F(2) * sigmoid(F(2) * x) - _ONE


@_jit
def _softplus(x: Any) -> Any:
    return max(x, 0.0) + np.log1p(np.exp(-abs(x)))


@_jit
def _clear(x: Any) -> None:
    for t in range(len(x)):
        x[t] = _ZERO


@_jit
def _move(row: Any, squares: Any, grad: Any, first: int, rate: Any) -> None:
    """Step up by AdaGrad; all gradients here are those of minus the loss."""
    for t in range(len(row)):
        g = grad[first + t]
        squares[t] += g * g
        row[t] += rate * g / np.sqrt(squares[t])


@_jit
def _judge(scores: Any, number: int, task: int) -> Any:
    """Turn the scores of one prediction into their gradients; or return the loss."""
    loss = 0.0
    if task == 1:
        for j in range(number):
            scores[j] = -sigmoid(scores[j])
        scores[0] += _ONE
    elif task == 3:
        target = scores[0]
        scores[0] = _ZERO
        for j in range(1, number):
            wrong = _ONE if _ONE - target + scores[j] > _ZERO else _ZERO
            scores[0] += wrong
            scores[j] = -wrong
    elif task == 0:
        loss = _softplus(-scores[0])
        for j in range(1, number):
            loss += _softplus(scores[j])
    else:
        for j in range(1, number):
            loss += max(0.0, 1.0 - scores[0] + scores[j])
    return loss


@_jit
def _candidates(target: int, noise: Any, rows: Any) -> int:
    """List the target and the noise words that differ from it."""
    rows[0] = target
    number = 1
    for word in noise:
        if word != target:
            rows[number] = word
            number += 1
    return number


@_jit
def _neighbours(stream: Any, at: int, window: int, pad: int, context: Any) -> int:
    """List the words around a place, without padding."""
    words = 0
    for i in range(at - window, at + window + 1):
        if i != at and stream[i] != pad:
            context[words] = stream[i]
            words += 1
    return words


@_jit
def _products(e: Any, context: Any, words: int, o: Any, rows: Any, number: int, out: Any) -> None:
    for i in range(words):
        for j in range(number):
            a, b, f = e[context[i]], o[rows[j]], _ZERO
            for t in range(len(a)):
                f += a[t] * b[t]
            out[i, j] = f


@_jit
def _mixed(shares: Any, table: Any, rows: Any, number: int, out: Any) -> None:
    """Sum rows of a table, each by its share."""
    _clear(out)
    for j in range(number):
        g, row = shares[j], table[rows[j]]
        for t in range(len(out)):
            out[t] += g * row[t]


@_jit
def skipgram(
    stream: Any, positions: Any, negatives: Any, window: int, tables: Any, rate: Any, task: int
) -> Any:
    """Each context word alone predicts the target."""
    e, e_squares, o, o_squares = tables
    dim, pad, n = e.shape[1], e.shape[0] - 1, negatives.shape[1] + 1
    context, rows = np.empty(2 * window, np.int64), np.empty(n, np.int64)
    scores = np.empty((2 * window, n), np.float32)
    up, out = np.empty((2 * window, dim), np.float32), np.empty((n, dim), np.float32)
    loss, made = 0.0, 0
    for p in range(len(positions)):
        number = _candidates(stream[positions[p]], negatives[p], rows)
        words = _neighbours(stream, positions[p], window, pad, context)
        made += words
        _products(e, context, words, o, rows, number, scores)
        for i in range(words):
            loss += _judge(scores[i], number, task)
        if task == 0 or task == 2:
            continue
        for i in range(words):
            _mixed(scores[i], o, rows, number, up[i])
        for j in range(number):
            _mixed(scores[:, j], e, context, words, out[j])
        for i in range(words):
            _move(e[context[i]], e_squares[context[i]], up[i], 0, rate)
        for j in range(number):
            _move(o[rows[j]], o_squares[rows[j]], out[j], 0, rate)
    return loss, made


@_jit
def _predict(x: Any, number: int, rows: Any, o: Any, scores: Any) -> None:
    for j in range(number):
        b, f = o[rows[j]], _ZERO
        for t in range(len(x)):
            f += x[t] * b[t]
        scores[j] = f


@_jit
def _back(
    x: Any, number: int, rows: Any, o: Any, o_squares: Any, scores: Any, up: Any, rate: Any
) -> None:
    """Give the gradient at x, and move the candidates' rows."""
    _clear(up)
    for j in range(number):
        g, b, s = scores[j], o[rows[j]], o_squares[rows[j]]
        for t in range(len(x)):
            up[t] += g * b[t]
        for t in range(len(x)):
            step = g * x[t]
            s[t] += step * step
            b[t] += rate * step / np.sqrt(s[t])


@_jit
def cbow(
    stream: Any, positions: Any, negatives: Any, window: int, tables: Any, rate: Any, task: int
) -> Any:
    """The mean of the context predicts the target."""
    e, e_squares, o, o_squares = tables
    dim, pad, n = e.shape[1], e.shape[0] - 1, negatives.shape[1] + 1
    context, rows = np.empty(2 * window, np.int64), np.empty(n, np.int64)
    scores, equal = np.empty(n, np.float32), np.empty(2 * window, np.float32)
    x, up = np.empty(dim, np.float32), np.empty(dim, np.float32)
    loss, made = 0.0, 0
    for p in range(len(positions)):
        number = _candidates(stream[positions[p]], negatives[p], rows)
        words = _neighbours(stream, positions[p], window, pad, context)
        if words == 0:
            continue
        made += 1
        for i in range(words):
            equal[i] = _ONE / F(words)
        _mixed(equal, e, context, words, x)
        _predict(x, number, rows, o, scores)
        loss += _judge(scores, number, task)
        if task == 0 or task == 2:
            continue
        _back(x, number, rows, o, o_squares, scores, up, rate)
        for t in range(dim):
            up[t] *= equal[0]
        for i in range(words):
            _move(e[context[i]], e_squares[context[i]], up, 0, rate)
    return loss, made


@_jit
def _side_by_side(stream: Any, at: int, window: int, e: Any, context: Any, x: Any) -> None:
    """List the words around a place, with padding, and join their vectors."""
    dim = e.shape[1]
    for i in range(2 * window):
        context[i] = stream[at - window + i + (1 if i >= window else 0)]
        row = e[context[i]]
        for t in range(dim):
            x[i * dim + t] = row[t]


@_jit
def _move_side_by_side(context: Any, e: Any, e_squares: Any, up: Any, rate: Any) -> None:
    dim = e.shape[1]
    for i in range(len(context)):
        _move(e[context[i]], e_squares[context[i]], up, i * dim, rate)


@_jit
def order(
    stream: Any, positions: Any, negatives: Any, window: int, tables: Any, rate: Any, task: int
) -> Any:
    """The context words side by side predict the target."""
    e, e_squares, o, o_squares = tables
    n, width = negatives.shape[1] + 1, 2 * window * e.shape[1]
    context, rows = np.empty(2 * window, np.int64), np.empty(n, np.int64)
    scores, x = np.empty(n, np.float32), np.empty(width, np.float32)
    up, loss = np.empty(width, np.float32), 0.0
    for p in range(len(positions)):
        number = _candidates(stream[positions[p]], negatives[p], rows)
        _side_by_side(stream, positions[p], window, e, context, x)
        _predict(x, number, rows, o, scores)
        loss += _judge(scores, number, task)
        if task == 1 or task == 3:
            _back(x, number, rows, o, o_squares, scores, up, rate)
            _move_side_by_side(context, e, e_squares, up, rate)
    return loss, len(positions)


@_jit
def _through(layer: Any, first: int, x: Any, out: Any) -> None:
    """Multiply a layer, from a column on, with a vector."""
    for r in range(layer.shape[0]):
        row, f = layer[r], _ZERO
        for t in range(len(x)):
            f += row[first + t] * x[t]
        out[r] = f


@_jit
def _layer_back(layer: Any, first: int, x: Any, delta: Any, up: Any, grad: Any) -> None:
    """Add to the gradients at a layer's input and at the layer."""
    for r in range(layer.shape[0]):
        row, mine, g = layer[r], grad[r], delta[r]
        for t in range(len(x)):
            up[t] += g * row[first + t]
            mine[first + t] += g * x[t]


@_jit
def _move_layer(layer: Any, squares: Any, grad: Any, rate: Any) -> None:
    for r in range(layer.shape[0]):
        _move(layer[r], squares[r], grad[r], 0, rate)
        _clear(grad[r])


@_jit
def hidden(
    stream: Any,
    positions: Any,
    negatives: Any,
    window: int,
    tables: Any,
    rate: Any,
    task: int,
    bent: bool,
) -> Any:
    """A hidden layer over the context predicts the target; `bent` by tanh."""
    e, e_squares, o, o_squares, layer, l_squares = tables
    n, width, units = negatives.shape[1] + 1, 2 * window * e.shape[1], layer.shape[0]
    context, rows = np.empty(2 * window, np.int64), np.empty(n, np.int64)
    scores, x = np.empty(n, np.float32), np.empty(width, np.float32)
    up, h = np.empty(width, np.float32), np.empty(units, np.float32)
    delta, grad = np.empty(units, np.float32), np.zeros(layer.shape, np.float32)
    loss = 0.0
    for p in range(len(positions)):
        number = _candidates(stream[positions[p]], negatives[p], rows)
        _side_by_side(stream, positions[p], window, e, context, x)
        _through(layer, 0, x, h)
        if bent:
            for r in range(units):
                h[r] = _tanh(h[r])
        _predict(h, number, rows, o, scores)
        loss += _judge(scores, number, task)
        if task == 0 or task == 2:
            continue
        _back(h, number, rows, o, o_squares, scores, delta, rate)
        if bent:
            for r in range(units):
                delta[r] *= _ONE - h[r] * h[r]
        _clear(up)
        _layer_back(layer, 0, x, delta, up, grad)
        _move_side_by_side(context, e, e_squares, up, rate)
        if (p + 1) % LAYER_STEP == 0 or p + 1 == len(positions):
            _move_layer(layer, l_squares, grad, rate)
    return loss, len(positions)


@_jit
def _joint_scores(
    fixed: Any, e: Any, rows: Any, number: int, layer: Any, top: Any, h: Any, scores: Any
) -> None:
    """Score candidates in the middle place, over what the context adds."""
    side = (layer.shape[1] - e.shape[1]) // 2
    for j in range(number):
        _through(layer, side, e[rows[j]], h[j])
        f = _ZERO
        for r in range(len(fixed)):
            h[j, r] = _tanh(h[j, r] + fixed[r])
            f += top[r] * h[j, r]
        scores[j] = f


@_jit
def _joint_delta(g: Any, top: Any, h: Any, delta: Any, shared: Any, top_grad: Any) -> None:
    for r in range(len(top)):
        delta[r] = g * top[r] * (_ONE - h[r] * h[r])
        shared[r] += delta[r]
        top_grad[r] += g * h[r]


@_jit
def cw(
    stream: Any, positions: Any, negatives: Any, window: int, tables: Any, rate: Any, task: int
) -> Any:
    """Target and context are scored together, the target in the middle."""
    e, e_squares, layer, l_squares, top, t_squares = tables
    dim, n, units, width = e.shape[1], negatives.shape[1] + 1, layer.shape[0], layer.shape[1]
    side = window * dim
    context, rows = np.empty(2 * window, np.int64), np.empty(n, np.int64)
    scores, h = np.empty(n, np.float32), np.empty((n, units), np.float32)
    # the middle stays zero, so that it adds nothing to what all candidates share
    x, joined = np.zeros(width, np.float32), np.empty(2 * side, np.float32)
    up, out = np.empty(width, np.float32), np.empty((n, dim), np.float32)
    fixed, delta = np.empty(units, np.float32), np.empty(units, np.float32)
    shared, top_grad = np.empty(units, np.float32), np.zeros(units, np.float32)
    grad, loss = np.zeros(layer.shape, np.float32), 0.0
    for p in range(len(positions)):
        number = _candidates(stream[positions[p]], negatives[p], rows)
        _side_by_side(stream, positions[p], window, e, context, joined)
        for t in range(side):
            x[t], x[side + dim + t] = joined[t], joined[side + t]
        _through(layer, 0, x, fixed)
        _joint_scores(fixed, e, rows, number, layer, top, h, scores)
        loss += _judge(scores, number, task)
        if task == 0 or task == 2:
            continue
        _clear(shared)
        _clear(up)
        for j in range(number):
            _clear(out[j])
            _joint_delta(scores[j], top, h[j], delta, shared, top_grad)
            _layer_back(layer, side, e[rows[j]], delta, out[j], grad)
        _layer_back(layer, 0, x, shared, up, grad)
        for t in range(side):
            joined[t], joined[side + t] = up[t], up[side + dim + t]
        _move_side_by_side(context, e, e_squares, joined, rate)
        for j in range(number):
            _move(e[rows[j]], e_squares[rows[j]], out[j], 0, rate)
        if (p + 1) % LAYER_STEP == 0 or p + 1 == len(positions):
            _move_layer(layer, l_squares, grad, rate)
            _move(top, t_squares, top_grad, 0, rate)
            _clear(top_grad)
    return loss, len(positions)


@_jit
def _move_number(table: Any, squares: Any, row: int, grad: Any, rate: Any) -> None:
    squares[row] += grad * grad
    table[row] += rate * grad / np.sqrt(squares[row])


@_jit
def glove(
    rows: Any, columns: Any, logs: Any, shares: Any, tables: Any, rate: Any, task: int
) -> Any:
    """Fit products to the logarithms of counts, each with its weight, pair by pair."""
    e, e_squares, o, o_squares, b, b_squares, c, c_squares = tables
    loss = 0.0
    for p in range(len(rows)):
        i, j = rows[p], columns[p]
        x, y, f = e[i], o[j], b[i] + c[j] - logs[p]
        for t in range(len(x)):
            f += x[t] * y[t]
        if task == 0:
            loss += shares[p] * f * f
            continue
        g, s, r = F(-2) * shares[p] * f, e_squares[i], o_squares[j]
        for t in range(len(x)):
            up, out = g * y[t], g * x[t]
            s[t] += up * up
            x[t] += rate * up / np.sqrt(s[t])
            r[t] += out * out
            y[t] += rate * out / np.sqrt(r[t])
        _move_number(b, b_squares, i, g, rate)
        _move_number(c, c_squares, j, g, rate)
    return loss, len(rows)
