"""What the tests of readers share."""

import textwrap

import pytest

from vecsmith.data import SourceFile, list_files, read_sections


@pytest.fixture(scope="session")
def read():
    """Function that writes a file, reads it, and returns sections and reasons of what is left out.

    Text is dedented. `place` is the path under which the file is known.
    """

    def run(path, content=None, *, place=""):
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

    return run
