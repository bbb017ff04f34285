"""Map of the passages for the report: the first two principal components of a sample.

Principal components are fast and never invent clusters, but two of them hold a small part of what
the vectors say; the share is reported beside the map.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import shown
from vecsmith.store import (
    PassageTable,
    collection_groups,
    load_vectors,
    model_of,
    principal_plane,
    reconstruct,
)

MOST_DOTS = 5_000
_GRID = 9_999
_MOST_TEXT = 160


def passage_map(table: PassageTable, folder: Path, shipped: str) -> dict[str, Any]:
    """Make the data of the map.

    Args:
        table: Passages of the index.
        folder: The index.
        shipped: The shipped ranking; its model's vectors are shown, those of the base for bm25.

    Returns:
        "model", "unit", "share" (of the variance), "total", "groups" ([name, passages] with the
        rest last), "paths", "headings" and "dots" (x, y, path, headings, group); coordinates are
        integers from 0 to 9,999.
    """
    model = model_of(shipped) or "base"
    count = len(table)
    rows = np.arange(count)
    if count > MOST_DOTS:
        rows = np.sort(np.random.default_rng(0).choice(count, MOST_DOTS, replace=False))
    index = load_vectors(folder / model / "vectors.faiss")
    points, share = principal_plane(reconstruct(index, rows))
    low, high = points.min(axis=0), points.max(axis=0)
    places = np.rint((points - low) / max(float((high - low).max()), 1e-12) * _GRID).astype(int)
    numbers = {number: path for path, number in table.document_ids().items()}
    named, unit, place = collection_groups(numbers, table.column("document"))
    groups = [[_short(name), size] for name, size in named]

    paths: dict[str, int] = {}
    headings: dict[str, int] = {}
    dots = []
    for (x, y), stored in zip(places.tolist(), table.take(rows.tolist()), strict=True):
        passage = stored.passage
        path = paths.setdefault(passage.document, len(paths))
        trail = headings.setdefault(" › ".join(passage.headings), len(headings))
        dots.append([x, y, path, trail, place[passage.document]])
    # The largest colour number, which may be the rest, is painted first and so lies below.
    dots.sort(key=lambda dot: -dot[4])
    return {
        "model": model,
        "unit": unit,
        "share": share,
        "total": count,
        "groups": groups,
        "paths": [_short(path) for path in paths],
        "headings": [_short(trail) for trail in headings],
        "dots": dots,
    }


def _short(text: str) -> str:
    text = shown(text)
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[: _MOST_TEXT // 2]}…{text[-_MOST_TEXT // 2 :]}"
