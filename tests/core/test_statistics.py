"""Intervals and tests against simulation, hand cases and properties."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vecsmith.core import (
    ConfigError,
    Interval,
    mean_interval,
    paired_interval,
    permutation_p,
    seeds_and_items_interval,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)
lists = st.lists(numbers, min_size=1, max_size=40)


def test_excludes() -> None:
    assert Interval(1.0, 0.5, 1.5).excludes(0.0)
    assert not Interval(1.0, 0.0, 1.5).excludes(0.0)
    assert not Interval(-1.0, -1.5, -0.5).excludes(0.0)
    assert Interval(-1.0, -1.5, -0.5).excludes(0.0, higher_is_better=False)
    assert Interval(0.9, 0.8, 0.99).excludes(1.0, higher_is_better=False)
    # an interval on the better side only says nothing about the other direction
    assert not Interval(1.0, 0.5, 1.5).excludes(0.0, higher_is_better=False)


def test_single_and_equal_items_are_their_own_interval() -> None:
    assert mean_interval([3.0]) == (3.0, 3.0, 3.0)
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)
    assert paired_interval([1.0, 2.0], [0.5, 1.5]) == (0.5, 0.5, 0.5)


@given(lists)
@settings(max_examples=60, deadline=None)
def test_mean_lies_in_its_interval(values: list[float]) -> None:
    mean, low, high = mean_interval(values)
    slack = 1e-6 * (1.0 + max(map(abs, values)))
    assert mean == pytest.approx(np.mean(values), abs=slack)
    assert min(values) - slack <= low <= high <= max(values) + slack


@given(lists, numbers)
@settings(max_examples=40, deadline=None)
def test_paired_interval_turns_with_the_sides_and_ignores_a_common_shift(
    values: list[float], shift: float
) -> None:
    other = list(reversed(values))
    one, two = paired_interval(values, other), paired_interval(other, values)
    assert one.mean == pytest.approx(-two.mean, abs=1e-3)
    moved = paired_interval([v + shift for v in values], [v + shift for v in other])
    assert moved.mean == pytest.approx(one.mean, abs=1e-2)
    assert paired_interval(values, values) == (0.0, 0.0, 0.0)


def test_seed_repeats_and_matters() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_bootstrap_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(2.0, 3.0, size=2000)
    mean, low, high = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    assert low == pytest.approx(mean - half, abs=0.1 * half)
    assert high == pytest.approx(mean + half, abs=0.1 * half)


def coverage(interval, truth: float, runs: int) -> float:
    found = [interval(np.random.default_rng(run)) for run in range(runs)]
    return sum(low <= truth <= high for _, low, high in found) / runs


@pytest.mark.slow
def test_intervals_cover_the_truth_in_95_of_100() -> None:
    def mean(rng: np.random.Generator) -> Interval:
        return mean_interval(rng.exponential(1.0, 200), seed=int(rng.integers(1000)))

    def paired(rng: np.random.Generator) -> Interval:
        shared = rng.normal(size=200)
        return paired_interval(shared + rng.normal(0.3, 0.5, 200), shared)

    # 200 runs: 0.95 with a standard error of 0.015
    assert 0.90 <= coverage(mean, 1.0, 200) <= 0.99
    assert 0.90 <= coverage(paired, 0.3, 200) <= 0.99


@pytest.mark.slow
def test_interval_over_seeds_covers_the_truth() -> None:
    def over_seeds(rng: np.random.Generator) -> Interval:
        base = rng.normal(0.5, 0.1, 3)
        return seeds_and_items_interval(list(base + rng.normal(0.02, 0.01, 3)), list(base))

    assert 0.92 <= coverage(over_seeds, 0.02, 600) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("jump", [0.0, 0.02, 0.4])
def test_interval_over_seeds_and_items_covers_the_truth(
    seeds: int, shared: bool, jump: float
) -> None:
    # the seeds move the effect not at all, as much as the items do, or far more
    def both(rng: np.random.Generator) -> Interval:
        base = [rng.uniform(size=200) for _ in range(seeds)]
        common = rng.normal(0.05, 0.25, 200) if shared else np.zeros(200) + 0.05
        system = [
            b + common + rng.normal(0, 0.15 if shared else 0.3, 200) + rng.normal(0, jump)
            for b in base
        ]
        return seeds_and_items_interval(system, base)

    assert coverage(both, 0.05, 500) >= 0.92


def test_over_seeds_by_hand() -> None:
    # differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(0.975, 2) = 4.302653
    mean, low, high = seeds_and_items_interval([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    half = 4.302652729911275 / np.sqrt(3)
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    same = stats.ttest_1samp([1.0, 2.0, 3.0], 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((same.low, same.high))


def test_ratio_by_hand() -> None:
    mean, low, high = seeds_and_items_interval([2.0, 6.0], [1.0, 2.0], kind="ratio")
    # ratios 2 and 3
    half = stats.t.ppf(0.975, 1) * 0.5
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    # the same ratio of every item: the items add nothing
    system, baseline = [[2.0, 4.0], [6.0, 6.0]], [[1.0, 2.0], [2.0, 2.0]]
    found = seeds_and_items_interval(system, baseline, kind="ratio")
    assert found == pytest.approx((mean, low, high))


def test_items_are_drawn_alike_for_both_sides() -> None:
    # items differ wildly, the difference never does: the interval is a point
    base = [np.random.default_rng(seed).normal(0, 100, 50) for seed in range(3)]
    found = seeds_and_items_interval([b + 0.5 for b in base], base)
    assert found == pytest.approx((0.5, 0.5, 0.5))


def test_both_levels_count() -> None:
    rng = np.random.default_rng(0)
    base = [rng.normal(size=200) for _ in range(4)]
    still = [b + rng.normal(0.1, 0.1, 200) for b in base]
    jumpy = [s + jump for s, jump in zip(still, (-0.3, -0.1, 0.1, 0.3), strict=True)]
    narrow = seeds_and_items_interval(still, base)
    wide = seeds_and_items_interval(jumpy, base)
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_both_sources_by_hand() -> None:
    # differences: seed one 1 3, seed two 3 5; seed means 2 4; items' means over seeds 2 4
    found = seeds_and_items_interval([[1.0, 3.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 0.0]])
    # variances 2 / 2 and 2 / 2; degrees of freedom 4 / (1 / 1 + 1 / 1) = 2
    half = 4.302652729911275 * np.sqrt(2.0)
    assert found == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_ratio_of_items_is_near_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.uniform(0.5, 1.5, 400)
    system = baseline * rng.uniform(1.0, 1.4, 400) + rng.normal(0, 0.3, 400)
    # one test set, seeds that agree
    found = seeds_and_items_interval([system] * 3, [baseline] * 3, kind="ratio")
    draws = rng.integers(0, 400, (4000, 400))
    low, high = np.percentile(system[draws].mean(1) / baseline[draws].mean(1), [2.5, 97.5])
    half = (high - low) / 2
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * half)


def test_seeds_may_have_other_numbers_of_items() -> None:
    rng = np.random.default_rng(0)
    sizes = (200, 300, 250)
    base = [rng.normal(size=size) for size in sizes]
    system = [b + rng.normal(0.5, 0.1, b.size) for b in base]
    found = seeds_and_items_interval(system, base)
    assert found.low < 0.5 < found.high and found.high - found.low < 0.1
    constant = [[1.0, 1.0], [2.0, 2.0, 2.0]]
    half = stats.t.ppf(0.975, 1) * 0.5
    assert seeds_and_items_interval(constant, [[0.0] * 2, [0.0] * 3]) == pytest.approx(
        (1.5, 1.5 - half, 1.5 + half)
    )


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_interval_over_seeds_turns_with_the_sides(rows: list[list[float]]) -> None:
    zero = [[0.0] * 3 for _ in rows]
    one, two = seeds_and_items_interval(rows, zero), seeds_and_items_interval(zero, rows)
    assert one.low <= one.mean <= one.high
    assert one == pytest.approx((-two.mean, -two.high, -two.low))


def exact_p(differences: list[float]) -> float:
    observed = abs(np.mean(differences))
    means = [
        abs(np.mean([s * d for s, d in zip(signs, differences, strict=True)]))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return float(np.mean([m >= observed - 1e-12 for m in means]))


def test_permutation_p_against_all_sign_flips() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        system, baseline = rng.normal(0.5, 1.0, 8), rng.normal(size=8)
        exact = exact_p(list(system - baseline))
        assert permutation_p(system, baseline) == pytest.approx(exact, abs=0.03)


def test_permutation_p_by_hand() -> None:
    assert permutation_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert permutation_p([1.0], [0.0]) == 1.0
    # ten gains of ten: 2 of 1024 sign patterns are as extreme
    assert permutation_p([1.0] * 10, [0.0] * 10) == pytest.approx(2 / 1024, abs=1e-9)
    assert permutation_p([0.0] * 10, [1.0] * 10) == pytest.approx(2 / 1024, abs=1e-9)


@pytest.mark.slow
def test_permutation_p_rejects_a_true_null_5_times_in_100() -> None:
    def p(seed: int) -> float:
        rng = np.random.default_rng(seed)
        return permutation_p(rng.normal(size=20), rng.normal(size=20), seed=seed)

    assert np.mean([p(seed) < 0.05 for seed in range(300)]) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mean_interval([]), "non-empty list of finite"),
        (lambda: mean_interval([1.0, float("nan")]), "finite"),
        (lambda: mean_interval([[1.0, 2.0]]), r"shape \(1, 2\)"),
        (lambda: paired_interval([1.0], [1.0, 2.0]), "1 for system, 2 for baseline"),
        (lambda: permutation_p([1.0], [1.0, 2.0]), "one length"),
        (lambda: seeds_and_items_interval([1.0], [1.0]), "at least 2; got 1 and 1"),
        (lambda: seeds_and_items_interval([1.0, 2.0], [1.0]), "got 2 and 1"),
        (lambda: seeds_and_items_interval([[1.0], [2.0]], [[1.0], [2.0, 3.0]]), "same items"),
        (lambda: seeds_and_items_interval([1.0, 2.0], [1.0, 2.0], kind="quotient"), "kind"),
        (lambda: seeds_and_items_interval([1.0, float("nan")], [1.0, 2.0]), "finite"),
        (lambda: seeds_and_items_interval([1.0, 2.0], [0.0, 2.0], kind="ratio"), "above 0"),
        (lambda: seeds_and_items_interval([[], []], [[], []]), "finite|non-empty"),
    ],
)
def test_bad_input_is_named(call: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        call()
