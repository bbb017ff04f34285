"""The generator, points and properties."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.formulas import (
    OPERATORS,
    Expression,
    ExpressionGenerator,
    ExpressionOptions,
    PointOptions,
    PointSet,
    draw_points,
    property_of,
)

FEW = PointOptions(number=20)
BARE = ExpressionOptions(prefactors=0.0)


def count(symbols, arity):
    return sum(
        isinstance(s, str) and s in OPERATORS and OPERATORS[s].arity == arity for s in symbols
    )


def test_samples_are_what_they_say():
    gen = ExpressionGenerator(3, points=PointOptions(number=30), seed=0)
    for sample in gen.batch(100, "a"):
        assert sample.X.shape == (30, sample.X.shape[1]) and sample.y.shape == (30,)
        np.testing.assert_array_equal(sample.expression.evaluate(sample.X), sample.y)
        assert np.isfinite(sample.y).all() and np.ptp(sample.y) > 0
        np.testing.assert_allclose(sample.X.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(sample.X.std(0), 1, rtol=1e-6)


def test_numbers_of_operators_lie_within_the_papers():
    gen = ExpressionGenerator(1, options=BARE, points=FEW, seed=1)
    found = [s.expression.symbols for s in gen.batch(300, "a")]
    assert {count(s, 2) for s in found} == set(range(5))
    assert {count(s, 1) for s in found} == set(range(5))
    for s in found:
        leaves = [x for x in s if isinstance(x, str) and x.startswith("x_")]
        assert len(leaves) == count(s, 2) + 1


def test_every_variable_comes_before_one_is_repeated():
    gen = ExpressionGenerator(4, options=BARE, points=FEW, seed=2)
    rng = np.random.default_rng(0)
    for _ in range(200):
        from vecsmith.data.formulas._generator import flat

        symbols = flat(gen._tree(4, rng))
        leaves = [x for x in symbols if isinstance(x, str) and x.startswith("x_")]
        assert len(set(leaves)) == min(4, len(leaves))


def test_weights_and_choice_of_operators():
    weights = {name: 0.0 for name, o in OPERATORS.items() if o.arity == 1} | {"cos": 1.0}
    options = ExpressionOptions(weights=weights, prefactors=0.0)
    names = {
        s
        for sample in ExpressionGenerator(1, options=options, points=FEW).batch(60, "a")
        for s in sample.expression.symbols
        if s in OPERATORS and OPERATORS[s].arity == 1
    }
    assert names == {"cos"}
    made = ExpressionGenerator(1, ops=["add", "arcsin"], options=BARE, points=FEW).batch(60, "a")
    names = {s for sample in made for s in sample.expression.symbols if s in OPERATORS}
    assert names == {"add"} or names == {"add", "arcsin"}
    drawn = ExpressionGenerator(1)._draws
    assert "arcsin" not in drawn[1][0] and "div" not in drawn[2][0]
    shares = dict(zip(drawn[1][0], np.diff(drawn[1][1], prepend=0), strict=True))
    assert shares["sqrt"] == pytest.approx(25 * shares["tan"])


def test_prefactors_stand_where_the_paper_has_them():
    gen = ExpressionGenerator(1, points=FEW, seed=3)
    rng = np.random.default_rng(0)
    made = gen._with_prefactors(("sin", ("add", ("x_0",), ("x_0",))), rng)
    outer, inner = made[2][2], made[2][2][1]
    assert made[0] == "add" and made[2][0] == "mul" and outer[0] == "sin"
    assert inner[0] == "add" and inner[2][0] == "mul"
    assert [term[0] for term in inner[2][2][1:]] == ["mul", "mul"]
    values = [abs(gen._constant(rng)[0]) for _ in range(300)]
    assert all(0.01 <= v < 10 and float(f"{v:.2e}") == v for v in values)
    chosen = ExpressionGenerator(1, options=ExpressionOptions(constants=(2, -0.5)))
    assert {chosen._constant(rng)[0] for _ in range(50)} == {2, -0.5}


def test_seeds_repeat_and_differ():
    first, again, other = (ExpressionGenerator(2, points=FEW, seed=s) for s in (4, 4, 5))
    a, b, c = first.sample(), again.sample(), other.sample()
    assert a.expression == b.expression and (a.X == b.X).all() and a.expression != c.expression
    before = first.batch(3, "x", "1")
    assert [s.expression for s in again.batch(3, "x", "1")] == [s.expression for s in before]
    assert [s.expression for s in first.batch(3, "x", "2")] != [s.expression for s in before]


def test_distinct_skeletons():
    gen = ExpressionGenerator(1, options=ExpressionOptions(max_unary=1), points=FEW)
    names = [s.expression.skeleton for s in gen.distinct(50, "d")]
    assert len(set(names)) == 50
    small = ExpressionOptions(max_binary=0, max_unary=0, prefactors=0.0)
    with pytest.raises(DataError, match="after 1 no new one"):
        list(ExpressionGenerator(1, options=small, points=FEW).distinct(2))


def test_what_is_not_defined_is_thrown_away():
    wide = PointOptions(number=20, standardise=False, spread=0.0, clusters=1, width=1.0)
    options = ExpressionOptions(max_binary=0, max_unary=2, prefactors=0.0)
    gen = ExpressionGenerator(1, ops=["add", "sqrt", "log"], options=options, points=wide)
    # all x have both signs, so that a root or a logarithm is never defined
    assert {s.expression.symbols for s in gen.batch(20, "a")} == {("x_0",)}
    only = ExpressionOptions(max_binary=0, max_unary=0, prefactors=0.0, max_value=1e-9)
    with pytest.raises(DataError, match="1000 formulas in a row"):
        ExpressionGenerator(1, options=only, points=wide).sample()


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {"foo": 1}},
        {"weights": {"sin": -1}},
        {"prefactors": 1.5},
        {"constants": ()},
        {"constants": (0, 1)},
        {"exponents": (1, 0)},
        {"max_binary": -1},
        {"max_value": 0},
    ],
)
def test_bad_options_are_refused(wrong):
    with pytest.raises(ConfigError):
        ExpressionOptions(**wrong)


def test_bad_generators_are_refused():
    for wrong in ({"max_dim": 0}, {"ops": ["sin"]}, {"ops": ["foo"]}):
        with pytest.raises(ConfigError):
            ExpressionGenerator(**wrong)
    for wrong in ({"number": 1}, {"clusters": 0}, {"kinds": ("odd",)}, {"width": 0}):
        with pytest.raises(ConfigError):
            PointOptions(**wrong)


def test_points_come_from_mixtures():
    rng = np.random.default_rng(0)
    one = PointOptions(number=400, clusters=1, kinds=("uniform",), standardise=False, spread=0.0)
    drawn = draw_points(2, one, rng)
    assert drawn.shape == (400, 2) and np.abs(drawn).max() <= 1
    many = PointOptions(number=400, clusters=10, standardise=False, spread=50.0, width=0.1)
    drawn = np.sort(np.concatenate([draw_points(1, many, rng)[:, 0] for _ in range(5)]))
    assert (np.diff(drawn) > 1).any()


def test_points_are_checked():
    X, y = np.arange(3.0), np.arange(3.0)
    assert PointSet.of(X, y[:, None]).X.shape == (3, 1)
    with pytest.raises(DataError, match="1 of 3 hold NaN or infinity, the first at row 1"):
        PointSet.of(X, [0, np.nan, 1])
    with pytest.raises(DataError, match="row 2"):
        PointSet.of([0, 1, np.inf], y)
    for wrong in ((X, y[:2]), ([], []), (X, "abc"), (["a", "b", "c"], y)):
        with pytest.raises(DataError):
            PointSet.of(*wrong)
    with pytest.raises(DataError, match="at most 1 column"):
        PointSet.of(np.zeros((3, 2)), y, max_dim=1)


def test_points_are_drawn_once_each():
    points = PointSet.of(np.arange(30.0), np.arange(30.0) ** 2)
    taken = points.take(25, np.random.default_rng(0))
    assert len(set(taken.X[:, 0])) == 25 and (taken.y == taken.X[:, 0] ** 2).all()
    assert points.take(30, np.random.default_rng(0)) is points


def test_formulas_outside_their_domain_are_refused():
    good = PointSet.from_expression(Expression.parse("sqrt(x)"), [1.0, 4.0])
    assert good.y.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"not defined at 2 of 3 points, the first at x = \(-1\)"):
        PointSet.from_expression(Expression.parse("log(x)"), [-1.0, 1.0, 0.0])


def test_values_are_scaled():
    assert PointSet.of([0, 1, 2], [5, 7, 6]).scaled().y.tolist() == [0, 1, 0.5]
    assert PointSet.of([0, 1], [5, 5]).scaled().y.tolist() == [0, 0]
    assert PointSet.of([0, 1], [-1.7e308, 1.7e308]).scaled().y.tolist() == [0, 1]


LINE = np.linspace(-2, 2, 101)


def test_properties_by_hand():
    for name, value in (("ncr", 0), ("upwardness", 0), ("oscillation", np.log(2))):
        assert property_of(name, LINE, LINE**2) == pytest.approx(value, abs=0.02), name
    assert property_of("ncr", LINE, -(LINE**2)) == 1
    assert property_of("upwardness", LINE, np.exp(LINE)) > 0.9
    assert property_of("upwardness", LINE, -LINE) == -1
    assert property_of("mean", LINE, LINE) == pytest.approx(0.5)
    assert property_of("oscillation", LINE, np.sin(6 * LINE)) == pytest.approx(np.log1p(8))
    assert property_of("ncr", LINE, LINE**3) == pytest.approx(0.5, abs=0.05)


def test_convexity_is_that_of_all_triples():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=8))
    y = rng.uniform(size=8)
    y = (y - y.min()) / np.ptp(y)
    above = total = 0
    for i in range(8):
        for j in range(i + 1, 8):
            for k in range(j + 1, 8):
                chord = y[i] + (x[j] - x[i]) / (x[k] - x[i]) * (y[k] - y[i])
                above += y[j] > chord + 1e-9
                total += 1
    found = property_of("ncr", x, y, triples=40_000)
    assert found == pytest.approx(above / total, abs=0.015)
    order = rng.permutation(8)
    assert property_of("ncr", x[order], y[order], triples=40_000) == found


def test_bad_curves_are_refused():
    with pytest.raises(ConfigError, match="unknown"):
        property_of("colour", LINE, LINE)
    with pytest.raises(DataError, match="one input"):
        property_of("mean", np.zeros((3, 2)), [1, 2, 3])
    with pytest.raises(DataError, match="three points"):
        property_of("mean", [1, 2], [1, 2])
