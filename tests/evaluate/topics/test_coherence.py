"""Coherence and diversity: by a loop over windows, by hand; bad input."""

import math

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.evaluate.topics import _coherence, topic_coherence, topic_diversity

TEXTS = [
    "the cat sat on the mat and the cat slept near the dog",
    "a dog and a cat met on the mat",
    "stocks fell",
    "stocks rose and bonds fell and stocks fell again",
    "",
]
TOPICS = [["cat", "dog", "mat"], ["stocks", "bonds", "fell"], ["cat", "stocks", "unseen"]]


def naive(topics, texts, window):
    sets = []
    for text in texts:
        words = text.split()
        size = min(window or len(words), len(words))
        sets += [{*words[i : i + size]} for i in range(len(words) - size + 1)] if words else []
    share = lambda *words: sum({*words} <= s for s in sets) / len(sets)  # noqa: E731
    scores = []
    for topic in topics:
        values = []
        for i, a in enumerate(topic):
            for b in topic[:i]:
                both = share(a, b)
                value = -1.0
                if both:
                    value = math.log(both / share(a) / share(b)) / -math.log(both)
                values.append(value)
        scores.append(sum(values) / len(values))
    return scores, len(sets)


@pytest.mark.parametrize("window", [1, 2, 4, 10, None])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_coherence_is_that_of_a_loop(window, block, monkeypatch):
    monkeypatch.setattr(_coherence, "_BLOCK", block)
    found = topic_coherence(TOPICS, TEXTS, window=window)
    expected, windows = naive(TOPICS, TEXTS, window)
    np.testing.assert_allclose(found.topics, expected)
    assert found.windows == windows and found.unseen == 1
    assert found.mean == pytest.approx(np.mean(expected))


def test_bounds():
    assert topic_coherence([["a", "b"]], ["a b", "b a"], window=None).mean == 1
    assert topic_coherence([["a", "b"]], ["a b", "c"], window=None).mean == pytest.approx(1)
    assert topic_coherence([["a", "b"]], ["a c", "b"], window=None).mean == -1
    # by chance
    assert topic_coherence([["a", "b"]], ["a b", "a", "b", "c"], window=None).mean == 0


def test_only_the_top_words_count():
    first = topic_coherence([["cat", "dog", "stocks"]], TEXTS, top_k=2)
    assert first.mean == topic_coherence([["cat", "dog"]], TEXTS).mean
    assert topic_diversity([["a", "b", "x"], ["a", "c", "x"]], top_k=2) == 0.75
    assert topic_diversity([["a", "b"], ["c", "d"]]) == 1


def test_bad_input_is_said():
    with pytest.raises(ConfigError, match="top_k"):
        topic_coherence(TOPICS, TEXTS, top_k=1)
    with pytest.raises(ConfigError, match="window"):
        topic_coherence(TOPICS, TEXTS, window=0)
    for bad in ([], "cat dog", [[]], [["a", "a"]]):
        with pytest.raises(DataError, match="topic"):
            topic_diversity(bad)
    with pytest.raises(DataError, match="at least 2 words"):
        topic_coherence([["cat"]], TEXTS)
    with pytest.raises(DataError, match="tokenizer"):
        topic_coherence([["Cat", "Dog"]], TEXTS)
    with pytest.raises(DataError, match="at least one text"):
        topic_coherence(TOPICS, [])
    with pytest.raises(DataError, match="single string"):
        topic_coherence(TOPICS, "cat dog")
