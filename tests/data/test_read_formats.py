"""Every reader on small real files of its format, and on broken ones."""

import json
import textwrap
from pathlib import Path

import pytest

from vecsmith.core import ConfigError
from vecsmith.data import Link, SourceFile, list_files, read_sections
from vecsmith.data.readers._links import resolve_link


def read(path: Path, content: str | bytes | None = None, *, place: str = ""):
    if isinstance(content, str):
        content = textwrap.dedent(content).encode()
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (file,) = list_files(path, skipped=lambda item: pytest.fail(str(item)))
    if place:
        file = SourceFile(place, file.absolute, file.kind, file.bytes, 0, file.sha256)
    skipped = []
    return list(read_sections(file, skipped=skipped.append)), [item.reason for item in skipped]


PAGE = """
<!DOCTYPE html><html><head><title>abs — Manual 3.1 documentation</title>
<meta name="description" content="About functions."></head><body>
<nav><ul><li><a href="a.html">Menu</a></li></ul></nav>
<div class="sphinxsidebar">Side</div><div role="search">Find</div>
<main><header><a href="/">Logo</a></header>
<section id="built-in"><h1>Built-in Functions<a class="headerlink" href="#built-in">¶</a></h1>
<p>They are <em>always</em> there,<br>see <a href="../glossary.html#term-x">term x</a> or
<a href="https://example.org/">elsewhere</a>.</p>
<dl><dt id="abs">abs(<em>x</em>)<a class="headerlink" href="#abs">¶</a></dt>
<dd><p>Absolute value.</p><dl><dt id="abs.inner">inner()</dt><dd>Within.</dd></dl></dd>
<dt id="all">all(<em>it</em>)</dt><dt id="all2">all(<em>it</em>, n)</dt><dd>True if all.</dd></dl>
<p>After the list.</p>
<h2>Data <code>types</code></h2>
<table><tr><th>Name</th><th>Size</th></tr><tr><td><p>int</p></td><td>4</td></tr></table>
<ul><li>one <b>two</b></li><li>three<ul><li>four</li></ul></li></ul>
<dl><dt>plain</dt><dd>A term without id.</dd></dl>
<pre>for x in y:
    go(<span>x</span>)</pre>
<div class="admonition note"><p class="admonition-title">Note</p><p>Mind it.</p></div>
<script>evil()</script><!-- comment --></section></main>
<footer>Copyright</footer></body></html>
"""


def test_html(tmp_path):
    sections, skipped = read(tmp_path / "f.html", PAGE, place="library/f.html")
    assert not skipped
    top = "Built-in Functions"
    assert [(s.headings, s.anchor) for s in sections] == [
        ((top,), "built-in"),
        ((top, "abs(x)"), "abs"),
        ((top, "abs(x)", "inner()"), "abs.inner"),
        ((top, "all(it)"), "all"),
        ((top,), "built-in"),
        ((top, "Data types"), ""),
    ]
    first = sections[0]
    assert first.text == "They are always there,\nsee term x or elsewhere."
    assert first.summary == "About functions."
    assert first.links == (Link("term x", "glossary.html", "term-x"),)
    assert sections[3].text == "all(it, n)\n\nTrue if all."
    assert sections[4].text == "After the list."
    assert sections[5].text.split("\n\n") == [
        "Name | Size\nint | 4",
        "- one two\n- three\n  - four",
        "plain: A term without id.",
        "for x in y:\n    go(x)",
        "Note: Mind it.",
    ]
    everything = " ".join(s.text for s in sections)
    assert not any(word in everything for word in ("Menu", "Side", "Find", "Logo", "evil", "Copy"))


def test_html_title_without_h1_loses_its_tail(tmp_path):
    page = "<title>Pipes | Some Site</title><h2>Pipes</h2><p>Long ones.</p>"
    assert read(tmp_path / "p.html", page)[0][0].headings == ("Pipes",)
    page = "<title>Guide — Some Site</title><p>Words.</p>"
    assert read(tmp_path / "q.html", page)[0][0].headings == ("Guide",)


