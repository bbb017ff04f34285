"""Texts with labels in three parts: to train on, to choose by, to judge with."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.encode.words import WordVectors
from vecsmith.train.words import split_words

from ._tasks import lookup

Text = str | Sequence[str]
Part = tuple[Sequence[Text], Sequence[str]]


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels.

    Attributes:
        train: Texts and labels to train on.
        development: Those that settings are chosen by.
        test: Those that the score is of.
    """

    train: Part
    development: Part
    test: Part

    def __post_init__(self) -> None:
        known = set(self.train[1])
        for name in ("train", "development", "test"):
            texts, labels = getattr(self, name)
            if not len(texts) or len(texts) != len(labels):
                raise DataError(
                    f"{name} must hold texts with one label each; got {len(texts)} texts and "
                    f"{len(labels)} labels"
                )
            if strange := sorted(set(labels) - known):
                raise DataError(
                    f"labels of {name} must come in train, too; {strange[0]!r} does not: "
                    "split anew, or leave its texts out"
                )
        if len(known) < 2:
            raise DataError(f"train must hold two labels at least; got {sorted(known)}")

    @property
    def labels(self) -> list[str]:
        """Labels, in order."""
        return sorted(set(self.train[1]))


def split_texts(
    texts: Sequence[Text],
    labels: Sequence[str],
    *,
    shares: tuple[float, float] = (0.15, 0.25),
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> LabelledTexts:
    """Split texts, label by label.

    Args:
        texts: Strings, or lists of words.
        labels: One a text.
        shares: Parts of the development and test data.
        groups: Texts of one group (a document, an author) come to one part; without groups each
            label has its share in each part.
        seed: Seed of the split.

    Returns:
        The three parts.

    Raises:
        ConfigError: The shares leave nothing to train on.
        DataError: A label has too few texts.
    """
    if not (min(shares) > 0 and sum(shares) < 1):
        raise ConfigError(f"shares must be above 0 and leave texts to train on; got {shares}")
    if len(texts) != len(labels) or (groups is not None and len(groups) != len(texts)):
        raise DataError(
            f"each text needs one label, and one group where there are some; got {len(texts)} "
            f"texts and {len(labels)} labels"
        )
    keys = list(range(len(texts))) if groups is None else list(groups)
    strata: dict[str, dict[Hashable, list[int]]] = {}
    for row, (label, key) in enumerate(zip(labels, keys, strict=True)):
        strata.setdefault(label if groups is None else "", {}).setdefault(key, []).append(row)
    rng = numpy_generator(seed, "split of texts")
    parts: tuple[list[int], ...] = ([], [], [])
    for _, members in sorted(strata.items()):
        names = list(members)
        order = rng.permutation(len(names))
        ends = np.round(np.cumsum(shares) * len(names)).astype(int)
        for part, chosen in zip((1, 2, 0), np.split(order, ends), strict=True):
            parts[part].extend(row for i in chosen for row in members[names[i]])
    made = [([texts[i] for i in sorted(p)], [labels[i] for i in sorted(p)]) for p in parts]
    return LabelledTexts(*made)


def text_words(text: Text) -> Sequence[str]:
    """Split a text as the house does; a list of words stays.

    Args:
        text: A string, or a list of words.

    Returns:
        Its words.
    """
    return split_words(text) if isinstance(text, str) else text


def mean_vectors(vectors: WordVectors, texts: Sequence[Text]) -> tuple[NDArray[np.float64], float]:
    """Average the vectors of the words of texts.

    Args:
        vectors: Word vectors.
        texts: Strings, or lists of words; a word without a vector counts nothing.

    Returns:
        Shape (texts, dims), zeros for a text without known words; and the share of word
        occurrences that have a vector.
    """
    from scipy import sparse

    words = [text_words(text) for text in texts]
    flat = lookup(vectors, [word for row in words for word in row], fold_case=True)
    rows = np.repeat(np.arange(len(words)), [len(row) for row in words])
    known = flat >= 0
    counts = np.bincount(rows[known], minlength=len(words))
    shape = (len(words), len(vectors))
    matrix = sparse.csr_matrix((np.ones(int(known.sum())), (rows[known], flat[known])), shape)
    means = matrix @ vectors.vectors.astype(np.float64) / np.maximum(counts, 1)[:, None]
    return means, float(known.mean()) if len(known) else 0.0
