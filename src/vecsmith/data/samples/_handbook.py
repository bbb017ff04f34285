"""The Debian Administrator's Handbook as running text, paragraph by paragraph."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset


def load_handbook(language: str = "en-US") -> "Dataset":
    """Read the handbook's prose; commands, their output and headings are left out.

    Args:
        language: One of its 26 translations: "en-US", "de-DE", "zh-CN", …

    Returns:
        A `datasets.Dataset` with the columns ``page`` and ``text`` (a paragraph), in the order of
        the pages' names.

    Raises:
        DataError: The package cannot be fetched, or lacks the language.
    """
    datasets = require("datasets", "train")
    html = require("lxml.html", "documents")
    root = fetch("debian-handbook") / "usr" / "share" / "doc" / "debian-handbook" / "html"
    pages = sorted((root / language).glob("*.html"))
    if not pages:
        known = sorted(path.name for path in root.glob("*") if path.is_dir())
        raise DataError(f"the handbook is not there in {language!r}; known: {', '.join(known)}")
    rows = [
        (path.name, text)
        for path in pages
        for text in paragraphs(html.fromstring(path.read_bytes()))
    ]
    return datasets.Dataset.from_dict(
        {"page": [page for page, _ in rows], "text": [text for _, text in rows]}
    )


def paragraphs(page: Any) -> Iterator[str]:
    """Find the paragraphs of a page.

    Args:
        page: Its lxml tree, in which a paragraph is a division of the class "para".

    Yields:
        Texts, in the order of the page, without what other paragraphs inside hold.
    """
    for element in page.iter("div"):
        if _is_paragraph(element):
            text = " ".join("".join(_own_text(element)).split())
            if text:
                yield text


def _is_paragraph(element: Any) -> bool:
    return element.tag == "div" and element.get("class") == "para"


def _own_text(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag != "pre" and not _is_paragraph(child):
            yield from _own_text(child)
        yield child.tail or ""
