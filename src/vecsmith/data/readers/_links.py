"""Links between documents: a reference in one -> path and fragment relative to the source."""

import posixpath
import re
from urllib.parse import unquote

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^//")


def resolve_link(document: str, reference: str) -> tuple[str, str] | None:
    """Resolve a reference against the folder of its document.

    Args:
        document: Path of the document relative to the source.
        reference: What the document writes, percent-encoded or not.

    Returns:
        Path relative to the source and fragment, or None where it leads out of the source, to a
        folder, or nowhere.
    """
    reference = reference.strip()
    if not reference or _SCHEME.match(reference):
        return None
    place, _, fragment = reference.partition("#")
    place = unquote(place.partition("?")[0], errors="replace")
    fragment = unquote(fragment, errors="replace")
    if not place:
        return (document, fragment) if fragment else None
    if place.startswith("/"):
        joined = posixpath.normpath(place.lstrip("/") or ".")
    else:
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(document), place))
    if joined == "." or joined == ".." or joined.startswith("../") or place.endswith("/"):
        return None
    return joined, fragment
