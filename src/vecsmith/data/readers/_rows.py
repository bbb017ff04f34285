"""Rows of tables -> "record" sections: the title column as heading, the rest as "column: value"."""

from collections.abc import Iterable, Mapping
from typing import Any

from .._documents import Section

TITLES = ("title", "name", "heading", "headline", "subject", "question", "label", "term")
LARGEST_VALUE = 1 << 20  # characters of one value that are kept
DEEPEST = 4


def title_column(columns: Iterable[str]) -> str | None:
    """Find the column that names a row.

    Args:
        columns: Names of columns, in order.

    Returns:
        The column, or None where no name says so.
    """
    lowered = {str(column).strip().lower(): column for column in reversed(list(columns))}
    return next((lowered[name] for name in TITLES if name in lowered), None)


def row_section(name: str, row: Mapping[str, Any], title: str | None) -> Section | None:
    """Write one row as a section.

    Args:
        name: Name of the file, the first heading.
        row: Column -> value; values may be nested.
        title: Column whose value is the second heading.

    Returns:
        The section, or None where the row holds nothing.
    """
    heading = _plain(row.get(title), 0) if title is not None else ""
    heading = " ".join(heading.split())[:300]
    lines = []
    for column, value in row.items():
        text = _plain(value, 0)
        if text and not (column == title and heading):
            lines.append(f"{column}: {text}" if column else text)
    if not lines:
        return Section((name,), heading, "record") if heading else None
    return Section((name, heading) if heading else (name,), "\n".join(lines), "record")


def _plain(value: Any, depth: int) -> str:
    if value is None or isinstance(value, bytes | bytearray | memoryview):
        return ""
    if isinstance(value, str):
        return value.strip()[:LARGEST_VALUE]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if depth > DEEPEST:
        return ""
    if isinstance(value, Mapping):
        parts = ((key, _plain(inner, depth + 1)) for key, inner in value.items())
        return ", ".join(f"{key}: {text}" for key, text in parts if text)
    if isinstance(value, list | tuple):
        # A long list of numbers is a vector or a signal, which says nothing in words.
        if len(value) > 16 and all(isinstance(inner, int | float) for inner in value):
            return ""
        return "; ".join(text for inner in value if (text := _plain(inner, depth + 1)))
    return str(value)
