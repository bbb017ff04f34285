"""PDF, page by page: headings from the outline, repeated page headers and footers dropped."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from vecsmith.core import require

from .._documents import Section, Skipped, SourceFile
from ._table import describe

MARGIN = 2  # lines at the top and bottom of a page that may be header or footer
SAMPLED = 40  # pages looked at to find those that repeat
FORGET = 50  # pages after which what the parser keeps is thrown away
_DIGITS = re.compile(r"\d+")
_HYPHEN = re.compile(r"(\w)[-\u00ad]\n(?=[a-zß-ÿ])")


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a PDF file.

    Args:
        file: The file.
        skipped: Called where the file or a page is broken, encrypted, or holds images only.

    Yields:
        One section a page and part of the outline.
    """
    pypdf = require("pypdf", "documents")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # broken files are told by `skipped`
    try:
        with file.absolute.open("rb") as handle:
            reader = pypdf.PdfReader(handle)
            if reader.is_encrypted and not reader.decrypt(""):
                skipped(Skipped(file.path, "PDF that needs a password"))
                return
            yield from _Pages(file, reader, skipped).sections()
    except (pypdf.errors.PyPdfError, pypdf.errors.DependencyError) as error:
        skipped(Skipped(file.path, f"broken PDF: {describe(error)}"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # What the parser trips over in files that break the format in ways it does not expect.
        skipped(Skipped(file.path, f"broken PDF: {type(error).__name__}: {describe(error)}"))


class _Pages:
    def __init__(self, file: SourceFile, reader: Any, skipped: Callable[[Skipped], None]) -> None:
        self.file = file
        self.reader = reader
        self.skipped = skipped
        self.broken = 0

    def sections(self) -> Iterator[Section]:
        count = len(self.reader.pages)
        title = self.title()
        outline = self.outline()
        margins = self.margins(count)
        headings: tuple[str, ...] = ()
        found = False
        for number in range(count):
            lines = self.lines(number)
            text = _paragraphs(_without_margins(lines, margins))
            for start, path in _parts(text, outline.get(number, [])):
                headings = path or headings
                body = start.strip()
                if body:
                    found = True
                    path = (title, *headings)
                    yield Section(path, body, "prose", anchor=f"page={number + 1}")
            if number % FORGET == FORGET - 1:
                self.reader.resolved_objects.clear()
        if self.broken:
            self.skipped(Skipped(self.file.path, f"{self.broken} of {count} pages are broken"))
        elif not found:
            self.skipped(Skipped(self.file.path, f"PDF of {count} pages without text (scanned?)"))

    def title(self) -> str:
        try:
            title = (self.reader.metadata or {}).get("/Title") or ""
            title = " ".join(str(title).split())
        except Exception:  # the parser raises whatever a broken entry leads to
            title = ""
        plausible = len(title) > 2 and not title.lower().startswith(("microsoft word", "untitled"))
        return title if plausible else self.file.absolute.name

    def outline(self) -> dict[int, list[tuple[str, ...]]]:
        """Give the heading paths that begin on each page."""
        found: dict[int, list[tuple[str, ...]]] = {}
        try:
            self.outline_level(self.reader.outline, (), found)
        except Exception:  # as above; without an outline the title alone is the heading
            return {}
        return found

    def outline_level(
        self, items: list[Any], above: tuple[str, ...], found: dict[int, list[tuple[str, ...]]]
    ) -> None:
        path = above
        for item in items:
            if isinstance(item, list):
                self.outline_level(item, path, found)
                continue
            path = (*above, " ".join(str(item.title).split()))
            page = self.reader.get_destination_page_number(item)
            if page is not None and page >= 0:
                found.setdefault(page, []).append(path)

    def lines(self, number: int) -> list[str]:
        try:
            text = self.reader.pages[number].extract_text() or ""
        except Exception:  # as above; the other pages are read
            self.broken += 1
            return []
        text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
        return [line.rstrip() for line in text.split("\n")]

    def margins(self, count: int) -> set[str]:
        if count < 4:
            return set()
        step = max(1, count // SAMPLED)
        pages = range(0, count, step)
        seen: Counter[str] = Counter()
        for number in pages:
            lines = [line for line in self.lines(number) if line.strip()]
            edge = lines[:MARGIN] + lines[-MARGIN:]
            seen.update({_DIGITS.sub("0", line.strip()) for line in edge})
        self.broken = 0
        return {line for line, times in seen.items() if times > max(2, 0.3 * len(pages))}


def _without_margins(lines: list[str], margins: set[str]) -> list[str]:
    filled = [number for number, line in enumerate(lines) if line.strip()]
    edge = {*filled[:MARGIN], *filled[-MARGIN:]}
    return [
        line
        for number, line in enumerate(lines)
        if not (
            number in edge and (_DIGITS.sub("0", line.strip()) in margins or line.strip().isdigit())
        )
    ]


def _paragraphs(lines: list[str]) -> str:
    """Join lines; a line much shorter than the page is wide and ending a sentence ends one."""
    lengths = sorted(len(line) for line in lines if line.strip())
    wide = lengths[int(0.8 * (len(lengths) - 1))] if lengths else 0
    parts = []
    for line in lines:
        parts.append(line)
        if len(line) < 0.75 * wide and line.endswith((".", "!", "?", ":", "”", '"')):
            parts.append("")
    text = _HYPHEN.sub(r"\1", "\n".join(parts))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def _parts(text: str, paths: list[tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Cut the text of a page at the headings that begin on it."""
    at = 0
    path: tuple[str, ...] = ()
    for following in paths:
        words = r"\s+".join(re.escape(word) for word in following[-1].split())
        found = re.compile(words, re.IGNORECASE).search(text, at) if words else None
        if found is None:
            # Not on the page in these words: the page belongs to it from here on.
            if at == 0 and not path:
                path = following
            continue
        yield text[at : found.start()], path
        at, path = found.end(), following
    yield text[at:], path
