"""Markdown (CommonMark with tables) -> sections by heading, read in pieces that end at headings."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from vecsmith.core import require

from .._documents import Link, Section, Skipped, SourceFile
from ._decode import read_pieces
from ._links import resolve_link

PIECE = 1 << 18  # characters parsed at once, about
COUNTED = 20_000  # headings whose repetitions are numbered; more would fill the memory
_MARK = re.compile(r"^(?:(#{1,6})[ \t]| {0,3}(`{3,}|~{3,})(.*))", re.MULTILINE)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"^(title|description|summary):[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
# Each of these stops at the mark that would begin it anew, else a run of such marks would take the
# square of its length.
_ID = re.compile(r"\{#([\w.:-]+)[^{}]*\}\s*$")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_ANCHOR_TAG = re.compile(r"<a[^<>]{1,200}?(?:id|name)=[\"']([^\"']+)")


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a Markdown file.

    Args:
        file: The file.
        skipped: Not called.

    Yields:
        Sections.
    """
    del skipped
    parser = require("markdown_it", "documents").MarkdownIt("commonmark").enable("table")
    walk: _Walk | None = None
    for text in _pieces(file):
        if walk is None:
            fields, text = _front_matter(text)
            walk = _Walk(file, fields.get("title", ""), fields.get("description", ""))
        walk.tokens(parser.parse(text))
        yield from walk.take()
    if walk is not None:
        walk.flush()
        yield from walk.take()


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    found = _FRONT.match(text)
    if not found:
        return {}, text
    fields = {"description" if k == "summary" else k: v for k, v in _FIELD.findall(found.group(1))}
    return fields, text[found.end() :]


def _pieces(file: SourceFile) -> Iterator[str]:
    """Give pieces that end before a heading outside of fenced code."""
    rest, fences = "", _Fences()
    for piece in read_pieces(file.absolute, size=PIECE):
        rest += piece
        cut = fences.last_heading(rest)
        if len(rest) < PIECE:
            continue
        if cut:
            fences.forget(cut)
        elif len(rest) > 8 * PIECE:
            # The parser takes what follows for a new document, so fences begin anew with it.
            cut, fences = rest.rfind("\n\n") + 1 or len(rest), _Fences()
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


class _Fences:
    """Finds headings outside of fenced code; each character of a growing text is seen once."""

    def __init__(self) -> None:
        self.seen = 0
        self.cut = 0
        self.opened = ""

    def last_heading(self, text: str) -> int:
        for found in _MARK.finditer(text, self.seen):
            heading, fence, rest = found.groups()
            if heading:
                self.cut = self.cut if self.opened else found.start()
            elif not self.opened:
                # A backtick further on makes it code within a line.
                self.opened = "" if fence[0] == "`" and "`" in rest else fence
            elif fence.startswith(self.opened) and not rest.strip():
                self.opened = ""
        self.seen = len(text)
        return self.cut

    def forget(self, cut: int) -> None:
        self.seen, self.cut = self.seen - cut, 0


def slug(text: str) -> str:
    """Name a heading as the common hosts of Markdown do.

    Args:
        text: Words of the heading.

    Returns:
        Lower case, punctuation dropped, spaces as hyphens.
    """
    kept = "".join(
        letter
        for letter in unicodedata.normalize("NFC", text.strip().lower())
        if letter.isalnum() or letter in "-_ "
    )
    return kept.replace(" ", "-")


