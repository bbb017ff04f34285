"""Random formulas with points: the data that SNIP is trained on, made on the fly.

Kamienny et al. 2022 (E2E) and Meidani et al. 2024 (SNIP): draw the number of inputs D, of binary
operators (uniform in [0, 4 + D)) and of unary ones (0 to 4); a random binary tree; leaves use each
variable once before any is repeated; unary operators are put above random nodes; affine prefactors
``a + b*`` inside unaries, ``a*`` on terms and around the whole; inputs from a mixture. A formula
that is not finite, or huge, at one of its points is thrown away with its points, as is one that is
the same everywhere.

Use it to train, or as a test bed with known answers. Cost: about 0.3 ms a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator

from ._expression import Expression, evaluate_symbols
from ._operators import OPERATORS
from ._points import PointOptions, draw_points

Floats = NDArray[np.float64]
Tree = tuple[Any, ...]
_TRIES = 1000


class Sample(NamedTuple):
    """A formula with points of it.

    Attributes:
        expression: The formula.
        X: Shape (points, dims).
        y: Shape (points,).
    """

    expression: Expression
    X: Floats
    y: Floats


@dataclass(frozen=True)
class ExpressionOptions:
    """How formulas are drawn.

    Attributes:
        max_binary: The number of binary operators is uniform in [0, max_binary + D).
        max_unary: The number of unary operators is uniform from 0 to this.
        weights: How often an operator is drawn against others of its arity; those left out keep
            the weight of `OPERATORS`, 0 never comes.
        prefactors: Share of the places for prefactors that get some; the paper's 1.
        constants: Numbers to choose constants from; None draws them: a sign, three digits, and an
            exponent of `exponents`.
        exponents: Lowest and highest exponent of drawn constants, 1.00 to 9.99 times 10 to it.
        max_symbols: Longer formulas are thrown away.
        max_value: Larger values are, too.
    """

    max_binary: int = 4
    max_unary: int = 4
    weights: Mapping[str, float] = field(default_factory=dict)
    prefactors: float = 1.0
    constants: Sequence[float] | None = None
    exponents: tuple[int, int] = (-2, 0)
    max_symbols: int = 100
    max_value: float = 1e10

    def __post_init__(self) -> None:
        for name in self.weights:
            if name not in OPERATORS:
                hint = did_you_mean(name, OPERATORS)
                raise ConfigError(f"weights has the unknown operator {name!r}; {hint}")
        wrong = [f"{k}={v!r}" for k, v in self.weights.items() if not 0 <= v < np.inf]
        if wrong:
            raise ConfigError(f"weights must be finite and not below 0; got {', '.join(wrong)}")
        if self.max_binary < 0 or self.max_unary < 0 or self.max_symbols < 1:
            raise ConfigError(
                "max_binary and max_unary must be at least 0, max_symbols at least 1; got "
                f"{self.max_binary}, {self.max_unary} and {self.max_symbols}"
            )
        if not 0 <= self.prefactors <= 1 or not self.max_value > 0:
            raise ConfigError(
                "prefactors must be from 0 to 1 and max_value above 0; got "
                f"{self.prefactors!r} and {self.max_value!r}"
            )
        if self.exponents[0] > self.exponents[1] or (
            self.constants is not None and not (len(self.constants) and all(self.constants))
        ):
            raise ConfigError(
                "exponents must rise, and constants be None or a list without 0; got "
                f"{self.exponents} and {self.constants}"
            )


class ExpressionGenerator:
    """Draws formulas with points.

    Args:
        max_dim: Most inputs of a formula.
        ops: Operators to use; None takes all with a weight above 0.
        options: How formulas are drawn.
        points: How inputs are drawn.
        seed: Seed; one seed gives the same samples.

    Raises:
        ConfigError: An option is out of range, or no binary operator is left.
    """

    def __init__(
        self,
        max_dim: int = 1,
        *,
        ops: Sequence[str] | None = None,
        options: ExpressionOptions | None = None,
        points: PointOptions | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(max_dim, int) or max_dim < 1:
            raise ConfigError(f"max_dim must be a whole number of at least 1; got {max_dim!r}")
        self.max_dim, self.seed = max_dim, seed
        self.options, self.points = options or ExpressionOptions(), points or PointOptions()
        self._draws = {n: _choices(n, ops, self.options.weights) for n in (1, 2)}
        if not self._draws[2][0] and self.options.max_binary + max_dim > 1:
            raise ConfigError("ops must hold a binary operator, for example 'add'")
        self._rng = numpy_generator(seed, "formulas")

    def sample(self) -> Sample:
        """Draw the next formula with its points.

        Returns:
            The sample.

        Raises:
            DataError: A thousand formulas in a row were thrown away.
        """
        return self.draw(self._rng)

    def batch(self, number: int, *names: str) -> list[Sample]:
        """Draw samples from a stream of their own, whatever was drawn before.

        Args:
            number: How many.
            *names: Names of the stream.

        Returns:
            The samples; the same for the same seed, number and names.
        """
        rng = numpy_generator(self.seed, "formulas", *names)
        return [self.draw(rng) for _ in range(number)]

    def distinct(self, number: int, *names: str) -> Iterator[Sample]:
        """Draw samples of different skeletons.

        Args:
            number: How many.
            *names: Names of the stream.

        Yields:
            Samples, no two of one skeleton.

        Raises:
            DataError: There are too few skeletons.
        """
        rng = numpy_generator(self.seed, "formulas", *names)
        seen: set[str] = set()
        idle = 0
        while len(seen) < number:
            found = self.draw(rng)
            idle += 1
            if found.expression.skeleton not in seen:
                seen.add(found.expression.skeleton)
                idle = 0
                yield found
            if idle >= _TRIES:
                raise DataError(
                    f"{number} different skeletons were asked for; after {len(seen)} no new one "
                    f"came in {_TRIES} draws: ask for fewer, or allow more operators"
                )

    def draw(self, rng: np.random.Generator) -> Sample:
        """Draw a formula with its points.

        Args:
            rng: Source of randomness.

        Returns:
            The sample.

        Raises:
            DataError: A thousand formulas in a row were thrown away.
        """
        for _ in range(_TRIES):
            dims = int(rng.integers(1, self.max_dim + 1))
            symbols = flat(self._tree(dims, rng))
            if len(symbols) > self.options.max_symbols:
                continue
            X = draw_points(dims, self.points, rng)
            y = evaluate_symbols(symbols, X)
            size = np.abs(y)
            # NaN compares as false
            if (size <= self.options.max_value).all() and np.ptp(y) > 1e-6 * (1e-6 + size.max()):
                return Sample(Expression(symbols), X, y)
        raise DataError(
            f"{_TRIES} formulas in a row had values that are not finite, above max_value "
            f"({self.options.max_value:g}), all equal, or more than "
            f"{self.options.max_symbols} symbols: allow more, or choose other operators or points"
        )

    def _tree(self, dims: int, rng: np.random.Generator) -> Tree:
        o = self.options
        binary = int(rng.integers(0, max(o.max_binary + dims, 1)))
        unary = int(rng.integers(0, o.max_unary + 1)) if self._draws[1][0] else 0
        order = rng.permutation(dims)
        again = rng.integers(0, dims, binary + 1)
        leaves = [f"x_{order[i] if i < dims else again[i]}" for i in range(binary + 1)]
        tree = self._binary_tree([leaves[i] for i in rng.permutation(binary + 1)], rng)
        for _ in range(unary):
            place = int(rng.integers(_size(tree)))
            tree = _wrapped(tree, place, self._operator(1, rng))
        return self._with_prefactors(tree, rng)

    def _operator(self, arity: int, rng: np.random.Generator) -> str:
        names, shares = self._draws[arity]
        return names[int(np.searchsorted(shares, rng.random(), side="right"))]

    def _binary_tree(self, leaves: list[str], rng: np.random.Generator) -> Tree:
        """Split the leaves at a random place, again and again."""
        if len(leaves) == 1:
            return (leaves[0],)
        cut = int(rng.integers(1, len(leaves)))
        left, right = (self._binary_tree(part, rng) for part in (leaves[:cut], leaves[cut:]))
        return (self._operator(2, rng), left, right)

    def _constant(self, rng: np.random.Generator) -> Tree:
        o = self.options
        if o.constants is not None:
            value = o.constants[int(rng.integers(len(o.constants)))]
            return (int(value) if float(value).is_integer() else float(value),)
        low, high = o.exponents
        text = f"{rng.integers(100, 1000)}e{rng.integers(low, high + 1) - 2}"
        return ((-1.0 if rng.random() < 0.5 else 1.0) * float(text),)

    def _chosen(self, rng: np.random.Generator) -> bool:
        return self.options.prefactors >= 1 or rng.random() < self.options.prefactors

    def _affine(self, tree: Tree, rng: np.random.Generator) -> Tree:
        return ("add", self._constant(rng), ("mul", self._constant(rng), tree))

    def _with_prefactors(self, tree: Tree, rng: np.random.Generator) -> Tree:
        inner = self._inside(tree, rng)
        return self._affine(inner, rng) if self._chosen(rng) else inner

    def _inside(self, tree: Tree, rng: np.random.Generator) -> Tree:
        name, parts = tree[0], [self._inside(part, rng) for part in tree[1:]]
        if len(parts) == 1 and self._chosen(rng):
            parts = [self._affine(parts[0], rng)]
        if name in ("add", "sub"):
            terms = [part[0] not in ("add", "sub") and self._chosen(rng) for part in parts]
            parts = [
                ("mul", self._constant(rng), part) if chosen else part
                for part, chosen in zip(parts, terms, strict=True)
            ]
        return (name, *parts)


def _choices(
    arity: int, ops: Sequence[str] | None, weights: Mapping[str, float]
) -> tuple[list[str], Floats]:
    """Operators of an arity that may be drawn, and their shares added up."""
    for name in ops or ():
        if name not in OPERATORS:
            raise ConfigError(f"operator {name!r} is unknown; {did_you_mean(name, OPERATORS)}")
    found = {}
    for name, operator in OPERATORS.items():
        weight = weights.get(name, operator.weight)
        # an operator that is asked for by name is drawn, also where it is not by itself
        if ops is not None:
            weight = (weight or float(name not in weights)) if name in ops else 0.0
        if operator.arity == arity and weight > 0:
            found[name] = weight
    total = np.cumsum(list(found.values()))
    return list(found), total / total[-1] if len(total) else total


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree[1:]))


def _wrapped(tree: Tree, place: int, name: str) -> Tree:
    """Put a unary operator above the node at a place, counted in prefix order."""
    if place == 0:
        return (name, tree)
    parts, place = list(tree[1:]), place - 1
    for i, part in enumerate(parts):
        size = _size(part)
        if place < size:
            parts[i] = _wrapped(part, place, name)
            break
        place -= size
    return (tree[0], *parts)


def flat(tree: Tree) -> tuple[Any, ...]:
    """Write a tree in prefix order.

    Args:
        tree: Nested tuples: symbol, then arguments.

    Returns:
        Symbols.
    """
    out = [tree[0]]
    for part in tree[1:]:
        out.extend(flat(part))
    return tuple(out)
