"""A collection on a plane: principal components of its vectors, groups of its documents."""

import os.path
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

COLOURS = 9
_BLOCK = 8_192


def principal_plane(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Project vectors on their first two principal components.

    Args:
        vectors: Shape (rows, dims).

    Returns:
        Coordinates (rows, 2), each component's largest loading positive; share of the variance.
    """
    count, dims = vectors.shape
    points = np.zeros((count, 2))
    if count == 0:
        return points, 0.0
    mean = vectors.mean(axis=0, dtype=np.float64)
    spread = np.zeros((dims, dims))
    # In blocks, because the whole in double precision would be twice the vectors' memory.
    for start in range(0, count, _BLOCK):
        centred = vectors[start : start + _BLOCK] - mean
        spread += centred.T @ centred
    values, axes = np.linalg.eigh(spread)
    plane = axes[:, ::-1][:, :2]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(plane.shape[1])])
    whole = float(np.clip(values, 0, None).sum())
    share = float(np.clip(values[-2:], 0, None).sum()) / whole if whole > 0 else 0.0
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        points[part, : plane.shape[1]] = (vectors[part] - mean) @ plane
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


def collection_groups(
    paths: Mapping[int, str], documents: Sequence[int] | NDArray[np.int64]
) -> tuple[list[tuple[str, int]], str, dict[str, int]]:
    """Group the documents of a collection, the largest groups first.

    Args:
        paths: Path of each document by its id.
        documents: Document of each passage.

    Returns:
        (name, passages) of at most ten groups, the last of which stands for all others where there
        are more; what a group is; path -> place of its group.
    """
    names, unit = group_names(list(paths.values()))
    name_of = dict(zip(paths, names, strict=True))
    sizes = Counter(name_of[number] for number in np.asarray(documents, np.int64).tolist())
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    # One colour too many would stand for a single group: it is shown as itself then.
    kept = ranked if len(ranked) <= COLOURS + 1 else ranked[:COLOURS]
    groups = [(name, sizes[name]) for name in kept]
    if len(kept) < len(ranked):
        rest = sum(sizes[name] for name in ranked[COLOURS:])
        groups.append((f"{len(ranked) - COLOURS:,} other {unit}s", rest))
    place = {name: min(i, COLOURS) for i, name in enumerate(ranked)}
    found = {
        path: place.get(name, COLOURS) for path, name in zip(paths.values(), names, strict=True)
    }
    return groups, unit, found
