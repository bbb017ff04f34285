"""Synonyms of English words: the thesaurus of LibreOffice, made from WordNet (mythes-en-us)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

NAME = "th_en_US_v2.dat"


class Meaning(NamedTuple):
    """One meaning of a word.

    Attributes:
        word: The word; spaces join the words of a phrase.
        part: "noun", "verb", "adj" or "adv".
        synonyms: Words with this very meaning.
        related: Words marked as similar, more general, related or opposite.
    """

    word: str
    part: str
    synonyms: list[str]
    related: list[str]


def load_thesaurus() -> "Dataset":
    """Read the thesaurus.

    Returns:
        A `datasets.Dataset` with the columns of `Meaning`, one row a meaning, in alphabetical
        order.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    path = fetch("thesaurus") / "usr" / "share" / "mythes" / NAME
    if not path.is_file():
        raise DataError(
            f"the package mythes-en-us should hold a file {NAME} but has none; "
            "delete its folder in the cache and fetch it again"
        )
    rows = list(read_meanings(path))
    columns = zip(*rows, strict=True)
    return datasets.Dataset.from_dict(dict(zip(Meaning._fields, map(list, columns), strict=True)))


def read_meanings(path: Path) -> Iterator[Meaning]:
    """Read a file of MyThes: a word with the number of its meanings, then a line each.

    Args:
        path: Such a file.

    Yields:
        Meanings, in the order of the file.

    Raises:
        DataError: The file is cut short or does not follow the format.
    """
    encoding, *lines = path.read_text(encoding="utf-8").splitlines()
    if encoding.strip().upper() != "UTF-8":
        raise _damaged(path, 1, f"the encoding {encoding[:20]!r}, not UTF-8")
    place = 0
    while place < len(lines):
        word, bar, number = lines[place].rpartition("|")
        if not bar or not number.isdigit():
            raise _damaged(path, place + 2, f"{lines[place][:40]!r}, not a word and a number")
        end = place + 1 + int(number)
        if end > len(lines):
            raise _damaged(path, len(lines) + 1, f"its end, where meanings of {word!r} should be")
        for line in lines[place + 1 : end]:
            part, *terms = line.split("|")
            plain = [term for term in terms if not term.endswith(")")]
            others = [term.rpartition(" (")[0] for term in terms if term.endswith(")")]
            yield Meaning(word, part.strip("()"), plain, others)
        place = end


def _damaged(path: Path, line: int, found: str) -> DataError:
    return DataError(
        f"line {line} of the thesaurus {str(path)!r} is {found}; "
        "delete the package's folder in the cache and fetch it again"
    )
