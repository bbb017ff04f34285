"""Tokens and counts: by a loop, additive, streamed, saved; bad input."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.train.words import CooccurrenceCounter, _counts, _tokens, split_words, token_blocks

TEXTS = ["The cat sat. The cat ate.", ["the", "dog", "sat"], "", "Ate"]


def naive(texts, radius):
    words, documents, pairs = Counter(), Counter(), {d: Counter() for d in range(1, radius + 1)}
    for text in texts:
        tokens = split_words(text) if isinstance(text, str) else text
        words.update(tokens)
        documents.update(set(tokens))
        for d in pairs:
            pairs[d].update(zip(tokens, tokens[d:], strict=False))
    return words, documents, pairs


def check(counter, texts, radius):
    words, documents, pairs = naive(texts, radius)
    ranking = counter.ranking()
    assert dict(zip(ranking.words, ranking.counts.tolist(), strict=True)) == dict(words)
    assert dict(zip(ranking.words, ranking.documents.tolist(), strict=True)) == dict(documents)
    assert ranking.words == sorted(words, key=lambda w: (-words[w], w))
    for d in range(1, radius + 1):
        matrix = counter.matrix(d, ranking.rows).toarray()
        for i, first in enumerate(ranking.words):
            for j, second in enumerate(ranking.words):
                assert matrix[i, j] == pairs[d][first, second]
        np.testing.assert_array_equal(counter.matrix(-d, ranking.rows).toarray(), matrix.T)
    assert counter.tokens == sum(words.values()) and counter.texts == len(texts)


def test_counts_are_those_of_a_loop():
    check(CooccurrenceCounter(3).add(TEXTS), TEXTS, 3)


corpora = st.lists(st.lists(st.sampled_from("abcde"), max_size=9), min_size=1, max_size=12).filter(
    lambda texts: any(texts)
)


@settings(max_examples=30, deadline=None)
@given(texts=corpora, radius=st.integers(1, 3), cut=st.integers(0, 12), threads=st.integers(1, 3))
def test_counts_add_up(texts, radius, cut, threads):
    counter = CooccurrenceCounter(radius, threads=threads)
    for part in (texts[:cut], texts[cut:]):
        counter.add(iter(part))
    check(counter, texts, radius)


def test_blocks_and_merging_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    texts = [[f"w{i}" for i in rng.integers(0, 30, n)] for n in rng.integers(0, 40, 60)]
    whole = CooccurrenceCounter(2).add(texts)
    real = _tokens.token_blocks
    for block in (17, 90):
        monkeypatch.setattr(
            _counts,
            "token_blocks",
            lambda *args, block=block, **options: real(*args, block=block, **options),
        )
        parts = CooccurrenceCounter(2).add(texts)
        for d in (1, 2):
            np.testing.assert_array_equal(parts.pairs(d).keys, whole.pairs(d).keys)
            np.testing.assert_array_equal(parts.pairs(d).counts, whole.pairs(d).counts)
        assert parts.ranking().words == whole.ranking().words


def test_runs_are_merged_as_they_grow(monkeypatch):
    real = _tokens.token_blocks
    monkeypatch.setattr(
        _counts, "token_blocks", lambda *args, **options: real(*args, block=3, **options)
    )
    counter = CooccurrenceCounter(1)
    counter.add([["a", "b", f"c{i}"] for i in range(200)])
    # each run is more than twice as long as the next
    assert len(counter._runs[1]) <= 9
    assert counter.pairs(1).counts.max() == 200


def test_ranking_leaves_out_what_is_rare():
    counter = CooccurrenceCounter(1).add(TEXTS)
    assert counter.ranking(min_count=2).words == ["the", "ate", "cat", "sat"]
    assert counter.ranking(max_words=1).words == ["the"]
    rows = counter.ranking(min_count=2).rows
    # a word that is left out keeps its place: cat does not stand next to the by that
    assert counter.matrix(1, rows).sum() == 5


def test_radius_zero_counts_words_alone():
    counter = CooccurrenceCounter(0).add(TEXTS)
    assert counter.ranking().words[0] == "the"
    with pytest.raises(ConfigError, match="offset must be"):
        counter.pairs(1)


def test_saved_counts_can_be_added_to(tmp_path):
    counter = CooccurrenceCounter(2).add(TEXTS[:2])
    counter.save(tmp_path)
    again = CooccurrenceCounter.load(tmp_path)
    again.add(TEXTS[2:])
    check(again, TEXTS, 2)
    CooccurrenceCounter(2).add([["a"]]).save(tmp_path / "one")
    assert CooccurrenceCounter.load(tmp_path / "one").ranking().words == ["a"]


def test_damaged_counts_are_refused(tmp_path):
    CooccurrenceCounter(2).add(TEXTS).save(tmp_path)
    words = tmp_path / "counts.json"
    text = words.read_text("utf-8")
    words.write_text(text.replace('"cat",', ""), "utf-8")
    with pytest.raises(StoreError, match="of other words"):
        CooccurrenceCounter.load(tmp_path)
    words.write_text(text.replace('"radius": 2', '"radius": 3'), "utf-8")
    with pytest.raises(StoreError, match="is damaged"):
        CooccurrenceCounter.load(tmp_path)
    (tmp_path / "counts.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError, match="is damaged"):
        CooccurrenceCounter.load(tmp_path)
    words.unlink()
    with pytest.raises(StoreError, match="missing"):
        CooccurrenceCounter.load(tmp_path)


def test_words_are_split_in_any_script():
    text = "Don't-stop: naïve Ёлка 42 数字, o’clock a_b"
    assert split_words(text) == [
        "don't",
        "stop",
        "naïve",
        "ёлка",
        "42",
        "数字",
        "o’clock",
        "a",
        "b",
    ]


def test_unknown_words_have_no_pairs():
    known = {"a": 0, "b": 1}
    (block,) = token_blocks([["a", "x", "b", "a"]], lambda w: known.get(w, -1))
    assert block.ids.tolist() == [0, -1, 1, 0]
    assert len(_counts.count_offset(block, 1).keys) == 1
    assert len(_counts.count_offset(block, 2).keys) == 1


def test_bad_input():
    with pytest.raises(DataError, match="single string"):
        CooccurrenceCounter(1).add("a text")
    for bad in (3, [4], None):
        with pytest.raises(DataError, match="text 1 must be a string or a list of words"):
            CooccurrenceCounter(1).add([["a"], bad])
    for options in ({"radius": -1}, {"radius": 1, "threads": 0}):
        with pytest.raises(ConfigError, match="radius must be"):
            CooccurrenceCounter(**options)
    counter = CooccurrenceCounter(1).add([["a"]])
    with pytest.raises(DataError, match="none of 1 words in 1 tokens was seen 2 times"):
        counter.ranking(min_count=2)
    with pytest.raises(DataError, match="none of 0 words"):
        CooccurrenceCounter(1).add([]).ranking()
    for options in ({"min_count": 0}, {"max_words": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            counter.ranking(**options)
    for offset in (0, 2):
        with pytest.raises(ConfigError, match="offset must be"):
            counter.matrix(offset, np.array([0]))
