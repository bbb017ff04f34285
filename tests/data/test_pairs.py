import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.data import Passage
from vecsmith.data._pairs import (
    clean_query,
    first_sentence,
    heading_query,
    neighbour_pairs,
    structure_pairs,
    without_words,
)

WORD = st.sampled_from("valve pump open the file of read index Pump 3 foo(a) x_y".split())
WORDS = st.lists(WORD, max_size=5).map(" ".join)


def passage(**changes):
    values = {
        "document": "a.md",
        "position": 0,
        "headings": (),
        "text": "some body",
        "kind": "prose",
        "summary": "",
        "anchor": "",
    }
    return Passage(**(values | changes))


def pairs(seed=0, whole_share=0.0, **changes):
    rng = np.random.default_rng(seed)
    return list(structure_pairs(7, 3, passage(**changes), rng, whole_share=whole_share))


def to_the_letter(query, text):
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, query.split())) + r"(?!\w)"
    return re.search(pattern, text) is not None


@given(
    st.lists(WORDS.filter(bool), max_size=3).map(tuple),
    st.lists(WORD, max_size=60).map(" ".join),
    WORDS,
    st.sampled_from(["prose", "code", "record"]),
    st.integers(0, 9),
)
def test_no_query_is_left_in_its_own_positive(headings, text, summary, kind, seed):
    for pair in pairs(seed, headings=headings, text=text, summary=summary, kind=kind):
        assert pair.query.strip() and re.search(r"\w", pair.positive)
        assert not to_the_letter(pair.query, pair.positive), pair
        assert (pair.row, pair.group) == (7, 3)
        assert pair.kind in ("heading", "summary", "crop")


def test_a_share_of_headings_and_docstrings_stays_in_its_passage():
    text = " ".join(["Close the valve with the wrench that came with it."] * 9)
    made = {"headings": ("Closing valves",), "text": text, "summary": "How to close one. Then go."}
    for pair in pairs(whole_share=1.0, **made):
        assert (pair.positive == passage(**made).content) == (pair.kind != "crop")
    whole = [
        pair.positive == passage(**made).content
        for seed in range(200)
        for pair in pairs(seed, whole_share=0.5, **made)
        if pair.kind != "crop"
    ]
    assert len(whole) == 400 and 160 < sum(whole) < 240


def test_headings_by_hand():
    text = "Turn it. Close the\nvalve slowly."
    got = pairs(headings=("Pump manual", "2.1 Close the valve"), text=text, summary="How to.")
    assert [p.query for p in got] == ["Close the valve", "Pump manual Close the valve", "How to"]
    assert [p.kind for p in got] == ["heading", "heading", "summary"]
    assert got[0].positive == "Pump manual\nHow to.\nTurn it. slowly."
    assert got[1].positive == f"How to.\n{text}"
    assert got[2].positive == f"Pump manual > 2.1 Close the valve\n{text}"


def test_the_name_of_a_function_is_not_left_in_its_code():
    (pair,) = pairs(headings=("def area(r)",), text="def area(r):\n    return r * r", kind="code")
    assert pair.query == "area" and pair.positive == "def (r):\n    return r * r"


@pytest.mark.parametrize(
    ("heading", "query"),
    [
        ("def open_file(path, mode)", "open_file"),
        ("async def fetch(url: str) -> bytes", "fetch"),
        ("class Reader(Base):", "Reader"),
        ("fn parse(input: &str)", "parse"),
        ("function load(a, b)", "load"),
        ("def index(self)", ""),
        ("class Index:", ""),
        ("Widget", "Widget"),
    ],
)
def test_of_a_signature_the_name_is_kept(heading, query):
    assert heading_query(heading, code=True) == query


def test_arguments_of_a_heading_in_prose_are_dropped():
    assert heading_query("json.dump(obj, fp, indent=None)", code=False) == "json.dump()"
    assert heading_query("Files (and folders)", code=False) == "Files (and folders)"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "  ",
        "Overview",
        "See also",
        "1.2 Introduction",
        "Next",
        "¶",
        "42",
        "12. 7",
        "ab",
        "--",
        "Notes: examples",
        "w " * 30,
    ],
)
def test_words_without_content_give_nothing(words):
    assert clean_query(words) == ""
    assert pairs(headings=(words,)) == []


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ("3.2.1  Closing a valve¶", "Closing a valve"),
        ("Appendix B Colours", "Colours"),
        ("Chapter 4. Paint", "Paint"),
        ("A.1 Sizes", "Sizes"),
        ("B. Wiring", "Wiring"),
        ("“Red” doors:", "Red” doors"),
        ("C programming", "C programming"),
        ("R packages", "R packages"),
        ("2to3 tool", "2to3 tool"),
    ],
)
def test_numbers_and_signs_are_dropped(words, query):
    assert clean_query(words) == query


def test_first_sentence():
    assert first_sentence("Open\n  it. Then close it.") == "Open it."
    assert len(first_sentence("x" * 500)) == 200
    assert first_sentence("") == ""


def test_words_are_taken_out_as_whole_words_until_none_is_left():
    assert without_words("a valve, valves; the valve.", "valve") == "a , valves; the ."
    assert without_words("a a b b", "a b") == ""
    assert without_words("f(x) + g", "f(x)") == "+ g"
    assert without_words("text", "") == "text"


def test_crops_are_repeatable_and_are_spans_of_the_text():
    text = " ".join(f"w{number}" for number in range(40))
    (one,), (two,) = pairs(5, text=text), pairs(5, text=text)
    assert one == two and one.kind == "crop" and one.query in text
    assert sorted(one.query.split() + one.positive.split()) == sorted(text.split())
    assert pairs(text="too short to crop") == []


def test_neighbours_stay_within_a_section():
    rows = [
        (number, 1, passage(headings=("A" if number < 3 else "B",), text=f"Valve {number} opens."))
        for number in range(5)
    ]
    got = list(neighbour_pairs(rows, every=1))
    assert [(p.query, p.row) for p in got] == [
        ("Valve 1 opens", 0),
        ("Valve 2 opens", 1),
        ("Valve 4 opens", 3),
    ]
    assert got[0].positive == "A\nValve 0 opens." and got[0].kind == "neighbour"
    assert list(neighbour_pairs([(0, 1, rows[0][2]), (1, 2, rows[1][2])], every=1)) == []
