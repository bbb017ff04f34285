"""Topics by clusters: weights by a loop, themes found, noise, saved; bad input."""

import math

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode import FactorEncoder, LexicalEncoder
from vecsmith.train.topics import ClusterOptions, EmbeddingTopics, class_tfidf

THEMES = {
    "home": "cat dog mat sleeps purrs fur tail kitten",
    "money": "stocks bonds market falls investor bank rates profit",
    "ships": "sail harbour mast captain anchor deck crew storm",
}


def texts(count, seed):
    rng = np.random.default_rng(seed)
    words = [theme.split() for theme in THEMES.values()]
    return [" ".join(["the", *rng.choice(words[i % 3], 6)]) for i in range(count)]


TEXTS, TRUE = texts(90, 0), np.arange(90) % 3


@pytest.fixture(scope="module")
def encoder():
    return FactorEncoder("lsa", 6).fit(TEXTS)


@pytest.fixture(scope="module", params=["kmeans", "hdbscan"])
def fitted(request, encoder):
    return EmbeddingTopics(encoder, 3, method=request.param, seed=1).fit(TEXTS)


def test_weights_are_those_of_a_loop():
    counts = np.random.default_rng(0).integers(0, 5, (3, 4)).astype(float)
    counts[2] = 0
    counts[:, 1] = 0
    found = class_tfidf(counts)
    mean = counts.sum() / 3
    for c in range(3):
        for w in range(4):
            expected = 0.0
            if counts[c, w]:
                expected = counts[c, w] / counts[c].sum() * math.log(1 + mean / counts[:, w].sum())
            assert found[c, w] == pytest.approx(expected)


def test_themes_are_found(fitted):
    assert fitted.centres.shape == (3, 6)
    for topic in range(3):
        inside = TRUE[fitted.labels == topic]
        assert len(inside) > 20 and (inside == inside[0]).all()
        theme = list(THEMES.values())[inside[0]].split()
        assert {*fitted.topics(5)[topic]} <= {*theme}
    new, by_theme = texts(9, 7), {}
    for text, topic in zip(new, fitted.predict(new), strict=True):
        by_theme.setdefault(int(topic), set()).add(new.index(text) % 3)
    assert all(len(found) == 1 for found in by_theme.values()) and len(by_theme) == 3


def test_what_lies_alone_is_left_out(encoder):
    rng = np.random.default_rng(2)
    vectors = encoder.encode(TEXTS)
    vectors[::10] = rng.standard_normal((9, 6))
    topics = EmbeddingTopics(encoder, method="hdbscan").fit(TEXTS, vectors=vectors)
    assert (topics.labels[::10] == -1).sum() > 4 and topics.labels.max() == 2


def test_rows_are_shares_and_batches_do_not_matter(fitted):
    together = fitted.encode(TEXTS[:9])
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-6)
    alone = np.concatenate([fitted.encode([text]) for text in TEXTS[:9]])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_array_equal(together.argmax(1), fitted.predict(TEXTS[:9]))
    cosines = fitted.encoder.encode(TEXTS[:1], normalize_embeddings=True) @ fitted.centres.T
    expected = np.exp(cosines / 0.1) / np.exp(cosines / 0.1).sum()
    np.testing.assert_allclose(together[:1], expected, rtol=1e-4, atol=1e-6)
    assert fitted.encode([]).shape == (0, 3)
    unit = fitted.encode(TEXTS[:3], normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_saved_topics_come_back_and_seeds_repeat(fitted, encoder, tmp_path):
    fitted.save(tmp_path / "model")
    again = EmbeddingTopics.load(tmp_path / "model", encoder)
    assert again.topics() == fitted.topics() and again.method == fitted.method
    np.testing.assert_array_equal(again.encode(TEXTS), fitted.encode(TEXTS))
    np.testing.assert_array_equal(again.labels, fitted.labels)
    same = EmbeddingTopics(encoder, 3, method=fitted.method, seed=1).fit(TEXTS)
    np.testing.assert_array_equal(same.labels, fitted.labels)
    (tmp_path / "model" / "arrays.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        EmbeddingTopics.load(tmp_path / "model", encoder)


def test_bad_input_is_said(encoder):
    with pytest.raises(ConfigError, match="did you mean 'kmeans'"):
        EmbeddingTopics(encoder, method="kmean")
    with pytest.raises(ConfigError, match="topics"):
        EmbeddingTopics(encoder, 1)
    for bad in ({"restarts": 0}, {"min_texts": 1}, {"temperature": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            ClusterOptions(**bad)
    topics = EmbeddingTopics(encoder, 3)
    with pytest.raises(DataError, match="call fit"):
        topics.predict(TEXTS)
    with pytest.raises(DataError, match="as many different texts; got 1"):
        topics.fit(["cat dog"] * 9)
    with pytest.raises(DataError, match="sparse"):
        EmbeddingTopics(LexicalEncoder().fit(TEXTS), 3).fit(TEXTS)
    with pytest.raises(DataError, match="finite"):
        topics.fit(TEXTS, vectors=np.full((90, 2), np.nan))
    with pytest.raises(DataError, match="finite"):
        topics.fit(TEXTS, vectors=np.ones((3, 2)))
    with pytest.raises(DataError, match="lower min_texts"):
        EmbeddingTopics(encoder, method="hdbscan").fit(TEXTS[:5])
    with pytest.raises(DataError, match="give the same encoder"):
        topics.fit(TEXTS).predict(TEXTS, vectors=np.ones((90, 2)))
