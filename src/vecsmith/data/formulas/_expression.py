"""A formula as a tree in prefix order, evaluated over many points at once.

``sin(2*x) + x**2`` is ``("add", "sin", "mul", 2, "x_0", "pow2", "x_0")``. Prefix order is what the
tokenizer writes and what the evaluation reads, from the right, with one stack of arrays.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import DataError, shown

from ._operators import COMMUTATIVE, OPERATORS

Symbol = str | int | float
Floats = NDArray[np.float64]

_VARIABLE = re.compile(r"x_(0|[1-9]\d{0,3})\Z")
PLACE = "C"


def variable_index(symbol: Symbol) -> int | None:
    """Return the number of a variable, None for any other symbol.

    Args:
        symbol: For example "x_0".

    Returns:
        0 for "x_0".
    """
    found = _VARIABLE.match(symbol) if isinstance(symbol, str) else None
    return int(found.group(1)) if found else None


def arity(symbol: Symbol) -> int:
    """Count the arguments of a symbol.

    Args:
        symbol: Operator, variable or number.

    Returns:
        0, 1 or 2.
    """
    operator = OPERATORS.get(symbol) if isinstance(symbol, str) else None
    return operator.arity if operator else 0


@dataclass(frozen=True)
class Expression:
    """A formula.

    Attributes:
        symbols: Operators, variables ("x_0", "x_1", …) and numbers, in prefix order.

    Raises:
        DataError: A symbol is unknown, a number is not finite, or it is not one whole tree.
    """

    symbols: tuple[Symbol, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(map(_plain, self.symbols)))
        need = 1
        for place, symbol in enumerate(self.symbols):
            if need == 0:
                raise DataError(
                    f"a formula in prefix order must be one tree; {shown(str(self.symbols))} is "
                    f"whole after {place} symbols and goes on: leave out the rest"
                )
            need += arity(symbol) - 1
        if need:
            raise DataError(
                f"a formula in prefix order must be one tree; {shown(str(self.symbols))} lacks "
                f"{need} argument(s) at its end"
            )

    def __len__(self) -> int:
        """Count the symbols: the complexity of the formula."""
        return len(self.symbols)

    def __str__(self) -> str:
        """Write it as Python does."""
        from ._parse import write

        return write(self.symbols)

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Read a formula such as ``sin(2*x) + x**2``; nothing of the text is run.

        Args:
            text: Python's notation, ^ allowed for **; variables x_0 … (or x0 …), x for x_0.

        Returns:
            The formula.

        Raises:
            DataError: It cannot be read; the text says where.
        """
        from ._parse import parse

        return cls(parse(text))

    @classmethod
    def from_sympy(cls, expression: Any) -> "Expression":
        """Take a sympy expression over symbols named x, x_0, x_1, ….

        Args:
            expression: Of sympy.

        Returns:
            The formula.

        Raises:
            DataError: It holds functions or symbols that formulas here have not.
        """
        from ._sympy import from_sympy

        return cls(from_sympy(expression))

    def to_sympy(self) -> Any:
        """Return it as a sympy expression over the real symbols x_0, x_1, …."""
        from ._sympy import to_sympy

        return to_sympy(self.symbols)

    @cached_property
    def dims(self) -> int:
        """Inputs that it needs: 1 more than its highest variable, 0 for a constant."""
        found = [variable_index(symbol) for symbol in self.symbols]
        return max((index + 1 for index in found if index is not None), default=0)

    @cached_property
    def constants(self) -> Floats:
        """Its numbers from left to right, shape (constants,)."""
        return np.array([s for s in self.symbols if not isinstance(s, str)], np.float64)

    def with_constants(self, values: Sequence[float] | Floats) -> "Expression":
        """Replace the numbers.

        Args:
            values: As many as `constants`, from left to right.

        Returns:
            Another formula of the same shape.
        """
        given = iter(np.asarray(values, np.float64).tolist())
        return Expression(tuple(s if isinstance(s, str) else next(given) for s in self.symbols))

    @cached_property
    def skeleton(self) -> str:
        """The formula with a C for each number, arguments of sums and products sorted.

        Two formulas with one skeleton differ in constants, or in the order of arguments, alone.
        """
        stack: list[str] = []
        for symbol in reversed(self.symbols):
            if not isinstance(symbol, str):
                stack.append(PLACE)
                continue
            taken = [stack.pop() for _ in range(arity(symbol))]
            if symbol in COMMUTATIVE:
                taken.sort()
            stack.append(f"{symbol}({','.join(taken)})" if taken else symbol)
        return stack[0]

    def evaluate(self, X: ArrayLike) -> Floats:
        """Compute it at points.

        Args:
            X: Points, shape (points, dims); for one input shape (points,) is taken as well.

        Returns:
            Values, shape (points,); NaN where any part of the formula is outside its domain.

        Raises:
            DataError: X has fewer columns than the formula has inputs.
        """
        points = as_columns(X)
        if points.shape[1] < self.dims:
            raise DataError(
                f"the formula {self} needs X with {self.dims} columns; got {points.shape[1]}"
            )
        return evaluate_symbols(self.symbols, points)


def _plain(symbol: Any) -> Symbol:
    if isinstance(symbol, str):
        if symbol not in OPERATORS and variable_index(symbol) is None:
            known = ", ".join(OPERATORS)
            raise DataError(
                f"a formula holds operators ({known}), variables x_0, x_1, … and numbers; "
                f"got {shown(symbol)!r}"
            )
        return symbol
    if isinstance(symbol, (bool, np.bool_)) or not isinstance(
        symbol, (int, float, np.integer, np.floating)
    ):
        raise DataError(f"a symbol is a word or a number; got {type(symbol).__name__}")
    number = int(symbol) if isinstance(symbol, (int, np.integer)) else float(symbol)
    if not np.isfinite(number):
        raise DataError(f"numbers of a formula must be finite; got {number}")
    return number


def as_columns(X: ArrayLike) -> Floats:
    """Take points as a matrix.

    Args:
        X: Shape (points,) or (points, dims).

    Returns:
        Shape (points, dims).

    Raises:
        DataError: Another shape, or no numbers.
    """
    try:
        points = np.asarray(X, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"X must hold numbers, shape (points, dims); {error}") from error
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2:
        raise DataError(f"X must have the shape (points, dims); got {points.shape}")
    return points


def evaluate_symbols(
    symbols: Sequence[Symbol], points: Floats, constants: Floats | None = None
) -> Floats:
    """Compute a tree, with several sets of constants at once where they are given.

    Args:
        symbols: In prefix order.
        points: Shape (points, dims).
        constants: Sets of numbers that stand for those of the tree, shape (sets, constants).

    Returns:
        Shape (points,), or (sets, points) with `constants`; NaN outside the domain.
    """
    stack: list[Any] = []
    left = 0 if constants is None else constants.shape[1]
    with np.errstate(all="ignore"):
        for symbol in reversed(symbols):
            if not isinstance(symbol, str):
                left -= 1
                stack.append(np.float64(symbol) if constants is None else constants[:, left, None])
                continue
            operator = OPERATORS.get(symbol)
            if operator is None:
                stack.append(points[:, int(symbol[2:])])
                continue
            taken = [stack.pop() for _ in range(operator.arity)]
            value = operator.function(*taken)
            finite = np.isfinite(value)
            stack.append(value if finite.all() else np.where(finite, value, np.nan))
    shape = (len(points),) if constants is None else (len(constants), len(points))
    return np.array(np.broadcast_to(stack[0], shape), np.float64)