def test_html_of_links_only_is_told(tmp_path):
    page = "<ul>" + "".join(f'<li><a href="{n}.html">Page {n}</a></li>' for n in range(9)) + "</ul>"
    sections, skipped = read(tmp_path / "index.html", page)
    assert sections == []
    assert skipped == ["nothing but navigation and lists of links in it"]


@pytest.mark.parametrize(
    ("charset", "declared"), [("iso-8859-15", True), ("windows-1251", True), ("utf-16", False)]
)
def test_html_in_other_encodings(tmp_path, charset, declared):
    words = "Привет мир" if charset != "iso-8859-15" else "Übergröße für 5 €"
    meta = f'<meta charset="{charset}">' if declared else ""
    page = f"<html><head>{meta}</head><body><p>{words}</p></body></html>".encode(charset)
    assert read(tmp_path / "x.html", page)[0][0].text == words


def test_html_larger_than_a_piece_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("vecsmith.data.readers._html.PIECE", 2000)
    parts = "".join(f"<h2>Part {n}</h2><p>{'word ' * 30}{n}</p>" for n in range(60))
    sections, _ = read(tmp_path / "big.html", f"<body><h1>Big</h1>{parts}</body>")
    assert [s.headings[-1] for s in sections] == [f"Part {n}" for n in range(60)]
    assert all(s.text.endswith(f" {n}") for n, s in enumerate(sections))


def test_html_of_thousand_nested_blocks(tmp_path):
    page = "<div>" * 3000 + "deep down" + "</div>" * 3000
    sections, _ = read(tmp_path / "deep.html", page)
    assert [s.text for s in sections] == ["deep down"]


MARKDOWN = """\
---
title: "The Guide"
description: How to begin.
---
Intro with [a link](sub%20dir/other.md#setup "t") and `code`.

# Install it
Line one
line two

| A | B |
|---|---|
| 1 | **2** |

## Install it
- first
- second
  1. inner

```python
# not a heading
x = 1
```

## Named {#own-name}
> quoted

<details><b>hidden</b> words</details>
"""


def test_markdown(tmp_path):
    sections, skipped = read(tmp_path / "g.md", MARKDOWN, place="docs/g.md")
    assert not skipped
    assert [(s.headings, s.anchor) for s in sections] == [
        (("The Guide",), ""),
        (("The Guide", "Install it"), "install-it"),
        (("The Guide", "Install it", "Install it"), "install-it-1"),
        (("The Guide", "Install it", "Named"), "own-name"),
    ]
    assert sections[0].text == "Intro with a link and code."
    assert sections[0].summary == "How to begin."
    assert sections[0].links == (Link("a link", "docs/sub dir/other.md", "setup"),)
    assert sections[1].text == "Line one\nline two\n\nA | B\n1 | 2"
    assert sections[2].text == "- first\n- second\n  1. inner\n\n# not a heading\nx = 1"
    assert sections[3].text == "quoted\n\nhidden words"


def test_markdown_in_pieces_equals_whole(tmp_path, monkeypatch):
    text = "# Top\n" + "".join(
        f"## Part {n}\n\nWords {n}.\n\n```\n## no\n```\n\n" for n in range(99)
    )
    whole, _ = read(tmp_path / "a.md", text)
    monkeypatch.setattr("vecsmith.data.readers._markdown.PIECE", 300)
    assert read(tmp_path / "a.md", text)[0] == whole
    assert len(whole) == 99


RST = """\
.. _top-label:

=====
Guide
=====

Intro of :func:`~os.path.join` with ``code``, __dunder__, *stress* and `Other <other.html#a>`_.

.. toctree::
   :maxdepth: 2

   one
   two

Part one
--------

Do this::

    indented code
      more

    and more

Back to text.

.. note:: Mind it.

.. function:: walk(top, *args)

   Walks a tree.

   .. versionadded:: 3.5

After.

.. code-block:: python
   :linenos:

   x = 1

.. comment that is
   not shown

Sub
~~~
- item one
- item two
"""


