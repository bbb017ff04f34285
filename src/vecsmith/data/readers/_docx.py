"""Word documents (DOCX): headings by outline level, lists, tables, links."""

import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from vecsmith.core import require

from .._documents import Link, Section, Skipped, SourceFile
from ._links import resolve_link

LARGEST = 1 << 28  # bytes of all parts once unpacked, which are held at once
LARGEST_XML = 1 << 26  # bytes of those that are parsed: a tree can take twenty times as much
# What the author took out, or never wrote: deleted and moved away, prompts, the table of contents.
_DROPPED = (
    ".//*[self::w:del or self::w:moveFrom]",
    ".//w:sdt[w:sdtPr/w:showingPlcHdr]//w:r",
    ".//w:sdt[w:sdtPr/w:docPartObj/w:docPartGallery[@w:val='Table of Contents']]",
)
# What stands around text that is read, and hides it from python-docx. One path with a condition:
# a union of paths takes the product of their lengths.
_WRAPPERS = (
    ".//*[self::w:sdt or self::w:ins or self::w:moveTo or self::w:fldSimple or self::w:smartTag "
    "or self::w:customXml or self::w:dir or self::w:bdo]"
)


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a DOCX file.

    Args:
        file: The file.
        skipped: Called where the file is far larger than it seems.

    Yields:
        Sections.
    """
    docx = require("docx", "documents")
    with zipfile.ZipFile(file.absolute) as bundle:
        parts = bundle.infolist()
    size = sum(part.file_size for part in parts)
    xml = sum(part.file_size for part in parts if _parsed(part.filename))
    if size > LARGEST or xml > LARGEST_XML:
        reason = f"DOCX that unpacks to {size >> 20} MiB, {xml >> 20} MiB of it XML: not read"
        skipped(Skipped(file.path, reason))
        return
    document = docx.Document(str(file.absolute))
    _unwrap(document.element.body)
    title = (document.core_properties.title or "").strip()
    yield from _Walk(file, title).sections(document)


def _parsed(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels"))


def _unwrap(body: Any) -> None:
    """Put text in tracked insertions, content controls and fields where plain text would stand."""
    for element in [found for path in _DROPPED for found in body.xpath(path)]:
        if element.getparent() is not None:
            element.getparent().remove(element)
    for wrapper in body.xpath(_WRAPPERS):
        content = wrapper.findall("{*}sdtContent") if wrapper.tag.endswith("}sdt") else [wrapper]
        for child in [child for holder in content for child in holder]:
            wrapper.addprevious(child)
        wrapper.getparent().remove(wrapper)


class _Walk:
    def __init__(self, file: SourceFile, title: str) -> None:
        self.path = file.path
        self.stack: list[tuple[int, str]] = [(-1, title or file.absolute.name)]
        self.named = bool(title)
        self.blocks: list[str] = []
        self.links: list[Link] = []
        self.styles: dict[str | None, tuple[int | None, bool]] = {}

    def sections(self, document: Any) -> Iterator[Section]:
        for block in document.iter_inner_content():
            if hasattr(block, "rows"):
                self.add(_table(block))
                continue
            text = block.text.strip()
            level, listed = self.style(block)
            if level is not None and text:
                yield from self.flush()
                self.enter(level, " ".join(text.split()))
                continue
            self.find_links(block)
            self.add(f"- {text}" if text and (listed or _numbered(block)) else text)
        yield from self.flush()

    def style(self, paragraph: Any) -> tuple[int | None, bool]:
        """Give outline level and whether it is a list; python-docx looks through all styles."""
        name = paragraph._p.style
        if name not in self.styles:
            style = paragraph.style
            self.styles[name] = _level(style), "List" in (getattr(style, "name", "") or "")
        return self.styles[name]

    def enter(self, level: int, text: str) -> None:
        if level == 0 and (not self.named or text == self.stack[0][1]):
            self.stack = [(-1, text)]
            self.named = True
            return
        while len(self.stack) > 1 and self.stack[-1][0] >= level:
            self.stack.pop()
        self.stack.append((level, text))

    def add(self, text: str) -> None:
        if not text:
            return
        if text.startswith("- ") and self.blocks and self.blocks[-1].startswith("- "):
            self.blocks[-1] += f"\n{text}"
        else:
            self.blocks.append(text)

    def flush(self) -> Iterator[Section]:
        if self.blocks:
            headings = tuple(text for _, text in self.stack)
            yield Section(headings, "\n\n".join(self.blocks), "prose", links=tuple(self.links))
        self.blocks, self.links = [], []

    def find_links(self, paragraph: Any) -> None:
        for link in paragraph.hyperlinks:
            target = resolve_link(self.path, f"{link.address}#{link.fragment}".rstrip("#"))
            if target and link.text.strip():
                self.links.append(Link(link.text.strip(), *target))


def _level(style: Any) -> int | None:
    """Give the outline level: 0 for a title, 1 for the first rank of headings; None for text."""
    seen = 0
    while style is not None and seen < 10:
        identity = (style.style_id or "").lower()
        if identity == "title":
            return 0
        if identity.startswith("heading") and identity[7:].isdigit():
            return int(identity[7:])
        found = style.element.xpath("./w:pPr/w:outlineLvl/@w:val")
        if found and found[0].isdigit() and int(found[0]) < 9:
            return int(found[0]) + 1
        style, seen = style.base_style, seen + 1
    return None


def _numbered(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.numPr is not None


def _table(table: Any) -> str:
    lines = []
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is not last:  # merged cells come once for each column
                cells.append(" ".join(cell.text.split()))
            last = cell._tc
        if any(cells):
            lines.append(" | ".join(cells))
    return "\n".join(lines)
