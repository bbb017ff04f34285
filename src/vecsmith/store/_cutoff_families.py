"""The increasing functions that turn a cosine into a relevance logit, and their inverses.

Pure functions of arrays; see `_cutoff` for the method. With c the cosine, x = max(c, 1e-4), slope
a > 0 and exponent gamma > 0::

    linear a c + b     sqrt a sqrt(x) + b     quadratic a x^2 + b     power a x^gamma + b
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FAMILIES = ("linear", "sqrt", "quadratic", "power")
EPS = 1e-4
MIN_SLOPE = 1e-3
GAMMA_LIMIT = 3.0


def family_parameters(outputs: Floats) -> tuple[Floats, Floats, Floats]:
    """Map the raw outputs of g to parameters of an increasing function.

    Args:
        outputs: Shape (queries, 3).

    Returns:
        Slope a > 0, offset b, exponent gamma in (e^-3, e^3), each of shape (queries,). The bound
        on gamma is smooth, so that no gradient is cut off.
    """
    slope = np.logaddexp(0.0, outputs[:, 0]) + MIN_SLOPE
    gamma = np.exp(GAMMA_LIMIT * np.tanh(outputs[:, 2] / GAMMA_LIMIT))
    return slope, outputs[:, 1], gamma


def relevance_logits(
    cosines: Floats, slope: Floats, offset: Floats, gamma: Floats, *, family: str
) -> Floats:
    """Evaluate F, increasing in the cosine.

    Args:
        cosines: Shape (queries, k).
        slope: a > 0, shape (queries,).
        offset: b, shape (queries,).
        gamma: Exponent > 0, shape (queries,); read by "power" alone.
        family: One of `FAMILIES`.

    Returns:
        Logits, shape (queries, k).
    """
    if family == "linear":
        bent = cosines
    else:
        bent = np.maximum(cosines, EPS) ** _exponent(family, gamma)[:, None]
    return slope[:, None] * bent + offset[:, None]


def cosine_cutoffs(
    logit: float, slope: Floats, offset: Floats, gamma: Floats, *, family: str
) -> Floats:
    """Invert F in closed form: from which cosine on is the logit reached?

    Args:
        logit: The threshold on the logit scale.
        slope: a > 0, shape (queries,).
        offset: b, shape (queries,).
        gamma: Exponent > 0, shape (queries,).
        family: One of `FAMILIES`.

    Returns:
        Cosine cut-offs, shape (queries,): -inf where every document passes, above 1 where none can.
    """
    with np.errstate(over="ignore"):
        reached = (logit - offset) / slope
        if family == "linear":
            return reached
        power = _exponent(family, gamma)
        root = np.maximum(reached, 0.0) ** (1.0 / power)
    # F is flat below EPS: if the flat part passes, everything does
    return np.where(reached <= EPS**power, -np.inf, root)


def _exponent(family: str, gamma: Floats) -> Floats:
    fixed = {"sqrt": 0.5, "quadratic": 2.0}
    return np.full_like(gamma, fixed[family]) if family in fixed else gamma


def sigmoid(logits: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow.

    Args:
        logits: Any shape.

    Returns:
        The same shape, in [0, 1].
    """
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0.0, 1.0, small) / (1.0 + small)


def best_expected_f1(probabilities: Floats) -> float:
    """Find the threshold of best expected F1 from probabilities alone.

    Args:
        probabilities: Of pairs, shape (pairs,).

    Returns:
        The threshold; E[F1] of the n most probable pairs is 2 sum p / (n + sum of all p).
    """
    ranked = np.sort(probabilities)[::-1]
    expected = 2.0 * np.cumsum(ranked) / (np.arange(1, ranked.size + 1) + ranked.sum())
    return float(ranked[int(np.argmax(expected))])