def test_rst(tmp_path):
    sections, skipped = read(tmp_path / "g.rst", RST, place="g.rst")
    assert not skipped
    assert [(s.headings, s.anchor) for s in sections] == [
        (("Guide",), "top-label"),
        (("Guide", "Part one"), "part-one"),
        (("Guide", "Part one", "walk(top, *args)"), "walk-top-args"),
        (("Guide", "Part one"), "part-one"),
        (("Guide", "Part one", "Sub"), "sub"),
    ]
    assert sections[0].text == "Intro of os.path.join with code, __dunder__, stress and Other."
    assert sections[0].links == (Link("Other", "other.html", "a"),)
    assert sections[1].text.split("\n\n") == [
        "Do this:",
        "    indented code\n      more",
        "    and more",
        "Back to text.",
        "Note: Mind it.",
    ]
    assert sections[2].text.startswith("Walks a tree.")
    assert sections[3].text == "After.\n\n   x = 1"
    assert sections[4].text == "- item one\n- item two"


def test_rst_tables(tmp_path):
    grid = """\
        +-----+-----+
        | a b | c   |
        +=====+=====+
        | 1   | 2   |
        +-----+-----+

        ====  ====
        x     y
        ====  ====
        3     4
        ====  ====
        """
    sections, _ = read(tmp_path / "t.rst", grid)
    assert sections[0].text == "a b | c\n1 | 2\n\nx     y\n3     4"


def test_plain_text_with_underlined_headings(tmp_path):
    sections, _ = read(
        tmp_path / "t.txt", "Lead.\n\nOne\n===\nAlpha.\n\nSub\n---\n\nBeta.\n\nGamma.\n"
    )
    assert [(s.headings, s.text) for s in sections] == [
        (("t.txt",), "Lead."),
        (("t.txt", "One"), "Alpha."),
        (("t.txt", "One", "Sub"), "Beta.\n\nGamma."),
    ]


TEXT_DE = "Größere Übungen für schöne Mädchen und süße Bären, daß es heißt. "


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", TEXT_DE),
        ("utf-8-sig", TEXT_DE),
        ("utf-16", TEXT_DE),
        ("utf-16-le", TEXT_DE),
        ("utf-32", TEXT_DE),
        ("cp1252", TEXT_DE),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
        ("cp1251", "Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему. "),
    ],
)
def test_encodings_of_text(tmp_path, encoding, words):
    sections, skipped = read(tmp_path / "t.txt", (words * 20).encode(encoding))
    assert not skipped
    assert sections[0].text.strip() == (words * 20).strip()


def test_few_wrong_bytes_within_utf8(tmp_path):
    data = ("Naïve café. " * 50).encode() + b"caf\xe9 \x93quoted\x94" + (" Größe." * 50).encode()
    sections, _ = read(tmp_path / "t.txt", data)
    assert "café “quoted”" in sections[0].text
    assert "Größe" in sections[0].text


PYTHON = '''\
"""Module words.

More of them.
"""
import os

LIMIT = 3


@decorated(1)
class Foo(Base):
    """A foo."""

    size = 1

    async def bar(self, x: int = 2) -> str:
        """Do bar."""
        def inner():
            """Kept."""
        return x


def plain(a, *b, **c): return a
'''


