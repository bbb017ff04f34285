"""Constants of a formula fitted to data by BFGS.

The objective is the squared error over the variance of y. Where the space of the encoder knows no
scale of y, ``a + b * f(x; c)`` is fitted instead, with a and b in closed form for every c, so that
BFGS sees c alone. Values and gradient (central differences) of all constants come from one
evaluation of the tree. Cost: iterations * (2 constants + 1) evaluations.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from vecsmith.data.formulas import Expression, PointSet, evaluate_symbols

Floats = NDArray[np.float64]
# what BFGS is told where the formula is not defined
_OUTSIDE = 1e12
_STEP = 1e-6


class Refitted(NamedTuple):
    """A formula with fitted constants.

    Attributes:
        expression: The formula.
        r2: Of it, on the points of the fit.
        r2_before: With the constants as they came (a and b fitted all the same); NaN where the
            formula was not defined there.
    """

    expression: Expression
    r2: float
    r2_before: float


def explained(predicted: Floats, y: Floats) -> float:
    """Return R2.

    Args:
        predicted: Shape (points,).
        y: Same shape, not all equal.

    Returns:
        At most 1; NaN where a prediction is.
    """
    # divided first, so that neither square overflows
    spread = float(y.std()) or 1.0
    with np.errstate(all="ignore"):
        return float(1.0 - np.mean(((predicted - y) / spread) ** 2))


def _affine(values: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Best a and b of a + b * values, for each row of values."""
    centred = values - values.mean(axis=-1, keepdims=True)
    power = (centred**2).mean(axis=-1)
    shared = (centred * (y - y.mean())).mean(axis=-1)
    b = np.where(power > 1e-24, shared / np.where(power > 1e-24, power, 1.0), 0.0)
    return y.mean() - b * values.mean(axis=-1), b


def losses(expression: Expression, points: PointSet, constants: Floats, *, affine: bool) -> Floats:
    """Share of the variance that is left, for several sets of constants.

    Args:
        expression: The formula.
        points: Data.
        constants: Shape (sets, constants).
        affine: Fit a + b * f.

    Returns:
        Shape (sets,); infinity where the formula is not defined at all points.
    """
    values = evaluate_symbols(expression.symbols, points.X, constants)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(finite[:, None], values, 0.0)
    spread = points.y.std() or 1.0
    with np.errstate(all="ignore"):
        if affine:
            a, b = _affine(values, points.y)
            values = a[:, None] + b[:, None] * values
        left = np.mean(((values - points.y) / spread) ** 2, axis=1)
    return np.where(np.isfinite(left) & finite, left, np.inf)


def refit(
    expression: Expression,
    points: PointSet,
    *,
    affine: bool = False,
    iterations: int = 100,
) -> Refitted:
    """Fit the constants, starting from those of the formula.

    Args:
        expression: The formula.
        points: Data, y not all equal.
        affine: Fit a + b * f, for data of any scale.
        iterations: Of BFGS, at most; 0 leaves the constants.

    Returns:
        The formula with the best constants found; its own where nothing better was.
    """
    inner = _without_affine(expression) if affine else expression
    start = inner.constants

    def objective(values: Floats) -> tuple[float, Floats]:
        steps = _STEP * np.maximum(1.0, np.abs(values))
        moves = np.diag(steps)
        sets = np.concatenate([values[None], values + moves, values - moves])
        found = losses(inner, points, sets, affine=affine)
        forth, back = found[1 : 1 + len(values)], found[1 + len(values) :]
        usable = np.isfinite(forth) & np.isfinite(back)
        rise = np.where(usable, forth, 0.0) - np.where(usable, back, 0.0)
        return min(float(found[0]), _OUTSIDE), rise / (2 * steps)

    before = float(losses(inner, points, start[None], affine=affine)[0])
    best, left = start, before
    if len(start) and iterations and np.isfinite(before):
        with np.errstate(all="ignore"):
            found = minimize(
                objective, start, jac=True, method="BFGS", options={"maxiter": iterations}
            )
        if np.isfinite(found.x).all() and found.fun < left:
            best, left = np.asarray(found.x, np.float64), float(found.fun)
    made = inner.with_constants(best) if len(start) and best is not start else inner
    if affine and np.isfinite(left):
        values = made.evaluate(points.X)
        a, b = _affine(values[None], points.y)
        made = Expression(("add", float(a[0]), "mul", float(b[0]), *made.symbols))
    undefined = float("nan")
    return Refitted(
        made,
        1.0 - left if np.isfinite(left) else undefined,
        1.0 - before if np.isfinite(before) else undefined,
    )


def _without_affine(expression: Expression) -> Expression:
    """Take off an outer a + b *, which would be fitted twice."""
    symbols = expression.symbols
    while len(symbols) > 2 and symbols[0] in ("add", "mul") and not isinstance(symbols[1], str):
        symbols = symbols[2:]
    return Expression(symbols)
