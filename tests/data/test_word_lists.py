"""Words with human judgements, analogies and bias lists, and what damaged files say."""

import pytest

from vecsmith.core import DataError
from vecsmith.data.samples import (
    google_news_path,
    load_analogies,
    load_association_tests,
    load_gender_lists,
    load_word_similarity,
)
from vecsmith.data.samples._word_lists import WORD_PAIRS, read_analogies, read_word_pairs

SIZES = {
    "men": 2997,
    "mturk771": 770,
    "rg65": 65,
    "rw": 2034,
    "simlex999": 999,
    "wordsim353": 353,
}


@pytest.mark.parametrize("name", sorted(WORD_PAIRS))
def test_all_pairs_are_read_and_no_heading(name):
    rows = load_word_similarity(name)
    assert len(rows) == SIZES[name]
    assert all(word and not word.startswith("#") for word in rows["text_a"])
    assert 0 <= min(rows["score"]) < max(rows["score"]) <= 50


def test_analogies_keep_their_sections():
    google, msr = load_analogies("google"), load_analogies("msr")
    assert len(google) == 19544 and len(set(google["section"])) == 14 and len(msr) == 8000
    assert google[0] == {
        "section": "capital-common-countries",
        "a": "Athens",
        "b": "Greece",
        "c": "Baghdad",
        "d": "Iraq",
    }


def test_gender_lists_are_whole():
    lists = load_gender_lists()
    assert len(lists.definitional_pairs) == 10 and len(lists.equalize_pairs) == 52
    assert len(lists.specific_seed) == 218 and len(lists.specific) == 1441
    assert len(lists.occupations) == 320 and lists.female_share["carpenter"] == 2
    ratings = {row.name: (row.definitional, row.stereotype) for row in lists.occupations}
    # female is negative in both columns
    assert ratings["actress"][0] == -1.0 and ratings["nurse"][1] < -0.5 < 0.5 < ratings["boxer"][1]


def test_association_tests_are_whole():
    tests = load_association_tests()
    assert len(tests) == 10
    assert tests[6].name == "Math vs Arts, Male terms vs Female terms"
    assert tests[6].first_target[:2] == ("math", "algebra")
    for test in tests:
        assert len(test.first_target) == len(test.second_target)
        assert "failur" not in test.second_attribute


def test_vectors_are_there():
    assert google_news_path().stat().st_size == 31952576


@pytest.mark.parametrize("load", [load_word_similarity, load_analogies])
def test_unknown_names_are_answered_with_the_known(load):
    with pytest.raises(DataError, match="known: "):
        load("wordsim")


def test_bad_lines_are_named(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("# one two 3\na\t\tb 1.5\n\na b\n", "utf-8")
    with pytest.raises(DataError, match=r"line 4 .*two words and a number"):
        read_word_pairs(path)
    path.write_text("# one two 3\na\t\tb 1.5\n\n", "utf-8")
    assert read_word_pairs(path) == [("a", "b", 1.5)]
    path.write_text(": one\na b c d\n: two\na b c\n", "utf-8")
    with pytest.raises(DataError, match=r"line 4 .*four words"):
        read_analogies(path)
