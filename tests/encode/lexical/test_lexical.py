"""Counts of terms and their factors: by hand, sparse, in batches, saved; bad input."""

import math

import numpy as np
import pytest
from scipy.sparse import issparse

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.lexical import FactorEncoder, LexicalEncoder, LexicalOptions

TEXTS = [
    "the cat sat on the mat and the cat slept",
    "a dog chased a cat",
    "stocks fell as markets closed, and stocks may fall again",
    "markets rose while stocks gained",
    "the dog slept on the mat",
    "investors sold stocks in falling markets",
]
ALL_WORDS = LexicalOptions(stop_words=None)


def column(encoder, term):
    return encoder.terms.index(term)


def test_weights_by_hand():
    binary = LexicalEncoder("binary").fit(TEXTS)
    counts = LexicalEncoder("counts").fit(TEXTS)
    options = LexicalOptions(norm=None)
    tfidf = LexicalEncoder("tfidf", options=options).fit(TEXTS)
    plain = LexicalEncoder("tfidf", options=LexicalOptions(norm=None, sublinear=False)).fit(TEXTS)
    cat = column(counts, "cat")
    assert binary.encode(TEXTS)[0, cat] == 1 and counts.encode(TEXTS)[0, cat] == 2
    idf = 1 + math.log((1 + len(TEXTS)) / (1 + 2))
    assert tfidf.idf[cat] == pytest.approx(idf)
    assert tfidf.encode(TEXTS)[0, cat] == pytest.approx((1 + math.log(2)) * idf)
    assert plain.encode(TEXTS)[0, cat] == pytest.approx(2 * idf)
    assert "the" not in counts.terms
    assert "the" in LexicalEncoder("counts", options=ALL_WORDS).fit(TEXTS).terms
    assert (binary.idf == 1).all() and binary.dims == len(binary.terms)


@pytest.mark.parametrize("weighting", ["binary", "counts", "tfidf"])
def test_rows_stay_sparse_and_can_be_unit(weighting):
    encoder = LexicalEncoder(weighting).fit(TEXTS)
    rows = encoder.encode([*TEXTS, "nothing known here zzz"])
    assert issparse(rows) and rows.dtype == np.float32 and rows.shape == (7, encoder.dims)
    unit = encoder.encode([*TEXTS, "zzz"], normalize_embeddings=True)
    lengths = np.sqrt(np.asarray(unit.multiply(unit).sum(axis=1))).ravel()
    np.testing.assert_allclose(lengths, [1] * 6 + [0], atol=1e-6)
    assert encoder.encode([]).shape == (0, encoder.dims)


def test_terms_are_what_the_options_say():
    pairs = LexicalEncoder("counts", options=LexicalOptions(ngrams=(1, 2))).fit(TEXTS)
    assert "cat sat" in pairs.terms and "cat" in pairs.terms
    letters = LexicalEncoder("counts", options=LexicalOptions(unit="char_wb", ngrams=(3, 3)))
    assert "cat" in letters.fit(TEXTS).terms
    few = LexicalEncoder("counts", options=LexicalOptions(max_terms=1, min_df=2)).fit(TEXTS)
    assert few.terms == ["stocks"]
    own = LexicalEncoder("counts", options=LexicalOptions(stop_words=["cat"])).fit(TEXTS)
    assert "cat" not in own.terms and "the" in own.terms
    cased = LexicalEncoder("counts", options=LexicalOptions(lower_case=False)).fit(["Cat cat"])
    assert cased.terms == ["Cat", "cat"]


FACTORS = ["lsa", "lda", "nmf"]


def test_lsa_is_the_svd():
    encoder = FactorEncoder("lsa", 3).fit(TEXTS)
    rows = encoder.lexical.encode(TEXTS).toarray().astype(np.float64)
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found @ found.T, (u * s**2)[:, :3] @ u[:, :3].T, atol=1e-5)


def test_nmf_is_the_nearest_mixture():
    from scipy.optimize import nnls

    encoder = FactorEncoder("nmf", 2).fit(TEXTS)
    for row, found in zip(
        encoder.lexical.encode(TEXTS).toarray(), encoder.encode(TEXTS), strict=True
    ):
        best, _ = nnls(encoder.components.T, row.astype(np.float64))
        np.testing.assert_allclose(found, best, atol=1e-4)


def test_lda_parts_the_two_themes():
    encoder = FactorEncoder("lda", 2, max_iter=100, seed=1).fit(TEXTS * 10)
    rows = encoder.encode(TEXTS)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    main = rows.argmax(1)
    assert len({*main[[0, 1, 4]]}) == 1 and len({*main[[2, 3, 5]]}) == 1 and main[0] != main[2]
    money = encoder.topics(2)[main[2]]
    assert set(money) == {"stocks", "markets"}


