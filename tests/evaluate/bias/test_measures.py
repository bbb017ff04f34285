"""Measures of bias against loops in double precision and enumeration, and bad input."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.data.samples import AssociationTest
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.bias import (
    _generated,
    association_scores,
    association_test,
    bias_components,
    direct_bias,
    equidistance_gap,
    generate_analogies,
    indirect_bias,
    most_biased,
    permutation_share,
    residual_bias,
    specific_share,
    stereotype_correlation,
)
from vecsmith.reshape.debias import BiasSubspace


def table(words=30, dims=5, seed=0):
    rng = np.random.default_rng(seed)
    return WordVectors([f"w{i}" for i in range(words)], rng.normal(size=(words, dims)))


def subspace(dims=5, k=1, seed=1):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(dims, k)))[0].T
    return BiasSubspace(basis, np.ones(k))


def unit(row):
    row = np.asarray(row, np.float64)
    return row / np.linalg.norm(row)


# direct and indirect


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("strictness", [0.0, 0.5, 1.0, 2.0])
def test_direct_bias_is_the_mean_of_powers(k, strictness):
    vectors, b = table(), subspace(k=k)
    words = [f"w{i}" for i in range(0, 30, 2)]
    parts = []
    for word in words:
        w = unit(vectors[word])
        inside = sum((w @ row) * row for row in b.basis)
        parts.append(np.linalg.norm(inside))
    np.testing.assert_allclose(bias_components(vectors, b, words), parts, atol=1e-6)
    expected = np.mean([p**strictness for p in parts])
    assert direct_bias(vectors, b, words, strictness=strictness) == pytest.approx(
        expected, abs=1e-6
    )


def test_no_trace_is_no_bias():
    vectors = WordVectors(["a", "b"], [[1, 0], [1, 1]])
    b = BiasSubspace(np.array([[0.0, 1.0]]), np.ones(1))
    assert direct_bias(vectors, b, ["a"], strictness=0) == 0.0
    assert direct_bias(vectors, b, ["a", "b"], strictness=0) == 0.5


def test_indirect_bias_is_the_formula():
    vectors, b = table(), subspace(k=2)
    pairs = [("w1", "w2"), ("w3", "w9"), ("w4", "w4")]
    for (first, second), found in zip(pairs, indirect_bias(vectors, b, pairs), strict=True):
        w, v = unit(vectors[first]), unit(vectors[second])
        w_, v_ = (x - sum((x @ row) * row for row in b.basis) for x in (w, v))
        rest = w_ @ v_ / (np.linalg.norm(w_) * np.linalg.norm(v_))
        assert found == pytest.approx((w @ v - rest) / (w @ v), abs=1e-6)
    assert indirect_bias(vectors, b, [("w4", "w4")])[0] == pytest.approx(0, abs=1e-9)


def test_indirect_bias_of_words_that_share_nothing_else():
    vectors = WordVectors(["a", "b", "c", "d"], [[1, 1, 0], [1, 0, 1], [0, 1, 0], [1, 0, 0]])
    b = BiasSubspace(np.array([[1.0, 0.0, 0.0]]), np.ones(1))
    found = indirect_bias(vectors, b, [("a", "b"), ("b", "c"), ("a", "d")])
    assert found[0] == pytest.approx(1.0) and np.isnan(found[1:]).all()


def test_stereotypes_are_a_rank_correlation():
    vectors = WordVectors(["a", "b", "c", "d"], [[3, 1], [1, 1], [0, 1], [-1, 1]])
    b = BiasSubspace(np.array([[1.0, 0.0]]), np.ones(1))
    found = stereotype_correlation(vectors, b, {"a": 9.0, "b": 2.0, "c": 1.0, "d": 0.0, "x": 5.0})
    assert found.spearman == pytest.approx(1.0) and (found.words, found.missing) == (4, 1)
    flat = WordVectors(["a", "b", "c"], np.ones((3, 2)) * [0, 1])
    found = stereotype_correlation(flat, b, {"a": 1.0, "b": 2.0, "c": 3.0})
    assert np.isnan(found.spearman) and found.p == 1.0
    with pytest.raises(DataError, match="1 of 2 rated words"):
        stereotype_correlation(vectors, b, {"a": 1.0, "x": 2.0})


def test_gap_is_the_largest_difference_of_cosines():
    vectors = table()
    sets, neutral = [("w0", "w1", "w2", "zz"), ("w3", "zz")], ["w8", "w9"]
    gaps = [
        abs(unit(vectors[n]) @ unit(vectors[a]) - unit(vectors[n]) @ unit(vectors[b]))
        for n in neutral
        for a, b in itertools.combinations(("w0", "w1", "w2"), 2)
    ]
    assert equidistance_gap(vectors, sets, neutral) == pytest.approx(max(gaps), abs=1e-9)
    with pytest.raises(DataError, match="0 such sets"):
        equidistance_gap(vectors, sets[1:], neutral)
    with pytest.raises(DataError, match="and 0 words"):
        equidistance_gap(vectors, sets, [])


def test_words_must_be_given():
    vectors, b = table(), subspace()
    with pytest.raises(DataError, match="at least one word"):
        direct_bias(vectors, b, [])
    with pytest.raises(DataError, match="at least one pair"):
        indirect_bias(vectors, b, [])
    with pytest.raises(DataError, match="'zz' has no vector"):
        direct_bias(vectors, b, ["zz"])
    with pytest.raises(ConfigError, match="strictness"):
        direct_bias(vectors, b, ["w1"], strictness=-1)
    with pytest.raises(DataError, match="5 dimensions"):
        direct_bias(table(dims=3), b, ["w1"])


# association tests


def sets(n=4, m=4):
    words = iter(f"w{i}" for i in range(30))
    return AssociationTest("test", *(tuple(itertools.islice(words, size)) for size in (n, m, 3, 5)))


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5)])
def test_association_is_what_enumeration_says(n, m):
    vectors, test = table(seed=3), sets(n, m)

    def s(w):
        near = [unit(vectors[w]) @ unit(vectors[a]) for a in test.first_attribute]
        far = [unit(vectors[w]) @ unit(vectors[b]) for b in test.second_attribute]
        return np.mean(near) - np.mean(far)

    first, second = ([s(w) for w in part] for part in (test.first_target, test.second_target))
    found = association_test(vectors, test)
    spread = np.std(first + second, ddof=1)
    assert found.effect == pytest.approx((np.mean(first) - np.mean(second)) / spread)
    scores = np.array(first + second)
    gap = scores[:n].mean() - scores[n:].mean()
    reached = [
        scores[list(c)].mean() - np.delete(scores, list(c)).mean() >= gap - 1e-12
        for c in itertools.combinations(range(n + m), n)
    ]
    assert found.exact and found.p == pytest.approx(np.mean(reached))
    assert (found.targets, found.attributes, found.missing) == ((n, m), (3, 5), ())


def test_drawn_splits_come_near_all_splits():
    vectors, test = table(seed=4), sets(6, 6)
    whole = association_test(vectors, test)
    drawn = association_test(vectors, test, permutations=900)
    assert whole.exact and not drawn.exact
    error = math.sqrt(whole.p * (1 - whole.p) / 900)
    assert abs(whole.p - drawn.p) < 4 * error + 1 / 900
    assert drawn == association_test(vectors, test, permutations=900)
    assert drawn.p != association_test(vectors, test, permutations=900, seed=1).p


def test_drawn_splits_know_no_level_and_never_give_zero():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=9), rng.normal(size=8)
    found = permutation_share(first, second, 500, 0)
    assert 0.02 < found < 0.98
    assert permutation_share(first + 10, second + 10, 500, 0) == found
    assert permutation_share(first + 99, second, 500, 0) == 1 / 501


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.integers(-3, 3), min_size=4, max_size=8),
    cut=st.integers(1, 3),
)
def test_share_of_splits_counts_ties(values, cut):
    scores = np.array(values, np.float64)
    found = permutation_share(scores[:cut], scores[cut:], 10_000, 0)
    sums = [scores[list(c)].sum() for c in itertools.combinations(range(len(scores)), cut)]
    assert found == pytest.approx(np.mean(np.array(sums) >= scores[:cut].sum()))


def test_blocks_of_splits_change_nothing(monkeypatch):
    from vecsmith.evaluate.bias import _association

    vectors, test = table(seed=4), sets(5, 5)
    whole = association_test(vectors, test)
    monkeypatch.setattr(_association, "_BLOCK", 7)
    assert association_test(vectors, test) == whole


def test_missing_words_are_listed_and_too_few_refused():
    vectors = table()
    test = AssociationTest("t", ("w0", "w1", "x"), ("w2", "w3"), ("w4", "y"), ("w5",))
    assert association_test(vectors, test).missing == ("x", "y")
    for bad in (
        AssociationTest("t", ("w0", "x"), ("w2", "w3"), ("w4",), ("w5",)),
        AssociationTest("t", ("w0", "w1"), ("w2", "w3"), (), ("w5",)),
    ):
        with pytest.raises(DataError, match="two are needed in each target"):
            association_test(vectors, bad)
    with pytest.raises(DataError, match="score the same"):
        association_test(WordVectors(vectors.words, np.ones((30, 2))), test)
    with pytest.raises(ConfigError, match="permutations"):
        association_test(vectors, test, permutations=0)


def test_scores_are_differences_of_mean_cosines():
    found = association_scores([[2, 0], [0, 3]], [[1, 0]], [[0, 1], [0, 5]])
    np.testing.assert_allclose(found, [1, -1])


# generated analogies


def naive_analogies(vectors, seed, delta, topn):
    unit_ = {w: unit(vectors[w]) for w in vectors.words}
    gap = unit(unit_[seed[0]] - unit_[seed[1]])
    rows = []
    for x, y in itertools.permutations(vectors.words, 2):
        step = unit_[x] - unit_[y]
        if np.linalg.norm(step) <= delta and step @ gap > 1e-6:
            rows.append((gap @ step / np.linalg.norm(step), x, y))
    left, right, found = set(), set(), []
    for score, x, y in sorted(rows, reverse=True):
        if x not in left and y not in right and len(found) < topn:
            left.add(x)
            right.add(y)
            found.append((x, y, score))
    return found


@pytest.mark.parametrize(("delta", "topn"), [(1.0, 7), (1.4, 12), (0.8, 100)])
@pytest.mark.parametrize("block", [7, 2048])
def test_generated_analogies_are_what_a_loop_finds(monkeypatch, delta, topn, block):
    monkeypatch.setattr(_generated, "_ROWS", block)
    vectors = table(40, 4, seed=6)
    found = generate_analogies(vectors, ("w0", "w1"), delta=delta, topn=topn)
    expected = naive_analogies(vectors, ("w0", "w1"), delta, topn)
    assert [(f.first, f.second) for f in found] == [(x, y) for x, y, _ in expected]
    np.testing.assert_allclose([f.score for f in found], [s for *_, s in expected], atol=1e-5)


def test_pairs_that_were_cut_are_looked_for_again(monkeypatch):
    # many pairs share their words: the best few candidates do not suffice
    rng = np.random.default_rng(0)
    rows = np.vstack([[[1, 0.3, 0]], rng.normal([0, 1, 0], 0.1, (30, 3)), [[-1, 0.3, 0]]])
    vectors = WordVectors([f"w{i}" for i in range(32)], rows)
    calls = []
    real = _generated._candidates

    def small(table_, direction, delta, kept):
        calls.append(kept)
        return real(table_, direction, delta, kept // 64)

    monkeypatch.setattr(_generated, "_candidates", small)
    found = generate_analogies(vectors, ("w0", "w31"), topn=9)
    assert len(calls) > 1
    expected = naive_analogies(vectors, ("w0", "w31"), 1.0, 9)
    assert [(f.first, f.second) for f in found] == [(x, y) for x, y, _ in expected]


def test_only_the_first_words_are_compared():
    vectors = table(40, 4, seed=6)
    found = generate_analogies(vectors, ("w30", "w31"), limit=10, topn=5)
    assert {w for f in found for w in f[:2]} <= set(vectors.words[:10])


def test_share_of_specific_pairs():
    vectors = table(40, 4, seed=6)
    found = generate_analogies(vectors, ("w0", "w1"), topn=4)
    assert specific_share(found, [*found[0][:2], found[1].first]) == 0.25
    assert np.isnan(specific_share([], ["a"]))


def test_bad_input_of_generated_analogies():
    vectors = table()
    for options in ({"delta": 0.0}, {"delta": 2.1}, {"topn": 0}, {"limit": 1}):
        with pytest.raises(ConfigError, match="delta must lie"):
            generate_analogies(vectors, ("w0", "w1"), **options)
    with pytest.raises(ConfigError, match="equal vectors"):
        generate_analogies(vectors, ("w0", "w0"))
    with pytest.raises(DataError, match=r"'she' .* no vector"):
        generate_analogies(vectors)


# residual


def test_sides_are_found_where_they_are_and_not_where_they_are_not():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 6))
    rows[:, 0] = np.linspace(-3, 3, 200)
    before = WordVectors([f"w{i}" for i in range(200)], rows)
    after = WordVectors(before.words, np.hstack([np.zeros((200, 1)), rng.normal(size=(200, 5))]))
    b = BiasSubspace(np.eye(6)[:1], np.ones(1))
    first, second = most_biased(before, b, before.words, 60)
    assert "w199" in first[:20] and "w0" in second[:20] and not set(first) & set(second)
    assert all(unit(before[w])[0] > 0 for w in first)
    found = residual_bias(before, first, second, seed=2)
    # the names of clusters are by chance
    assert min(residual_bias(before, first, second, seed=s).clustered for s in range(5)) > 0.9
    assert found.classified > 0.95 and found.clustered > 0.9 and found.words == 120
    assert found == residual_bias(before, first, second, seed=2)
    chance = residual_bias(after, first, second)
    assert 0.3 < chance.classified < 0.7 and 0.5 <= chance.clustered < 0.65


def test_bad_input_of_sides():
    vectors, b = table(), subspace()
    with pytest.raises(DataError, match="need 40 neutral words; got 30"):
        most_biased(vectors, b, vectors.words, 20)
    with pytest.raises(ConfigError, match="count"):
        most_biased(vectors, b, vectors.words, 1)
    with pytest.raises(DataError, match="two words at least"):
        residual_bias(vectors, ["w1"], ["w2", "w3"])
