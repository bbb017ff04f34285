"""The things that reading passes on: files, skipped files, sections, links, passages."""

from dataclasses import dataclass
from pathlib import Path

from vecsmith.core import hash_text


@dataclass(frozen=True)
class SourceFile:
    """One file to read.

    Attributes:
        path: Posix path relative to the source; of a source that is one file, its name.
        absolute: Where it lies.
        kind: A kind of `vecsmith.data.readers.READERS`.
        bytes: Its size.
        mtime_ns: Time of its last change, in nanoseconds.
        sha256: Hash of its content, hexadecimal.
    """

    path: str
    absolute: Path
    kind: str
    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Skipped:
    """A file, folder or part of a file that was left out.

    Attributes:
        path: Posix path relative to the source.
        reason: Why, in words for a person.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Link:
    """A link from one document of the source to another.

    Attributes:
        text: The words that are the link.
        target: Path of the other document, relative to the source.
        fragment: Anchor within it, or "".
    """

    text: str
    target: str
    fragment: str


@dataclass(frozen=True)
class Section:
    """A piece of one document as its own structure gives it, in reading order.

    Attributes:
        headings: Heading path, document title first; of code the path, class and signature.
        text: Body, paragraphs separated by blank lines; of code the source without docstring.
        kind: "prose", "code", "record" (a row of a table) or "preformatted".
        summary: Docstring, leading comment, or description of the page.
        anchor: Id of the heading, so that links with fragments find the section.
        links: Links out of the text, in order.
    """

    headings: tuple[str, ...]
    text: str
    kind: str
    summary: str = ""
    anchor: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Passage:
    """A piece of a document that is encoded, indexed and found as one.

    Attributes:
        document: Path of the document.
        position: Running index within the document.
        headings: Heading path, document title first.
        text: The words themselves.
        kind: As in `Section`.
        summary: As in `Section`.
        anchor: As in `Section`.
        links: Links out of this passage.
    """

    document: str
    position: int
    headings: tuple[str, ...]
    text: str
    kind: str
    summary: str
    anchor: str
    links: tuple[Link, ...] = ()

    @property
    def content(self) -> str:
        """What is encoded and lexically indexed: heading path, summary and text on lines."""
        return join_content(self.headings, self.summary, self.text)

    @property
    def hash(self) -> str:
        """Hash of `content`; equal passages keep their vectors."""
        return hash_text(self.content)


def join_content(headings: tuple[str, ...], summary: str, text: str) -> str:
    """Join the parts of a passage as they are encoded.

    Args:
        headings: Heading path.
        summary: Summary or "".
        text: Body.

    Returns:
        Heading path joined by " > ", then summary, then text, each on lines of its own.
    """
    return "\n".join(part for part in (" > ".join(headings), summary, text) if part)