@pytest.mark.parametrize("method", FACTORS)
def test_a_text_is_encoded_by_itself(method):
    encoder = FactorEncoder(method, 2).fit(TEXTS)
    together = encoder.encode([*TEXTS, "zzz"])
    alone = np.concatenate([encoder.encode([text]) for text in [*TEXTS, "zzz"]])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.dtype == np.float32 and encoder.encode([]).shape == (0, 2)
    unit = encoder.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("method", FACTORS)
def test_the_seed_decides(method):
    first, second = (FactorEncoder(method, 3, seed=4).fit(TEXTS) for _ in range(2))
    np.testing.assert_array_equal(first.components, second.components)


@pytest.mark.parametrize("weighting", ["binary", "counts", "tfidf"])
def test_saved_counts_come_back(weighting, tmp_path):
    options = LexicalOptions(ngrams=(1, 2), stop_words=("the",), norm="l1")
    encoder = LexicalEncoder(weighting, options=options).fit(TEXTS)
    encoder.save(tmp_path / "model")
    again = LexicalEncoder.load(tmp_path / "model")
    assert again.terms == encoder.terms and again.options == encoder.options
    assert (again.encode(TEXTS) != encoder.encode(TEXTS)).nnz == 0
    again.save(tmp_path / "model")
    assert LexicalEncoder.load(tmp_path / "model").weighting == weighting


@pytest.mark.parametrize("method", FACTORS)
def test_saved_factors_come_back(method, tmp_path):
    encoder = FactorEncoder(method, 2, seed=3, max_iter=30).fit(TEXTS)
    encoder.save(tmp_path / "model")
    again = FactorEncoder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert again.topics(3) == encoder.topics(3)
    assert (again.seed, again.max_iter) == (3, 30)


def test_damage_is_said(tmp_path):
    encoder = FactorEncoder("nmf", 2).fit(TEXTS)
    encoder.save(tmp_path / "model")
    with pytest.raises(StoreError, match="lexical encoder"):
        LexicalEncoder.load(tmp_path / "model")
    with pytest.raises(StoreError, match="missing"):
        FactorEncoder.load(tmp_path)
    arrays = tmp_path / "model" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-20])
    with pytest.raises(StoreError, match="damaged"):
        FactorEncoder.load(tmp_path / "model")
    other = FactorEncoder("nmf", 2).fit(TEXTS[:2])
    other.save(tmp_path / "other")
    (tmp_path / "other" / "arrays.safetensors").replace(arrays)
    with pytest.raises(StoreError, match="shape"):
        FactorEncoder.load(tmp_path / "model")


@pytest.mark.parametrize(
    "bad",
    [
        {"ngrams": (0, 1)},
        {"ngrams": (2, 1)},
        {"unit": "wrod"},
        {"stop_words": "german"},
        {"norm": "max"},
        {"min_df": 0},
        {"max_df": 1.5},
        {"max_terms": 0},
    ],
)
def test_bad_options_are_said(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        LexicalOptions(**bad)


def test_bad_input_is_said(caplog):
    with pytest.raises(ConfigError, match="did you mean 'tfidf'"):
        LexicalEncoder("tfid")
    with pytest.raises(ConfigError, match="did you mean 'lsa'"):
        FactorEncoder("lsaa")
    with pytest.raises(ConfigError, match="counts"):
        FactorEncoder("lda", lexical=LexicalEncoder("tfidf"))
    with pytest.raises(ConfigError, match="at least 1"):
        FactorEncoder("lsa", 0)
    for encoder in (LexicalEncoder(), FactorEncoder("nmf", 2)):
        with pytest.raises(DataError, match="call fit"):
            encoder.encode(TEXTS)
        with pytest.raises(DataError, match="empty"):
            encoder.fit([])
        with pytest.raises(DataError, match="single string"):
            encoder.fit("a text")
        with pytest.raises(DataError, match="text 1 must be a string; got NoneType"):
            encoder.fit(["a", None])
        with pytest.raises(DataError, match="no term of 2 texts is left"):
            encoder.fit(["the", "and"])
        with pytest.raises(DataError, match="fit"):
            encoder.save("nowhere")
    with pytest.raises(DataError, match="at most 6 dimensions"):
        FactorEncoder("lsa", 7).fit(TEXTS)
    FactorEncoder("nmf", 2, max_iter=1).fit(TEXTS)
    assert "raise max_iter" in caplog.text


def test_mixtures_of_nmf_do_not_hang_on_their_batch():
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(40)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(60)]
    encoder = FactorEncoder("nmf", 8).fit(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(encoder.encode(texts), alone)
