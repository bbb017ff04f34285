"""The operators of formulas: what each computes, and how often the generator draws it.

Outside its domain an operator gives NaN, infinities included, and NaN stays to the end of the
formula: ``1/log(0)`` is no zero. Nothing is made valid silently by an absolute value.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Operator(NamedTuple):
    """One operator.

    Attributes:
        arity: How many arguments.
        function: Of arrays.
        weight: How often the generator draws it, against others of its arity.
        sympy: What it is in sympy's words; {0} and {1} are the arguments.
        domain: Where it is defined.
    """

    arity: int
    function: Callable[..., Any]
    weight: float
    sympy: str
    domain: str = "everywhere"


def _power(base: Any, exponent: Any) -> Any:
    # numpy takes nan**0 and 1**nan as 1
    return np.where(np.isnan(base) | np.isnan(exponent), np.nan, np.power(base, exponent))


OPERATORS: dict[str, Operator] = {
    "add": Operator(2, np.add, 1.0, "{0} + {1}"),
    "sub": Operator(2, np.subtract, 1.0, "{0} - {1}"),
    "mul": Operator(2, np.multiply, 1.0, "{0} * {1}"),
    "div": Operator(2, np.divide, 0.0, "{0} / {1}", "where the divisor is not 0"),
    "pow": Operator(2, _power, 0.0, "{0} ** {1}", "where the base is above 0, or fits the power"),
    "abs": Operator(1, np.abs, 1.0, "Abs({0})"),
    "inv": Operator(1, np.reciprocal, 3.0, "1 / {0}", "where the argument is not 0"),
    "sqrt": Operator(1, np.sqrt, 5.0, "sqrt({0})", "where the argument is at least 0"),
    "log": Operator(1, np.log, 1.0, "log({0})", "where the argument is above 0"),
    "exp": Operator(1, np.exp, 1.0, "exp({0})", "where the argument is below 709"),
    "sin": Operator(1, np.sin, 1.0, "sin({0})"),
    "cos": Operator(1, np.cos, 1.0, "cos({0})"),
    "tan": Operator(1, np.tan, 0.2, "tan({0})"),
    "arcsin": Operator(1, np.arcsin, 0.0, "asin({0})", "from -1 to 1"),
    "arccos": Operator(1, np.arccos, 0.0, "acos({0})", "from -1 to 1"),
    "arctan": Operator(1, np.arctan, 0.2, "atan({0})"),
    "pow2": Operator(1, np.square, 3.0, "{0} ** 2"),
    "pow3": Operator(1, lambda x: x * x * x, 1.0, "{0} ** 3"),
}
COMMUTATIVE = ("add", "mul")
