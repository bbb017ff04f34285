"""One odd file never ends a run: whatever a parser raises is told, and the next file is read."""

import io
import zipfile

import pytest

from vecsmith.core import DataError
from vecsmith.data import SourceFile, list_files, read_sections
from vecsmith.data.readers import _text


def read(path, content):
    path.write_bytes(content)
    (file,) = list_files(path, skipped=lambda item: pytest.fail(str(item)))
    skipped = []
    return list(read_sections(file, skipped=skipped.append)), [item.reason for item in skipped]


def make_docx():
    import docx

    written = io.BytesIO()
    docx.Document().save(written)
    return bytearray(written.getvalue())


def flagged(bit):
    """Give a DOCX with one flag set on each of its entries."""
    data = make_docx()
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1 << bit
            at = data.find(mark, at + 4)
    return bytes(data)


def damaged():
    """Give a DOCX whose compressed parts are no valid stream."""
    data = make_docx()
    for part in zipfile.ZipFile(io.BytesIO(data)).infolist():
        start = part.header_offset + 30 + len(part.filename)
        data[start : start + 4] = b"\xff" * 4
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (flagged(0), "RuntimeError"),
        (flagged(5), "NotImplementedError"),
        (damaged(), "error"),
        (b"PK\x03\x04 no zip", "BadZipFile"),
    ],
)
def test_docx_that_zip_cannot_open(tmp_path, content, reason):
    sections, skipped = read(tmp_path / "x.docx", content)
    assert sections == []
    assert len(skipped) == 1
    assert skipped[0].startswith(f"broken docx: {reason}: ")


def test_parquet_with_a_date_beyond_the_calendar(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    days = pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"a": ["x", "y"], "d": days}), tmp_path / "x.parquet")
    _, skipped = read(tmp_path / "x.parquet", (tmp_path / "x.parquet").read_bytes())
    assert len(skipped) == 1
    assert skipped[0].startswith("broken parquet: OverflowError: ")


def stepped(monkeypatch, error):
    """Make the reader of plain text raise once it has read the file."""

    def reader(file, *, skipped):
        yield from original(file, skipped=skipped)
        raise error

    original = _text.read
    monkeypatch.setattr(_text, "read", reader)


@pytest.mark.parametrize("error", [TypeError("odd"), RecursionError(), ZeroDivisionError()])
def test_what_was_read_before_an_error_is_kept(tmp_path, monkeypatch, error):
    stepped(monkeypatch, error)
    sections, skipped = read(tmp_path / "x.txt", b"Words.")
    assert [section.text for section in sections] == ["Words."]
    assert skipped == [f"broken text: {type(error).__name__}: {str(error) or type(error).__name__}"]


@pytest.mark.parametrize("error", [DataError("ours"), MemoryError(), KeyboardInterrupt()])
def test_own_errors_and_those_of_the_machine_are_raised(tmp_path, monkeypatch, error):
    stepped(monkeypatch, error)
    with pytest.raises(type(error)):
        read(tmp_path / "x.txt", b"Words.")


def test_an_error_of_the_caller_is_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"Words.")
    sections = read_sections(
        SourceFile("x.txt", path, "text", 6, 0, ""), skipped=lambda item: pytest.fail(str(item))
    )
    next(sections)
    with pytest.raises(TypeError, match="of the caller"):
        sections.throw(TypeError("of the caller"))
