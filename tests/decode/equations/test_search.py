"""Refitting, optimisers, the regressor and the index of formulas."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.data.formulas import (
    Expression,
    ExpressionGenerator,
    ExpressionOptions,
    PointOptions,
    PointSet,
)
from vecsmith.decode.equations import (
    OPTIMIZERS,
    DecoderTraining,
    EquationDecoder,
    FormulaIndex,
    LatentRegressor,
    SearchOptions,
    grey_wolf_step,
    initial_population,
    refit,
    train_decoder,
)
from vecsmith.decode.equations._refit import explained, losses
from vecsmith.encode.formulas import Snip

SMALL = {"width": 16, "layers": 1, "heads": 2, "feedforward": 32, "latent": 8, "number_dims": 4}
X = np.linspace(-1.5, 1.5, 40)[:, None]
LINE = PointSet(X, 3 * np.sin(2 * X[:, 0]) - 1)


@pytest.fixture(scope="module")
def parts():
    snip = Snip.from_config(
        "tiny", **SMALL, digits=1, max_points=16, scale_y="minmax", max_tokens=14
    )
    options = ExpressionOptions(
        max_binary=1, max_unary=1, prefactors=0.5, constants=(-2, 2), max_symbols=8, max_value=1e3
    )
    points = PointOptions(number=16, clusters=1, kinds=("uniform",))
    samples = ExpressionGenerator(1, options=options, points=points).batch(200, "s")
    decoder = EquationDecoder.for_snip(snip, memory=3, layers=1)
    train = DecoderTraining(batch=50, steps=60, lr=1e-2, cpu=True)
    train_decoder(snip, decoder, samples, options=train)
    return snip, decoder


def make(parts, **changes):
    given = {"pop": 8, "iters": 2, "options": SearchOptions(stop_r2=2.0), **changes}
    return LatentRegressor(*parts, **given)


def test_constants_are_found():
    start = Expression.parse("2.5*sin(1.8*x) - 0.5")
    found = refit(start, LINE)
    np.testing.assert_allclose(found.expression.constants, [3, 2, 1], rtol=1e-4)
    assert found.r2 > 1 - 1e-8 and found.r2_before < 0.95
    assert explained(found.expression.evaluate(X), LINE.y) == pytest.approx(found.r2)
    assert refit(start, LINE, iterations=0).expression == start


def test_scale_is_taken_in_closed_form():
    start = Expression.parse("7 + 5*sin(1.8*x)")
    found = refit(start, LINE, affine=True)
    assert found.r2 > 1 - 1e-8
    assert explained(found.expression.evaluate(X), LINE.y) == pytest.approx(found.r2)
    # the outer 7 + 5 * is gone: two new ones, and the 2 of the sine
    assert len(found.expression.constants) == 3
    bare = refit(Expression.parse("sin(2*x)"), LINE, affine=True, iterations=0)
    assert bare.r2 == bare.r2_before > 1 - 1e-9
    np.testing.assert_allclose(bare.expression.constants, [-1, 3, 2])


def test_losses_are_those_of_a_loop():
    start = Expression.parse("2.5*sin(1.8*x) - 0.5")
    sets = np.array([[2.5, 1.8, 0.5], [1, 1, 1], [3, 2, 1]])
    for affine in (False, True):
        found = losses(start, LINE, sets, affine=affine)
        for value, constants in zip(found, sets, strict=True):
            predicted = start.with_constants(constants).evaluate(X)
            if affine:
                b, a = np.polyfit(predicted, LINE.y, 1)
                predicted = a + b * predicted
            wanted = np.sum((predicted - LINE.y) ** 2) / np.sum((LINE.y - LINE.y.mean()) ** 2)
            assert value == pytest.approx(wanted, abs=1e-12)


def test_a_formula_that_is_not_defined_is_no_candidate():
    found = refit(Expression.parse("log(x)"), LINE, affine=True)
    assert np.isnan(found.r2) and np.isnan(found.r2_before)
    # one that is defined at the start does not end where it is not
    found = refit(Expression.parse("sqrt(x + 1.6)"), LINE, affine=False)
    assert np.isfinite(found.r2) and np.isfinite(found.expression.evaluate(X)).all()
    flat = refit(Expression.parse("0*x + 1"), LINE, affine=True)
    assert flat.r2 == pytest.approx(0.0, abs=1e-9)


def test_a_fit_never_gets_worse():
    for text in ("exp(2*x)", "1/(x + 1.6)", "tan(x)*2", "x**3 - 2*x", "exp(exp(2*x))"):
        found = refit(Expression.parse(text), LINE)
        assert found.r2 >= found.r2_before


def test_the_grey_wolf_by_hand():
    population = np.array([[1.0, 0.0]])
    leaders = np.array([[2.0, 1.0], [0.0, 0.0], [4.0, 2.0]])
    r1 = np.full((3, 1, 2), 0.75)
    r2 = np.full((3, 1, 2), 0.5)
    # a = 1: A = .5, C = 1; distances |L - X| = (1, 1), (1, 0), (3, 2)
    wanted = np.mean([[2 - 0.5, 1 - 0.5], [0 - 0.5, 0], [4 - 1.5, 2 - 1.0]], axis=0)
    np.testing.assert_allclose(grey_wolf_step(population, leaders, 1.0, r1, r2), [wanted])
    # a = 0 closes in on the leaders' mean
    np.testing.assert_allclose(
        grey_wolf_step(population, leaders, 0.0, r1, r2), [leaders.mean(axis=0)]
    )


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimisers_go_down_and_stay_within(name):
    rng = np.random.default_rng(0)
    start = rng.uniform(-3, 3, (24, 4))
    goal = np.array([1.0, -1.0, 0.5, 2.0])
    found, first = [], ((start - goal) ** 2).sum(1).min()
    population, optimizer = start, OPTIMIZERS[name](start, rng)
    for i in range(60):
        fitness = ((population - goal) ** 2).sum(1)
        found.append(fitness.min())
        population = optimizer.next(population, fitness, i / 60)
        assert population.shape == start.shape
        if name != "random":
            assert (population >= start.min(0)).all() and (population <= start.max(0)).all()
    if name == "random":
        centre = np.concatenate([optimizer.next(start, fitness, 0) for _ in range(300)])
        np.testing.assert_allclose(centre.mean(0), start[0], atol=0.1)
        # r is uniform in [0, 2): E r^2 = 4/3
        np.testing.assert_allclose(centre.var(0), 4 / 3, rtol=0.1)
    else:
        assert min(found) < min(0.05, first / 5)


def test_leaders_are_the_best_ever():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 2))
    wolves = OPTIMIZERS["gwo"](start, rng)
    wolves.next(start, np.array([3.0, 1, 2, 5, np.inf]), 0.5)
    np.testing.assert_array_equal(wolves.leaders, start[[1, 2, 0]])
    later = rng.normal(size=(5, 2))
    wolves.next(later, np.array([1.5, 9, 9, 9, 9]), 0.5)
    np.testing.assert_array_equal(wolves.leaders, [start[1], later[0], start[2]])


def test_evolution_keeps_the_better_of_parent_and_child():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 2))
    method = OPTIMIZERS["de"](start, rng)
    child = method.next(start, np.arange(5.0), 0.1)
    method.next(child, np.array([-1.0, 9, 9, 9, 4]), 0.2)
    np.testing.assert_array_equal(method.parents[[0, 4]], child[[0, 4]])
    np.testing.assert_array_equal(method.parents[1:4], start[1:4])
    for name in ("de", "cma"):
        with pytest.raises(ConfigError, match="at least 4"):
            OPTIMIZERS[name](start[:3], rng)


def test_the_first_population_is_the_papers(parts):
    snip, _ = parts
    rng = np.random.default_rng(0)
    made = initial_population(snip, LINE, 50, rng)
    assert made.shape == (50, 8)
    lengths = np.linalg.norm(made, axis=1)
    np.testing.assert_allclose(lengths[:26], 8**0.5, rtol=1e-5)
    assert (np.abs(lengths[26:] - 8**0.5) > 1e-3).all()
    small = PointSet(X[:16], LINE.y[:16])
    whole = initial_population(snip, small, 1, rng)
    np.testing.assert_allclose(whole, snip.encode_points(*small) * 8**0.5, rtol=1e-6)
    with pytest.raises(ConfigError, match="pop"):
        initial_population(snip, LINE, 0, rng)


def test_the_first_population_is_encoded_from_halves(parts, monkeypatch):
    snip, _ = parts
    seen = []
    plain = snip.encode_points

    def spied(X, y, **rest):
        seen.extend(zip(X, y, strict=True))
        return plain(X, y, **rest)

    monkeypatch.setattr(snip, "encode_points", spied)
    initial_population(snip, LINE, 50, np.random.default_rng(0))
    assert [len(y) for _, y in seen] == [40, *[20] * 25]
    values = dict(zip(X[:, 0], LINE.y, strict=True))
    gaps = [np.array([v - values[x] for x, v in zip(a[:, 0], y, strict=True)]) for a, y in seen]
    # a half holds no point twice
    assert all(len(set(a[:, 0])) == len(y) for a, y in seen)
    assert not any(gap.any() for gap in gaps[:16])
    spread = [gap.std() / LINE.y.std() for gap in gaps[16:]]
    assert all(0.004 < share < 0.06 for share in spread)


def test_the_search_closes_in_over_its_iterations(parts, monkeypatch):
    seen = []

    class Spied(OPTIMIZERS["gwo"]):
        def next(self, population, fitness, used):
            seen.append(used)
            return super().next(population, fitness, used)

    monkeypatch.setitem(OPTIMIZERS, "gwo", Spied)
    make(parts, iters=4).fit(*LINE)
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_wolves_move_less_the_later_it_is():
    start = np.random.default_rng(0).normal(size=(60, 4))
    moved = []
    for used in (0.0, 1.0):
        wolves = OPTIMIZERS["gwo"](start, np.random.default_rng(1))
        made = wolves.next(start, np.arange(60.0), used)
        moved.append(made.std(0).mean())
    # at the end every wolf stands at the mean of the leaders
    assert moved[1] < 1e-9 < moved[0]
    np.testing.assert_allclose(made, np.tile(start[:3].mean(0), (60, 1)), atol=1e-12)


def test_a_law_is_found(parts):
    y = 1.5 * X[:, 0] ** 2 + 0.25
    made = make(parts, iters=4, options=SearchOptions(temperature=1.0)).fit(X, y)
    assert made.r2_ > 0.99 and made.score(X, y) == pytest.approx(made.r2_)
    symbol = made.expression_.free_symbols.pop()
    assert float(made.expression_.subs(symbol, 0.5)) == pytest.approx(made.predict([0.5])[0])
    assert made.trace_[-1]["r2"] >= 0.99 and len(made.trace_) <= 5


def test_the_trace_counts_what_was_done(parts):
    made = make(parts).fit(*LINE)
    assert [row["iteration"] for row in made.trace_] == [0, 1, 2]
    assert [row["decodes"] for row in made.trace_] == [16, 32, 48]
    r2 = [row["r2"] for row in made.trace_]
    assert r2 == sorted(r2) and r2[-1] == pytest.approx(made.r2_, abs=0.05)
    assert all(row["r2_decoded"] <= row["r2"] + 1e-9 for row in made.trace_)
    counts = [row["skeletons"] for row in made.trace_]
    assert counts == sorted(counts) and counts[-1] <= 48
    once = make(parts, pop=1, iters=0, options=SearchOptions(beams=1)).fit(*LINE)
    assert len(once.trace_) == 1 and once.trace_[0]["decodes"] == 1


def test_the_search_stops(parts):
    early = make(parts, iters=50, options=SearchOptions(stop_r2=-1e9)).fit(*LINE)
    assert len(early.trace_) == 1
    brief = make(parts, iters=10_000, options=SearchOptions(stop_r2=2, seconds=0.2)).fit(*LINE)
    assert 0.2 <= brief.trace_[-1]["seconds"] < 5


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimiser_repeats(parts, name):
    first, again = (make(parts, optimizer=name, seed=3).fit(*LINE) for _ in range(2))
    assert first.formula_ == again.formula_ and len(first.trace_) == 3


def test_inputs_of_any_scale(parts):
    wide = X * 40 + 300
    y = (X[:, 0] + 0.1) ** 2
    made = make(parts, iters=4, options=SearchOptions(temperature=1.0)).fit(wide, y)
    assert made.r2_ > 0.98
    np.testing.assert_allclose(made.predict(wide), made.formula_.evaluate(wide))
    # the scale is that of the data wherever the input stands, and no constant more to fit
    symbols = made.formula_.symbols
    places = [i for i, s in enumerate(symbols) if s == "x_0"]
    assert places and all(symbols[i - 3 : i] == ("mul", symbols[i - 2], "sub") for i in places)
    assert {symbols[i + 1] for i in places} == {wide.mean()}
    assert make(parts)._scales(X)[0].tolist() == [0.0]
    shift, spread = make(parts)._scales(wide)
    assert shift[0] == pytest.approx(300) and spread[0] == pytest.approx(40 * X.std())
    never = make(parts, options=SearchOptions(scale_inputs=False))
    assert never._scales(wide)[1].tolist() == [1.0]


def test_equal_values_are_a_constant(parts):
    made = make(parts).fit(X, np.full(40, 2.5))
    assert made.formula_ == Expression((2.5,)) and made.predict(X[:2]).tolist() == [2.5, 2.5]


def test_it_is_an_estimator(parts):
    made = make(parts, optimizer="de", seed=7)
    params = made.get_params()
    assert params["optimizer"] == "de" and params["pop"] == 8
    assert made.set_params(pop=9).pop == 9


def test_a_copy_searches_alike():
    snip = Snip.from_config("tiny", **SMALL, digits=1)
    made = clone(LatentRegressor(snip, EquationDecoder.for_snip(snip), seed=4), safe=False)
    assert made.seed == 4 and made.snip is not None


def test_bad_fits_are_refused(parts):
    with pytest.raises(DataError, match="1 of 40 hold NaN or infinity, the first at row 3"):
        make(parts).fit(X, np.where(np.arange(40) == 3, np.nan, LINE.y))
    with pytest.raises(DataError, match="at most 1 column"):
        make(parts).fit(np.zeros((4, 2)), np.arange(4))
    with pytest.raises(DataError, match="two points"):
        make(parts).fit([[1.0]], [1.0])
    with pytest.raises(ConfigError, match="did you mean 'gwo'"):
        make(parts, optimizer="gw").fit(*LINE)
    with pytest.raises(ConfigError, match="iters"):
        make(parts, iters=-1).fit(*LINE)
    for wrong in ({"beams": 0}, {"seconds": 0}, {"max_points": 1}):
        with pytest.raises(ConfigError):
            SearchOptions(**wrong)
    with pytest.raises(ConfigError, match="not fitted"):
        make(parts).predict(X)
    other = Snip.from_config("tiny", **{**SMALL, "latent": 9}, digits=1)
    with pytest.raises(ConfigError, match="does not fit"):
        LatentRegressor(other, parts[1]).fit(*LINE)


def test_predictions_outside_the_domain_are_told(parts):
    made = make(parts).fit(*LINE)
    made.formula_ = Expression.parse("log(x)")
    with pytest.warns(UserWarning, match="not defined at 1 of 2 points"):
        found = made.predict([[-1.0], [1.0]])
    assert np.isnan(found[0]) and found[1] == 0
    with pytest.raises(DataError, match=r"1 column\(s\)"):
        made.predict(np.zeros((3, 2)))
    with pytest.raises(DataError, match="NaN"):
        made.predict([[np.nan]])


TEXTS = ["x", "sin(2*x)", "exp(x)", "x**2", "sqrt(x + 9)"]


def test_the_index_finds_by_inner_product(parts, tmp_path):
    snip, _ = parts
    index = FormulaIndex(snip).add(TEXTS[:2]).add(TEXTS[2:])
    scores = snip.encode_formula(TEXTS) @ snip.encode_points(*LINE)[0]
    hits = index.search(*LINE, k=3)
    assert [hit.row for hit in hits] == np.argsort(-scores)[:3].tolist()
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.row], abs=1e-5) and hit.r2 is None
    best = index.search(*LINE, k=10, refit=True)
    assert len(best) == 5 and best[0].row == 1 and best[0].r2 > 0.999
    index.save(tmp_path / "i")
    again = FormulaIndex.load(tmp_path / "i", snip)
    assert again.search(*LINE, k=5) == index.search(*LINE, k=5) and len(again) == 5
    with torch.no_grad():
        other = Snip.from_config("tiny", **SMALL, digits=1, seed=5)
    with pytest.raises(StoreError, match="other weights"):
        FormulaIndex.load(tmp_path / "i", other)
    (tmp_path / "i" / "arrays.safetensors").write_bytes(b"cut")
    with pytest.raises(StoreError, match="damaged"):
        FormulaIndex.load(tmp_path / "i", snip)


def test_nothing_is_lost_by_bad_formulas(parts):
    index = FormulaIndex(parts[0]).add(["x"])
    with pytest.raises(DataError, match=r"2 of 4 formulas cannot be used, the first at place 1"):
        index.add(["x**2", "foo(x)", "exp(x)", "x_1"])
    assert len(index) == 1 and index.search(*LINE, k=5)[0].row == 0
    index.add(["x**2", "foo(x)", "exp(x)", "x_1"], on_error="skip")
    assert [str(f) for f in index.formulas] == ["x_0", "x_0**2", "exp(x_0)"]
    assert [(place, text) for place, text, _ in index.skipped] == [(1, "foo(x)"), (3, "x_1")]
    index.add([])
    # log is not defined at all points of the data: it stays a hit, and comes last
    index.add(["log(x)"])
    assert np.isnan(index.search(*LINE, k=4, refit=True)[-1].r2)


def test_bad_searches_are_refused(parts):
    empty = FormulaIndex(parts[0])
    with pytest.raises(DataError, match="empty"):
        empty.search(*LINE)
    with pytest.raises(DataError, match="into a list"):
        empty.add("x")
    with pytest.raises(ConfigError, match="on_error"):
        empty.add(["x"], on_error="ignore")
    empty.add(["x"])
    with pytest.raises(ConfigError, match="k must"):
        empty.search(*LINE, k=0)
    with pytest.raises(DataError, match="NaN"):
        empty.search(X, np.full(40, np.nan))
