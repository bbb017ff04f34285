"""Source code by class and function: Python by `ast`, other languages by tree-sitter.

A file that cannot be parsed, or is too large to be, comes as plain lines.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from .._documents import Section, Skipped, SourceFile
from ._decode import read_text
from ._python import python_sections
from ._text import stream_blocks
from ._tree import LANGUAGES, tree_sections

LARGEST = 1 << 22  # bytes; larger sources are data in disguise
_SHEBANGS = {"python": ".py", "node": ".js", "ruby": ".rb", "php": ".php", "sh": ".sh"}


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a source file.

    Args:
        file: The file.
        skipped: Called when the file cannot be parsed; its text is read all the same.

    Yields:
        Sections of kind "code".
    """
    if file.bytes > LARGEST:
        skipped(
            Skipped(file.path, f"larger than {LARGEST >> 20} MiB: read as lines, not by function")
        )
        yield from _as_lines(file)
        return
    source = read_text(file.absolute)
    suffix = Path(file.path).suffix.lower()
    if suffix not in LANGUAGES:
        first = source.split("\n", 1)[0]
        suffix = next((end for name, end in _SHEBANGS.items() if name in first), "")
    if suffix in {".py", ".pyi", ".pyw"}:
        try:
            sections = list(python_sections(file.path, source))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = f"no valid Python of this version ({error}): read by tree-sitter instead"
            skipped(Skipped(file.path, " ".join(reason.split())))
        else:
            yield from sections
            return
    if suffix in LANGUAGES:
        yield from tree_sections(file.path, source, LANGUAGES[suffix])
    else:
        yield from _as_lines(file)


def _as_lines(file: SourceFile) -> Iterator[Section]:
    from ._decode import open_text

    with open_text(file.absolute) as handle:
        for block in stream_blocks(handle):
            yield Section((file.path,), block, "code")
