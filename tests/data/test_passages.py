"""Cutting sections into passages: budget, structure, order, nothing lost, the same every time."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, hash_text
from vecsmith.data import Link, Section, SourceFile, split_passages
from vecsmith.data._borders import _joined, best_cut, cut_at, split_sentences
from vecsmith.data._passages import _Cutter, _Draft, _Unit

FILE = SourceFile("d/doc.md", Path("doc.md"), "markdown", 1, 0, "")


def count(texts):
    """Words in pieces of four letters, marks alone, and two special tokens."""
    return [2 + len(re.findall(r"\w{1,4}|[^\w\s]", text)) for text in texts]


def cut(sections, max_tokens=64, counter=count):
    return list(split_passages(FILE, sections, counter, max_tokens=max_tokens))


def prose(headings, text, **more):
    return Section(tuple(headings), text, "prose", **more)


def words(number, start=0):
    return " ".join(f"w{start + n}" for n in range(number))


def test_small_section_is_one_passage():
    link = Link("there", "x.md", "")
    (only,) = cut([prose(["T", "A"], "Go there.", summary="Sum.", anchor="a", links=(link,))])
    assert (only.document, only.position, only.headings) == ("d/doc.md", 0, ("T", "A"))
    assert (only.text, only.kind, only.summary, only.anchor) == ("Go there.", "prose", "Sum.", "a")
    assert only.links == (link,)
    assert only.content == "T > A\nSum.\nGo there."
    assert only.hash == hash_text(only.content)


def test_long_section_is_cut_at_paragraphs_of_about_equal_share():
    paragraphs = [words(10, 10 * n) for n in range(12)]
    passages = cut([prose(["T"], "\n\n".join(paragraphs))])
    assert "\n\n".join(passage.text for passage in passages) == "\n\n".join(paragraphs)
    sizes = count([passage.content for passage in passages])
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 12
    assert [passage.position for passage in passages] == list(range(len(passages)))


def test_long_paragraph_is_cut_at_sentences_then_words():
    sentences = [f"Sentence {n} has {words(8)} in it." for n in range(20)]
    passages = cut([prose(["T"], " ".join(sentences))])
    assert all(passage.text.endswith("in it.") for passage in passages)
    assert " ".join(passage.text for passage in passages) == " ".join(sentences)
    endless = cut([prose(["T"], words(500))])
    assert " ".join(passage.text for passage in endless).split() == words(500).split()


def test_long_code_is_cut_at_lines():
    lines = [f"    call_{n}(a, b)" for n in range(60)]
    source = "def f(a, b):\n" + "\n".join(lines)
    passages = cut([Section(("m.py", "def f(a, b)"), source, "code")])
    assert "\n".join(passage.text for passage in passages) == source
    assert all(passage.headings == ("m.py", "def f(a, b)") for passage in passages)


def test_tiny_neighbours_under_one_heading_are_merged():
    entries = [prose(["T", "Codes", f"E{n}"], "Short.", anchor=f"e{n}") for n in range(4)]
    other = prose(["T", "Else", "F"], "Short too.")
    passages = cut([*entries, other])
    assert passages[0].headings == ("T", "Codes")
    assert passages[0].text == "\n\n".join(f"E{n}\nShort." for n in range(4))
    assert passages[0].anchor == "e0"
    assert passages[1].headings == ("T", "Else", "F")


def test_rows_are_never_merged():
    rows = [Section(("t.csv", "same"), f"a: {n}", "record") for n in range(5)]
    assert [passage.text for passage in cut(rows)] == [f"a: {n}" for n in range(5)]


def test_streamed_parts_of_a_section_are_joined():
    parts = [prose(["T"], f"Part {n}.") for n in range(3)]
    assert [passage.text for passage in cut(parts)] == ["Part 0.\n\nPart 1.\n\nPart 2."]


def test_lead_in_without_content_is_dropped():
    sections = [prose(["T"], "These functions are defined:"), prose(["T", "f()"], words(20))]
    assert [passage.headings for passage in cut(sections)] == [("T", "f()")]


def test_long_headings_are_shortened_not_the_text_lost():
    passages = cut([prose([words(40), "mid", words(40)], words(30))])
    assert " ".join(passage.text for passage in passages).split() == words(30).split()
    assert max(count([passage.content for passage in passages])) <= 64


def test_long_summary_becomes_text():
    summary = f"First sentence.\n\n{words(60)}"
    passages = cut([Section(("m.py", "def f()"), "def f(): pass", "code", summary=summary)])
    assert passages[0].summary == "First sentence."
    rest = " ".join(passage.text for passage in passages)
    assert all(word in rest.split() for word in words(60).split())
    assert "def f(): pass" in rest


def test_links_go_to_the_passage_that_holds_their_words():
    links = tuple(Link(f"w{n}x", f"{n}.md", "") for n in (5, 150, 290))
    text = " ".join(f"w{n}x" for n in range(300))
    passages = cut([prose(["T"], text, links=links)])
    for link in links:
        holders = [passage for passage in passages if link in passage.links]
        assert len(holders) == 1
        assert link.text in holders[0].text.split()


def test_counter_is_called_in_batches():
    calls = []

    def counter(texts):
        calls.append(len(texts))
        return count(texts)

    sections = [
        prose(["T", f"S{n}"], " ".join(f"Say {words(9)}." for _ in range(9))) for n in range(200)
    ]
    passages = cut(sections, counter=counter)
    assert len(passages) >= 400
    assert len(calls) < 40


def test_no_passage_for_no_section_and_budget_is_checked():
    assert cut([]) == []
    with pytest.raises(ConfigError, match="max_tokens must be at least 16, got 8"):
        cut([], max_tokens=8)


def test_tokenizer_that_counts_more_for_the_whole_is_obeyed():
    def growing(texts):
        return [number + number // 30 * 4 for number in count(texts)]

    text = "\n\n".join(words(8, 8 * n) for n in range(40))
    passages = cut([prose(["T"], text)], counter=growing)
    assert max(growing([passage.content for passage in passages])) <= 64
    assert " ".join(passage.text for passage in passages).split() == text.split()


def test_last_count_halves_what_was_estimated_too_short():
    unit = _Unit(("T",), "prose", "", "", [], [])
    drafts = _Cutter(count, 64).checked([_Draft(unit, words(300), 60, True)])
    assert max(count([draft.content for draft in drafts])) <= 64
    assert " ".join(draft.text for draft in drafts).split() == words(300).split()
    assert [draft.first for draft in drafts] == [True, *[False] * (len(drafts) - 1)]


ALPHABET = st.sampled_from([*"abc .!\n", "é", "e\u0301", "👩‍👩‍👧", "🇩🇪", "👍🏽", "字", "。", "\t"])
TEXTS = st.lists(ALPHABET, min_size=1, max_size=400).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(["prose", "code", "record"]))
def test_nothing_is_lost_and_everything_fits(texts, kind):
    sections = [Section(("T", f"S{n}"), text, kind) for n, text in enumerate(texts)]
    passages = cut(sections, max_tokens=24)
    assert passages == cut(sections, max_tokens=24)
    assert all(size <= 24 for size in count([passage.content for passage in passages]))
    squeezed = "".join("".join(passage.text.split()) for passage in passages)
    if kind == "record":
        assert squeezed == "".join("".join(text.split()) for text in texts)
    for text in texts:
        assert all(letter in squeezed for letter in "".join(text.split()))


@settings(max_examples=150, deadline=None)
@given(TEXTS.filter(lambda text: len(text) > 2), st.integers(1, 400))
def test_cuts_never_split_what_a_reader_sees_as_one(text, limit):
    limit = min(limit, len(text) - 1)
    for position in (cut_at(text, limit), best_cut(text, limit)):
        assert 1 <= position <= limit
        # A run of joined signs without a border is cut where the limit is.
        bordered = any(not _joined(text, at) for at in range(max(1, position - 63), position + 1))
        if bordered and cut_at(text, position) == position:
            assert text[position] not in "\u0301\u200d🏽"


def test_flags_are_kept_whole():
    assert [cut_at("🇩🇪🇫🇷🇪🇸", n) for n in range(1, 6)] == [1, 2, 2, 4, 4]


def test_sentences():
    text = "See e.g. Smith et al. It costs 3.50 now. Really? “Yes!” He left. 终于。好了。"
    assert split_sentences(text) == [
        "See e.g. Smith et al.",
        "It costs 3.50 now.",
        "Really?",
        "“Yes!”",
        "He left.",
        "终于。",
        "好了。",
    ]
