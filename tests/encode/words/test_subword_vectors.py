"""Subword vectors: against gensim and a loop, files of fastText, saved; bad input."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.words import SubwordVectors, ngram_buckets

WORDS = ["cat", "naïve", "наука"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return SubwordVectors(WORDS, rng.standard_normal((3, 4)), rng.standard_normal((40, 4)))


def fnv(data):
    state = 2166136261
    for byte in data:
        state ^= byte if byte < 128 else 0xFFFFFF00 + byte
        state = state * 16777619 % 2**32
    return state


@pytest.mark.parametrize("word", ["cat", "naïve", "наука", "a", "", "🙂 x"])
@pytest.mark.parametrize("lengths", [(3, 6), (1, 2), (2, 2)])
def test_ngrams_are_those_of_a_loop(word, lengths):
    text = f"<{word}>"
    expected = []
    for start in range(len(text)):
        for size in range(lengths[0], lengths[1] + 1):
            piece = text[start : start + size]
            if start + size <= len(text) and piece not in {"<", ">"}:
                expected.append(fnv(piece.encode()) % 97)
    assert ngram_buckets(word, *lengths, 97) == expected


def test_hashes_are_gensims():
    from gensim.models.fasttext_inner import compute_ngrams_bytes, ft_hash_bytes

    for word in ("cat", "naïve", "наука", "x"):
        pieces = compute_ngrams_bytes(word, 3, 6)
        found = ngram_buckets(word, 3, 6, 1000)
        assert sorted(found) == sorted(ft_hash_bytes(piece) % 1000 for piece in pieces)


def test_vectors_are_means_of_rows(table):
    for word, own in (("cat", table._own["cat"]), ("cats", None)):
        rows = [table.ngrams[b] for b in ngram_buckets(word, 3, 6, 40)]
        rows += [] if own is None else [own]
        np.testing.assert_allclose(table[word], np.mean(rows, 0), rtol=1e-5, atol=1e-6)
    assert "cat" in table and "cats" not in table and len(table) == 3
    np.testing.assert_array_equal(table[["cat", "cats"]], [table["cat"], table.vector("cats")])


def test_a_fixed_table_holds_the_same(table):
    fixed = table.to_word_vectors(["cats", "cat"])
    np.testing.assert_array_equal(fixed["cats"], table["cats"])
    assert table.to_word_vectors().words == WORDS
    found = table.most_similar("cats", 2)
    assert [w for w, _ in found] == [
        w for w, _ in table.to_word_vectors().most_similar(table["cats"], 2)
    ]
    assert "cat" not in dict(table.most_similar("cat", 3))


def test_without_ngrams_unknown_words_stay_unknown():
    table = SubwordVectors(["a"], np.ones((1, 2)), np.zeros((0, 2)), lengths=(0, 0))
    rows, known = table.rows(["a", "b"])
    np.testing.assert_array_equal(rows, [[1, 1], [0, 0]])
    assert known.tolist() == [True, False]
    with pytest.raises(DataError, match="'b' has neither"):
        table["b"]


@pytest.mark.parametrize("name", ["non_ascii_fasttext.bin", "crime-and-punishment.bin"])
def test_files_of_fasttext_are_read(name, tmp_path):
    from gensim.models.fasttext import load_facebook_vectors
    from gensim.test.utils import datapath

    table, theirs = SubwordVectors.load(datapath(name)), load_facebook_vectors(datapath(name))
    words = [*table.words[::7], "unheard", "наукообразный", "naïveté"]
    np.testing.assert_allclose(table[words], [theirs[word] for word in words], atol=1e-6)
    table.save(tmp_path / "model")
    again = SubwordVectors.load(tmp_path / "model")
    np.testing.assert_array_equal(again[words], table[words])
    assert again.lengths == table.lengths and again.words == table.words


def test_bad_input_is_said(table, tmp_path):
    with pytest.raises(ConfigError, match="lengths"):
        SubwordVectors(["a"], [[1.0]], [[1.0]], lengths=(4, 3))
    with pytest.raises(DataError, match="2 dimensions"):
        SubwordVectors(["a"], [[1.0, 2.0]], [[1.0]])
    with pytest.raises(DataError, match="finite"):
        SubwordVectors(["a"], [[1.0]], [[np.nan]])
    with pytest.raises(DataError, match="more than once"):
        SubwordVectors(["a", "a"], [[1.0], [2.0]], [[1.0]])
    with pytest.raises(DataError, match="no file"):
        SubwordVectors.load(tmp_path / "x.bin")
    (tmp_path / "x.bin").write_bytes(b"no model at all")
    with pytest.raises(DataError, match="fetch it again"):
        SubwordVectors.load(tmp_path / "x.bin")
    with pytest.raises(StoreError, match="missing"):
        SubwordVectors.load(tmp_path / "nowhere")
    table.save(tmp_path / "model")
    path = tmp_path / "model" / "settings.json"
    path.write_text(path.read_text().replace('"cat",', ""))
    with pytest.raises(StoreError, match="does not fit"):
        SubwordVectors.load(tmp_path / "model")
