"""WordNet's words of all classes, and the glosses of all its synsets."""

from pathlib import Path
from typing import TYPE_CHECKING

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

CLASSES = ("noun", "verb", "adj", "adv")


def load_wordnet_words() -> "Dataset":
    """Read which classes each word has.

    Returns:
        A `datasets.Dataset` with the columns ``word`` (lower case, spaces for underscores) and
        ``classes`` (of "noun", "verb", "adj" and "adv"), in alphabetical order.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    found: dict[str, list[str]] = {}
    for name in CLASSES:
        for line in _lines(f"index.{name}"):
            found.setdefault(line.split(" ", 1)[0].replace("_", " "), []).append(name)
    words = sorted(found)
    return datasets.Dataset.from_dict({"word": words, "classes": [found[w] for w in words]})


def load_wordnet_glosses() -> "Dataset":
    """Read the definitions and examples of all synsets.

    Returns:
        A `datasets.Dataset` with the columns ``class`` and ``gloss``, in the order of the database.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    rows = [(name, _gloss(line)) for name in CLASSES for line in _lines(f"data.{name}")]
    return datasets.Dataset.from_dict(
        {"class": [name for name, _ in rows], "gloss": [gloss for _, gloss in rows]}
    )


def _lines(name: str) -> list[str]:
    paths: list[Path] = sorted(fetch("wordnet").rglob(name))
    if not paths:
        raise DataError(
            f"the package wordnet-base should hold a file {name} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    # the licence at the head is indented
    lines = paths[0].read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(" ")]


def _gloss(line: str) -> str:
    _, bar, gloss = line.partition("|")
    if not bar:
        raise DataError(
            f"a synset of WordNet has no gloss ({line[:60]!r}); "
            "delete the package's folder in the cache and fetch it again"
        )
    return gloss.strip()
