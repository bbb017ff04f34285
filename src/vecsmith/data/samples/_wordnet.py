"""WordNet's nouns: synsets with their lemmas, glosses and hypernyms.

Read straight from the database files that the Debian package wordnet-base carries (format: wndb).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

# lexicographer files of nouns, by the number that the database gives them (lexnames, numbers 3-28)
_NAMES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group "
    "location motive object person phenomenon plant possession process quantity relation shape "
    "state substance time"
)
FIELDS = tuple(_NAMES.split())
FIRST_FIELD = 3


def load_wordnet() -> "Dataset":
    """Read the noun synsets as a table, in the order of the database.

    Returns:
        A `datasets.Dataset` with the columns ``id`` ("n00001740", the synset's offset), ``field``
        (lexicographer file: "animal", "food", …), ``lemmas`` (spaces for underscores, the most
        usual first), ``gloss`` (the definition), ``examples`` (quoted uses) and ``hypernyms``
        (ids, those of instances too).

    Raises:
        DataError: The package cannot be fetched, or holds no database.
    """
    datasets = require("datasets", "train")
    paths = sorted(fetch("wordnet").rglob("data.noun"))
    if not paths:
        raise DataError(
            "the package wordnet-base should hold a file data.noun but has none; "
            "delete its folder in the cache and fetch it again"
        )
    rows = read_synsets(paths[0])
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def read_synsets(path: Path) -> list[dict[str, Any]]:
    """Read a database file of nouns.

    Args:
        path: A file in the format of ``data.noun``.

    Returns:
        One row a synset, with the columns of `load_wordnet`.

    Raises:
        DataError: A line does not follow the format.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        # the licence at the head is indented
        if line.startswith(" ") or not line:
            continue
        try:
            rows.append(_synset(line))
        except (ValueError, IndexError) as error:
            raise DataError(
                f"line {number} of {str(path)!r} is no WordNet synset ({error}); "
                "delete the package's folder in the cache and fetch it again"
            ) from error
    return rows


def _synset(line: str) -> dict[str, Any]:
    data, _, text = line.partition("|")
    parts = data.split()
    words = int(parts[3], 16)
    start = 4 + 2 * words
    pointers = parts[start + 1 : start + 1 + 4 * int(parts[start])]
    links = [tuple(pointers[i : i + 4]) for i in range(0, len(pointers), 4)]
    # the gloss is the definitions, then quoted uses, all parted by semicolons
    pieces = [piece.strip() for piece in text.split("; ")]
    first = next((i for i, piece in enumerate(pieces) if piece.startswith('"')), len(pieces))
    examples = "; ".join(pieces[first:])
    return {
        "id": f"n{parts[0]}",
        "field": FIELDS[int(parts[1]) - FIRST_FIELD],
        "lemmas": [word.replace("_", " ") for word in parts[4:start:2]],
        "gloss": "; ".join(pieces[:first]).strip(" ;"),
        "examples": [use for use in examples.split('"')[1::2] if use],
        "hypernyms": [f"n{offset}" for symbol, offset, *_ in links if symbol in {"@", "@i"}],
    }
