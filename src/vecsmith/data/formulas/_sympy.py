"""Formulas to and from sympy."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from vecsmith.core import DataError, require

from ._expression import variable_index
from ._operators import OPERATORS
from ._parse import FUNCTIONS, parse, power, variable

_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs"}


def to_sympy(symbols: Sequence[Any]) -> Any:
    """Make a sympy expression.

    Args:
        symbols: In prefix order.

    Returns:
        The expression, over real symbols.
    """
    sympy = require("sympy", "formulas")
    functions = {name: getattr(sympy, name) for name in ("sqrt", "log", "exp", "sin", "cos", "tan")}
    functions |= {ours: getattr(sympy, theirs) for theirs, ours in _NAMES.items()}
    functions |= {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": lambda a, b: a**b,
        "inv": lambda a: 1 / a,
        "pow2": lambda a: a**2,
        "pow3": lambda a: a**3,
    }
    stack: list[Any] = []
    for symbol in reversed(symbols):
        if not isinstance(symbol, str):
            stack.append(sympy.Integer(symbol) if isinstance(symbol, int) else sympy.Float(symbol))
        elif variable_index(symbol) is not None:
            stack.append(sympy.Symbol(symbol, real=True))
        else:
            stack.append(functions[symbol](*[stack.pop() for _ in range(OPERATORS[symbol].arity)]))
    return stack[0]


def from_sympy(expression: Any) -> tuple[Any, ...]:
    """Read a sympy expression.

    Args:
        expression: Of sympy; a text is parsed as a formula.

    Returns:
        Symbols in prefix order.

    Raises:
        DataError: It holds what formulas here have not.
    """
    if isinstance(expression, str):
        return parse(expression)
    sympy = require("sympy", "formulas")
    if not isinstance(expression, sympy.Basic):
        raise DataError(f"a sympy expression was expected; got {type(expression).__name__}")
    return _walk(expression, sympy)


def _walk(node: Any, sympy: Any) -> tuple[Any, ...]:
    if node.is_Integer:
        return (int(node),)
    if node.is_number and not node.has(sympy.I) and node.is_finite:
        return (float(node),)
    if node.is_Symbol:
        return (_symbol(node),)
    if node.is_Add:
        return reduce(_plus, [_walk(part, sympy) for part in node.args])
    if node.is_Mul:
        return reduce(lambda a, b: ("mul", *a, *b), [_walk(part, sympy) for part in node.args])
    if node.is_Pow:
        return _power(node.args[0], node.args[1], sympy)
    name = type(node).__name__
    if name not in FUNCTIONS or len(node.args) != 1:
        raise DataError(
            f"a formula cannot hold {str(node)[:80]!r}; known functions are "
            f"{', '.join(sorted(FUNCTIONS))}"
        )
    return (_NAMES.get(name, name), *_walk(node.args[0], sympy))


def _symbol(node: Any) -> str:
    found = variable(node.name)
    if found is None:
        raise DataError(
            f"symbols of a formula are called x or x_0, x_1, …; got {node.name!r}: "
            "rename it with subs"
        )
    return found


def _power(base: Any, exponent: Any, sympy: Any) -> tuple[Any, ...]:
    if exponent.is_number:
        return power(_walk(base, sympy), _walk(exponent, sympy)[0])
    if base == sympy.E:
        return ("exp", *_walk(exponent, sympy))
    return ("pow", *_walk(base, sympy), *_walk(exponent, sympy))


def _plus(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    if right[:2] == ("mul", -1):
        return ("sub", *left, *right[2:])
    return ("add", *left, *right)
