"""Sentences with a tag a word, in three parts; names as runs of tags, and their F1."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, numpy_generator
from vecsmith.encode.words import WordVectors

from ._tasks import lookup

Words = Sequence[Sequence[str]]
Part = tuple[Words, Words]
Span = tuple[int, int, str]


@dataclass(frozen=True)
class TaggedTexts:
    """Sentences as lists of words, and as many lists of tags.

    Attributes:
        train: Sentences and tags to train on.
        development: Those that choose the pass.
        test: Those that the score is of.
    """

    train: Part
    development: Part
    test: Part

    def __post_init__(self) -> None:
        for name in ("train", "development", "test"):
            words, tags = getattr(self, name)
            fits = len(words) == len(tags) and all(
                len(one) == len(two) for one, two in zip(words, tags, strict=True)
            )
            if not fits or not any(words):
                raise DataError(
                    f"{name} must hold sentences, a tag for each word; got {len(words)} sentences "
                    f"and {len(tags)} lists of tags"
                )

    @property
    def tags(self) -> list[str]:
        """Tags of the training sentences, in order; others cannot be found."""
        return sorted({tag for row in self.train[1] for tag in row})


def split_tagged(
    words: Words,
    tags: Words,
    *,
    shares: tuple[float, float] = (0.15, 0.25),
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> TaggedTexts:
    """Split sentences.

    Args:
        words: Words of each sentence.
        tags: Tags of each sentence.
        shares: Parts of the development and test data.
        groups: Sentences of one group (a document) come to one part; None splits by sentences.
        seed: Seed of the split.

    Returns:
        The three parts, sentences in their order.

    Raises:
        DataError: Words and tags do not fit, or a part has no sentence.
    """
    keys = list(range(len(words))) if groups is None else list(groups)
    if not len(words) == len(tags) == len(keys):
        raise DataError(
            f"words, tags and groups must be as many; got {len(words)}, {len(tags)}, {len(keys)}"
        )
    names = list(dict.fromkeys(keys))
    order = numpy_generator(seed, "split of sentences").permutation(len(names))
    ends = np.round(np.cumsum(shares) * len(names)).astype(int)
    part_of = {
        names[i]: part
        for part, some in zip((1, 2, 0), np.split(order, ends), strict=True)
        for i in some
    }
    rows = [[i for i, key in enumerate(keys) if part_of[key] == part] for part in range(3)]
    return TaggedTexts(*(([words[i] for i in r], [tags[i] for i in r]) for r in rows))


def read_tagged(path: str | Path, *, column: int = -1) -> tuple[list[list[str]], list[list[str]]]:
    """Read sentences in columns, as CoNLL's tasks have them.

    Args:
        path: A text file: a word a line with its tags behind it, an empty line after a sentence.
            Lines "-DOCSTART-" are left out.
        column: Which column holds the tag; the first one, 0, holds the word.

    Returns:
        Words and tags of each sentence.

    Raises:
        DataError: The file is missing or empty, or a line lacks the column.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"sentences {str(path)!r} cannot be read ({error}); give a text file in UTF-8"
        ) from error
    words: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            words.append([])
            tags.append([])
            continue
        if fields[0] == "-DOCSTART-":
            continue
        if len(fields) < 2 or not -len(fields) < column < len(fields) or column == 0:
            raise DataError(
                f"line {number} of {str(path)!r} must hold a word and its tag in column {column}; "
                f"got {line[:60]!r}"
            )
        words[-1].append(fields[0])
        tags[-1].append(fields[column])
    if not any(words):
        raise DataError(f"{str(path)!r} holds no sentence")
    return [row for row in words if row], [row for row in tags if row]


def spans(tags: Sequence[str]) -> list[Span]:
    """Find names in tags.

    Args:
        tags: "B-TYPE" begins a name, "I-TYPE" goes on (or begins one after another type, as in
            older data); everything else is outside.

    Returns:
        Start, end (exclusive) and type of each name.
    """
    found: list[Span] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        inside = mark in {"B", "I"} and bool(name)
        if kind and (not inside or mark == "B" or name != kind):
            found.append((start, place, kind))
            kind = ""
        if inside and not kind:
            start, kind = place, name
    return found


def entity_f1(true: Words, found: Words) -> float:
    """F1 of names, which count where border and type are right.

    Args:
        true: Tags of each sentence.
        found: Tags that were found.

    Returns:
        From 0 to 1; 0 where there is no name on either side.
    """
    hits = total = 0
    for one, two in zip(true, found, strict=True):
        known, given = set(spans(one)), set(spans(two))
        hits += len(known & given)
        total += len(known) + len(given)
    return 2 * hits / total if total else 0.0


def as_bio(tags: Sequence[str]) -> list[str]:
    """Write names so that each begins with "B-".

    Args:
        tags: As `spans` reads them.

    Returns:
        As many tags.
    """
    out = ["O"] * len(tags)
    for start, end, kind in spans(tags):
        out[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return out


def word_windows(vectors: WordVectors, words: Words, side: int) -> NDArray[np.int64]:
    """Rows of the words around each word.

    Args:
        vectors: Word vectors.
        words: Words of each sentence.
        side: Words on either side.

    Returns:
        Shape (words, 2 side + 1); -1 for a word without a vector, -2 outside the sentence.
    """
    flat = lookup(vectors, [word for row in words for word in row], fold_case=True)
    out = np.full((len(flat), 2 * side + 1), -2, np.int64)
    end = 0
    for row in words:
        start, end = end, end + len(row)
        for offset in range(-side, side + 1):
            first, last = max(start, start - offset), min(end, end - offset)
            if first < last:
                out[first:last, offset + side] = flat[first + offset : last + offset]
    return out
