"""Formulas and points as tokens, and the grammar that lets whole trees alone pass.

A formula is its prefix order: operators, variables and the whole numbers from -10 to 10 are one
token each, every other number three (sign, mantissa, exponent). A coordinate of a point is three
tokens always. Formulas whose numbers have no more digits than the mantissa come back exactly.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, StoreError, read_json, write_json

from ._expression import Expression, variable_index
from ._numbers import LARGEST_EXPONENT, join_number, split_numbers
from ._operators import OPERATORS

Ids = NDArray[np.int64]
PAD, BOS, EOS = 0, 1, 2
SPECIAL = ("<pad>", "<bos>", "<eos>")
LARGEST_INTEGER = 10
FORMAT = "vecsmith-formula-tokenizer"
MOST_DIGITS = 6

# kinds of tokens, as the grammar sees them
_MARK, _LEAF, _UNARY, _BINARY, _SIGN, _MANTISSA, _EXPONENT = range(7)


class FormulaTokenizer:
    """Words of formulas and of numbers.

    Args:
        max_dim: Highest number of inputs.
        digits: Digits of a mantissa, 1 to 6; the vocabulary holds 10**digits of them.
        operators: Names, in the order of their ids; None takes all.

    Attributes:
        words: All tokens, in the order of their ids.

    Raises:
        ConfigError: An argument is out of range or an operator unknown.
    """

    def __init__(
        self, max_dim: int = 1, digits: int = 4, *, operators: Sequence[str] | None = None
    ) -> None:
        names = list(OPERATORS) if operators is None else list(operators)
        unknown = [name for name in names if name not in OPERATORS]
        if unknown or len(set(names)) < len(names):
            raise ConfigError(
                f"operators must be different ones of {', '.join(OPERATORS)}; got {names}"
            )
        for name, value, most in (("max_dim", max_dim, 1000), ("digits", digits, MOST_DIGITS)):
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"{name} must be a whole number from 1 to {most}; got {value!r}")
        self.max_dim, self.digits, self.operators = max_dim, digits, tuple(names)
        integers = range(-LARGEST_INTEGER, LARGEST_INTEGER + 1)
        exponents = range(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1)
        leaves = [*(f"x_{i}" for i in range(max_dim)), *map(str, integers)]
        head = [*SPECIAL, *names, *leaves]
        mantissas = [f"N{value:0{digits}d}" for value in range(10**digits)]
        self.words = [*head, "+", "-", *mantissas, *(f"E{value}" for value in exponents)]
        self.first_sign = len(head)
        self.first_mantissa = self.first_sign + 2
        self.first_exponent = self.first_mantissa + len(mantissas)
        self._ids = {word: i for i, word in enumerate(self.words)}
        self.kinds = np.full(len(self.words), _MARK, np.int64)
        for name in names:
            self.kinds[self._ids[name]] = _UNARY if OPERATORS[name].arity == 1 else _BINARY
        self.kinds[[self._ids[leaf] for leaf in leaves]] = _LEAF
        self.kinds[self.first_sign : self.first_mantissa] = _SIGN
        self.kinds[self.first_mantissa : self.first_exponent] = _MANTISSA
        self.kinds[self.first_exponent :] = _EXPONENT

    def __len__(self) -> int:
        """Count the tokens of formulas."""
        return len(self.words)

    @property
    def number_tokens(self) -> int:
        """Tokens of coordinates: padding, signs, mantissas and exponents."""
        return len(self.words) - self.first_sign + 1

    def encode(self, expression: Expression) -> list[int]:
        """Write a formula.

        Args:
            expression: The formula.

        Returns:
            Ids, with beginning and end.

        Raises:
            DataError: It has more inputs than `max_dim`, an operator that is left out here, or a
                number that is too large.
        """
        ids = [BOS]
        for symbol in expression.symbols:
            word = self._word(symbol)
            if word is not None:
                ids.append(self._ids[word])
            elif isinstance(symbol, str):
                raise DataError(self._no_word(expression, symbol))
            else:
                parts = split_numbers(float(symbol), self.digits)
                firsts = (
                    self.first_sign,
                    self.first_mantissa,
                    self.first_exponent + LARGEST_EXPONENT,
                )
                ids += [first + int(part) for first, part in zip(firsts, parts, strict=True)]
        return [*ids, EOS]

    def _word(self, symbol: Any) -> str | None:
        if isinstance(symbol, int) and abs(symbol) <= LARGEST_INTEGER:
            return str(symbol)
        return symbol if isinstance(symbol, str) and symbol in self._ids else None

    def _no_word(self, expression: Expression, symbol: str) -> str:
        if variable_index(symbol) is not None:
            return (
                f"formulas here have at most {self.max_dim} input(s); {expression} holds "
                f"{symbol}: take a model of a higher max_dim"
            )
        return (
            f"operator {symbol!r} of {expression} is not among those of this tokenizer: "
            f"{', '.join(self.operators)}"
        )

    def decode(self, ids: Sequence[int] | Ids) -> Expression:
        """Read a formula.

        Args:
            ids: Of tokens; beginning, end and padding are left out.

        Returns:
            The formula.

        Raises:
            DataError: An id is out of range, or the tokens are not one whole tree.
        """
        symbols: list[Any] = []
        number: list[int] = []
        for i in map(int, ids):
            if not 0 <= i < len(self.words):
                raise DataError(f"ids must be from 0 to {len(self.words) - 1}; got {i}")
            kind = int(self.kinds[i])
            if kind == _MARK:
                continue
            within = bool(number) or kind > _SIGN
            if within and kind != _SIGN + len(number):
                raise DataError(
                    "a number must be a sign, a mantissa and an exponent in this order; got "
                    f"{self.words[i]!r} after {' '.join(self.words[j] for j in number) or 'none'}"
                )
            if kind < _SIGN:
                word = self.words[i]
                symbols.append(int(word) if word.lstrip("-").isdigit() else word)
                continue
            number.append(i)
            if kind == _EXPONENT:
                sign, mantissa, exponent = number
                exponent -= self.first_exponent + LARGEST_EXPONENT
                symbols.append(
                    join_number(sign - self.first_sign, mantissa - self.first_mantissa, exponent)
                )
                number = []
        if number:
            raise DataError("the tokens end within a number; give its mantissa and exponent too")
        return Expression(tuple(symbols))

    def encode_batch(self, expressions: Sequence[Expression]) -> Ids:
        """Write formulas as one array.

        Args:
            expressions: The formulas.

        Returns:
            Ids, padded with 0 at the end, shape (formulas, longest).
        """
        rows = [self.encode(expression) for expression in expressions]
        out = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = ids
        return out

    def encode_numbers(self, values: ArrayLike) -> Ids:
        """Write coordinates.

        Args:
            values: Finite numbers, shape (…).

        Returns:
            Ids of sign, mantissa and exponent, from 1 to `number_tokens` - 1, shape (…, 3).
        """
        sign, mantissa, exponent = split_numbers(values, self.digits)
        shift = 1 - self.first_sign
        exponent = exponent + (self.first_exponent + LARGEST_EXPONENT + shift)
        return np.stack([sign + 1, mantissa + self.first_mantissa + shift, exponent], -1)

    def settings(self) -> dict[str, Any]:
        """Return what makes it again."""
        return {
            "max_dim": self.max_dim,
            "digits": self.digits,
            "operators": list(self.operators),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Args:
            path: The file.
        """
        write_json(path, {"kind": FORMAT, "format": 1, **self.settings()})

    @classmethod
    def load(cls, path: str | Path) -> "FormulaTokenizer":
        """Read what `save` wrote.

        Args:
            path: The file.

        Returns:
            The tokenizer.

        Raises:
            StoreError: Missing, damaged or of another kind.
        """
        values = read_json(path)
        try:
            if values["kind"] != FORMAT or values["format"] != 1:
                raise KeyError("kind")
            return cls(values["max_dim"], values["digits"], operators=values["operators"])
        except (KeyError, TypeError, ConfigError) as error:
            raise StoreError(
                f"{str(path)!r} should hold a {FORMAT} of format 1 but does not ({error!r}); "
                "save it again"
            ) from error


