"""Word similarity and analogies: by hand, what is missing, bad input."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.words import word_analogies, word_similarity

WORDS = ["a", "b", "c", "d", "e"]
PAIRS = [("a", "b", 9.0), ("a", "c", 4.0), ("b", "d", 1.0), ("c", "d", 5.0), ("a", "zz", 3.0)]


def table():
    return WordVectors(WORDS, [[1, 0], [1, 0.1], [0.5, 1], [-1, 0.2], [0, 1]])


def test_similarity_is_the_correlation_of_cosines():
    from scipy.stats import pearsonr, spearmanr

    vectors = table()
    cosines = []
    for first, second, _ in PAIRS[:4]:
        x, y = vectors[first].astype(np.float64), vectors[second].astype(np.float64)
        cosines.append(x @ y / np.sqrt((x @ x) * (y @ y)))
    human = [row[2] for row in PAIRS[:4]]
    found = word_similarity(vectors, PAIRS)
    assert found.spearman == pytest.approx(spearmanr(cosines, human).statistic)
    assert found.pearson == pytest.approx(pearsonr(cosines, human).statistic)
    assert (found.pairs, found.missing, found.name) == (4, 1, "the pairs")


def test_case_is_folded_where_asked_for():
    pairs = [(a.upper(), b, s) for a, b, s in PAIRS]
    with pytest.raises(DataError, match=r"0 of 5 pairs .*fold_case=True"):
        word_similarity(table(), pairs)
    assert word_similarity(table(), pairs, fold_case=True) == word_similarity(table(), PAIRS)
    vectors = WordVectors(["A", *WORDS], np.vstack([[[9.0, 9.0]], table().vectors]))
    # a word that has a vector is not folded
    assert word_similarity(vectors, pairs, fold_case=True).pearson != pytest.approx(
        word_similarity(table(), PAIRS).pearson
    )


def test_similarity_needs_something_to_correlate():
    with pytest.raises(DataError, match="2 of 2 pairs"):
        word_similarity(table(), PAIRS[:2])
    with pytest.raises(DataError, match="finite and differ"):
        word_similarity(table(), [(a, b, 1.0) for a, b, _ in PAIRS])
    with pytest.raises(DataError, match="finite and differ"):
        word_similarity(table(), [*PAIRS[:3], ("a", "e", float("nan"))])
    same = WordVectors(WORDS, np.ones((5, 2)))
    with pytest.raises(DataError, match="tell no words apart"):
        word_similarity(same, PAIRS)
    with pytest.raises(DataError, match="did you mean 'wordsim353'"):
        word_similarity(table(), "wordsim")


QUESTIONS = [
    ("capital", "man", "king", "woman", "queen"),
    ("gram1", "man", "king", "woman", "tree"),
    ("gram1", "woman", "queen", "man", "king"),
    ("gram2", "woman", "queen", "nothing", "king"),
]


def royal():
    rows = [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [-1, -1, 0.1]]
    return WordVectors(["man", "king", "woman", "queen", "tree"], rows)


@pytest.mark.parametrize("method", ["add", "mul"])
def test_analogies_by_hand(method):
    found = word_analogies(royal(), QUESTIONS, method=method)
    assert found.correct.tolist() == [True, False, True]
    assert found.accuracy == pytest.approx(2 / 3) and (found.questions, found.missing) == (3, 1)
    assert found.sections == {"capital": (1.0, 1), "gram1": (0.5, 2)}
    assert found.semantic == 1.0 and found.syntactic == 0.5
    upper = [(s, *(w.title() for w in row)) for s, *row in QUESTIONS]
    assert word_analogies(royal(), upper, method=method, fold_case=True) == found
    assert np.isnan(word_analogies(royal(), QUESTIONS[1:2]).semantic)


def test_an_answer_that_is_in_the_question_is_never_given():
    found = word_analogies(royal(), [("s", "man", "king", "woman", "king")])
    assert found.accuracy == 0.0


def test_analogies_need_questions():
    for rows in ([], [("s", "x", "y", "z", "man")]):
        with pytest.raises(DataError, match="none of the"):
            word_analogies(royal(), rows)
    with pytest.raises(ConfigError, match="method"):
        word_analogies(royal(), QUESTIONS, method="times")


def test_figures_of_google_news():
    from vecsmith.data.samples import google_news_path

    vectors = WordVectors.load(google_news_path())
    expected = {"wordsim353": 0.688, "men": 0.782, "simlex999": 0.444, "mturk771": 0.673}
    for name, value in expected.items():
        assert word_similarity(vectors, name).spearman == pytest.approx(value, abs=0.001)
    assert word_similarity(vectors, "rg65").pairs == 53
