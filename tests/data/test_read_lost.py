"""Text that readers once lost without a word: notes, deep pages, open quotes, escaped Japanese."""

import pytest

from vecsmith.data import list_files, read_sections


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (file,) = list_files(path, skipped=lambda item: pytest.fail(str(item)))
    skipped = []
    return list(read_sections(file, skipped=skipped.append)), [item.reason for item in skipped]


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ("<main><p>Words.</p><aside>Beside it.</aside></main>", True),
        ("<article><p>Words.</p><aside><p>Beside it.</p></aside></article>", True),
        ("<div role=main><p>Words.</p><aside><p>Beside it.</p></aside></div>", True),
        ('<p>Words.</p><aside class="footnote brackets">Beside it.</aside>', True),
        ('<p>Words.</p><aside role="doc-endnote">Beside it.</aside>', True),
        ("<p>Words.</p><aside>Beside it.</aside>", False),
        ("<main><p>Words.</p></main><aside>Beside it.</aside>", False),
        ('<main><p>Words.</p><aside><a href="x">Beside it.</a></aside></main>', False),
        ('<main><p>Words.</p><aside class="toc">Beside it.</aside></main>', False),
    ],
)
def test_asides_are_read_where_they_belong_to_the_text(tmp_path, page, kept):
    sections, _ = read(tmp_path / "a.html", f"<h1>T</h1>{page}")
    blocks = [block for section in sections for block in section.text.split("\n\n")]
    assert blocks == ["Words.", "Beside it."] if kept else ["Words."]


@pytest.mark.parametrize("tag", ["div", "b", "section", "ul", "blockquote"])
@pytest.mark.parametrize("depth", [300, 1500, 4000])
def test_deep_pages_are_read_to_their_end(tmp_path, tag, depth):
    page = f"<h1>T</h1>{f'<{tag}>' * depth}deep words{f'</{tag}>' * depth}<p>after them</p>"
    sections, skipped = read(tmp_path / "deep.html", page)
    assert not skipped
    words = " ".join(" ".join(section.text for section in sections).split())
    assert words == "deep words after them"


def test_lists_within_lists_are_read_to_their_end(tmp_path):
    sections, skipped = read(tmp_path / "l.html", "<h1>T</h1>" + "<ul><li>item" * 1500)
    assert not skipped
    assert "".join(section.text for section in sections).count("item") == 1500


def test_list_without_items(tmp_path):
    page = "<h1>T</h1><ul>loose<ul><li>one</li></ul><li>two</li>end</ul>"
    sections, _ = read(tmp_path / "l.html", page)
    assert sections[0].text.split("\n\n") == ["loose", "- one", "- two", "end"]


def test_csv_with_the_nameless_index_of_pandas(tmp_path):
    sections, _ = read(tmp_path / "p.csv", ",name,text\n0,valve,opens\n1,pump,turns\n")
    assert [(s.headings, s.text) for s in sections] == [
        (("p.csv", "valve"), "column 1: 0\ntext: opens"),
        (("p.csv", "pump"), "column 1: 1\ntext: turns"),
    ]
    sections, _ = read(tmp_path / "q.csv", ",valve,opens\n,pump,turns\n")
    assert sections[0].text == "column 2: valve\ncolumn 3: opens"


def test_csv_reads_on_after_a_quote_that_is_never_closed(tmp_path):
    rows = "".join(f'{n},row {n} about ""valves""\n' for n in range(3, 60_000))
    sections, skipped = read(tmp_path / "o.csv", f'id,text\n1,"two\nlines"\n2,"open\n{rows}')
    assert skipped == ["quote in line 4 is never closed: the lines after it are read as rows"]
    assert [s.text for s in sections[:3]] == [
        "id: 1\ntext: two\nlines",
        'id: 2\ntext: "open',
        'id: 3\ntext: row 3 about ""valves""',
    ]
    assert len(sections) == 59_999


def test_csv_tells_which_lines_a_broken_row_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("vecsmith.data.readers._csv.LARGEST_FIELD", 100)
    _, skipped = read(tmp_path / "b.csv", 'a,b\n1,ok\n2,"open\n' + "3,words of a row\n" * 9)
    assert skipped[0].startswith("row of lines 3 to 9 is broken: field larger")


JAPANESE = "日本語のテキストです。弁とポンプの説明。"


@pytest.mark.parametrize("name", ["j.txt", "j.md", "j.csv"])
def test_iso_2022_jp(tmp_path, name):
    text = "Header in ASCII\n\n" + f"{JAPANESE}\n" * 3000
    sections, _ = read(tmp_path / name, text.encode("iso-2022-jp"))
    words = "".join(" ".join((*section.headings, section.text)) for section in sections)
    assert words.count(JAPANESE) == 3000
    assert "\x1b" not in words


@pytest.mark.parametrize("meta", ["", '<meta charset="iso-2022-jp">'])
def test_iso_2022_jp_page(tmp_path, meta):
    page = f"<head>{meta}</head><body><p>{JAPANESE}</p></body>"
    sections, _ = read(tmp_path / "j.html", page.encode("iso-2022-jp"))
    assert [section.text for section in sections] == [JAPANESE]


def test_colours_of_a_terminal_are_not_japanese(tmp_path):
    sections, _ = read(tmp_path / "t.log", b"\x1b[31mred\x1b[0m and \x1b$Bad " * 9)
    assert "red" in sections[0].text
    assert "Bad" in sections[0].text
