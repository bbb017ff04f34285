"""The map of the collection: a place and a colour for every passage."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.store import Catalogue, Store, collection_groups, principal_plane, reconstruct

MOST_POINTS = 200_000
_GRID = 65_535


class MapPoints(NamedTuple):
    """The map.

    Attributes:
        rows: Rows of the passages, ascending, shape (n,).
        x: Places from 0 to 65,535, shape (n,).
        y: The same.
        groups: Place of each one's group in `names`, shape (n,).
        names: (name, passages) of each group, the rest last.
        unit: What a group is: "folder" or "document".
        share: Share of the variance that two dimensions show.
        total: Passages in the index.
        model: Whose vectors are shown.
    """

    rows: NDArray[np.uint32]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    groups: NDArray[np.uint8]
    names: list[tuple[str, int]]
    unit: str
    share: float
    total: int
    model: str

    def head(self) -> dict[str, Any]:
        """Return what describes the points."""
        return {
            "count": len(self.rows),
            "total": self.total,
            "unit": self.unit,
            "share": self.share,
            "model": self.model,
            "groups": [list(group) for group in self.names],
        }

    def body(self) -> bytes:
        """Return the points: rows, x, y, groups, one after the other, little-endian."""
        parts = ((self.rows, "<u4"), (self.x, "<u2"), (self.y, "<u2"), (self.groups, "u1"))
        return b"".join(np.ascontiguousarray(part, kind).tobytes() for part, kind in parts)


def map_points(store: Store, catalogue: Catalogue, model: str) -> MapPoints:
    """Compute the map.

    Args:
        store: The index.
        catalogue: Its documents.
        model: Whose vectors to show.

    Returns:
        All passages, or a sample of `MOST_POINTS` of them.

    Cost:
        Reading the vectors once; about a second for 50,000 of 384 dimensions.
    """
    total = len(store.passages)
    rows = np.arange(total)
    if total > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(total, MOST_POINTS, replace=False))
    points, share = principal_plane(reconstruct(store.spaces[model].index, rows))
    low, high = (points.min(axis=0), points.max(axis=0)) if total else (np.zeros(2), np.ones(2))
    places = np.rint((points - low) / max(float((high - low).max()), 1e-12) * _GRID)
    documents = np.array(store.passages.column("document"), np.int64)
    paths = {entry.number: entry.path for entry in catalogue.entries}
    names, unit, place = collection_groups(paths, documents)
    group_of = {number: place[path] for number, path in paths.items()}
    return MapPoints(
        rows.astype(np.uint32),
        places[:, 0].astype(np.uint16),
        places[:, 1].astype(np.uint16),
        np.array([group_of[int(number)] for number in documents[rows]], np.uint8),
        names,
        unit,
        share,
        total,
        model,
    )
