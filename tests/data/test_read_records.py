"""The readers of rows, DOCX and PDF on small real files, broken files of any kind, and links."""

import json

import pytest

from vecsmith.core import ConfigError
from vecsmith.data import SourceFile, read_sections
from vecsmith.data.readers._links import resolve_link


def test_csv(tmp_path, read):
    sections, skipped = read(
        tmp_path / "t.csv", 'id;Title;text\n1;Alpha;"two; lines\nhere"\n2;Beta;x\n;;\n'
    )
    assert not skipped
    assert [(s.headings, s.text, s.kind) for s in sections] == [
        (("t.csv", "Alpha"), "id: 1\ntext: two; lines\nhere", "record"),
        (("t.csv", "Beta"), "id: 2\ntext: x", "record"),
    ]


def test_csv_without_header_and_with_ragged_rows(tmp_path, read):
    sections, _ = read(tmp_path / "t.csv", "1,2\n3,4,5\n6\n")
    assert [s.text for s in sections] == [
        "column 1: 1\ncolumn 2: 2",
        "column 1: 3\ncolumn 2: 4\ncolumn 3: 5",
        "column 1: 6",
    ]


def test_csv_with_huge_and_endless_fields(tmp_path, monkeypatch, read):
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


def test_jsonl_with_broken_lines(tmp_path, read):
    lines = ['{"title": "A", "body": "x", "n": {"k": [1, 2]}}', "{broken", "[1]", "", '"bare"']
    sections, skipped = read(tmp_path / "t.jsonl", "\n".join(lines).encode())
    assert [(s.headings, s.text) for s in sections] == [
        (("t.jsonl", "A"), "body: x\nn: k: 1; 2"),
        (("t.jsonl",), "bare"),
    ]
    assert skipped[0].startswith("JSONL line 2 is no JSON: ")
    assert skipped[1] == "JSONL line 3 is no object but list"


def test_jsonl_lists_only_some_broken_lines(tmp_path, read):
    sections, skipped = read(tmp_path / "t.jsonl", b"nope\n" * 50 + b'{"a": "b"}\n')
    assert len(sections) == 1
    assert len(skipped) == 6
    assert skipped[-1] == "45 more broken JSONL lines"


def test_jsonl_with_endless_line(tmp_path, monkeypatch, read):
    monkeypatch.setattr("vecsmith.data.readers._jsonl.LONGEST", 100)
    data = json.dumps({"a": "x" * 1000}) + "\n" + json.dumps({"a": "short"}) + "\n"
    sections, skipped = read(tmp_path / "t.jsonl", data.encode())
    assert [s.text for s in sections] == ["a: short"]
    assert len(skipped) == 1
    assert skipped[0].startswith("JSONL line 1 is longer than")


def test_parquet(tmp_path, read):
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


def test_docx(tmp_path, read):
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


def test_pdf_drops_page_headers_and_joins_hyphens(tmp_path, read):
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


def test_pdf_outline_gives_headings(tmp_path, read):
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
def test_broken_files_are_told_not_raised(tmp_path, name, content, read):
    sections, skipped = read(tmp_path / name, content)
    assert sections == []
    assert len(skipped) == 1
    assert "broken" in skipped[0] or "without text" in skipped[0]


def test_encrypted_and_imageless_pdf(tmp_path, read):
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
