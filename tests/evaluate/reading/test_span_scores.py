"""Exact match and F1 of words by hand-computed cases."""

import pytest

from vecsmith.core import DataError
from vecsmith.evaluate.reading import exact_match, normal_answer, span_scores, token_f1


def test_what_does_not_count():
    assert normal_answer("The  Marfan's syndrome, an ÉTAT.") == "marfans syndrome état"
    assert exact_match("the Head.", ["feet", "head"]) == 1.0
    assert exact_match("heads", ["head"]) == 0.0
    assert exact_match("«Голова»", ["голова"]) == 1.0
    assert exact_match("e\u0301tat", ["état"]) == 1.0
    assert exact_match("5 €", ["5"]) == 0.0


def test_f1_of_words():
    # two of three found words, two of four right ones
    assert token_f1("big red head", ["red head of snake"]) == pytest.approx(
        2 * (2 / 3) * 0.5 / (2 / 3 + 0.5)
    )
    assert token_f1("x", ["y", "x y"]) == pytest.approx(2 / 3)
    assert token_f1("a a b", ["b b"]) == pytest.approx(2 / 3)
    assert token_f1("发热头痛", ["头痛"]) == pytest.approx(2 * 0.5 / 1.5)


def test_no_answer_is_right_where_there_is_none():
    assert (exact_match("", []), token_f1("", [])) == (1.0, 1.0)
    assert (exact_match("x", []), token_f1("x", [])) == (0.0, 0.0)
    assert (exact_match("", ["x"]), token_f1("", ["x"])) == (0.0, 0.0)


def test_scores_pair_up():
    found = span_scores(["a b", "c"], [["b"], ["d"]])
    assert found.exact.tolist() == [1.0, 0.0]
    assert found.f1.tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="pair up"):
        span_scores(["a"], [])
