"""What all word models share: vocabulary, subsampling, noise words, windows in padded streams.

    keep a token:  (sqrt(z) + 1) / z,  z = p(w) / t        noise words:  p(w)^0.75 / sum

A stream is the tokens of many pieces with k padding ids (the number of words) before, between and
after them, so that the window of a token is a slice of the stream, whatever stands beside it. All
draws come from seed, epoch and unit, so that a run that is taken up goes on as it would have.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

from ._corpus import Ints, Pieces
from ._tokens import Ids

Doubles = NDArray[np.float64]

POWER = 0.75
UNIT = 1 << 15
_CHUNK = 1 << 20


class Unit(NamedTuple):
    """A share of an epoch.

    Attributes:
        stream: Tokens with padding, shape (any,).
        positions: Places of the tokens that are predicted, shape (targets,).
        negatives: Noise words of each, shape (targets, N).
        tokens: Tokens of the corpus it was made from, before subsampling.
    """

    stream: Ints
    positions: Ids
    negatives: Ints
    tokens: int

    def contexts(self, window: int) -> Ints:
        """Give the words around each target.

        Args:
            window: k.

        Returns:
            Left to right, without the target, shape (targets, 2 k).
        """
        steps = [d for d in range(-window, window + 1) if d]
        return self.stream[self.positions[:, None] + np.array(steps)]


def keep_shares(counts: Ids, threshold: float) -> Doubles:
    """Say how often tokens are kept in subsampling.

    Args:
        counts: Count of each word, shape (words,).
        threshold: t, as a share of all tokens; 0 keeps all.

    Returns:
        Probabilities, at most 1, shape (words,).
    """
    if threshold == 0:
        return np.ones(len(counts))
    z = counts / counts.sum() / threshold
    return np.minimum((np.sqrt(z) + 1) / z, 1.0)


class NoiseWords:
    """Draws words by a power of their counts, exactly, in constant time (A. Walker's alias method).

    Args:
        counts: Count of each word, above 0, shape (words,).
        power: Exponent.
    """

    def __init__(self, counts: Ids, power: float = POWER) -> None:
        shares = counts.astype(np.float64) ** power
        shares *= len(shares) / shares.sum()
        self._alias = np.arange(len(shares), dtype=np.int32)
        small = np.flatnonzero(shares < 1).tolist()
        large = np.flatnonzero(shares >= 1).tolist()
        left = shares.tolist()
        while small and large:
            low, high = small.pop(), large[-1]
            self._alias[low] = high
            left[high] -= 1 - left[low]
            if left[high] < 1:
                small.append(large.pop())
        # what rounding leaves over keeps to itself
        for row in small + large:
            left[row] = 1.0
        self._own = np.array(left, np.float32)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Ints:
        """Draw words.

        Args:
            rng: Source of randomness.
            shape: How many.

        Returns:
            Ids of the shape asked for.
        """
        first = rng.integers(0, len(self._own), shape, np.int32)
        own = rng.random(shape, np.float32) < self._own[first]
        return np.where(own, first, self._alias[first])


class Vocabulary:
    """The words of a model, most frequent first.

    Args:
        words: The words.
        counts: Count of each, above 0.

    Raises:
        DataError: No words, or a word twice.
    """

    def __init__(self, words: Sequence[str], counts: Ids) -> None:
        self.words, self.counts = list(words), np.asarray(counts, np.int64)
        self.places = {word: row for row, word in enumerate(self.words)}
        if not self.words or len(self.places) != len(self.counts) or (self.counts < 1).any():
            raise DataError(
                f"a vocabulary needs words that differ, each with a count of 1 or above; got "
                f"{len(self.places)} different words and {len(self.counts)} counts"
            )
        self.noise = NoiseWords(self.counts)

    def __len__(self) -> int:
        return len(self.words)


class WindowUnits:
    """Makes the units of epochs, and those of the held-out pieces.

    Args:
        pieces: The corpus.
        vocabulary: Its words.
        window: k.
        negative: N.
        subsample: t.
        validation: Share of the pieces that is held out.
        seed: Seed of all draws.

    Raises:
        ConfigError: A share out of its range.
    """

    def __init__(
        self,
        pieces: Pieces,
        vocabulary: Vocabulary,
        *,
        window: int,
        negative: int,
        subsample: float,
        validation: float,
        seed: int,
    ) -> None:
        if not 0 <= validation < 1 or not 0 <= subsample < np.inf:
            raise ConfigError(
                "validation must be from 0 to below 1, subsample 0 or above; got "
                f"{validation} and {subsample}"
            )
        self.pieces, self.vocabulary, self.seed = pieces, vocabulary, seed
        self.window, self.negative = window, negative
        self.keep = keep_shares(vocabulary.counts, subsample).astype(np.float32)
        lengths = np.diff(pieces.starts)
        held_out = held_out_pieces(len(lengths), validation, seed)
        self._training, self._held_out = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        self.tokens = int(lengths[self._training].sum())

    @property
    def held_out(self) -> Ids:
        """Numbers of the pieces that are held out."""
        return self._held_out

    def epoch(self, epoch: int) -> Iterator[tuple[int, Ids]]:
        """Split an epoch.

        Args:
            epoch: Its number, from 0.

        Yields:
            Number of a unit, and its pieces in the order they are gone through.
        """
        rng = numpy_generator(self.seed, "words", "order", str(epoch))
        # near in the file, near in the epoch: a corpus larger than memory is read as a stream
        chunks = [self._training[i : i + _CHUNK] for i in range(0, len(self._training), _CHUNK)]
        number = 0
        for place in rng.permutation(len(chunks)):
            for part in self._parts(rng.permutation(chunks[place])):
                yield number, part
                number += 1

    def validation(self) -> Iterator[Unit]:
        """Make the units of what is held out, always the same.

        Yields:
            Units.
        """
        for number, part in enumerate(self._parts(self._held_out)):
            yield self.unit(part, "validation", str(number))

    def _parts(self, order: Ids) -> list[Ids]:
        lengths = np.diff(self.pieces.starts)[order]
        units = (np.cumsum(lengths) - lengths) // UNIT
        return np.split(order, np.flatnonzero(np.diff(units)) + 1) if len(order) else []

    def unit(self, order: Ids, *names: str) -> Unit:
        """Make a unit: subsample, pad and draw noise words.

        Args:
            order: Numbers of pieces.
            *names: What the draws depend on besides the seed.

        Returns:
            The unit.
        """
        rng = numpy_generator(self.seed, "words", *names)
        starts, ends = self.pieces.starts[order], self.pieces.starts[order + 1]
        lengths = ends - starts
        offsets = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(starts - offsets, lengths)
        ids, owners = self.pieces.ids[places], np.repeat(np.arange(len(order)), lengths)
        kept = rng.random(len(ids), np.float32) < self.keep[ids]
        ids, owners = ids[kept], owners[kept]
        pad = len(self.vocabulary)
        positions = np.arange(len(ids)) + self.window * (owners + 1)
        stream = np.full(len(ids) + self.window * (len(order) + 1), pad, np.int32)
        stream[positions] = ids
        negatives = self.vocabulary.noise.draw(rng, (len(ids), self.negative))
        return Unit(stream, positions, negatives, int(lengths.sum()))


def held_out_pieces(pieces: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose what is held out.

    Args:
        pieces: How many pieces there are.
        share: Share that is wanted.
        seed: Seed; other seeds hold out others.

    Returns:
        Whether each is held out, shape (pieces,); never all.
    """
    chosen = np.zeros(pieces, np.bool_)
    number = min(round(share * pieces), pieces - 1)
    chosen[numpy_generator(seed, "words", "held out").permutation(pieces)[:number]] = True
    return chosen
