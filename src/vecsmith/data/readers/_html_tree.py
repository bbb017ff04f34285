"""HTML page -> tree of its content: decoding, parsing, and taking out what is never content."""

import re
from typing import Any

from ._decode import JAPANESE, guess_encoding, is_escaped_japanese, looks_like_utf16

BREAK = "\ue000"  # stands for <br> while white space is collapsed
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
JUNK_TAGS = (
    *("script", "style", "nav", "footer", "noscript", "template", "svg", "iframe"),
    *("object", "canvas", "button", "select", "input", "textarea", "dialog", "video", "audio"),
)
JUNK_ROLES = {"navigation", "search", "banner", "contentinfo", "complementary", "menu", "menubar"}
JUNK_CLASSES = {
    *("headerlink", "viewcode-link", "viewcode-back", "sphinxsidebar", "related", "docnav"),
    *("toctree-wrapper", "breadcrumb", "breadcrumbs", "navbar", "sidebar-nav", "nav", "menu"),
    *("pagination", "toc", "site-footer", "site-header", "page-footer", "footer", "cookie"),
    *("mw-editsection", "navbox", "noprint", "skip-link", "sr-only", "visually-hidden", "linenos"),
    *("mobile-nav", "navheader", "navfooter", "contents", "topic-toc", "edit-this-page", "anchor"),
}
JUNK_IDS = {"toc", "footer", "header", "nav", "navigation", "sidebar", "menu", "banner"}
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_NOTE = re.compile(
    r"\b(?:(?:foot|end|side|margin)?notes?|admonition|callout|tip|warning|caution|important)\b"
)
# All tags but those that a page cannot do without, where it nests too deep to be parsed with them.
_KEPT = "|".join((*HEADINGS, *JUNK_TAGS, *"p pre br li main article aside".split()))
_WRAPPER = re.compile(
    rf"</?(?!(?:{_KEPT}|html|head|body|title|meta)[\s/>])[a-z][^<>]*>", re.IGNORECASE
)


def decode_page(data: bytes) -> str:
    """Decode a page by its byte order mark, its own word, or a guess.

    Args:
        data: The page.

    Returns:
        Its text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    wide = looks_like_utf16(data[:4096])
    if wide:
        return data.decode(wide, errors="replace")
    if is_escaped_japanese(data):
        return data.decode(JAPANESE, errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    named = _CHARSET.search(data[:4096])
    if named and named.group(1).lower() not in {b"utf-8", b"utf8"}:
        try:
            return data.decode(named.group(1).decode("ascii"), errors="replace")
        except LookupError:
            pass
    sample = next((i for i, byte in enumerate(data) if byte > 127), 0)
    encoding = guess_encoding(data[max(0, sample - 4096) : sample + 32768])
    errors = "vecsmith-windows" if encoding == "utf-8" else "replace"
    return data.decode(encoding, errors=errors)


def parse_page(text: str) -> Any:
    """Parse HTML and take out what is never content.

    Args:
        text: A page or a piece of one.

    Returns:
        The root element, or None where there is none.
    """
    from lxml import etree

    text = _DECLARATION.sub("", text).replace("\x00", "")
    if not text.strip():
        return None
    try:
        root, whole = _tree(text)
        if not whole:
            root, _ = _tree(_WRAPPER.sub(" ", text))
    except etree.ParserError:
        return None
    _prune(root)
    return root


def _prune(root: Any) -> None:
    from lxml import etree

    for aside in root.xpath("//aside[not(ancestor::aside)]"):
        if _beside(aside):
            aside.drop_tree()
    etree.strip_elements(root, *JUNK_TAGS, with_tail=False)
    for element in root.xpath("//*[@class or @role or @hidden or @id]"):
        if _junk(element) and element.getparent() is not None:
            element.drop_tree()
    for header in list(root.iter("header")):
        if header.getparent() is not None and not any(True for _ in header.iter(*HEADINGS)):
            header.drop_tree()
    for line_break in root.iter("br"):
        line_break.tail = BREAK + (line_break.tail or "")


def _tree(text: str) -> tuple[Any, bool]:
    """Parse, and tell whether the parser went to the end; it stops at some thousands of levels."""
    from lxml import html

    parser = html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    return root, not any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log)


def _beside(aside: Any) -> bool:
    """Tell whether an aside is navigation or stands beside the content, and is no note to it."""
    named = f"{aside.get('class', '')} {aside.get('role', '')}".lower()
    if _NOTE.search(named):
        return False
    if not any(
        outer.tag in {"main", "article"} or outer.get("role") == "main"
        for outer in aside.iterancestors()
    ):
        return True
    linked = sum(len("".join(anchor.itertext()).strip()) for anchor in aside.iter("a"))
    return linked > 0.5 * len("".join("".join(aside.itertext()).split()))


def _junk(element: Any) -> bool:
    if element.tag in {"html", "body", "main", "article", *HEADINGS}:
        return False
    attributes = element.attrib
    if attributes.get("role", "") in JUNK_ROLES or "hidden" in attributes:
        return True
    if "main" in attributes.get("role", ""):
        return False
    if not JUNK_CLASSES.isdisjoint(attributes.get("class", "").lower().split()):
        # "anchor" and "contents" are also used for what holds the text itself
        return len(element) == 0 or not any(True for _ in element.iter("p", "pre", "dt", *HEADINGS))
    if attributes.get("id", "").lower() in JUNK_IDS and element.tag in {"div", "ul", "table", "p"}:
        return not any(True for _ in element.iter("pre", "dt"))
    return False
