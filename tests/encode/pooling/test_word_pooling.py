"""Words to texts: by a loop, weights by hand, shared directions, saved; bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.pooling import (
    PoolingOptions,
    WordPooling,
    attention_weights,
    pool_words,
    power_mean,
    shared_directions,
    sif_weights,
)
from vecsmith.encode.words import SubwordVectors, WordVectors

WORDS = ["the", "cat", "dog", "sat", "Paris", "on", "mat"]
TEXTS = ["The cat sat on the mat.", "the dog sat", "a dog in Paris", "the the cat"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return WordVectors(WORDS, rng.standard_normal((len(WORDS), 5)))


def known(text):
    lower = text.lower().replace(".", "").split()
    return [word for word in lower if word in WORDS]


@pytest.mark.parametrize("how", ["mean", "max", "min"])
def test_pooling_is_that_of_a_loop(table, how):
    found = WordPooling(table, how).encode(TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        columns = np.array([table[word] for word in known(text)]).T
        make = {"mean": lambda c: sum(c) / len(c), "max": max, "min": min}[how]
        np.testing.assert_allclose(row, [make(list(c)) for c in columns], rtol=1e-5, atol=1e-7)
    assert found.dtype == np.float32


def test_sif_by_hand(table):
    options = PoolingOptions(sif=0.1)
    pooling = WordPooling(table, weights="sif", options=options).fit(TEXTS)
    # 15 words, three of them "the" in the first and second text, two in the last
    total = sum(len(text.split()) for text in TEXTS)
    counts = {"the": 5, "dog": 2, "sat": 2, "cat": 2}
    expected = np.zeros(5)
    for word in ("the", "dog", "sat"):
        expected += 0.1 / (0.1 + counts[word] / total) * table[word].astype(np.float64) / 3
    np.testing.assert_allclose(pooling.encode(["the dog sat"])[0], expected, rtol=1e-5)
    np.testing.assert_allclose(sif_weights([0, 5], total, 0.1), [1, 0.1 / (0.1 + 5 / total)])


def test_tfidf_by_hand(table):
    pooling = WordPooling(table, weights="tfidf").fit(TEXTS)
    weights = {"the": 1 + np.log(5 / 4), "paris": 1 + np.log(5 / 2), "dog": 1 + np.log(5 / 3)}
    expected = (weights["the"] * table["the"] + weights["dog"] * table["dog"]) / 2
    np.testing.assert_allclose(pooling.encode(["the dog"])[0], expected, rtol=1e-5)
    unseen = WordPooling(table, weights="tfidf").fit(TEXTS[1:3]).encode(["mat"])[0]
    np.testing.assert_allclose(unseen, (1 + np.log(3)) * table["mat"], rtol=1e-5)


def test_shared_directions_are_taken_off(table):
    options = PoolingOptions(components=2)
    plain = WordPooling(table, weights="sif").fit(TEXTS).encode(TEXTS).astype(np.float64)
    pooling = WordPooling(table, weights="sif", options=options).fit(TEXTS)
    right = np.linalg.svd(plain)[2][:2]
    np.testing.assert_allclose(pooling.encode(TEXTS), plain - plain @ right.T @ right, atol=1e-5)
    np.testing.assert_allclose(np.abs(pooling.directions @ right.T), np.eye(2), atol=1e-5)
    assert shared_directions(np.eye(3)[:1], 2).shape == (1, 3)


def test_power_means():
    rows = np.array([[1.0, -2.0], [3.0, -4.0]])
    np.testing.assert_allclose(power_mean(rows, 1), rows.mean(0))
    np.testing.assert_allclose(power_mean(rows, 3), [14 ** (1 / 3), -(36 ** (1 / 3))])
    np.testing.assert_allclose(power_mean(rows, 2), [5**0.5, 10**0.5])
    options = PoolingOptions(powers=(-np.inf, 1, np.inf))
    expected = [*rows.min(0), *rows.mean(0), *rows.max(0)]
    np.testing.assert_allclose(pool_words(rows, "power", options=options), expected)


def test_attention_by_a_loop():
    rows = np.random.default_rng(3).standard_normal((4, 3))
    unit = [row / np.linalg.norm(row) for row in rows]
    weights = np.zeros(4)
    for a in unit:
        scores = np.array([np.exp(a @ b / 0.5) for b in unit])
        weights += scores / scores.sum() / 4
    np.testing.assert_allclose(attention_weights(rows, 0.5), weights)
    found = pool_words(rows, "attention", options=PoolingOptions(temperature=0.5))
    np.testing.assert_allclose(found, weights @ rows)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.randoms())
def test_order_of_words_does_not_matter(words, random):
    table = WordVectors(WORDS, np.random.default_rng(0).standard_normal((len(WORDS), 5)))
    mixed = random.sample(words, len(words))
    for how in ("mean", "power", "attention"):
        pooling = WordPooling(table, how, tokenizer=str.split)
        a, b = pooling.encode([" ".join(words), " ".join(mixed)])
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_case_is_folded_where_asked_for(table):
    assert not WordPooling(table).encode(["paris"]).any()
    pooling = WordPooling(table, options=PoolingOptions(fold_case=True))
    np.testing.assert_array_equal(pooling.encode(["paris"])[0], table["Paris"])


def test_tokens_and_texts_without_a_known_word(table):
    pooling = WordPooling(table)
    found = pooling.encode_tokens(["the unknown cat", "zzz", ""])
    np.testing.assert_array_equal(found[0], table[["the", "cat"]])
    assert [rows.shape for rows in found[1:]] == [(0, 5), (0, 5)]
    assert not pooling.encode(["zzz", ""]).any() and pooling.encode([]).shape == (0, 5)
    unit = pooling.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


CASES = [
    ("mean", "sif", PoolingOptions(components=1, sif=0.01, fold_case=True)),
    ("mean", "tfidf", PoolingOptions()),
    ("power", "none", PoolingOptions(powers=(1, 3, np.inf), components=2)),
]


@pytest.mark.parametrize("how, weights, options", CASES)
def test_saved_poolings_come_back(table, how, weights, options, tmp_path):
    pooling = WordPooling(table, how, weights=weights, options=options).fit(TEXTS)
    together = pooling.encode(TEXTS)
    alone = np.concatenate([pooling.encode([text]) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)
    pooling.save(tmp_path / "model")
    again = WordPooling.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(TEXTS), together)
    assert again.options == options and again.dims == pooling.dims


def test_subwords_leave_no_word_out(tmp_path):
    rng = np.random.default_rng(1)
    table = SubwordVectors(WORDS, rng.standard_normal((7, 4)), rng.standard_normal((50, 4)))
    pooling = WordPooling(table, weights="sif").fit(TEXTS)
    assert pooling.encode(["unheard"]).any()
    pooling.save(tmp_path / "model")
    again = WordPooling.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(["unheard cat"]), pooling.encode(["unheard cat"]))


def test_bad_input_is_said(table, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        WordPooling(table, "meen")
    with pytest.raises(ConfigError, match="weights cannot be"):
        WordPooling(table, weights="idf")
    with pytest.raises(ConfigError, match="for how='mean'"):
        WordPooling(table, "max", weights="sif")
    for bad in ({"sif": 0}, {"components": -1}, {"powers": (0.5,)}, {"powers": ()}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            PoolingOptions(**bad)
    with pytest.raises(DataError, match="call fit"):
        WordPooling(table, weights="sif").encode(TEXTS)
    with pytest.raises(DataError, match="no word of 1 texts"):
        WordPooling(table, options=PoolingOptions(components=1)).fit(["zzz"])
    with pytest.raises(DataError, match="single string"):
        WordPooling(table).encode("the cat")
    pooling = WordPooling(table, weights="sif").fit(TEXTS)
    pooling.save(tmp_path / "model")
    path = tmp_path / "model" / "settings.json"
    path.write_text(path.read_text().replace('"how": "mean"', '"how": "median"'))
    with pytest.raises(StoreError, match="median"):
        WordPooling.load(tmp_path / "model")
