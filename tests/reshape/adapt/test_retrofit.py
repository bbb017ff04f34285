"""Retrofitting: the naive update, the minimum of its objective, words that stay, bad input."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.reshape.adapt import retrofit

EDGES = [("a", "b"), ("b", "c"), ("b", "a"), ("c", "c"), ("a", "zzz"), ("d", "e")]


@pytest.fixture
def vectors():
    return WordVectors(list("abcdef"), np.random.default_rng(0).normal(size=(6, 4)))


def naive(vectors, rounds, alpha, beta):
    start = {w: vectors[w].astype(np.float64) for w in vectors.words}
    near = {"a": ["b"], "b": ["a", "c"], "c": ["b"], "d": ["e"], "e": ["d"]}
    found = dict(start)
    for _ in range(rounds):
        last = dict(found)
        for word, others in near.items():
            share = beta / len(others)
            drawn = sum(share * last[o] for o in others) + alpha * start[word]
            found[word] = drawn / (beta + alpha)
    return np.stack([found[w] for w in vectors.words])


@pytest.mark.parametrize(("rounds", "alpha", "beta"), [(1, 1.0, 1.0), (7, 0.5, 2.0)])
def test_it_is_the_naive_update(vectors, rounds, alpha, beta):
    found = retrofit(vectors, EDGES, rounds=rounds, alpha=alpha, beta=beta)
    np.testing.assert_allclose(found.vectors, naive(vectors, rounds, alpha, beta), atol=1e-6)
    np.testing.assert_array_equal(found["f"], vectors["f"])
    assert found.steps[-1] == "retrofit"


def test_many_rounds_settle_where_each_word_balances(vectors):
    found = retrofit(vectors, EDGES, rounds=200)
    for word, near in (("a", ["b"]), ("b", ["a", "c"])):
        pull = np.mean([found[o] for o in near], axis=0) - found[word]
        np.testing.assert_allclose(pull, found[word] - vectors[word], atol=1e-5)
    assert found["a"] @ found["b"] > vectors["a"] @ vectors["b"]


@pytest.mark.parametrize(
    ("edges", "options", "error", "named"),
    [
        ([("a", "zzz")], {}, DataError, "none of 1 edges"),
        ([], {}, DataError, "none of 0 edges"),
        (["ab"], {}, DataError, "pairs of words; got 'ab'"),
        ([("a", "b", "c")], {}, DataError, "pairs of words"),
        (EDGES, {"rounds": 0}, ConfigError, "rounds"),
        (EDGES, {"alpha": 0.0}, ConfigError, "alpha"),
        (EDGES, {"beta": float("nan")}, ConfigError, "beta"),
    ],
)
def test_bad_input_is_named(vectors, edges, options, error, named):
    with pytest.raises(error, match=named):
        retrofit(vectors, edges, **options)
