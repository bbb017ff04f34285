"""A dictionary, a handbook and WordNet as running text."""

import gzip

import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.samples import (
    _gcide,
    load_gcide,
    load_handbook,
    load_wordnet_glosses,
    load_wordnet_words,
)
from vecsmith.data.samples._gcide import Entry, clean, read_entry, read_index
from vecsmith.data.samples._handbook import paragraphs

RAW = """Lapidist \\Lap"i*dist\\, n. [L. lapis, -idis, a stone [so
   it is said].]
   1. A {lapidary}. [Obs.] --Ray.
      [1913 Webster]

   2. (Min.) One who cuts stones;
      a cutter.

            Diamonds he cut.              --Sir T. Browne.
"""


def test_entries_are_split_into_head_and_text():
    found = read_entry(RAW)
    assert found == Entry(
        "Lapidist", "n.", "A lapidary. One who cuts stones; a cutter. Diamonds he cut."
    )
    assert read_entry("Yes, but\n   A word.\n") == Entry("Yes, but", "", "A word.")
    assert read_entry("Bound").text == ""


def test_nested_brackets_and_marks_go():
    assert clean("a [b [c] d] {e}\n  (g) h --Ray.") == "a e h"
    assert clean("Note: One\n(a) two\nSyn: three (Bot.)") == "One two three"


def test_index_gives_each_entry_once():
    text = "00-database-info\tA\tB\nb\tB\tC\na\tB\tC\nz\tBA\t/\n"
    assert read_index(text) == [(1, 2), (64, 63)]
    for bad in ("word\tA\n", "word\tA\t!\n"):
        with pytest.raises(DataError, match="line 2 of the index"):
            read_index("a\tA\tB\n" + bad)


@pytest.fixture(scope="module")
def dictionary():
    return load_gcide()[:]


def test_whole_dictionary(dictionary):
    rows = dictionary
    assert len(rows["word"]) > 120_000
    assert sum(len(text.split()) for text in rows["text"]) > 3_500_000
    words = dict(zip(rows["word"], zip(rows["part"], rows["text"], strict=True), strict=True))
    assert words["Lapidation"] == ("n.", "The act of stoning.")
    assert not any("Webster]" in text or "\\" in text for text in rows["text"][:20_000])


def test_part_of_the_dictionary(dictionary):
    whole, part = dictionary, load_gcide(every=50)[:]
    assert 0.015 < len(part["word"]) / len(whole["word"]) < 0.025
    assert set(part["text"]) <= set(whole["text"]) and part["word"][-1][0] in "Zz"
    with pytest.raises(ConfigError, match="every must be"):
        load_gcide(every=0)


def test_damaged_dictionary_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "usr" / "share" / "dictd"
    folder.mkdir(parents=True)
    monkeypatch.setattr(_gcide, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        load_gcide()
    (folder / "gcide.index").write_text("a\tA\tZ\n")
    (folder / "gcide.dict.dz").write_bytes(gzip.compress(b"A \\A\\, n.\n  text\n")[:-6])
    with pytest.raises(DataError, match="cannot be read"):
        load_gcide()


def test_handbook_is_prose():
    rows = load_handbook()[:]
    assert len(rows["text"]) > 2000 and rows["page"][0].endswith(".html")
    assert sum(len(text.split()) for text in rows["text"]) > 150_000
    assert not any("avail=`mktemp`" in text for text in rows["text"])
    assert len(set(rows["text"])) > 0.98 * len(rows["text"])
    with pytest.raises(DataError, match=r"known: .*de-DE"):
        load_handbook("xx-XX")


def test_paragraphs_inside_paragraphs_come_once():
    from lxml import html

    page = html.fromstring(
        '<div><div class="para">One <b>two</b><pre>no</pre><ul><li><div class="para">in</div></li>'
        '</ul> three</div><p>no</p><div class="para"> </div></div>'
    )
    assert list(paragraphs(page)) == ["One two three", "in"]


def test_wordnet_classes_and_glosses():
    rows = load_wordnet_words()[:]
    classes = dict(zip(rows["word"], rows["classes"], strict=True))
    assert classes["run"] == ["noun", "verb"] and classes["quickly"] == ["adv"]
    assert classes["hot dog"] == ["noun"]
    glosses = load_wordnet_glosses()[:]
    assert len(glosses["gloss"]) > 110_000 and set(glosses["class"]) == {
        "noun",
        "verb",
        "adj",
        "adv",
    }
    assert glosses["gloss"][0].startswith("that which is perceived")
