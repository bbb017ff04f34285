"""Numbers and formulas as tokens, and the grammar of whole trees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.data.formulas import (
    Expression,
    ExpressionGenerator,
    FormulaTokenizer,
    PrefixGrammar,
    join_number,
    split_numbers,
)

WORDS = FormulaTokenizer(2)


def test_numbers_by_hand():
    sign, mantissa, exponent = split_numbers([3.14, -0.00271828, 0.0, 99996.0, 1000, -1e-100])
    assert sign.tolist() == [0, 1, 0, 0, 0, 0]
    assert mantissa.tolist() == [3140, 2718, 0, 1000, 1000, 0]
    assert exponent.tolist() == [-3, -6, 0, 2, 0, 0]
    ids = WORDS.encode(Expression((3.14,)))
    assert [WORDS.words[i] for i in ids] == ["<bos>", "+", "N3140", "E-3", "<eos>"]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 1), st.integers(1, 99999), st.integers(-96, 94))
def test_numbers_of_so_many_digits_come_back_exactly(digits, sign, mantissa, exponent):
    mantissa = mantissa % 10**digits or 1
    value = join_number(sign, mantissa, exponent)
    parts = [int(part) for part in split_numbers(value, digits)]
    assert join_number(*parts) == value
    assert 10 ** (digits - 1) <= parts[1] < 10**digits


@given(st.floats(-1e90, 1e90))
def test_other_numbers_are_rounded_to_four_digits(value):
    parts = [int(part) for part in split_numbers(value)]
    assert join_number(*parts) == pytest.approx(value, rel=5.01e-4, abs=1e-96)


def test_numbers_that_cannot_be_written():
    for value in (np.nan, np.inf, 1e105):
        with pytest.raises(DataError, match="finite and at most"):
            split_numbers([1.0, value])


def test_formulas_come_back_exactly():
    gen = ExpressionGenerator(2, seed=1)
    for sample in gen.batch(200, "round trip"):
        ids = WORDS.encode(sample.expression)
        assert WORDS.decode(ids) == sample.expression
    made = WORDS.encode_batch([Expression.parse("x"), Expression.parse("x + 2.5")])
    assert made.shape == (2, 7) and (made[0, 3:] == 0).all()
    assert WORDS.decode(made[0]) == Expression.parse("x")


def test_bad_tokens_are_refused():
    at = WORDS._ids
    with pytest.raises(DataError, match="in this order"):
        WORDS.decode([at["+"], at["x_0"]])
    with pytest.raises(DataError, match="in this order"):
        WORDS.decode([at["N0001"]])
    with pytest.raises(DataError, match="within a number"):
        WORDS.decode([at["+"], at["N0001"]])
    with pytest.raises(DataError, match="from 0 to"):
        WORDS.decode([len(WORDS)])
    with pytest.raises(DataError, match="at most 2 input"):
        WORDS.encode(Expression.parse("x_2"))
    with pytest.raises(DataError, match="not among those"):
        FormulaTokenizer(1, operators=["add"]).encode(Expression.parse("sin(x)"))
    for wrong in ({"max_dim": 0}, {"digits": 7}, {"operators": ["foo"]}):
        with pytest.raises(ConfigError):
            FormulaTokenizer(**wrong)


def test_coordinates():
    ids = WORDS.encode_numbers(np.array([[0.5, -2.0]]))
    shift = WORDS.first_sign - 1
    assert ids.shape == (1, 2, 3)
    assert [WORDS.words[i + shift] for i in ids[0, 1]] == ["-", "N2000", "E-3"]
    assert ids.min() >= 1 and ids.max() < WORDS.number_tokens


def test_saved_and_loaded(tmp_path):
    made = FormulaTokenizer(3, 2, operators=["add", "sin"])
    made.save(tmp_path / "t.json")
    again = FormulaTokenizer.load(tmp_path / "t.json")
    assert again.words == made.words and again.settings() == made.settings()
    (tmp_path / "u.json").write_text('{"kind": "other"}')
    with pytest.raises(StoreError, match="should hold"):
        FormulaTokenizer.load(tmp_path / "u.json")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(0, 2**31), st.integers(1, 2))
def test_the_grammar_gives_whole_trees_alone(longest, seed, dims):
    rng = np.random.default_rng(seed)
    words = FormulaTokenizer(2, 1)
    grammar = PrefixGrammar(words, longest, dims)
    state, lines = grammar.start(8), [[] for _ in range(8)]
    for done in range(longest):
        allowed = grammar.allowed(state, done)
        ids = np.array([rng.choice(np.flatnonzero(row)) for row in allowed])
        for line, i in zip(lines, ids, strict=True):
            line.append(int(i))
        state = grammar.advance(state, ids)
    assert (state[0] == 0).all() and (state[1] == 0).all()
    for line in lines:
        made = words.decode(line)
        assert made.dims <= dims
        kept = [i for i in line if words.kinds[i] != 0]
        assert words.encode(made)[1:-1] == kept or any(words.kinds[i] > 3 for i in kept)


def test_the_grammar_allows_every_tree_that_fits():
    words = FormulaTokenizer(1)
    for text in ("sin(x)*2 + x", "0.25*x", "x", "1/(x + 1)"):
        ids = words.encode(Expression.parse(text))[1:-1]
        grammar = PrefixGrammar(words, len(ids), 1)
        state = grammar.start(1)
        for done, i in enumerate(ids):
            assert grammar.allowed(state, done)[0, i], text
            state = grammar.advance(state, np.array([i]))
        if len(ids) > 1:
            short, state, fits = PrefixGrammar(words, len(ids) - 1, 1), grammar.start(1), True
            for done, i in enumerate(ids[:-1]):
                fits &= bool(short.allowed(state, done)[0, i])
                state = short.advance(state, np.array([i]))
            assert not fits, text