def test_python_by_class_and_function(tmp_path):
    sections, skipped = read(tmp_path / "m.py", PYTHON, place="pkg/m.py")
    assert not skipped
    assert [(s.headings, s.summary, s.anchor) for s in sections] == [
        (("pkg/m.py",), "Module words.\n\nMore of them.", ""),
        (("pkg/m.py", "class Foo(Base)"), "A foo.", "Foo"),
        (
            ("pkg/m.py", "class Foo(Base)", "async def bar(self, x: int=2) -> str"),
            "Do bar.",
            "Foo.bar",
        ),
        (("pkg/m.py", "def plain(a, *b, **c)"), "", "plain"),
    ]
    assert sections[0].text == "import os\n\nLIMIT = 3"
    assert sections[1].text == "@decorated(1)\nclass Foo(Base):\n\n    size = 1"
    assert sections[2].text.startswith("async def bar(self, x: int = 2) -> str:\n    def inner():")
    assert '"""Kept."""' in sections[2].text
    assert sections[3].text == "def plain(a, *b, **c): return a"
    assert all(s.kind == "code" for s in sections)


def test_python_tables_of_data_are_shortened(tmp_path):
    table = "TABLE = {\n" + "".join(f"    {n}: 'x{n}',\n" for n in range(500)) + "}\n"
    sections, _ = read(tmp_path / "m.py", table)
    assert len(sections[0].text.split("\n")) < 15


def test_python_that_does_not_parse_is_read_all_the_same(tmp_path):
    sections, skipped = read(tmp_path / "old.py", 'def f(x):\n    print "two"\n\ndef g(): pass\n')
    assert "no valid Python" in skipped[0]
    assert ("old.py", "def g()") in [s.headings for s in sections]


CODE = {
    "a.js": (
        "/** Adds.\n * Well. */\nexport function add(a, b) { return a + b; }\n"
        "class Foo { bar() { return 1; } }\nconst k = 1;\n",
        {"function add(a, b)": "Adds.\nWell.", "bar()": ""},
    ),
    "a.ts": (
        "// Makes.\nexport class Foo<T> { go(x: T): void { run(x); } }\ninterface I { a: str }\n",
        {"go(x: T): void": "", "interface I": ""},
    ),
    "a.c": (
        "#include <a.h>\n/* Sums. */\nint sum(int a, int b)\n{\n  return a + b;\n}\n",
        {"int sum(int a, int b)": "Sums."},
    ),
    "a.cpp": (
        "namespace n { class A { public: int f() { return 1; } }; }\n",
        {"int f()": ""},
    ),
    "A.java": (
        "class A {\n  /** Runs. */\n  @Override public void run(int x) { go(); }\n}\n",
        {"@Override public void run(int x)": "Runs."},
    ),
    "a.go": (
        "package a\n\n// Add adds.\nfunc Add(a int) int { return a }\n",
        {"func Add(a int) int": "Add adds."},
    ),
    "a.rs": (
        "struct P { x: i32 }\nimpl P {\n    /// Gives x.\n    fn x(&self) -> i32 { self.x }\n}\n",
        {"fn x(&self) -> i32": "Gives x."},
    ),
    "a.rb": (
        "class A\n  # Says hi.\n  def hi(name)\n    puts name\n  end\nend\n",
        {"def hi(name)": "Says hi."},
    ),
    "a.php": (
        "<?php\nclass A { /** Goes. */ public function go($x) { return $x; } }\n",
        {"public function go($x)": "Goes."},
    ),
    "a.cs": (
        "namespace N { class A { /// Goes.\n public int Go(int x) { return x; } } }\n",
        {"public int Go(int x)": "Goes."},
    ),
    "a.sh": (
        "#!/bin/sh\n# Cleans.\nclean() {\n  rm -f x\n}\nclean\n",
        {"clean()": "Cleans."},
    ),
}


@pytest.mark.parametrize("name", sorted(CODE))
def test_code_by_tree_sitter(tmp_path, name):
    source, expected = CODE[name]
    sections, skipped = read(tmp_path / name, source.encode())
    assert not skipped
    found = {s.headings[-1]: s.summary for s in sections}
    assert {key: found.get(key) for key in expected} == expected
    assert all(s.headings[0] == name and s.kind == "code" for s in sections)
    words = "".join(" ".join([s.text, s.summary]) for s in sections)
    kept = [word for word in ("return", "puts", "rm -f", "go()") if word in source]
    assert all(word in words for word in kept)


