"""The concept of the training phrase that shares most words: a baseline that is hard to beat.

TF-IDF over words, cosine; a concept scores as the nearest of its phrases. Code systems repeat each
other's titles, so that this finds most concepts that have phrases, and none that has not.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, require

from ._phrases import phrase_words

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


class NearestPhrase:
    """TF-IDF similarity with known phrases, by concept.

    Args:
        phrases: Known phrases.
        concepts: Number of the concept of each, shape (phrases,).
        count: Number of concepts, also those without a phrase.
    """

    def __init__(self, phrases: Sequence[str], concepts: Ids, count: int) -> None:
        text: Any = require("sklearn.feature_extraction.text", "graphs")
        self._vectorizer = text.TfidfVectorizer(
            analyzer=phrase_words, sublinear_tf=True, dtype=np.float32
        )
        order = np.argsort(concepts, kind="stable")
        try:
            known = self._vectorizer.fit_transform([phrases[row] for row in order])
        except ValueError as error:
            raise DataError(f"the phrases hold no word to compare ({error}); give words") from error
        self._known = known.T.tocsr()
        # concepts that have phrases, and where their phrases begin
        self.concepts, self._starts = np.unique(concepts[order], return_index=True)
        self.count = count

    def scores(self, phrases: Sequence[str]) -> Floats:
        """Score all concepts.

        Args:
            phrases: Any texts; memory goes with their number times all known phrases.

        Returns:
            From 0 to 1, 0 for a concept without phrases, shape (phrases, count).
        """
        made = np.zeros((len(phrases), self.count), np.float32)
        if len(phrases):
            found = (self._vectorizer.transform(phrases) @ self._known).toarray()
            made[:, self.concepts] = np.maximum.reduceat(found, self._starts, axis=1)
        return made

    def best(self, phrases: Sequence[str], k: int = 1, *, block: int = 256) -> Ids:
        """Find the best concepts.

        Args:
            phrases: Any texts.
            k: How many.
            block: Phrases that are scored together.

        Returns:
            Numbers of concepts, best first, shape (phrases, k).
        """
        parts = [top(scores, k) for scores in self._blocks(phrases, block)]
        return np.concatenate(parts) if parts else np.zeros((0, k), np.int64)

    def _blocks(self, phrases: Sequence[str], block: int) -> Iterator[Floats]:
        for start in range(0, len(phrases), block):
            yield self.scores(phrases[start : start + block])


def top(scores: Floats, k: int) -> Ids:
    """Find the highest scores of each row.

    Args:
        scores: Shape (rows, columns).
        k: How many.

    Returns:
        Columns, highest first and lower numbers first among equals, shape (rows, min(k, columns)).
    """
    k = min(k, scores.shape[1])
    if k == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable").astype(np.int64)
    # what equals the k-th score is cut by number, not by the partition's whim
    edge = np.partition(scores, -k, axis=1)[:, -k]
    found = np.empty((len(scores), k), np.int64)
    for row, line in enumerate(scores):
        kept = np.flatnonzero(line >= edge[row])
        found[row] = kept[np.argsort(-line[kept], kind="stable")[:k]]
    return found
