"""Time stays proportional to the file: half a megabyte of what patterns dread takes seconds.

Half a megabyte of ordinary Markdown takes about half a second, so the bound leaves room for a busy
machine; a pattern that takes the square of the length takes minutes.
"""

import time

import pytest

from vecsmith.data import list_files, read_sections

SIZE = 500_000
SECONDS = 3


def filled(piece, before="", after=""):
    return before + piece * (SIZE // len(piece)) + after


ODD = {
    "fence never closed.md": filled("## 1.2.3\n\n- fixed a bug\n\n", "# Changes\n\n```sh\nmake\n"),
    "comments in fence.md": filled("# a comment of a script\n", "# T\n\n```sh\n", "```\n"),
    "comments.md": filled("<!-- ", "# T\n\n<div>\n", "\n"),
    "tags.md": filled("<a", "# T\n\n<div>\n", "\n"),
    "anchor.md": filled("<a", "## ", "\n\nWords.\n"),
    "named.md": filled("{#a", "## ", "\n\nWords.\n"),
    "spaces.md": filled(" ", "## a", "b\n\nWords.\n"),
    "roles.rst": filled("a:"),
    "titled roles.rst": filled(f":a:`b{' ' * 30_000}c\n\n"),
    "links.rst": filled(f"`b{' ' * 30_000}c\n\n"),
    "references.rst": filled("a-"),
    "labels.rst": filled("a:", ".. _", " b c"),
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_time_is_linear(tmp_path, name):
    (tmp_path / name).write_text(ODD[name])
    (file,) = list_files(tmp_path, skipped=lambda item: pytest.fail(str(item)))
    start = time.process_time()
    list(read_sections(file, skipped=lambda item: None))
    assert time.process_time() - start < SECONDS