def test_csv(tmp_path):
    sections, skipped = read(
        tmp_path / "t.csv", 'id;Title;text\n1;Alpha;"two; lines\nhere"\n2;Beta;x\n;;\n'
    )
    assert not skipped
    assert [(s.headings, s.text, s.kind) for s in sections] == [
        (("t.csv", "Alpha"), "id: 1\ntext: two; lines\nhere", "record"),
        (("t.csv", "Beta"), "id: 2\ntext: x", "record"),
    ]


def test_csv_without_header_and_with_ragged_rows(tmp_path):
    sections, _ = read(tmp_path / "t.csv", "1,2\n3,4,5\n6\n")
    assert [s.text for s in sections] == [
        "column 1: 1\ncolumn 2: 2",
        "column 1: 3\ncolumn 2: 4\ncolumn 3: 5",
        "column 1: 6",
    ]


def test_csv_with_huge_and_endless_fields(tmp_path, monkeypatch):
    import csv

    before = csv.field_size_limit()
    sections, skipped = read(tmp_path / "t.csv", f"a,b\n1,{'x' * 300_000}\n")
    assert len(sections[0].text) > 300_000
    monkeypatch.setattr("vecsmith.data.readers._csv.LARGEST_FIELD", 1000)
    rows = "".join(f"{n},words of a row\n" for n in range(200))
    sections, skipped = read(tmp_path / "t.csv", f'a,b\n1,ok\n2,"never closed\n{rows}')
    assert sections[0].text == "a: 1\nb: ok"
    assert any("broken" in reason for reason in skipped)
    assert csv.field_size_limit() == before


def test_jsonl_with_broken_lines(tmp_path):
    lines = ['{"title": "A", "body": "x", "n": {"k": [1, 2]}}', "{broken", "[1]", "", '"bare"']
    sections, skipped = read(tmp_path / "t.jsonl", "\n".join(lines).encode())
    assert [(s.headings, s.text) for s in sections] == [
        (("t.jsonl", "A"), "body: x\nn: k: 1; 2"),
        (("t.jsonl",), "bare"),
    ]
    assert skipped[0].startswith("JSONL line 2 is no JSON: ")
    assert skipped[1] == "JSONL line 3 is no object but list"


def test_jsonl_lists_only_some_broken_lines(tmp_path):
    sections, skipped = read(tmp_path / "t.jsonl", b"nope\n" * 50 + b'{"a": "b"}\n')
    assert len(sections) == 1
    assert len(skipped) == 6
    assert skipped[-1] == "45 more broken JSONL lines"


def test_jsonl_with_endless_line(tmp_path, monkeypatch):
    monkeypatch.setattr("vecsmith.data.readers._jsonl.LONGEST", 100)
    data = json.dumps({"a": "x" * 1000}) + "\n" + json.dumps({"a": "short"}) + "\n"
    sections, skipped = read(tmp_path / "t.jsonl", data.encode())
    assert [s.text for s in sections] == ["a: short"]
    assert len(skipped) == 1
    assert skipped[0].startswith("JSONL line 1 is longer than")


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {"name": ["A", "B"], "text": ["x", None], "blob": [b"1", b"2"], "vector": [[0.5] * 32] * 2}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    sections, skipped = read(tmp_path / "t.parquet")
    assert not skipped
    assert [(s.headings, s.text) for s in sections] == [
        (("t.parquet", "A"), "text: x"),
        (("t.parquet",), "B"),
    ]


def test_docx(tmp_path):
    import docx

    document = docx.Document()
    document.add_heading("Report", 0)
    document.add_paragraph("Lead words.")
    document.add_heading("Part", 1)
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Bullet")
    table = document.add_table(2, 2)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"c{number}"
    document.add_heading("Sub", 2)
    document.add_paragraph("Deep.")
    document.save(str(tmp_path / "r.docx"))
    sections, skipped = read(tmp_path / "r.docx")
    assert not skipped
    assert [(s.headings, s.text) for s in sections] == [
        (("Report",), "Lead words."),
        (("Report", "Part"), "- one\n- two\n\nc0 | c1\nc2 | c3"),
        (("Report", "Part", "Sub"), "Deep."),
    ]