class PrefixGrammar:
    """Which token may come next, so that every row ends as one whole tree within its length.

    Args:
        tokenizer: The words.
        max_tokens: Longest tree, in tokens, beginning and end not counted.
        dims: Inputs of the data; variables above are left out.

    Raises:
        ConfigError: A length below 1, or more inputs than the tokenizer knows.
    """

    def __init__(self, tokenizer: FormulaTokenizer, max_tokens: int, dims: int) -> None:
        if max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1; got {max_tokens}")
        if not 1 <= dims <= tokenizer.max_dim:
            raise ConfigError(f"dims must be from 1 to {tokenizer.max_dim}; got {dims}")
        self.max_tokens = max_tokens
        self.kinds = tokenizer.kinds.copy()
        for word in (f"x_{i}" for i in range(dims, tokenizer.max_dim)):
            self.kinds[tokenizer.words.index(word)] = _MARK

    def start(self, rows: int) -> tuple[Ids, Ids]:
        """Return the state before the first token.

        Args:
            rows: How many trees.

        Returns:
            Open places of each, and how far within a number it is (0 to 2).
        """
        return np.ones(rows, np.int64), np.zeros(rows, np.int64)

    def allowed(self, state: tuple[Ids, Ids], done: int) -> NDArray[np.bool_]:
        """Say what may come next; a finished row may have the end alone.

        Args:
            state: From `start` or `advance`.
            done: Tokens that each row has.

        Returns:
            Shape (rows, tokens).
        """
        need, phase = state
        left = self.max_tokens - done
        kinds = np.zeros((len(need), 7), bool)
        open_ = (phase == 0) & (need > 0)
        kinds[:, _LEAF] = open_
        kinds[:, _UNARY] = open_ & (need < left)
        kinds[:, _BINARY] = open_ & (need + 1 < left)
        kinds[:, _SIGN] = open_ & (need + 2 <= left)
        kinds[:, _MANTISSA], kinds[:, _EXPONENT] = phase == 1, phase == 2
        out = kinds[:, self.kinds]
        out[:, EOS] = need == 0
        return out

    def advance(self, state: tuple[Ids, Ids], ids: Ids) -> tuple[Ids, Ids]:
        """Take one token a row.

        Args:
            state: Before.
            ids: Allowed tokens, shape (rows,).

        Returns:
            State after.
        """
        need, _ = state
        change = np.array([0, -1, 0, 1, 0, 0, -1])[self.kinds[ids]]
        after = np.array([0, 0, 0, 0, 1, 2, 0])[self.kinds[ids]]
        return need + change, after
