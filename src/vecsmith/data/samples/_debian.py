"""Descriptions of Debian packages with debtags: what each is for, made with, and works on.

From apt's own indexes of the running system (``Packages`` and ``Translation-en``), kept as a small
Parquet file. Debtags are set by people, facet by facet, so that one text has labels of several
kinds: "use::editing", "implemented-in::c", "works-with::image".
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

TABLE = "packages.parquet"
_FIELD = re.compile(r"^([A-Za-z0-9-]+): ?(.*(?:\n[ \t].*)*)", re.MULTILINE)


def load_debian() -> "Dataset":
    """Read the packages that have debtags and an English description, in the order of apt.

    Returns:
        A `datasets.Dataset` with the columns ``package``, ``source`` (packages of one source have
        much text in common), ``section``, ``summary``, ``description`` and ``tags`` (debtags
        without "…::TODO").

    Raises:
        DataError: There is no apt here, or it has no such indexes.
    """
    datasets = require("datasets", "train")
    parquet = require("pyarrow.parquet", "train")
    return datasets.Dataset(parquet.read_table(fetch("debian-packages") / TABLE))


def write_table(folder: Path) -> None:
    """Ask apt for its indexes and write the table.

    Args:
        folder: Where to.

    Raises:
        DataError: There is no apt here, or it has no such indexes.
    """
    arrow, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    _run("apt-get", "--quiet", "-o", "Acquire::Languages=en", "update")
    texts = {}
    helper = "/usr/lib/apt/apt-helper"
    for path in sorted(Path("/var/lib/apt/lists").glob("*_i18n_Translation-en*")):
        for stanza in stanzas(_run(helper, "cat-file", str(path))):
            texts[stanza.get("Description-md5", "")] = stanza.get("Description-en", "")
    rows = list(packages(_run("apt-cache", "dumpavail"), texts))
    if not rows:
        raise DataError(
            "apt's indexes should hold packages with tags and English descriptions, but hold none; "
            "load_debian needs Debian or one of its children"
        )
    parquet.write_table(arrow.Table.from_pylist(rows), folder / TABLE)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Split an index into its stanzas.

    Args:
        text: An index in Debian's control format.

    Yields:
        Field -> value; continued lines keep their line breaks.
    """
    for stanza in text.split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if fields:
            yield fields


def packages(index: str, texts: dict[str, str]) -> Iterator[dict[str, str | list[str]]]:
    """Join packages with their descriptions.

    Args:
        index: Text of ``Packages``.
        texts: Hash of a description -> the description.

    Yields:
        Rows with the columns of `load_debian`, each package once.
    """
    seen = set()
    for fields in stanzas(index):
        name, whole = fields.get("Package", ""), texts.get(fields.get("Description-md5", ""), "")
        tags = [tag for tag in re.split(r"[,\s]+", fields.get("Tag", "")) if tag]
        if not tags or not whole or name in seen:
            continue
        seen.add(name)
        summary, _, rest = whole.partition("\n")
        yield {
            "package": name,
            # "Source: gimp (2.10)" gives a version where it differs
            "source": fields.get("Source", name).split()[0],
            "section": fields.get("Section", "").rpartition("/")[2],
            "summary": summary.strip(),
            "description": " ".join(
                line.strip() for line in rest.splitlines() if line.strip() != "."
            ),
            "tags": [tag for tag in tags if not tag.endswith("::TODO")],
        }


def _run(*command: str) -> str:
    by_hand = "load_debian needs apt; on another system copy the cache folder of one that has it"
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DataError(f"{command[0]!r} is not installed here; {by_hand}") from error
    if run.returncode:
        detail = " ".join((run.stderr or run.stdout).split())[-300:]
        raise DataError(f"{' '.join(command)} failed ({detail}); {by_hand}")
    return run.stdout
