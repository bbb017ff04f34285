"""The Python manual as running text, paragraph by paragraph: technical English."""

from typing import TYPE_CHECKING

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset


def load_python_manual() -> "Dataset":
    """Read the manual's prose; code, tables of contents and indexes are left out.

    Returns:
        A `datasets.Dataset` with the columns ``page`` ("library/json.html") and ``text`` (a
        paragraph), in the order of the pages' names.

    Raises:
        DataError: The package cannot be fetched, or holds no pages.
    """
    datasets = require("datasets", "train")
    html = require("lxml.html", "documents")
    root = fetch("python-manual") / "usr" / "share" / "doc" / "python3.11" / "html"
    rows = []
    for path in sorted(root.rglob("*.html")):
        if path.name.startswith(("genindex", "py-modindex", "search", "contents")):
            continue
        tree = html.fromstring(path.read_bytes())
        for body in tree.iterfind(".//div[@role='main']"):
            texts = (" ".join(p.text_content().split()) for p in body.iter("p"))
            rows += [(path.relative_to(root).as_posix(), text) for text in texts if text]
    if not rows:
        raise DataError(
            f"the package python3.11-doc should hold pages below {str(root)!r} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    return datasets.Dataset.from_dict({"page": [p for p, _ in rows], "text": [t for _, t in rows]})