class _Walk:
    def __init__(self, file: SourceFile, title: str, summary: str) -> None:
        self.path = file.path
        self.titled = bool(title)
        self.stack: list[tuple[int, str, str]] = [(0, title or file.absolute.name, "")]
        self.summary = summary
        self.slugs: dict[str, int] = {}
        self.sections: list[Section] = []
        self.blocks: list[str] = []
        self.links: list[Link] = []
        self.only_code = True

    def take(self) -> list[Section]:
        found, self.sections = self.sections, []
        return found

    def flush(self) -> None:
        if self.blocks:
            self.sections.append(
                Section(
                    tuple(text for _, text, _ in self.stack),
                    "\n\n".join(self.blocks),
                    "preformatted" if self.only_code else "prose",
                    summary=self.summary,
                    anchor=self.stack[-1][2],
                    links=tuple(self.links),
                )
            )
            self.summary = ""
        self.blocks, self.links, self.only_code = [], [], True

    def add(self, text: str, *, code: bool = False) -> None:
        if text.strip():
            self.blocks.append(text)
            self.only_code = self.only_code and code

    def enter(self, level: int, text: str, anchor: str) -> None:
        self.flush()
        if len(self.stack) == 1 and level == 1 and (not self.titled or text == self.stack[0][1]):
            # The first heading of rank one is the title of the document.
            self.stack[0] = (0, text, anchor)
            self.titled = True
            return
        while len(self.stack) > 1 and self.stack[-1][0] >= level:
            self.stack.pop()
        self.stack.append((level, text, anchor))

    def tokens(self, tokens: list[Any]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            end = _closing(tokens, at)
            if token.type == "heading_open":
                self.heading(int(token.tag[1]), tokens[at + 1])
            elif token.type in {"fence", "code_block"}:
                self.add(token.content.rstrip(), code=True)
            elif token.type == "html_block":
                self.add(_without_tags(token.content))
            elif token.type == "table_open":
                self.add("\n".join(self.rows(tokens[at:end])))
            elif token.type in {"bullet_list_open", "ordered_list_open"}:
                self.add("\n".join(self.items(tokens[at:end])))
            elif token.type == "inline":
                self.add(self.inline(token))
            elif token.type in {"blockquote_open", "paragraph_open"}:
                end = at + 1  # what is within is taken as it comes
            at = max(end, at + 1)

    def heading(self, level: int, inline: Any) -> None:
        before, self.links = self.links, []
        text = self.inline(inline)
        own, self.links = self.links, before
        named = _ID.search(text)
        in_tag = _ANCHOR_TAG.search(inline.content)
        if named:
            text = text[: named.start()].rstrip()
        base = slug(text)
        number = self.slugs.get(base, 0)
        if number or len(self.slugs) < COUNTED:
            self.slugs[base] = number + 1
        anchor = f"{base}-{number}" if number else base
        if named or in_tag:
            anchor = (named or in_tag).group(1)  # type: ignore[union-attr]
        if text.strip():
            self.enter(level, text.strip(), anchor)
        self.links.extend(own)

    def rows(self, tokens: list[Any]) -> Iterator[str]:
        cells: list[str] = []
        for token in tokens:
            if token.type == "inline":
                cells.append(self.inline(token).replace("\n", " "))
            elif token.type == "tr_close":
                yield " | ".join(cells)
                cells = []

    def items(self, tokens: list[Any]) -> Iterator[str]:
        """Give the lines of a list, nested ones indented, code within it as it stands."""
        depth, lead = -1, ""
        counters: list[int] = []
        for token in tokens:
            if token.type in {"bullet_list_open", "ordered_list_open"}:
                depth += 1
                counters.append(int(token.attrGet("start") or 1) if "ordered" in token.type else 0)
            elif token.type in {"bullet_list_close", "ordered_list_close"}:
                depth -= 1
                counters.pop()
            elif token.type == "list_item_open":
                lead = f"{counters[-1]}. " if counters[-1] else "- "
                counters[-1] += bool(counters[-1])
            elif token.type in {"inline", "fence", "code_block"}:
                inline = token.type == "inline"
                text = self.inline(token) if inline else token.content.rstrip()
                indent = "  " * depth
                for line in text.split("\n"):
                    yield f"{indent}{lead or '  '}{line}"
                    lead = ""

    def inline(self, token: Any) -> str:
        """Give the words of an inline token, and collect its links."""
        parts: list[str] = []
        opened: list[tuple[str, int]] = []
        for child in token.children or []:
            if child.type == "link_open":
                opened.append((str(child.attrGet("href") or ""), len(parts)))
            elif child.type == "link_close" and opened:
                reference, start = opened.pop()
                target = resolve_link(self.path, reference)
                text = " ".join("".join(parts[start:]).split())
                if target and text:
                    self.links.append(Link(text, *target))
            elif child.type == "image":
                parts.append(child.content)
            elif child.type in {"softbreak", "hardbreak"}:
                parts.append("\n")
            elif child.type in {"text", "code_inline"}:
                parts.append(child.content)
        return "".join(parts).strip()


def _closing(tokens: list[Any], at: int) -> int:
    """Give the index after the token that closes the one at `at`."""
    if tokens[at].nesting != 1:
        return at + 1
    depth = 0
    for index in range(at, len(tokens)):
        depth += tokens[index].nesting
        if depth == 0:
            return index + 1
    return len(tokens)


def _without_tags(html: str) -> str:
    from html import unescape

    parts, at = [], 0
    while (start := html.find("<!--", at)) >= 0 and (end := html.find("-->", start)) >= 0:
        parts.append(html[at:start])
        at = end + 3
    text = unescape(_TAG.sub(" ", " ".join([*parts, html[at:]])))
    return "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())
