"""HTML: headings, definition lists, tables and code blocks kept; navigation dropped by structure.

The part that the page itself marks as its content is read (``main``, ``role=main``, a single
``article``), else its body. A definition with an id (an entry of a reference manual) opens a
section of its own. A page larger than `PIECE` characters is read in pieces that begin at headings.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from vecsmith.core import require

from .._documents import Link, Section, Skipped, SourceFile
from ._decode import read_pieces
from ._html_tree import BREAK, HEADINGS, decode_page, parse_page
from ._links import resolve_link

PIECE = 1 << 23
DEEPEST = 150  # blocks within blocks; below them only words are told apart
BLOCKS = {
    *(
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
    ),
    *("fieldset", "figcaption", "figure", "form", "header", "hgroup", "hr", "html", "li", "main"),
    *("ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr"),
    *("ul", "caption", "search", *HEADINGS),
}
DEFINITION = 10  # rank of the outermost definition list, below all headings
_HEADING_START = re.compile(r"<h[1-6][\s>]", re.IGNORECASE)


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read an HTML file.

    Args:
        file: The file.
        skipped: Called when the page holds nothing but navigation.

    Yields:
        Sections.
    """
    require("lxml", "documents")
    walk: PageWalk | None = None
    count = 0
    for text in _page_pieces(file):
        root = parse_page(text)
        if root is None:
            continue
        if walk is None:
            walk = PageWalk(file.path, root)
        walk.visit_page(root)
        for section in walk.take():
            count += 1
            yield section
    if not count:
        skipped(Skipped(file.path, "nothing but navigation and lists of links in it"))


def _page_pieces(file: SourceFile) -> Iterator[str]:
    if file.bytes <= PIECE:
        yield decode_page(file.absolute.read_bytes())
        return
    rest = ""
    for piece in read_pieces(file.absolute, size=PIECE):
        rest += piece
        starts = [found.start() for found in _HEADING_START.finditer(rest)]
        cut = starts[-1] if starts and starts[-1] > 0 else len(rest)
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def flat(element: Any) -> str:
    """Return the text of an element, white space collapsed, blocks apart, <br> as line break.

    Args:
        element: An lxml element.

    Returns:
        Its text.
    """
    for inner in element.iter(*BLOCKS):
        inner.text = f" {inner.text or ''}"
        if inner is not element:
            inner.tail = f" {inner.tail or ''}"
    return collapse("".join(element.itertext()))


def collapse(text: str) -> str:
    """Collapse white space; `BREAK` becomes a line break.

    Args:
        text: Raw text of HTML.

    Returns:
        The text as a browser shows it.
    """
    text = " ".join(text.split())
    if BREAK in text:
        text = "\n".join(line.strip() for line in text.split(BREAK)).strip()
    return text


