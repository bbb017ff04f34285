"""Corpora and gold of the word-embedding study: pages, tags, thesauri, fields of meaning."""

import gzip

import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.samples import (
    _brown,
    _cilin,
    _manpages,
    _manual,
    _thesaurus,
    base_tag,
    cilin_similarity,
    load_brown,
    load_cilin,
    load_cilin_pairs,
    load_manpages,
    load_python_manual,
    load_thesaurus,
    load_wordnet_fields,
    name_spans,
    roff_paragraphs,
)
from vecsmith.data.samples._brown import read_tagged_line
from vecsmith.data.samples._roff import arguments, unescape
from vecsmith.data.samples._thesaurus import Meaning, read_meanings
from vecsmith.data.samples._wordnet_fields import read_synset

ROFF = r"""'\" t
.\" a comment
.TH abs 3 2022-12-29
.de XX
not this
..
.if n \{\
.    nor this
.\}
.SH NAME
abs, labs \- compute \(lqthe\(rq value \" and not this
.SH "SEE ALSO"
.nf
int abs(int j);
.fi
The
.BR abs ()
function \fIcomputes\fP \s-1IT\s0, or
.B "two words"
here.
.PP
Next \[aq]one\[aq] with \e and caf\[e']\&.
.TS
a	b
.TE
.TP
.B \-\-all
Show all.
.IP \(bu 2
An item.
.SH
On a line
.Fl a Ns , Ar file .
"""


def test_roff_gives_what_a_reader_sees():
    assert roff_paragraphs(ROFF) == [
        ("NAME", 'abs, labs - compute "the" value'),
        ("SEE ALSO", "The abs() function computes IT, or two words here."),
        ("SEE ALSO", "Next 'one' with \\ and cafe."),
        ("SEE ALSO", "--all Show all."),
        ("SEE ALSO", "An item."),
        ("On a line", "a, file."),
    ]
    assert roff_paragraphs("") == [] and roff_paragraphs(".TS\nnever ended\n") == []


def test_roff_escapes_and_arguments():
    assert unescape(r"a\fBb\f[CW]c\f(CRd\*(Aqe\h'-04'f\~g\|h\0i") == "abcdef gh i"
    assert unescape(r"\e\" x") == "\\"
    assert arguments(r'"a ""b""" c\ d "e') == ['a "b"', "c d", "e"]


def test_pages_have_sections_and_packages(monkeypatch):
    monkeypatch.setitem(_manpages.LANGUAGES, "en", ("", ("git-man", "manpages")))
    rows = load_manpages()[:]
    assert set(rows["package"]) == {"git-man", "manpages"} and len(rows["page"]) > 350
    assert set(rows["section"]) >= {"1", "4", "5", "7"}
    page = rows["text"][rows["page"].index("git-log")]
    assert page.startswith("git-log - Show commit logs\nShows the commit logs.\n")
    assert len(set(rows["text"])) == len(rows["text"])
    # pages about roff itself show a few
    assert sum(text.count("\\fB") + text.count("\\fI") for text in rows["text"]) < 10


def test_chinese_pages_and_bad_packages(tmp_path, monkeypatch):
    rows = load_manpages("zh-CN")[:]
    page = rows["text"][rows["page"].index("ls")]
    assert page.startswith("ls - 列出目录内容\n") and len(rows["page"]) > 600
    with pytest.raises(DataError, match=r"'zh'.*zh-CN"):
        load_manpages("zh")
    monkeypatch.setattr(_manpages, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="should hold manual pages"):
        load_manpages("zh-CN")
    folder = tmp_path / "usr" / "share" / "man" / "zh_CN" / "man1"
    folder.mkdir(parents=True)
    (folder / "x.1.gz").write_bytes(gzip.compress(b".SH N\ntext\n")[:-6])
    with pytest.raises(DataError, match="cannot be read"):
        load_manpages("zh-CN")


def test_manual_is_prose(tmp_path, monkeypatch):
    monkeypatch.setattr(_manual, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="should hold pages"):
        load_python_manual()
    folder = tmp_path / "usr" / "share" / "doc" / "python3.11" / "html" / "library"
    folder.mkdir(parents=True)
    body = "<p>no</p><div role='main'><p>One <b>two</b>.</p><pre>no</pre><p> </p></div>"
    (folder / "json.html").write_text(f"<html><body>{body}</body></html>")
    (folder / "genindex.html").write_text(f"<html><body>{body}</body></html>")
    assert load_python_manual()[:] == {"page": ["library/json.html"], "text": ["One two."]}


@pytest.mark.parametrize(
    ("tag", "base"),
    [
        ("np$", "np$"),
        ("nn-tl", "nn"),
        ("nn$-tl-hl", "nn$"),
        ("ppss+hv", "ppss"),
        ("fw-in", "in"),
        ("md*", "md"),
        ("*", "*"),
        ("*-hl", "*"),
        ("--", "--"),
        ("---hl", "--"),
        (".", "."),
    ],
)
def test_base_tags(tag, base):
    assert base_tag(tag) == base


