"""Plain text: paragraphs at blank lines, underlined lines as headings; streams any size."""

import re
from collections.abc import Callable, Iterator
from typing import IO

from .._borders import best_cut
from .._documents import Section, Skipped, SourceFile
from ._decode import open_text

CHUNK = 1 << 16  # characters read at once
PARAGRAPH = 1 << 15  # the longest paragraph that is kept whole
SECTION = 1 << 15  # characters after which a section is passed on

_BLANK = re.compile(r"\n(?:[ \t\f\v]*\n)+")
_UNDERLINE = re.compile(r"^([=\-~^*#+\"'])\1{2,}$")


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a plain text file.

    Args:
        file: The file.
        skipped: Not called.

    Yields:
        Sections; a part of more than `SECTION` characters comes as several of the same headings.
    """
    del skipped
    outline = Outline(file.absolute.name)
    blocks: list[str] = []
    size = 0
    with open_text(file.absolute) as handle:
        for block in stream_blocks(handle):
            title, level_mark, rest = split_heading(block)
            if title or size > SECTION:
                if blocks:
                    yield Section(outline.path, "\n\n".join(blocks), "prose")
                blocks, size = [], 0
            if title:
                outline.enter(title, level_mark)
            if rest.strip():
                blocks.append(rest)
                size += len(rest)
    if blocks:
        yield Section(outline.path, "\n\n".join(blocks), "prose")


class Outline:
    """Heading path where the rank of a heading is the order in which its mark first occurred."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.marks: list[str] = []
        self.stack: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        """Title of the document and headings down to here."""
        return (self.title, *(text for _, text in self.stack))

    def enter(self, text: str, mark: str) -> None:
        """Go to a heading.

        Args:
            text: Its words.
            mark: What shows its rank, such as the underline character.
        """
        if mark not in self.marks:
            self.marks.append(mark)
        level = self.marks.index(mark)
        while self.stack and self.stack[-1][0] >= level:
            self.stack.pop()
        self.stack.append((level, text))


def split_heading(block: str) -> tuple[str, str, str]:
    """Take an underlined heading off the start of a block.

    Args:
        block: Lines without blank lines among them.

    Returns:
        Heading, underline character, rest; heading "" where there is none.
    """
    lines = block.split("\n", 2)
    if len(lines) < 2 or not lines[0].strip() or len(lines[0]) > 200:
        return "", "", block
    line = lines[1].rstrip()
    if _UNDERLINE.match(line) and len(line) >= 0.5 * len(lines[0].strip()):
        return lines[0].strip(), line[0], lines[2] if len(lines) > 2 else ""
    return "", "", block


def stream_blocks(handle: IO[str]) -> Iterator[str]:
    """Cut a stream at blank lines.

    Args:
        handle: Text stream.

    Yields:
        Paragraphs, right-stripped, of at most `PARAGRAPH` characters.
    """
    rest = ""
    while chunk := handle.read(CHUNK):
        rest += chunk.replace("\x00", "")
        *blocks, rest = _BLANK.split(rest)
        for block in blocks:
            yield from _bounded(block)
        while len(rest) > PARAGRAPH:
            position = best_cut(rest, PARAGRAPH)
            if rest[:position].strip():
                yield rest[:position].rstrip()
            rest = rest[position:]
    for block in _BLANK.split(rest):
        yield from _bounded(block)


def _bounded(block: str) -> Iterator[str]:
    while len(block) > PARAGRAPH:
        position = best_cut(block, PARAGRAPH)
        yield block[:position].rstrip()
        block = block[position:]
    if block.strip():
        yield block.strip("\n").rstrip()