class PageWalk:
    """Walks a page in reading order and collects its sections."""

    def __init__(self, path: str, root: Any) -> None:
        self.path = path
        self.sections: list[Section] = []
        self.title, self.title_level = _title(root, path)
        self.summary = _description(root)
        self.stack: list[tuple[int, str, str]] = [(0, self.title, "")]
        self.blocks: list[str] = []
        self.links: list[Link] = []
        self.inline: list[str] = []
        self.prefix = ""
        self.only_code = True
        self.depth = 0

    def take(self) -> list[Section]:
        """Give the sections collected so far, and forget them."""
        self.flush()
        found, self.sections = self.sections, []
        return found

    def visit_page(self, root: Any) -> None:
        """Collect the sections of a page, or of a piece of one."""
        for content in _content(root):
            self.container(content)
            self.end_block()

    # -- collecting

    def flush(self) -> None:
        """Close the section that is being collected."""
        self.end_block()
        self.prefix = ""
        if self.blocks:
            self.sections.append(
                Section(
                    headings=tuple(text for _, text, _ in self.stack if text),
                    text="\n\n".join(self.blocks),
                    kind="preformatted" if self.only_code else "prose",
                    summary=self.summary,
                    anchor=self.stack[-1][2],
                    links=tuple(self.links),
                )
            )
            self.summary = ""
        self.blocks, self.links, self.only_code = [], [], True

    def end_block(self) -> None:
        """Close the run of words between two block elements."""
        if self.inline:
            text = collapse("".join(self.inline))
            self.inline = []
            self.add(text)

    def add(self, text: str, *, code: bool = False) -> None:
        """Add a block of text to the section."""
        if text.strip():
            self.blocks.append(self.prefix + text)
            self.prefix = ""
            self.only_code = self.only_code and code

    def enter(self, level: int, text: str, anchor: str) -> None:
        """Open a section under a heading."""
        self.flush()
        if level <= DEFINITION - 1 and text == self.title and len(self.stack) == 1:
            self.stack[0] = (0, text, self.stack[0][2] or anchor)
            return
        self.leave(level)
        self.stack.append((level, text, anchor))

    def leave(self, level: int) -> None:
        """Close all sections of this rank and below."""
        while len(self.stack) > 1 and self.stack[-1][0] >= level:
            self.stack.pop()

    # -- walking

    def container(self, element: Any) -> None:
        """Walk the children of a block element."""
        self.depth += 1
        if element.text:
            self.inline.append(element.text)
        for child in element:
            if isinstance(child.tag, str):
                self.child(child)
            if child.tail:
                self.inline.append(child.tail)
        self.depth -= 1

    def child(self, element: Any) -> None:
        """Walk one element, by what it is."""
        tag = element.tag
        if self.depth > DEEPEST:
            self.words(element)
        elif tag in HEADINGS:
            self.heading(element)
        elif tag in BLOCKS:
            self.end_block()
            getattr(self, _VISITS.get(tag, "container"))(element)
            self.end_block()
        elif any(True for _ in element.iter(*BLOCKS)):
            self.container(element)
        else:
            self.words(element)

    def words(self, element: Any) -> None:
        """Add an element that holds words only."""
        self.inline.extend(element.itertext())
        self.find_links(element)

    def find_links(self, element: Any) -> None:
        """Collect the links within an element."""
        for anchor in element.iter("a"):
            target = resolve_link(self.path, anchor.get("href") or "")
            text = collapse("".join(anchor.itertext())) if target else ""
            if target and text:
                self.links.append(Link(text, *target))

    def heading(self, element: Any) -> None:
        """Open the section of a heading."""
        text = flat(element).replace("\n", " ").rstrip(" ¶#§🔗")
        if text:
            self.enter(HEADINGS[element.tag], text, _anchor(element))

    def paragraph(self, element: Any) -> None:
        """Add a paragraph; the title of an admonition goes before the next one."""
        if not {"admonition-title", "rubric"}.isdisjoint(element.get("class", "").split()):
            self.prefix = f"{flat(element).rstrip(':')}: "
        else:
            self.container(element)

    def preformatted(self, element: Any) -> None:
        """Add a block of code as it stands."""
        text = "".join(element.itertext()).replace(BREAK, "\n").strip("\n").rstrip()
        self.find_links(element)
        self.add(text, code=True)

    def items(self, element: Any) -> None:
        """Add a list; simple items as lines of one block."""
        if _link_list(element):
            return
        lines = _list_lines(element, "")
        if lines is not None:
            self.find_links(element)
            self.add("\n".join(lines))
            return
        self.depth += 1
        self.inline.append(element.text or "")
        for item in element:
            if isinstance(item.tag, str):
                self.end_block()
                self.prefix = "- " if item.tag == "li" else ""
                self.child(item) if item.tag in {"ul", "ol"} else self.container(item)
                self.end_block()
                self.prefix = ""
            self.inline.append(item.tail or "")
        self.depth -= 1

    def table(self, element: Any) -> None:
        """Add a table, a row a line, or walk it where it only lays out the page."""
        if any(True for _ in element.iter(*HEADINGS, "dl", "pre")) or any(
            inner is not element for inner in element.iter("table")
        ):
            for cell in element.iter("td", "th", "caption"):
                if next(cell.iterancestors("table")) is element:
                    self.container(cell)
                    self.end_block()
            return
        if _link_list(element):
            return
        lines = [flat(caption) for caption in element.iter("caption")]
        for row in element.iter("tr"):
            cells = [flat(cell).replace("\n", " ") for cell in row if cell.tag in {"td", "th"}]
            if any(cells):
                lines.append(" | ".join(cells))
        self.find_links(element)
        self.add("\n".join(lines))

    def definitions(self, element: Any) -> None:
        """Walk a definition list; terms with an id open sections."""
        nesting = sum(1 for _ in element.iterancestors("dl"))
        level = DEFINITION + nesting
        opened = before_is_term = False
        for entry in _entries(element):
            if entry.tag == "dt":
                text = flat(entry).replace("\n", " ").rstrip(" ¶")
                anchor = _anchor(entry)
                if before_is_term and opened:
                    self.add(text)
                elif anchor and text:
                    self.enter(level, text, anchor)
                    opened = True
                elif text:
                    self.prefix = f"{self.prefix}{text.rstrip(':')}: "
                before_is_term = True
            else:
                self.container(entry)
                self.end_block()
                self.prefix = ""
                before_is_term = False
        if opened:
            self.flush()
            self.leave(level)


