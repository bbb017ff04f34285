"""Formulas from text, and back; read with Python's own grammar, and nothing is run."""

import ast
import math
import re
from collections.abc import Sequence
from typing import Any

from vecsmith.core import DataError, shown

from ._operators import OPERATORS

LONGEST = 10_000
_BINARY: dict[type, str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs", "ln": "log"}
FUNCTIONS = {name for name, row in OPERATORS.items() if row.arity == 1} | set(_NAMES)
CONSTANTS = {"pi": math.pi, "E": math.e, "e": math.e}
_VARIABLE = re.compile(r"x_?(\d{1,4})\Z")
# above these, a whole power is a product too long to read
_LARGEST_POWER = 12

Symbols = tuple[Any, ...]


def variable(name: str) -> str | None:
    """Read the name of a variable.

    Args:
        name: "x", "x3" or "x_3".

    Returns:
        "x_0" or "x_3"; None for another name.
    """
    found = _VARIABLE.match(name)
    if found:
        return f"x_{int(found.group(1))}"
    return "x_0" if name == "x" else None


def power(base: Symbols, exponent: Any) -> Symbols:
    """Write a power by squares, cubes, roots and inverses where it is one.

    Args:
        base: Symbols of the base.
        exponent: A number.

    Returns:
        Symbols.
    """
    if exponent < 0:
        return ("inv", *power(base, -exponent))
    if exponent == 0.5:
        return ("sqrt", *base)
    if exponent != int(exponent) or not 1 <= exponent <= _LARGEST_POWER:
        return ("pow", *base, exponent)
    number = int(exponent)
    if number == 1:
        return base
    for step in (2, 3):
        if number % step == 0:
            return (f"pow{step}", *power(base, number // step))
    return ("mul", *base, *power(base, number - 1))


def parse(text: str) -> Symbols:
    """Read a formula.

    Args:
        text: In Python's notation.

    Returns:
        Symbols in prefix order.

    Raises:
        DataError: It is none, or holds what formulas here have not.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        came = f"{len(text)} characters" if isinstance(text, str) else type(text).__name__
        raise DataError(f"a formula must be a text of 1 to {LONGEST} characters; got {came}")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
        return _walk(tree.body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise DataError(
            f"the formula {shown(text)!r} cannot be read ({type(error).__name__}: {error}); "
            "write it as in Python, for example sin(2*x) + x**2"
        ) from error


def _unknown(node: ast.AST, text: str) -> DataError:
    part = ast.unparse(node)
    return DataError(
        f"the formula {shown(text)!r} holds {shown(part)!r}; known are numbers, x or x_0, x_1, …, "
        f"+ - * / **, pi, E and the functions {', '.join(sorted(FUNCTIONS))}"
    )


def _walk(node: ast.AST, text: str) -> Symbols:
    if isinstance(node, ast.BinOp):
        return _binary(node, text)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _walk(node.operand, text)
        if isinstance(node.op, ast.UAdd):
            return inner
        return (-inner[0],) if _is_number(inner) else ("mul", -1, *inner)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return (node.value,)
    if isinstance(node, ast.Name):
        found = variable(node.id)
        if found is None and node.id not in CONSTANTS:
            raise _unknown(node, text)
        return (found or CONSTANTS[node.id],)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id in FUNCTIONS and len(node.args) == 1:
            name = _NAMES.get(node.func.id, node.func.id)
            return (name, *_walk(node.args[0], text))
        raise _unknown(node, text)
    raise _unknown(node, text)


def _is_number(symbols: Symbols) -> bool:
    return len(symbols) == 1 and not isinstance(symbols[0], str)


def _binary(node: ast.BinOp, text: str) -> Symbols:
    left, right = _walk(node.left, text), _walk(node.right, text)
    if isinstance(node.op, ast.Pow):
        if _is_number(right):
            return power(left, right[0])
        return ("pow", *left, *right)
    name = _BINARY.get(type(node.op))
    if name is None:
        raise _unknown(node, text)
    if name == "div" and _is_number(left) and _is_number(right) and right[0] != 0:
        return (left[0] / right[0],)
    return ("inv", *right) if name == "div" and left == (1,) else (name, *left, *right)


_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
_BINDS = {"add": 1, "sub": 1, "mul": 2, "div": 2, "pow": 4}


def write(symbols: Sequence[Any]) -> str:
    """Write a tree as Python does.

    Args:
        symbols: In prefix order.

    Returns:
        Text that `parse` reads.
    """
    # each with how tightly it binds
    stack: list[tuple[str, int]] = []
    for symbol in reversed(symbols):
        operator = OPERATORS.get(symbol) if isinstance(symbol, str) else None
        if operator is None:
            negative = not isinstance(symbol, str) and symbol < 0
            stack.append((str(symbol), 3 if negative else 5))
        elif symbol in _SIGNS:
            (left, first), (right, second) = stack.pop(), stack.pop()
            binds = _BINDS[symbol]
            left = f"({left})" if first < binds + (symbol == "pow") else left
            right = f"({right})" if second <= binds or second == 3 else right
            space = " " if binds == 1 else ""
            stack.append((f"{left}{space}{_SIGNS[symbol]}{space}{right}", binds))
        else:
            stack.append(_write_unary(symbol, *stack.pop()))
    return stack[0][0]


def _write_unary(symbol: str, inner: str, binds: int) -> tuple[str, int]:
    closed = inner if binds == 5 else f"({inner})"
    if symbol in ("pow2", "pow3"):
        return f"{closed}**{symbol[3]}", 4
    if symbol == "inv":
        return f"1/{closed}", 2
    return f"{symbol}({inner})", 5
