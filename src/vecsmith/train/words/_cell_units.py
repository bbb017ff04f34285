"""Epochs over co-occurrence counts, for GloVe: pairs in random order, a share of them held out."""

from collections.abc import Iterator

import numpy as np

from vecsmith.core import DataError, numpy_generator

from ._corpus import Pieces
from ._counts import CooccurrenceCounter
from ._sampling import Vocabulary, held_out_pieces
from ._tokens import Ids
from .models._log_counts import Cells, weighted_cells

UNIT = 1 << 18


class CellUnits:
    """Counts a corpus, and makes the units of epochs over its pairs.

    What is held out are pairs, not texts: GloVe predicts counts of pairs, and those of a small part
    of the texts are no guide to those of the whole. Tokens are not subsampled; the weights do that.

    Args:
        pieces: The corpus.
        vocabulary: Its words.
        window: k.
        validation: Share of the pairs that is held out.
        seed: Seed of all draws.

    Raises:
        DataError: No two words stand together.
    """

    def __init__(
        self, pieces: Pieces, vocabulary: Vocabulary, *, window: int, validation: float, seed: int
    ) -> None:
        counter = CooccurrenceCounter(window).add(pieces.words(vocabulary.words))
        found = {word: row for row, word in enumerate(counter.words)}
        # words of the vocabulary that these texts lack have no pairs
        kept = np.array([i for i, word in enumerate(vocabulary.words) if word in found])
        cells = weighted_cells(counter, np.array([found[vocabulary.words[i]] for i in kept]))
        if not len(cells.values):
            raise DataError(
                "GloVe needs pairs of words, and no two words of the vocabulary stand in one text "
                "within the window; give longer texts, or lower min_count"
            )
        ids = kept.astype(np.int32)
        self.cells = Cells(ids[cells.rows], ids[cells.columns], cells.values)
        held_out = held_out_pieces(len(cells.values), validation, seed)
        self._training, self._held_out = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        self.seed, self.tokens = seed, len(self._training)

    def epoch(self, epoch: int) -> Iterator[tuple[int, Ids]]:
        """Split an epoch.

        Args:
            epoch: Its number, from 0.

        Yields:
            Number of a unit, and its pairs.
        """
        order = numpy_generator(self.seed, "words", "order", str(epoch)).permutation(self._training)
        for number, start in enumerate(range(0, len(order), UNIT)):
            yield number, order[start : start + UNIT]

    def unit(self, order: Ids, *names: str) -> Cells:
        """Pick pairs.

        Args:
            order: Numbers of pairs.
            *names: Not used: nothing is drawn.

        Returns:
            The pairs.
        """
        return self.cells.take(order)

    def validation(self) -> Iterator[Cells]:
        """Give the pairs that are held out.

        Yields:
            Units.
        """
        for start in range(0, len(self._held_out), UNIT):
            yield self.cells.take(self._held_out[start : start + UNIT])