def test_names_are_runs():
    tags = "at np-tl nn-tl in-tl np vbd np np . cd-tl np$ (-tl".split()
    assert name_spans(tags) == (
        "O B-TITLE I-TITLE I-TITLE I-TITLE O B-NAME I-NAME O B-TITLE I-TITLE O".split()
    )
    assert name_spans(["cd-tl", "at"]) == ["O", "O"] and name_spans([]) == []


def test_brown_corpus(tmp_path, monkeypatch):
    rows = load_brown()[:]
    assert len(rows["file"]) == 57_340 and sum(map(len, rows["words"])) == 1_161_192
    assert len(set(rows["file"])) == 500 and len(set(rows["genre"])) == 15
    assert rows["words"][0][:4] == ["The", "Fulton", "County", "Grand"]
    assert rows["tags"][0][:4] == ["at", "np-tl", "nn-tl", "jj-tl"]
    assert read_tagged_line("1/2/cd x/nn", "ca01") == (["1/2", "x"], ["cd", "nn"])
    for bad in ("word", "/nn", "word/"):
        with pytest.raises(DataError, match="ca01 of the Brown corpus"):
            read_tagged_line(f"a/at {bad}", "ca01")
    monkeypatch.setattr(_brown, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        load_brown()


def test_thesaurus(tmp_path, monkeypatch):
    path = tmp_path / "th.dat"
    path.write_text("UTF-8\na b|2\n(noun)|c|d (generic term)\n(adj)|e (antonym)\nf|1\n(verb)|g\n")
    assert list(read_meanings(path)) == [
        Meaning("a b", "noun", ["c"], ["d"]),
        Meaning("a b", "adj", [], ["e"]),
        Meaning("f", "verb", ["g"], []),
    ]
    for text, words in [
        ("UTF-8\na|2\n(noun)|c\n", "its end, where meanings of 'a'"),
        ("UTF-8\n(noun)|c\n", "line 2 .* not a word and a number"),
        ("latin\na|0\n", "not UTF-8"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            list(read_meanings(path))
    real = [
        m
        for m in read_meanings(_thesaurus.fetch("thesaurus") / "usr/share/mythes" / _thesaurus.NAME)
        if m.word == "buy"
    ]
    assert "purchase" in real[0].synonyms + real[1].synonyms
    monkeypatch.setattr(_thesaurus, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="should hold a file"):
        load_thesaurus()


def test_cilin_similarity_by_hand():
    assert cilin_similarity(["Aa01A01="], ["Aa01A01="]) == 6
    assert cilin_similarity(["Aa01A01#"], ["Aa01A01#"]) == 5
    assert cilin_similarity(["Aa01A01="], ["Aa01A02="]) == 4
    assert cilin_similarity(["Aa01A01="], ["Aa01B01="]) == 3
    assert cilin_similarity(["Aa01A01="], ["Aa02A01="]) == 2
    assert cilin_similarity(["Aa01A01="], ["Ab01A01="]) == 1
    # the same further levels under other letters share nothing
    assert cilin_similarity(["Aa01A01="], ["Ba01A01="]) == 0
    assert cilin_similarity(["Ba01A01=", "Cb02C03="], ["Cb02C05="]) == 4


def test_cilin_and_its_pairs(tmp_path, monkeypatch):
    rows = load_cilin()[:]
    codes = dict(zip(rows["word"], rows["codes"], strict=True))
    assert len(codes) == 77_456 and "Aa01A01=" in codes["人"]
    words = sorted(codes)[::4]
    pairs = load_cilin_pairs([*words, "x"], 140, seed=1)
    degrees = [score for _, _, score in pairs]
    assert {d: degrees.count(d) for d in set(degrees)} == dict.fromkeys(range(7), 20)
    assert all(cilin_similarity(codes[a], codes[b]) == d and a != b for a, b, d in pairs)
    assert len({(a, b) for a, b, _ in pairs}) == len(pairs)
    assert pairs == load_cilin_pairs(reversed(words), 140, seed=1)
    assert pairs != load_cilin_pairs(words, 140, seed=2)
    with pytest.raises(ConfigError, match="at least 7"):
        load_cilin_pairs(words, 6)
    with pytest.raises(DataError, match="1 of 2 words stand in Cilin"):
        load_cilin_pairs(["人", "x"])
    monkeypatch.setattr(_cilin, "fetch", lambda key: tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        load_cilin()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cilin_ex.txt").write_text("Aa01A01= 人\nAa01\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2 of Cilin"):
        load_cilin()


def test_fields_of_wordnet():
    line = (
        "00001740 29 v 02 breathe 0 take_a_breath 1 001 @ 00005041 v 0000 01 + 02 00 | "
        'draw air; "I can; breathe"; "she sighed"'
    )
    assert read_synset(line) == (
        "verb.body",
        ["breathe", "take a breath"],
        "draw air",
        ["I can; breathe", "she sighed"],
    )
    for bad in ("00001740 99 v 01 breathe 0 000 | x", "short | x"):
        with pytest.raises(DataError, match="no WordNet synset"):
            read_synset(bad)
    rows = load_wordnet_fields()[:]
    assert len(rows["field"]) == 117_659 and len(set(rows["field"])) == 45
    assert rows["field"].count("noun.animal") == 7509
