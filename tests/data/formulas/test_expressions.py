"""Trees, their evaluation, text and sympy in and out."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import DataError
from vecsmith.data.formulas import OPERATORS, Expression, evaluate_symbols

LEAVES = st.sampled_from(["x_0", "x_1", 2, -3, 0.5, -1.25])
TREES = st.recursive(
    LEAVES.map(lambda leaf: (leaf,)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([n for n, o in OPERATORS.items() if o.arity == 1]), inner).map(
            lambda t: (t[0], *t[1])
        ),
        st.tuples(
            st.sampled_from([n for n, o in OPERATORS.items() if o.arity == 2]), inner, inner
        ).map(lambda t: (t[0], *t[1], *t[2])),
    ),
    max_leaves=6,
)
X = np.random.default_rng(0).uniform(-2, 2, (7, 2))

PLAIN = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "abs": abs,
    "inv": lambda a: 1 / a,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "pow2": lambda a: a * a,
    "pow3": lambda a: a * a * a,
}


def naive(symbols, row):
    """Walk the tree for one point; None where a part is not defined."""
    symbols = list(symbols)

    def walk():
        symbol = symbols.pop(0)
        if not isinstance(symbol, str):
            return float(symbol)
        if symbol.startswith("x_"):
            return float(row[int(symbol[2:])])
        parts = [walk() for _ in range(OPERATORS[symbol].arity)]
        value = PLAIN[symbol](*parts)
        if isinstance(value, complex) or not math.isfinite(value):
            raise ValueError
        return value

    try:
        return walk()
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


@settings(deadline=None, max_examples=150)
@given(TREES)
def test_values_are_those_of_a_loop(symbols):
    found = Expression(symbols).evaluate(X)
    for row, value in zip(X, found, strict=True):
        wanted = naive(symbols, row)
        if wanted is None:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=150)
@given(TREES)
def test_text_comes_back_with_the_same_values(symbols):
    made = Expression(symbols)
    again = Expression.parse(str(made))
    first, second = made.evaluate(X), again.evaluate(X)
    both = np.isfinite(first) & np.isfinite(second)
    np.testing.assert_allclose(second[both], first[both], rtol=1e-7, atol=1e-9)
    assert np.isnan(first).any() or np.isfinite(second).all()


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("sin(2*x) + x**2", ("add", "sin", "mul", 2, "x_0", "pow2", "x_0")),
        ("-x0", ("mul", -1, "x_0")),
        ("-2.5", (-2.5,)),
        ("x_1 - x^3", ("sub", "x_1", "pow3", "x_0")),
        ("1/x", ("inv", "x_0")),
        ("1/4", (0.25,)),
        ("x**-2", ("inv", "pow2", "x_0")),
        ("x**0.5", ("sqrt", "x_0")),
        ("x**4", ("pow2", "pow2", "x_0")),
        ("x**5", ("mul", "x_0", "pow2", "pow2", "x_0")),
        ("x**0.3", ("pow", "x_0", 0.3)),
        ("atan(x) + ln(x)", ("add", "arctan", "x_0", "log", "x_0")),
    ],
)
def test_text_by_hand(text, symbols):
    assert Expression.parse(text).symbols == symbols


def test_writing_by_hand():
    assert str(Expression(("mul", "add", 1, "x_0", "inv", "x_0"))) == "(1 + x_0)*(1/x_0)"
    assert str(Expression(("sub", "x_0", "sub", 1, "x_0"))) == "x_0 - (1 - x_0)"
    assert str(Expression(("pow2", "mul", -1, "x_0"))) == "(-1*x_0)**2"


def test_sympy_both_ways():
    x = sympy.Symbol("x")
    made = Expression.from_sympy(sympy.sin(2 * x) + x**2 / 3 - sympy.exp(-x) + sympy.sqrt(x))
    points = np.linspace(0.1, 2, 9)
    wanted = np.sin(2 * points) + points**2 / 3 - np.exp(-points) + np.sqrt(points)
    np.testing.assert_allclose(made.evaluate(points), wanted, rtol=1e-12)
    back = made.to_sympy()
    symbol = sympy.Symbol("x_0", real=True)
    assert back.free_symbols == {symbol}
    assert float(back.subs(symbol, 0.7)) == pytest.approx(made.evaluate([0.7])[0])


@settings(deadline=None, max_examples=60)
@given(TREES)
def test_sympy_keeps_values(symbols):
    made = Expression(symbols)
    first = made.evaluate(X)
    if np.isnan(first).any() or np.abs(first).max() > 1e6 or made.dims == 0:
        return
    second = Expression.from_sympy(made.to_sympy()).evaluate(X)
    fine = np.isfinite(second)
    # sympy may simplify: what it defines at more points, or cancels, must agree where both are
    np.testing.assert_allclose(second[fine], first[fine], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sin(2*x", "cannot be read"),
        ("", "1 to 10000 characters"),
        ("__import__('os')", "known are"),
        ("x.y", "known are"),
        ("foo(x)", "foo(x)"),
        ("z + 1", "'z'"),
        ("x if x else 2", "known are"),
        ("'a'", "known are"),
        ("x % 2", "known are"),
        ("1e999", "finite"),
        ("(" * 500 + "x" + ")" * 500, "cannot be read"),
        ("+".join(["x"] * 4000), ""),
    ],
)
def test_bad_text_is_refused(text, word):
    with pytest.raises(DataError) as caught:
        assert len(Expression.parse(text)) < 0
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("symbols", "word"),
    [
        (("add", "x_0"), "lacks 1 argument"),
        (("x_0", "x_0"), "goes on"),
        (("foo", "x_0"), "operators"),
        ((), "lacks"),
        ((float("nan"),), "finite"),
        ((True,), "bool"),
        (("x_01",), "variables"),
    ],
)
def test_broken_trees_are_refused(symbols, word):
    with pytest.raises(DataError, match=word):
        Expression(symbols)


def test_what_sympy_has_and_we_have_not():
    x = sympy.Symbol("x")
    with pytest.raises(DataError, match="gamma"):
        Expression.from_sympy(sympy.gamma(x))
    with pytest.raises(DataError, match="'q'"):
        Expression.from_sympy(sympy.Symbol("q"))
    with pytest.raises(DataError, match="list"):
        Expression.from_sympy([x])


def test_undefined_parts_stay_undefined():
    # a plain loop of numpy would give 0, pi/2 and 1
    for text in ("1/log(x)", "atan(1/x)", "log(x)**0 * 1", "exp(-1/x)"):
        assert np.isnan(Expression.parse(text).evaluate([0.0])[0]), text
    assert np.isnan(Expression.parse("sqrt(x)").evaluate([-1.0, 4.0])[0])


def test_skeletons_ignore_constants_and_order():
    a = Expression.parse("2*sin(x) + x**2")
    b = Expression.parse("x**2 + sin(x)*-7.5")
    assert a.skeleton == b.skeleton == "add(mul(C,sin(x_0)),pow2(x_0))"
    assert Expression.parse("x - 2").skeleton != Expression.parse("2 - x").skeleton


def test_constants_in_and_out():
    made = Expression.parse("2*sin(x) + 0.5")
    assert made.constants.tolist() == [2, 0.5]
    assert made.with_constants([3.0, 1.0]).evaluate([0.3])[0] == pytest.approx(
        3 * math.sin(0.3) + 1
    )
    sets = np.array([[2, 0.5], [3, 1.0], [0, 0]])
    found = evaluate_symbols(made.symbols, X[:, :1], sets)
    for row, constants in zip(found, sets, strict=True):
        np.testing.assert_array_equal(row, made.with_constants(constants).evaluate(X[:, :1]))


def test_points_must_fit():
    with pytest.raises(DataError, match="2 columns; got 1"):
        Expression.parse("x_0 + x_1").evaluate([1.0])
    with pytest.raises(DataError, match="shape"):
        Expression.parse("x").evaluate(np.zeros((2, 2, 2)))
    assert Expression.parse("3").evaluate([1, 2]).tolist() == [3, 3]
