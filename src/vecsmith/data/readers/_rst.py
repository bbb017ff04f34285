"""reStructuredText -> sections, by a light parse of its structure; nothing is run or included.

Headings by adornment, directives, field lists, comments and roles are recognised line by line, so
the dialects of Sphinx, whose directives a strict parser refuses, are read as well, and a file of
any size streams. ``.. function:: name(args)`` and its like open a section of their own.
"""

import re
from collections.abc import Callable, Iterator

from .._documents import Link, Section, Skipped, SourceFile
from ._decode import open_text
from ._links import resolve_link
from ._text import SECTION, stream_blocks

_ADORNMENT = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}\s*$")
_DIRECTIVE = re.compile(r"^(\s*)\.\. ([\w:.+-]+)::\s*(.*)$")
# Names are bounded, and what ends at white space is stripped afterwards: patterns that may begin or
# end at every character of a long run take the square of its length.
_LABEL = re.compile(r"^\s*\.\. _`?([^`]{1,300}?)`?:\s*(\S*)\s*$")
_OPTION = re.compile(r"^\s+:[\w-]+:")
_ROLE_TITLE = re.compile(r":([\w:+.-]{1,64}):`([^`<]+)<([^`>]+)>`")
_ROLE = re.compile(r":([\w:+.-]{1,64}):`[~!]?([^`]+)`")
_LINK = re.compile(r"`([^`<]+)<([^`>]+)>`__?")
_REFERENCE = re.compile(r"`([^`]+)`__?|\b([A-Za-z][\w-]{0,98}[A-Za-z0-9])_(?=[\s.,;:)]|$)")
_MARK = re.compile(r"\*\*([^*\n]+)\*\*|(?<!\*)\*([^*\n]+)\*(?!\*)|``(.+?)``")
_DROPPED = {
    *("toctree", "image", "index", "highlight", "currentmodule", "module", "moduleauthor"),
    *("sectionauthor", "raw", "include", "contents", "meta", "tabularcolumns", "only", "unicode"),
    *("replace", "automodule", "autoclass", "autofunction", "py:module", "py:currentmodule"),
    *("default-role", "role", "sectnum", "figure", "literalinclude"),
}
_OBJECTS = {
    *("function", "class", "method", "attribute", "data", "exception", "decorator", "classmethod"),
    *("staticmethod", "opcode", "macro", "type", "member", "var", "struct", "cmdoption", "option"),
    *("envvar", "describe", "object", "property", "confval", "setting", "directive", "program"),
}
_CODE = {"code-block", "code", "sourcecode", "parsed-literal", "prompt", "math", "doctest"}
_BORDER = re.compile(r"^\s*(?:\+[-=+]+\+|=+(?:\s+=+)+)\s*$")
_LAST_LEVEL = 1000  # rank of the outermost object, below all headings


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a reStructuredText file.

    Args:
        file: The file.
        skipped: Not called.

    Yields:
        Sections.
    """
    del skipped
    walk = _Walk(file)
    with open_text(file.absolute) as handle:
        for block in stream_blocks(handle):
            walk.block(block.expandtabs(8))
            if walk.sections:
                yield from walk.take()
    walk.flush()
    yield from walk.take()


class _Walk:
    def __init__(self, file: SourceFile) -> None:
        self.path = file.path
        self.marks: list[str] = []
        self.stack: list[tuple[int, str, str]] = [(-1, file.absolute.name, "")]
        self.titled = False
        self.label = ""
        self.hidden = -1  # indent of a directive or comment whose content is left out
        self.code = -1  # indent of what literal text is indented under
        self.objects: list[int] = []  # indents of the object directives that are open
        self.sections: list[Section] = []
        self.blocks: list[str] = []
        self.size = 0
        self.links: list[Link] = []
        self.prefix = ""

    def take(self) -> list[Section]:
        found, self.sections = self.sections, []
        return found

    def flush(self) -> None:
        if self.blocks:
            headings = tuple(text for _, text, _ in self.stack)
            text = "\n\n".join(self.blocks)
            anchor = self.stack[-1][2]
            self.sections.append(
                Section(headings, text, "prose", anchor=anchor, links=tuple(self.links))
            )
        self.blocks, self.links, self.size, self.prefix = [], [], 0, ""

    def enter(self, level: int, text: str) -> None:
        self.flush()
        anchor, self.label = self.label or _slug(text), ""
        if not self.titled and level == 0:
            self.titled = True
            self.stack = [(-1, text, anchor)]
            return
        while len(self.stack) > 1 and self.stack[-1][0] >= level:
            self.stack.pop()
        self.stack.append((level, text, anchor))

    def block(self, block: str) -> None:
        """Take a block, that is lines without a blank one among them."""
        lines = block.split("\n")
        indent = _indent(lines[0])
        if self.hidden >= 0 and indent > self.hidden:
            return
        self.hidden = -1
        if self.code >= 0 and indent > self.code:
            self.add("\n".join(line[self.code :].rstrip() for line in lines))
            return
        self.code = -1
        self.close_objects(indent)
        lines = self.titles(lines)
        at = 0
        while at < len(lines):
            at = self.explicit(lines, at)
            start = at
            while at < len(lines) and not lines[at].lstrip().startswith(".. "):
                at += 1
            self.paragraph(lines[start:at])

    def close_objects(self, indent: int) -> None:
        closed = False
        while self.objects and indent <= self.objects[-1]:
            self.objects.pop()
            closed = True
        if closed:
            self.flush()
            level = _LAST_LEVEL + len(self.objects)
            while len(self.stack) > 1 and self.stack[-1][0] >= level:
                self.stack.pop()

    def titles(self, lines: list[str]) -> list[str]:
        """Take headings off the start of lines."""
        while lines:
            over = bool(_ADORNMENT.match(lines[0])) and len(lines) > 2
            title = lines[1] if over else lines[0]
            under = lines[2] if over else (lines[1] if len(lines) > 1 else "")
            same = not over or lines[0].strip()[0] == under.strip()[:1]
            fits = len(under.rstrip()) >= min(3, len(title.strip()))
            if not (_ADORNMENT.match(under) and title.strip() and same and fits):
                break
            if not over and (title[0] == " " or _ADORNMENT.match(title)):
                break
            mark = under.strip()[0] * (2 if over else 1)
            if mark not in self.marks:
                self.marks.append(mark)
            self.objects = []
            self.enter(self.marks.index(mark), self.plain(title.strip()))
            lines = lines[3 if over else 2 :]
        return lines

    def explicit(self, lines: list[str], at: int) -> int:
        """Take directives, labels and comments; give the index of the first other line."""
        while at < len(lines) and lines[at].lstrip().startswith(".."):
            label = _LABEL.match(lines[at])
            directive = _DIRECTIVE.match(lines[at])
            indent = _indent(lines[at])
            if label:
                self.label = "" if label.group(2) else _slug(label.group(1))
                at += 1
            elif directive:
                at = self.directive(directive, lines, at)
            elif re.match(r"^\s*\.\. (\[|\|)", lines[at]):
                # A footnote or citation is text, a substitution is none.
                if ".. [" in lines[at]:
                    lines[at] = lines[at].replace(".. ", "", 1)
                    return at
                at = self.hide(lines, at, indent)
            elif re.match(r"^\s*\.\.(\s|$)", lines[at]):
                at = self.hide(lines, at, indent)
            else:
                return at
        return at

    def hide(self, lines: list[str], at: int, indent: int) -> int:
        self.hidden = indent
        at += 1
        while at < len(lines) and _indent(lines[at]) > indent:
            at += 1
        return at

    def directive(self, found: re.Match[str], lines: list[str], at: int) -> int:
        indent, name, argument = len(found.group(1)), found.group(2), found.group(3).strip()
        short = name.rpartition(":")[2]
        at += 1
        if (short in _OBJECTS or short.endswith("function")) and argument:
            self.objects.append(indent)
            self.enter(_LAST_LEVEL + len(self.objects) - 1, argument)
        elif name in _DROPPED:
            return self.hide(lines, at - 1, indent)
        elif short in _CODE:
            self.code = indent
        elif short in {"rubric", "centered", "title"}:
            self.prefix = f"{argument}: "
        elif short.startswith(("version", "deprecated")):
            self.prefix = f"{short.replace('version', 'version ').title()} {argument}: "
        else:
            title = short.replace("-", " ").capitalize()
            self.prefix = "" if "table" in short else f"{title}: "
            if argument:
                self.add(argument)
        while at < len(lines) and _OPTION.match(lines[at]) and short not in _OBJECTS:
            at += 1
        if self.code >= 0:
            rest = [line for line in lines[at:] if _indent(line) > indent]
            self.add("\n".join(rest))
            at += len(rest)
        return at

    def paragraph(self, lines: list[str]) -> None:
        lines = [line for line in lines if not _ADORNMENT.match(line.strip() or " ")]
        if not lines:
            return
        lines = [_row(line) for line in lines if not _BORDER.match(line)]
        margin = min((_indent(line) for line in lines), default=0)
        text = "\n".join(line[margin:].rstrip() for line in lines)
        if text.rstrip().endswith("::"):
            self.code = margin
            text = text.rstrip()[:-1] if text.strip() != "::" else ""
        self.add(self.plain(text))

    def add(self, text: str) -> None:
        if not text.strip():
            return
        self.blocks.append(self.prefix + text)
        self.prefix = ""
        self.size += len(text)
        if self.size > SECTION:
            self.flush()

    def plain(self, text: str) -> str:
        """Take the marks out of a text, and collect its links."""
        for found in _ROLE_TITLE.finditer(text):
            if found.group(1) == "doc":
                self.link(found.group(2), f"{found.group(3)}.rst")
        for found in _LINK.finditer(text):
            self.link(found.group(1), found.group(2))
        text = _ROLE_TITLE.sub(lambda found: found.group(2).rstrip(), text)
        text = _LINK.sub(lambda found: found.group(1).rstrip(), text)
        text = _ROLE.sub(r"\2", text)
        text = _REFERENCE.sub(lambda found: found.group(1) or found.group(2), text)
        text = _MARK.sub(lambda found: next(part for part in found.groups() if part), text)
        return text.replace("\\ ", "")

    def link(self, text: str, reference: str) -> None:
        target = resolve_link(self.path, reference)
        if target:
            self.links.append(Link(" ".join(text.split()), *target))


def _row(line: str) -> str:
    """Write a row of a grid table as its cells."""
    plain = line.strip()
    if not (plain.startswith("| ") and plain.endswith(" |")):
        return line
    cells = [cell.strip() for cell in re.split(r"(?:^|(?<=\s))\|(?=\s|$)", plain)]
    return " | ".join(cell for cell in cells if cell)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-")
