"""The linker: longest match on borders, folding, any script, places in the text as given."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.knowledge import DictionaryLinker, folded_words

NAMES = {
    "h": "Head",
    "lh": "Large head",
    "m": "Marfan syndrome",
    "k": "Köln disease",
    "zh": "发热",
    "hi": "हृदय रोग",
    ("t", 1): "Straße",
    "n": "type 2 (adult)",
}
LINKER = DictionaryLinker(NAMES, {"m": ["MFS", "head"], "h": ["caput"]})


def ids(text):
    return [span.id for span in LINKER.link(text)]


def test_longest_match_wins_on_word_borders():
    assert ids("A large head, a head; headache and largehead.") == ["lh", "h"]
    assert ids("MARFAN  syndrome\nmfs") == ["m", "m"]
    assert ids("large heads") == []
    assert ids("a type 2 ( adult ) form") == ["n"]


def test_case_accents_and_scripts_fold():
    assert ids("KOLN disease, Ko\u0308ln DISEASE and Köln-disease") == ["k", "k"]
    assert ids("STRASSE") == [("t", 1)]
    assert ids("他发热了") == ["zh"]
    assert ids("यह हृदय रोग है") == ["hi"]
    # a vowel sign makes another word
    assert ids("हृदया रोग") == []
    assert ids("ＨＥＡＤ") == ["h"]


def test_places_are_those_of_the_text_as_given():
    text = "İs ﬁt: Ko\u0308ln  disease 发热?"
    for span in LINKER.link(text):
        assert text[span.start : span.end] == span.text
    assert [span.text for span in LINKER.link(text)] == ["Ko\u0308ln  disease", "发热"]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_is_found_wherever_it_stands(before, after):
    text = f"{before} Marfan syndrome {after}"
    spans = LINKER.link(text)
    assert "Marfan syndrome" in [span.text for span in spans]
    places = [p for span in spans for p in (span.start, span.end)]
    assert places == sorted(places)
    assert all(text[s.start : s.end] == s.text for s in spans)


@given(st.text(max_size=60))
def test_words_lie_in_order_and_lose_no_letter(text):
    words = folded_words(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(words))
    covered = {i for w in words for i in range(w.start, w.end)}
    assert all(i in covered for i, c in enumerate(text) if c.isalnum())


def test_scripts_without_spaces_may_follow_others_and_joiners_fold():
    assert ids("x发热y") == ["zh"]
    linker = DictionaryLinker({1: "ab cd"})
    for text in ("a\u200db cd", "ab c\u200cd"):
        (span,) = linker.link(f"x {text} y")
        assert span.text == text


def test_ambiguous_phrases_are_told():
    linker = DictionaryLinker(
        {1: "Cold", 2: "cold", 3: "Flu"}, {1: ["AB"], 3: ["AB", "influenza", "cold"]}
    )
    assert linker.ambiguous == {"cold": (1, 2), "ab": (1, 3)}
    assert [s.id for s in linker.link("cold ab influenza")] == [1, 3]


def test_what_never_links():
    linker = DictionaryLinker({1: "all", 2: "X", 3: "pain"}, exclude=["All"])
    assert [s.id for s in linker.link("all X pain")] == [3]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="at least one"):
        DictionaryLinker({})
    with pytest.raises(DataError, match="letter or digit"):
        DictionaryLinker({1: "  "})
    with pytest.raises(DataError, match="unknown"):
        DictionaryLinker({1: "a b"}, {2: ["c"]})
    with pytest.raises(ConfigError, match="min_letters"):
        DictionaryLinker({1: "ab"}, min_letters=0)
    with pytest.raises(DataError, match="string"):
        LINKER.link(np.array(["a"]))
    assert LINKER.link("") == []


def test_saved_linker_comes_back(tmp_path):
    LINKER.save(tmp_path / "linker")
    again = DictionaryLinker.load(tmp_path / "linker")
    text = "MFS, large head, Strasse, 发热"
    assert again.link(text) == LINKER.link(text)
    assert again.ambiguous == LINKER.ambiguous
    strict = DictionaryLinker({1: "all", 2: "abc", 3: "pain"}, exclude=["all"], min_letters=4)
    strict.save(tmp_path / "strict")
    for linker in (strict, DictionaryLinker.load(tmp_path / "strict")):
        assert [span.id for span in linker.link("all abc pain")] == [3]
    every = DictionaryLinker({1: "all", 2: "abc"}, exclude=["all"])
    every.save(tmp_path / "every")
    assert [s.id for s in DictionaryLinker.load(tmp_path / "every").link("all abc")] == [2]
    (tmp_path / "linker" / "settings.json").write_text("{}", "utf-8")
    with pytest.raises(StoreError, match="dictionary linker"):
        DictionaryLinker.load(tmp_path / "linker")
