"""Clip art of the Open Clip Art Library: 8,121 titled pictures in folders by topic.

From the Debian package openclipart-png. Titles stand in the pictures (PNG text); where they do not,
or where a title is that of a whole collection, the file's name serves. The folders are labels, made
by people.
"""

import re
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._emoji import emoji_part
from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

# pixels; the few beyond take seconds and gigabytes to read
LARGEST = 25_000_000
# a title of more pictures than these says nothing about one
SHARED = 3
# numbers and single letters
_NOISE = re.compile(r"\b(?:\d+|bw|[a-z])\b|[-_.]+")


def load_openclipart() -> "Dataset":
    """Read the pictures as a table, one row a picture, in the order of the paths.

    Pictures of more than 25 million pixels are left out.

    Returns:
        A `datasets.Dataset` with the columns ``title``, ``folder`` ("animals/birds"), ``topic``
        ("animals", 22 of them), ``part`` ("train" or "test", one of five by the path) and
        ``image`` (path of a PNG of any size, most transparent around).

    Raises:
        DataError: The package cannot be fetched, or holds no pictures.
        MissingExtra: Pillow is not installed.
    """
    datasets = require("datasets", "train")
    root = fetch("openclipart") / "usr" / "share" / "openclipart" / "png"
    rows = [_row(path, root) for path in sorted(root.rglob("*.png")) if _pixels(path) <= LARGEST]
    if not rows:
        raise DataError(
            "the package openclipart-png should hold PNG files but has none; "
            "delete its folder in the cache and fetch it again"
        )
    count = Counter(row["title"] for row in rows)
    for row in rows:
        path = Path(row["image"])
        if not row["title"] or count[row["title"]] > SHARED:
            row["title"] = title_of(path.stem) or path.parent.name.replace("_", " ")
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def title_of(stem: str) -> str:
    """Make a title of a file's name.

    Args:
        stem: Name without suffix.

    Returns:
        Words; "" where nothing is left of it.
    """
    return " ".join(_NOISE.sub(" ", stem.lower().replace("_", " ")).split())


def _pixels(path: Path) -> int:
    with path.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])
    return int(width * height)


def _row(path: Path, root: Path) -> dict[str, Any]:
    images = require("PIL.Image", "images")
    place = path.relative_to(root)
    folder = place.parent.as_posix()
    with images.open(path) as picture:
        # text may stand behind the pixels, but only what is before them is read here
        title = str(picture.info.get("Title", "")).strip()
    return {
        "title": title,
        "folder": folder,
        "topic": place.parts[0],
        "part": emoji_part(place.as_posix()),
        "image": str(path),
    }
