"""Map of the passages for the report: the first two principal components of a sample.

Principal components are fast and never invent clusters, but two of them hold a small part of what
the vectors say; the share is reported beside the map.
"""

import os.path
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import shown
from vecsmith.store import PassageTable, load_vectors, model_of, reconstruct

MOST_DOTS = 5_000
COLOURS = 9
_GRID = 9_999
_MOST_TEXT = 160


def principal_plane(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Project vectors on their first two principal components.

    Args:
        vectors: Shape (rows, dims).

    Returns:
        Coordinates (rows, 2), each component's largest loading positive; share of the variance.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    plane = axes[:, ::-1][:, :2]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(plane.shape[1])])
    whole = float(np.clip(values, 0, None).sum())
    share = float(np.clip(values[-2:], 0, None).sum()) / whole if whole > 0 else 0.0
    points = np.zeros((len(vectors), 2))
    points[:, : plane.shape[1]] = centred @ plane
    return points, share


def group_names(paths: Sequence[str]) -> tuple[list[str], str]:
    """Name the group of each document: its top folder below what all documents share.

    Args:
        paths: Posix paths of the documents.

    Returns:
        One name a path; what a group is ("folder", or "document" where all lie in one folder).
    """
    folders = [path.rpartition("/")[0] for path in paths]
    shared = os.path.commonpath(folders) if folders and all(folders) else ""
    skip = len(shared) + 1 if shared else 0
    names = [path[skip:].partition("/")[0] if "/" in path[skip:] else "" for path in paths]
    if len(set(names)) <= 1:
        return [path.rpartition("/")[2] for path in paths], "document"
    return [name or "(no folder)" for name in names], "folder"


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
    groups, place, unit = _groups(table)

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


def _groups(table: PassageTable) -> tuple[list[list[Any]], dict[str, int], str]:
    """Return groups with their passages, the group's place of each path, and what a group is."""
    numbers = table.document_ids()
    names, unit = group_names(list(numbers))
    name_of = dict(zip(numbers.values(), names, strict=True))
    sizes = Counter(name_of[number] for number in table.column("document"))
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    # One colour too many would stand for a single group: it is shown as itself then.
    kept = ranked if len(ranked) <= COLOURS + 1 else ranked[:COLOURS]
    groups = [[_short(name), sizes[name]] for name in kept]
    if len(kept) < len(ranked):
        rest = sum(sizes[name] for name in ranked[COLOURS:])
        groups.append([f"{len(ranked) - COLOURS:,} other {unit}s", rest])
    place = {name: min(i, COLOURS) for i, name in enumerate(ranked)}
    return (
        groups,
        {path: place.get(name, COLOURS) for path, name in zip(numbers, names, strict=True)},
        unit,
    )


def _short(text: str) -> str:
    text = shown(text)
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[: _MOST_TEXT // 2]}…{text[-_MOST_TEXT // 2 :]}"