_VISITS = {
    "p": "paragraph",
    "pre": "preformatted",
    "ul": "items",
    "ol": "items",
    "table": "table",
    "dl": "definitions",
}


def _content(root: Any) -> list[Any]:
    for query in ("//*[@role='main']", "//main", "//article"):
        found = root.xpath(query)
        if len(found) == 1 and (
            query != "//article" or not root.xpath("//h1[not(ancestor::article)]")
        ):
            return list(found)
    body = root.find("body")
    return [root if body is None else body]


def _title(root: Any, path: str) -> tuple[str, int]:
    content = _content(root)[0]
    firsts = [flat(found).replace("\n", " ").rstrip(" ¶#§🔗") for found in content.iter("h1")]
    firsts = [text for text in firsts if text]
    if len(firsts) == 1:
        return firsts[0], 1
    found = root.find(".//title")
    title = collapse("".join(found.itertext())).replace("\n", " ") if found is not None else ""
    heading = next((flat(h).rstrip(" ¶#§🔗") for h in content.iter(*HEADINGS) if flat(h)), "")
    for border in (" — ", " – ", " | ", " · ", " - "):
        parts = title.split(border)
        if len(parts) > 1 and (heading in parts or border != " - "):
            return (heading if heading in parts else parts[0]), 0
    return title or (firsts[0] if firsts else path.rsplit("/", 1)[-1]), 0


def _description(root: Any) -> str:
    for name in ("@name='description'", "@property='og:description'"):
        for meta in root.xpath(f"//meta[{name}]"):
            text = collapse(meta.get("content") or "")
            # Sphinx writes one that only repeats the first words of the page
            if text and not root.xpath("//meta[@property='og:site_name']"):
                return text
    return ""


def _anchor(element: Any) -> str:
    for inner in element.iter():
        found = inner.get("id") or (inner.get("name") if inner.tag == "a" else "")
        if found:
            return str(found)
    parent = element.getparent()
    if parent is None or element.tag == "dt":
        return ""
    if parent.tag in {"section", "div", "article"} and parent.index(element) <= 1:
        return parent.get("id") or ""
    return ""


def _entries(element: Any) -> Iterator[Any]:
    for child in element:
        if child.tag in {"dt", "dd"}:
            yield child
        elif child.tag == "div":
            yield from (inner for inner in child if inner.tag in {"dt", "dd"})


def _link_list(element: Any) -> bool:
    """Tell whether a list or table is navigation: at least six links and hardly anything else."""
    linked = [len("".join(anchor.itertext()).strip()) for anchor in element.iter("a")]
    if len(linked) < 6 or any(True for _ in element.iter("pre", "dd")):
        return False
    return sum(linked) > 0.75 * len("".join("".join(element.itertext()).split(None)))


def _list_lines(element: Any, indent: str) -> list[str] | None:
    """Give the items of a list as lines, or None where one is no simple item or stands too deep."""
    loose = [element.text, *(item.tail for item in element)]
    if len(indent) > 2 * DEEPEST or any(text and text.strip() for text in loose):
        return None
    lines: list[str] = []
    for item in element:
        if item.tag != "li":
            if any(text.strip() for text in item.itertext()):
                return None
            continue
        nested = [inner for inner in item if inner.tag in {"ul", "ol"}]
        others = [inner for inner in item if inner not in nested]
        blocks = [inner for other in others for inner in other.iter(*BLOCKS)]
        if len(blocks) > 1 or any(inner.tag not in {"p", "div"} for inner in blocks):
            return None
        parts = [item.text or ""]
        for inner in item:
            if inner not in nested and isinstance(inner.tag, str):
                parts.extend(inner.itertext())
            parts.append(inner.tail or "")
        lines.append(f"{indent}- {collapse(''.join(parts))}")
        for one in nested:
            below = _list_lines(one, indent + "  ")
            if below is None:
                return None
            lines.extend(below)
    return lines
