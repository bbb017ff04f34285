"""GCIDE, the Collaborative International Dictionary of English: 125,000 entries of running text.

Read from the files of a dict server that the Debian package dict-gcide carries. An entry's first
line (headword, pronunciation, part of speech, etymology) is told apart from its definitions, so
that a text made of these does not say the part of speech beside the word.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from vecsmith.core import ConfigError, DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
# the innermost brackets: etymologies, sources, notes on use
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
# what opens a sense, and what stands before or after it
_NUMBER = re.compile(r"(?m)^\s*(?:\d+\.|\([a-z]\)|Note:|Syn:|Usage:|--)\s*")
_FIELD = re.compile(r"\((?:[A-Z][A-Za-z. &]{0,18}\.)\)")
_AUTHOR = re.compile(r"--\s?[A-Z][^\n]{0,40}$", re.M)
_HEAD = re.compile(r"\\[^\\\n]*(?:\n[^\\\n]*)?\\")


class Entry(NamedTuple):
    """One entry.

    Attributes:
        word: The headword.
        part: Part of speech as it is printed: "n.", "v. t."; "" where none is.
        text: Definitions and quotations, without notes, sources and references.
    """

    word: str
    part: str
    text: str


def load_gcide(*, every: int = 1) -> "Dataset":
    """Read the dictionary, in the order of its file.

    Args:
        every: Read every so many-th entry: 10 gives a tenth of the dictionary, in a tenth of the
            time (10 s for all).

    Returns:
        A `datasets.Dataset` with the columns of `Entry`; entries without a definition are left out.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
        ConfigError: `every` is below 1.
    """
    if every < 1:
        raise ConfigError(f"every must be at least 1; got {every}")
    datasets = require("datasets", "train")
    rows = list(_entries(every))
    columns = zip(*rows, strict=True)
    return datasets.Dataset.from_dict(dict(zip(Entry._fields, map(list, columns), strict=True)))


def _entries(every: int) -> Iterator[Entry]:
    folder = fetch("gcide") / "usr" / "share" / "dictd"
    try:
        index = (folder / "gcide.index").read_text(encoding="utf-8")
        data = gzip.decompress((folder / "gcide.dict.dz").read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the package dict-gcide should hold a dictionary but it cannot be read ({error}); "
            "delete its folder in the cache and fetch it again"
        ) from error
    for start, size in read_index(index)[::every]:
        entry = read_entry(data[start : start + size].decode("utf-8", "replace"))
        if entry.text:
            yield entry


def read_index(text: str) -> list[tuple[int, int]]:
    """Read where the entries lie.

    Args:
        text: Lines of headword, start and size, tabs between, numbers in base 64.

    Returns:
        Start and size of each entry, in the order of the file, each once; what describes the
        dictionary itself is left out.

    Raises:
        DataError: A line holds something else.
    """
    places = set()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            word, start, size = line.split("\t")
            place = _number(start), _number(size)
        except (ValueError, KeyError) as error:
            raise DataError(
                f"line {number} of the index of GCIDE is {line[:60]!r}, not a word and two numbers "
                "in base 64; delete the package's folder in the cache and fetch it again"
            ) from error
        if not word.startswith("00-database"):
            places.add(place)
    return sorted(places)


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _VALUE[digit]
    return value


def read_entry(raw: str) -> Entry:
    """Split an entry into its head and its text.

    Args:
        raw: The entry as it is printed.

    Returns:
        Headword, part of speech and cleaned text.
    """
    head, _, rest = raw.partition("\n")
    # a head that is cut in the middle of its pronunciation or etymology goes on below
    while rest and (head.count("\\") % 2 or head.count("[") > head.count("]")):
        more, _, rest = rest.partition("\n")
        head = f"{head} {more.strip()}"
    word = head.split("\\")[0].strip()
    pieces = _HEAD.split(_without_brackets(head))
    part = pieces[-1].split("(")[0].split(";")[0].strip(" ,") if len(pieces) > 1 else ""
    return Entry(word, part if len(part) < 16 and part.endswith(".") else "", clean(rest))


def clean(text: str) -> str:
    """Take notes, sources, numbers of senses and references out of definitions.

    Args:
        text: Definitions as they are printed.

    Returns:
        One line of running text.
    """
    text = _without_brackets(text)
    text = _AUTHOR.sub(" ", text)
    text = _NUMBER.sub(" ", text)
    text = _FIELD.sub(" ", text)
    text = _HEAD.sub(" ", text)
    return " ".join(text.replace("{", "").replace("}", "").split())


def _without_brackets(text: str) -> str:
    while (shorter := _BRACKETS.sub(" ", text)) != text:
        text = shorter
    return text
