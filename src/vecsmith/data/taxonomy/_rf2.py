"""SNOMED CT in its release format 2, from the snapshot files of a user who has a licence."""

import csv
from collections.abc import Iterator
from pathlib import Path

from vecsmith.core import DataError

from ._taxonomy import Taxonomy

IS_A, FULL_NAME = "116680003", "900000000000003001"


def read_rf2(folder: str | Path, *, language: str = "en") -> Taxonomy:
    """Read a release.

    Args:
        folder: Of the release, or above it; the files ``sct2_Concept_Snapshot*``,
            ``sct2_Description_Snapshot*`` and ``sct2_Relationship_Snapshot*`` are looked for.
        language: Code of the descriptions that are read.

    Returns:
        The active concepts, named by the fully specified name without its tag ("(disorder)"), with
        all active synonyms and is-a links.

    Raises:
        DataError: A file is missing, lacks a column, or holds no active row.
    """
    place = Path(folder)
    active = {row["id"] for row in _rows(place, "Concept")}
    names: dict[str, str] = {}
    synonyms: dict[str, list[str]] = {}
    for row in _rows(place, "Description"):
        node = row["conceptId"]
        if node in active and row["languageCode"] == language:
            if row["typeId"] == FULL_NAME:
                names[node] = row["term"].rpartition(" (")[0] or row["term"]
            else:
                synonyms.setdefault(node, []).append(row["term"])
    for node in active - names.keys():
        if synonyms.get(node):
            names[node] = synonyms[node][0]
    edges = [
        (row["sourceId"], row["destinationId"])
        for row in _rows(place, "Relationship")
        if row["typeId"] == IS_A and row["sourceId"] in names and row["destinationId"] in names
    ]
    if not names:
        raise DataError(f"{str(place)!r} has no active description in {language!r}; name another")
    return Taxonomy.from_edges(
        edges,
        sorted(names.items(), key=lambda item: int(str(item[0]))),
        {node: also for node, also in synonyms.items() if node in names},
    )


def _rows(folder: Path, kind: str) -> Iterator[dict[str, str]]:
    paths = sorted(folder.rglob(f"sct2_{kind}_Snapshot*.txt"))
    if not paths:
        raise DataError(
            f"{str(folder)!r} should hold a file sct2_{kind}_Snapshot*.txt; unpack the release "
            "and give the folder with its Snapshot files"
        )
    wanted = {
        "Concept": ("id",),
        "Description": ("conceptId", "languageCode", "typeId", "term"),
        "Relationship": ("sourceId", "destinationId", "typeId"),
    }[kind]
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            # quotes are plain letters there
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            lost = [n for n in ("active", *wanted) if n not in (reader.fieldnames or ())]
            if lost:
                raise DataError(f"{path.name} lacks the columns {lost}; is it a file of RF2?")
            yield from (row for row in reader if row["active"] == "1")
