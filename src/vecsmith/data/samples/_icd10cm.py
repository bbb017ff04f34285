"""ICD-10-CM, the American classification of diseases, from the PyPI package simple-icd-10-cm.

The tabular list is a tree: 22 chapters, about 1,900 categories of three characters ("E11 Type 2
diabetes mellitus"), and below them the codes that a doctor may bill. Only the package's XML file is
read; its code is never imported. The codes that arise from a seventh character alone ("initial
encounter", …) are left out, since their titles repeat the one above.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset


def load_icd10cm() -> "Dataset":
    """Read the tabular list as a table, one row a code, in the order of the book.

    Returns:
        A `datasets.Dataset` of 46,881 rows with the columns ``code`` ("E11.21"), ``title``,
        ``parent`` ("" for a category), ``category`` (three characters), ``chapter`` (1 to 22, as
        text), ``leaf`` (whether nothing lies below) and ``synonyms`` (the inclusion terms).

    Raises:
        DataError: The package cannot be fetched, or holds no tabular list.
    """
    datasets = require("datasets", "train")
    paths = sorted((fetch("icd10cm") / "simple_icd_10_cm" / "data").glob("*tabular*.xml"))
    if not paths:
        raise DataError(
            "the package simple-icd-10-cm should hold a file *tabular*.xml but has none; "
            "delete its folder in the cache and fetch it again"
        )
    rows = list(_codes(paths[-1]))
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def _codes(path: Path) -> Iterator[dict[str, Any]]:
    for chapter in ElementTree.parse(path).getroot().iter("chapter"):
        number = (chapter.findtext("name") or "").strip()
        for node in chapter.findall("section/diag"):
            yield from _below(node, parent="", category="", chapter=number)


def _below(
    node: ElementTree.Element, *, parent: str, category: str, chapter: str
) -> Iterator[dict[str, Any]]:
    code = (node.findtext("name") or "").strip()
    children = node.findall("diag")
    yield {
        "code": code,
        "title": " ".join((node.findtext("desc") or "").split()),
        "parent": parent,
        "category": category or code,
        "chapter": chapter,
        "leaf": not children,
        "synonyms": [
            " ".join((note.text or "").split()) for note in node.findall("inclusionTerm/note")
        ],
    }
    for child in children:
        yield from _below(child, parent=code, category=category or code, chapter=chapter)
