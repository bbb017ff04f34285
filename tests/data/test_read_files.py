"""Walking a folder: order, what is left out and why, odd names, links, bad files."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from vecsmith.core import DataError
from vecsmith.data import Skipped, content_kind, list_files


def listed(source, **options):
    skipped: list[Skipped] = []
    files = list(list_files(source, skipped=skipped.append, **options))
    return files, {item.path: item.reason for item in skipped}


def write(folder: Path, name: str, content: str | bytes = "Some words.") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_order_is_sorted_and_kinds_follow_the_suffix(tmp_path):
    for name in ("b.md", "a.txt", "c/z.py", "c/y.html", "B.rst"):
        write(tmp_path, name, f"text of {name}")
    files, _ = listed(tmp_path)
    assert [file.path for file in files] == ["B.rst", "a.txt", "b.md", "c/y.html", "c/z.py"]
    assert [file.kind for file in files] == ["rst", "text", "markdown", "html", "code"]
    assert files[0].bytes == len("text of B.rst")
    assert re.fullmatch("[0-9a-f]{64}", files[0].sha256)


def test_single_file_is_a_source(tmp_path):
    files, _ = listed(write(tmp_path, "one file.md", "# Hi"))
    assert [(file.path, file.kind) for file in files] == [("one file.md", "markdown")]


def test_missing_source(tmp_path):
    with pytest.raises(DataError, match=r"no_such' does not exist; give a folder or a file"):
        list_files(tmp_path / "no_such", skipped=lambda item: None)


def test_dangling_source_link(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be opened"):
        list_files(tmp_path / "gone", skipped=lambda item: None)


def test_empty_folder_and_folder_without_text(tmp_path):
    with pytest.raises(DataError, match="holds no file that can be read \\(empty\\)"):
        listed(tmp_path)
    write(tmp_path, "picture.png", b"\x89PNG\x00\x00")
    with pytest.raises(DataError, match=r"1 skipped, first 'picture.png': binary"):
        listed(tmp_path)


def test_what_is_left_out_is_listed_with_the_reason(tmp_path):
    write(tmp_path, "kept.txt", "kept")
    write(tmp_path, "same.txt", "kept")
    write(tmp_path, "empty.txt", "")
    write(tmp_path, "nul.txt", b"abc\x00def" * 10)
    write(tmp_path, "control.txt", b"\x01\x02\x03\x04" * 20)
    write(tmp_path, ".git/config", "x")
    write(tmp_path, ".hidden", "x")
    write(tmp_path, "node_modules/m.js", "x")
    write(tmp_path, "style.css", "a {}")
    write(tmp_path, "app.js", "var a=1;" * 2000)
    write(tmp_path, "drafts/d.md", "draft")
    files, reasons = listed(tmp_path, exclude=["drafts/"])
    assert [file.path for file in files] == ["kept.txt"]
    assert reasons == {
        "same.txt": "same content as kept.txt",
        "empty.txt": "empty file",
        "nul.txt": "binary: contains NUL bytes",
        "control.txt": "binary: 80 control characters at its start",
        ".git": "hidden folder",
        ".hidden": "hidden file",
        "node_modules": "folder of a tool: installed packages",
        "style.css": "not read: a style sheet",
        "app.js": "not read: minified code",
        "drafts": "excluded by the pattern 'drafts/'",
    }


def test_odd_names_survive(tmp_path):
    names = ["with space.txt", "line\nbreak.txt", "emoji 👩‍👩‍👧.txt", "quote'\".txt"]
    for name in names:
        write(tmp_path, name, f"text {name}")
    raw = os.fsencode(tmp_path) + b"/latin-\xe9.txt"
    try:
        Path(os.fsdecode(raw)).write_bytes(b"raw name")
        names.append(os.fsdecode(b"latin-\xe9.txt"))
    except OSError:
        pass  # file systems that take UTF-8 names only
    files, _ = listed(tmp_path)
    assert sorted(file.path for file in files) == sorted(names)
    assert all(file.absolute.read_bytes() for file in files)


def test_symbolic_links(tmp_path):
    source = tmp_path / "source"
    write(source, "a/real.txt", "real")
    write(source, ".data/hidden.txt", "behind a link")
    outside = write(tmp_path, "outside.txt", "secret")
    links = {
        "a/loop": source,
        "a/self": source / "a" / "self",
        "again": source / "a",
        "b.txt": source / "a" / "real.txt",
        "broken": source / "nothing",
        "c.txt": source / ".data" / "hidden.txt",
        "out.txt": outside,
        "out": tmp_path,
    }
    for name, target in links.items():
        (source / name).symlink_to(target)
    files, reasons = listed(source)
    assert [file.path for file in files] == ["a/real.txt", "c.txt"]
    assert reasons["a/loop"] == "symbolic link to a folder above it"
    assert reasons["a/self"] == "symbolic link that is broken or loops"
    assert reasons["again"] == "symbolic link to a, which lies in the source itself"
    assert reasons["b.txt"] == "symbolic link to a/real.txt, which lies in the source itself"
    assert reasons["broken"] == "symbolic link that is broken or loops"
    assert reasons["out.txt"] == "symbolic link out of the source"
    assert reasons["out"] == "symbolic link to a folder above it"


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    write(tmp_path, "good.txt", "good")
    write(tmp_path, "locked.txt", "locked")
    write(tmp_path, "closed/x.txt", "x")
    os.mkfifo(tmp_path / "pipe")
    open_path, scan = Path.open, os.scandir

    def refuse(self, *args, **kwargs):
        if self.name == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return open_path(self, *args, **kwargs)

    def refuse_scan(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse_scan)
    files, reasons = listed(tmp_path)
    assert [file.path for file in files] == ["good.txt"]
    assert reasons["locked.txt"] == "cannot be read: Permission denied"
    assert reasons["closed/"] == "folder cannot be read: Permission denied"
    assert reasons["pipe"] == "no regular file (a pipe, socket or device)"


def test_sphinx_sources_beside_the_pages_are_left_out(tmp_path):
    write(tmp_path, "html/objects.inv", b"\x00")
    write(tmp_path, "html/index.html", "<p>page</p>")
    write(tmp_path, "html/_sources/index.rst.txt", "page")
    files, reasons = listed(tmp_path)
    assert [file.path for file in files] == ["html/index.html"]
    assert "html/_sources" in reasons


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("README", b"plain words", "text"),
        ("page", b"\xef\xbb\xbf<!DOCTYPE html><p>x", "html"),
        ("tool", b"#!/usr/bin/env python3\nprint(1)\n", "code"),
        ("report.bin", b"%PDF-1.7 ...", "pdf"),
        ("wide.txt", "no mark but wide text".encode("utf-16-le"), "text"),
        ("marked.txt", "marked text".encode("utf-16"), "text"),
        ("thing.xyz", bytes(range(256)), ""),
        ("index.rst.txt", b"Title\n=====\n", "rst"),
        ("data.tsv", b"a\tb", "csv"),
    ],
)
def test_kind_by_content(name, content, kind):
    with tempfile.TemporaryDirectory() as folder:
        assert content_kind(write(Path(folder), name, content)) == kind
