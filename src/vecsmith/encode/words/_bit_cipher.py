"""Bit cipher: unique short codes for words, by the rank of their frequency.

Paper: Bit Cipher -- A Simple yet Powerful Word Representation System that Integrates Efficiently
with Language Models (H. Zhao and J. Williams, 2023). Words in order of falling frequency get codes
of b bits, in rounds k = 1, 2, …: the b most frequent words get one bit each, in order; round k adds
one bit to the codes of round k - 1, the last bit first and the codes last to first, and keeps what
is new,

    code(w) in {0, 1}^b,   U_w = code(w) / k,   decipher(v) = argmax_w code(w) . v

so that frequent words are told apart best, and words of like frequency have like codes. Each new
code is met first at its highest bit, added to a code below it: round k is all codes of round
k - 1, reversed, under each bit that is higher than theirs; no look-up of taken codes is needed.

Words that cannot be told apart by frequency can be blurred, with f the count of a word, n(f) the
number of words with that count, q the mean U_w over the running text and q' = (1 - q) / sum(1 - q):

    U_w <- beta_w U_w + (1 - beta_w) q',   beta_w = 1 / n(f_w)

Use as the ground of counted vectors (`vecsmith.train.CipherVectors`). By itself a code says how
frequent a word is, and nothing else. Cost: one step a word; a code is stored as its k bits.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, shown

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]

SMOOTHING = ("nf", "df", "f", "all", "none")
_SCORES = 1 << 24


def least_bits(words: int) -> int:
    """How many bits give each of so many words a code.

    Args:
        words: Number of words.

    Returns:
        The smallest b with 2^b > words.
    """
    return int(words).bit_length()


def cipher_rounds(words: int, bits: int) -> list[Ids]:
    """Assign codes in order.

    Args:
        words: How many codes.
        bits: Bits of a code, at least `least_bits(words)`.

    Returns:
        For each round k the bits that are set, shape (codes, k), rising along a row, in the order
        of assignment; the rounds hold `words` codes together.

    Raises:
        ConfigError: Fewer codes than words.
    """
    if bits < 1 or words >= 1 << bits:
        raise ConfigError(
            f"{bits} bits give {(1 << max(bits, 0)) - 1} codes, and there are {words} words; "
            f"give at least {least_bits(words)} bits"
        )
    rounds = [np.arange(min(bits, words))[:, None]]
    left = words - len(rounds[0])
    while left > 0:
        before = rounds[-1][::-1]
        highest = before[:, -1]
        parts, found = [], 0
        for bit in range(bits - 1, -1, -1):
            below = before[highest < bit]
            if len(below):
                parts.append(np.column_stack([below, np.full(len(below), bit)])[: left - found])
                found += len(parts[-1])
            if found == left:
                break
        rounds.append(np.concatenate(parts))
        left -= found
    return rounds


def smoothing_shares(
    kind: str, counts: Ids, *, documents: Ids | None = None, total_documents: int = 0
) -> Doubles:
    """How much of its own code each word keeps.

    Args:
        kind: "nf" (1 / number of words with the same count), "df" (share of the documents that
            hold the word), "f" (f / (f + 1)), "all" (geometric mean of the three), or "none".
        counts: Count of each word, shape (words,).
        documents: How many documents hold each word, for "df" and "all".
        total_documents: How many documents there are, for the same.

    Returns:
        beta, shape (words,), from 0 to 1.

    Raises:
        ConfigError: Unknown kind, or documents are needed and not given.
    """
    if kind not in SMOOTHING:
        raise ConfigError(f"smoothing must be one of {SMOOTHING}; got {kind!r}")
    if kind in {"df", "all"} and (documents is None or total_documents < 1):
        raise ConfigError(f"smoothing {kind!r} needs the documents of each word; use 'nf' or 'f'")
    _, place, alike = np.unique(counts, return_inverse=True, return_counts=True)
    own = 1.0 / alike[place]
    frequent = counts / (counts + 1.0)
    if kind == "nf":
        return np.asarray(own, np.float64)
    if kind == "f":
        return np.asarray(frequent, np.float64)
    if kind == "none":
        return np.ones(len(counts))
    assert documents is not None
    spread = documents / float(total_documents)
    return np.asarray(spread if kind == "df" else (own * frequent * spread) ** (1 / 3), np.float64)


class BitCipher:
    """Codes of a vocabulary.

    Args:
        bits: Bits of a code; None takes as few as tell all words apart.

    Attributes:
        words: Words in order of falling count, and of the alphabet among equal counts.
        counts: Their counts, shape (words,).

    Raises:
        ConfigError: `bits` is below 1.
    """

    def __init__(self, bits: int | None = None) -> None:
        if bits is not None and bits < 1:
            raise ConfigError(f"bits must be at least 1, or None; got {bits}")
        self.bits = bits or 0
        self.words: list[str] = []
        self.counts: Ids = np.zeros(0, np.int64)
        self._starts: Ids = np.zeros(1, np.int64)
        self._set: Ids = np.zeros(0, np.int64)
        self._place: dict[str, int] = {}

    def fit(self, counts: Mapping[str, int]) -> "BitCipher":
        """Give codes to words.

        Args:
            counts: Word -> how often it was seen.

        Returns:
            Itself.

        Raises:
            DataError: No words, or a count below 1.
            ConfigError: The bits do not suffice.
        """
        words = sorted(counts, key=lambda word: (-counts[word], word))
        return self.fit_order(words, [counts[word] for word in words])

    def fit_order(self, words: Sequence[str], counts: ArrayLike) -> "BitCipher":
        """Give codes to words that are in order.

        Args:
            words: Words, the first to be told apart best.
            counts: Their counts, shape (words,), not rising.

        Returns:
            Itself.

        Raises:
            DataError: No words, a word twice, a count below 1, or counts that rise.
            ConfigError: The bits do not suffice.
        """
        numbers = np.asarray(counts)
        if not len(words):
            raise DataError("a cipher needs at least one word; the vocabulary is empty")
        if (
            numbers.shape != (len(words),)
            or not (numbers >= 1).all()
            or (np.diff(numbers) > 0).any()
        ):
            raise DataError(
                "each word needs a count of 1 or above, and counts must not rise; "
                f"got shape {numbers.shape} for {len(words)} words: sort the words by their counts"
            )
        place = {word: row for row, word in enumerate(words)}
        if len(place) < len(words):
            raise DataError("words must differ, but one comes more than once; add up its counts")
        bits = self.bits or least_bits(len(words))
        rounds = cipher_rounds(len(words), bits)
        self.bits, self.words, self.counts = bits, list(words), numbers.astype(np.int64)
        self._place = place
        ones = np.repeat([codes.shape[1] for codes in rounds], [len(codes) for codes in rounds])
        self._starts = np.concatenate([[0], np.cumsum(ones)])
        self._set = np.concatenate([codes.ravel() for codes in rounds])
        return self

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._place

    @property
    def ones(self) -> Ids:
        """Number of bits that are set in each code, shape (words,), not falling."""
        return np.diff(self._starts)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """All codes, shape (words, bits)."""
        made = np.zeros((len(self), self.bits), np.uint8)
        made[np.repeat(np.arange(len(self)), self.ones), self._set] = 1
        return made

    def sparse(self, word: str) -> Ids:
        """Name the bits that are set.

        Args:
            word: A word of the vocabulary.

        Returns:
            Their places, rising.

        Raises:
            DataError: The word has no code.
        """
        if word not in self._place:
            raise DataError(
                f"{shown(word)!r} is not among the {len(self)} words of the cipher; "
                "test with `in` first, or fit it with this word"
            )
        row = self._place[word]
        return self._set[self._starts[row] : self._starts[row + 1]]

    def encipher(self, word: str) -> Doubles:
        """Give the code of a word as a probability vector.

        Args:
            word: Any word.

        Returns:
            Shape (bits,), summing to 1; zeros for a word without a code.
        """
        made = np.zeros(self.bits)
        if word in self._place:
            places = self.sparse(word)
            made[places] = 1 / len(places)
        return made

    def decipher(self, vectors: ArrayLike) -> str | list[str]:
        """Find the words whose codes fit best.

        Args:
            vectors: Shape (bits,), or (any, bits).

        Returns:
            The word, or a word for each row; the more frequent of words that fit alike.

        Raises:
            DataError: Other shapes, numbers that are not finite, or no codes yet.
        """
        rows = np.atleast_2d(np.asarray(vectors, np.float64))
        if not len(self) or rows.shape[1:] != (self.bits,) or not np.isfinite(rows).all():
            raise DataError(
                f"vectors must be finite and of {self.bits} bits, of a cipher that is fitted; "
                f"got shape {rows.shape}"
            )
        found = []
        step = max(1, _SCORES // max(1, len(self._set)))
        for start in range(0, len(rows), step):
            scores = np.add.reduceat(rows[start : start + step][:, self._set], self._starts[:-1], 1)
            found += [self.words[row] for row in scores.argmax(1)]
        return found if np.ndim(vectors) == 2 else found[0]

    def table(
        self, *, smoothing: str = "none", documents: Ids | None = None, total_documents: int = 0
    ) -> Doubles:
        """Give the codes of all words as probability vectors, blurred where asked for.

        Args:
            smoothing: As for `smoothing_shares`.
            documents: As there.
            total_documents: As there.

        Returns:
            U, shape (words, bits); rows sum to 1.

        Raises:
            ConfigError: As there.
        """
        made = self.codes / self.ones[:, None].astype(np.float64)
        if smoothing == "none":
            return made
        beta = smoothing_shares(
            smoothing, self.counts, documents=documents, total_documents=total_documents
        )
        q = self.counts @ made
        far = 1 - q / q.sum()
        # with one bit there is no other
        far = far / far.sum() if far.sum() > 0 else np.ones_like(far) / len(far)
        made *= beta[:, None]
        made += (1 - beta)[:, None] * far
        return made
