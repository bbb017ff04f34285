"""Pairs by co-citation: who belongs together, negatives, order, seeds."""

from itertools import combinations

import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data import cocitation_pairs

DOMAINS = {f"a{i}": "A" for i in range(12)} | {f"b{i}": "B" for i in range(6)}
CITED = {
    "x": ["a0", "a1", "a2", "b0", "unknown"],
    "y": ["a1", "a3", "a3"],
    "z": ["b1", "b2"],
    "w": ["a5"],
}


def naive_together():
    return {
        frozenset((p, q))
        for p, q in combinations(DOMAINS, 2)
        if DOMAINS[p] == DOMAINS[q] and any(p in c and q in c for c in CITED.values())
    }


def test_pairs_by_a_naive_loop() -> None:
    pairs = cocitation_pairs(CITED, DOMAINS, per_domain=100)
    together = naive_together()
    right = {frozenset((p.first, p.second)) for p in pairs if p.together}
    wrong = [frozenset((p.first, p.second)) for p in pairs if not p.together]
    assert right == together and len(wrong) == len(together) == len({*wrong})
    assert not together & {*wrong}
    for pair in pairs:
        assert DOMAINS[pair.first] == DOMAINS[pair.second] == pair.domain


def test_limits_and_seeds() -> None:
    few = cocitation_pairs(CITED, DOMAINS, per_domain=1, negatives=3)
    for domain in "AB":
        labels = [pair.together for pair in few if pair.domain == domain]
        assert sorted(labels) == [False, False, False, True]
    assert few == cocitation_pairs(CITED, DOMAINS, per_domain=1, negatives=3)
    assert few != cocitation_pairs(CITED, DOMAINS, per_domain=1, negatives=3, seed=1)


def test_order_within_a_pair_tells_nothing() -> None:
    domains = {f"t{i:03}": "A" for i in range(200)}
    cited = {str(i): [f"t{i:03}", f"t{i + 1:03}"] for i in range(199)}
    pairs = cocitation_pairs(cited, domains, per_domain=150)
    for label in (True, False):
        upward = [pair.first < pair.second for pair in pairs if pair.together is label]
        assert 0.35 < sum(upward) / len(upward) < 0.65


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="per_domain must be at least 1"):
        cocitation_pairs(CITED, DOMAINS, per_domain=0)
    with pytest.raises(DataError, match="cited by a third"):
        cocitation_pairs({"x": ["a0", "b0"]}, DOMAINS, per_domain=1)
    with pytest.raises(DataError, match="'A' has 2 texts"):
        cocitation_pairs({"x": ["p", "q"]}, {"p": "A", "q": "A"}, per_domain=1)
