"""The readers of pages, texts and code on small real files of their formats."""

import pytest

from vecsmith.data import Link

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


def test_html(tmp_path, read):
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


def test_html_title_without_h1_loses_its_tail(tmp_path, read):
    page = "<title>Pipes | Some Site</title><h2>Pipes</h2><p>Long ones.</p>"
    assert read(tmp_path / "p.html", page)[0][0].headings == ("Pipes",)
    page = "<title>Guide — Some Site</title><p>Words.</p>"
    assert read(tmp_path / "q.html", page)[0][0].headings == ("Guide",)


def test_html_of_links_only_is_told(tmp_path, read):
    page = "<ul>" + "".join(f'<li><a href="{n}.html">Page {n}</a></li>' for n in range(9)) + "</ul>"
    sections, skipped = read(tmp_path / "index.html", page)
    assert sections == []
    assert skipped == ["nothing but navigation and lists of links in it"]


@pytest.mark.parametrize(
    ("charset", "declared"), [("iso-8859-15", True), ("windows-1251", True), ("utf-16", False)]
)
def test_html_in_other_encodings(tmp_path, charset, declared, read):
    words = "Привет мир" if charset != "iso-8859-15" else "Übergröße für 5 €"
    meta = f'<meta charset="{charset}">' if declared else ""
    page = f"<html><head>{meta}</head><body><p>{words}</p></body></html>".encode(charset)
    assert read(tmp_path / "x.html", page)[0][0].text == words


def test_html_larger_than_a_piece_is_read_in_pieces(tmp_path, monkeypatch, read):
    monkeypatch.setattr("vecsmith.data.readers._html.PIECE", 2000)
    parts = "".join(f"<h2>Part {n}</h2><p>{'word ' * 30}{n}</p>" for n in range(60))
    sections, _ = read(tmp_path / "big.html", f"<body><h1>Big</h1>{parts}</body>")
    assert [s.headings[-1] for s in sections] == [f"Part {n}" for n in range(60)]
    assert all(s.text.endswith(f" {n}") for n, s in enumerate(sections))


def test_html_of_thousand_nested_blocks(tmp_path, read):
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


def test_markdown(tmp_path, read):
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


def test_markdown_in_pieces_equals_whole(tmp_path, monkeypatch, read):
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


def test_rst(tmp_path, read):
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


def test_rst_tables(tmp_path, read):
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


def test_plain_text_with_underlined_headings(tmp_path, read):
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
def test_encodings_of_text(tmp_path, encoding, words, read):
    sections, skipped = read(tmp_path / "t.txt", (words * 20).encode(encoding))
    assert not skipped
    assert sections[0].text.strip() == (words * 20).strip()


def test_few_wrong_bytes_within_utf8(tmp_path, read):
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


def test_python_by_class_and_function(tmp_path, read):
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


def test_python_tables_of_data_are_shortened(tmp_path, read):
    table = "TABLE = {\n" + "".join(f"    {n}: 'x{n}',\n" for n in range(500)) + "}\n"
    sections, _ = read(tmp_path / "m.py", table)
    assert len(sections[0].text.split("\n")) < 15


def test_python_that_does_not_parse_is_read_all_the_same(tmp_path, read):
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
def test_code_by_tree_sitter(tmp_path, name, read):
    source, expected = CODE[name]
    sections, skipped = read(tmp_path / name, source.encode())
    assert not skipped
    found = {s.headings[-1]: s.summary for s in sections}
    assert {key: found.get(key) for key in expected} == expected
    assert all(s.headings[0] == name and s.kind == "code" for s in sections)
    words = "".join(" ".join([s.text, s.summary]) for s in sections)
    kept = [word for word in ("return", "puts", "rm -f", "go()") if word in source]
    assert all(word in words for word in kept)