def make_pdf(pages: list[list[str]]) -> bytes:
    """Write a PDF of text lines by hand."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj 0 -16 Td" for line in lines)
        stream = f"BT /F1 12 Tf 50 750 Td {shown} ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {len(objects)} 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    data, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    data += (
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{data.find('xref')}\n%%EOF"
    )
    return data.encode("latin-1")


def test_pdf_drops_page_headers_and_joins_hyphens(tmp_path):
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    pages = [
        [
            "The Manual",
            f"About {word} and its con-",
            f"sequences of {word}.",
            f"They end {word}.",
            f"Page {n}",
        ]
        for n, word in enumerate(words)
    ]
    sections, skipped = read(tmp_path / "m.pdf", make_pdf(pages))
    assert not skipped
    assert [s.text for s in sections] == [
        f"About {word} and its consequences of {word}.\nThey end {word}." for word in words
    ]
    assert sections[2].headings == ("m.pdf",)
    assert sections[2].anchor == "page=3"


def test_pdf_outline_gives_headings(tmp_path):
    import io

    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    writer.append(
        PdfReader(io.BytesIO(make_pdf([["First", "Words one."], ["Second", "Words two."]])))
    )
    chapter = writer.add_outline_item(title="First", page_number=0)
    writer.add_outline_item(title="Second", page_number=1, parent=chapter)
    writer.add_metadata({"/Title": "The Book"})
    with (tmp_path / "b.pdf").open("wb") as handle:
        writer.write(handle)
    sections, _ = read(tmp_path / "b.pdf")
    assert [(s.headings, s.text) for s in sections] == [
        (("The Book", "First"), "Words one."),
        (("The Book", "First", "Second"), "Words two."),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.pdf", b"%PDF-1.4 and nothing"),
        ("y.pdf", make_pdf([["words"]])[:300]),
        ("x.docx", b"PK\x03\x04 broken zip"),
        ("x.parquet", b"PAR1 broken PAR1"),
        ("z.parquet", b"nothing of the kind"),
    ],
)
def test_broken_files_are_told_not_raised(tmp_path, name, content):
    sections, skipped = read(tmp_path / name, content)
    assert sections == []
    assert len(skipped) == 1
    assert "broken" in skipped[0] or "without text" in skipped[0]


def test_encrypted_and_imageless_pdf(tmp_path):
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(str(tmp_path / "blank.pdf"))
    assert read(tmp_path / "blank.pdf")[1] == ["PDF of 1 pages without text (scanned?)"]
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(str(tmp_path / "locked.pdf"))
    assert read(tmp_path / "locked.pdf")[1] == ["PDF that needs a password"]


def test_file_that_vanished_and_unknown_kind(tmp_path):
    gone = SourceFile("gone.txt", tmp_path / "gone.txt", "text", 1, 0, "")
    skipped = []
    assert list(read_sections(gone, skipped=skipped.append)) == []
    assert skipped[0].reason == "cannot be read: No such file or directory"
    odd = SourceFile("x", tmp_path / "x", "htm", 1, 0, "")
    with pytest.raises(ConfigError, match="did you mean 'html'"):
        list(read_sections(odd, skipped=skipped.append))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("other.html", ("a/b/other.html", "")),
        ("../x%20y.html?q=1#f%20g", ("a/x y.html", "f g")),
        ("#here", ("a/b/doc.html", "here")),
        ("/root.html", ("root.html", "")),
        ("https://example.org/x.html", None),
        ("//example.org/x.html", None),
        ("mailto:a@b.c", None),
        ("../../../out.html", None),
        ("folder/", None),
        ("", None),
    ],
)
def test_links_are_resolved_against_the_document(reference, expected):
    assert resolve_link("a/b/doc.html", reference) == expected
