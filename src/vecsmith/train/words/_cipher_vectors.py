"""Cipher vectors: word vectors from counting alone, in seconds and without gradients.

Paper: Bit Cipher -- A Simple yet Powerful Word Representation System that Integrates Efficiently
with Language Models (H. Zhao and J. Williams, 2023). With U the codes of the words
(`vecsmith.encode.words.BitCipher`), F_d the counts of pairs d places apart, r the radius:

    C_d = F_d U                                 for d = -r … -1, 1 … r; never words by words
    sum: log-transform(sum_d C_d), b dims       cat: the C_d side by side, each transformed, 2rb

    log-prob    log((C + e m / b) / (m (1 + e)))     m the mass of the row, e relative
    log1p       log(1 + C)
    pmi         log C' - log of its row and column mass + log of the whole

A dimension of a vector is thus the log share of the contexts that hold some known words. `cat`
keeps on which side and how far away a context stands, and is the better one for what words do in a
sentence; topics are better learned (word2vec) or factored (LSA).

Use for vectors in seconds, updated by adding counts, or as the first embedding layer of a language
model (`cipher_embedding`). Cost: one pass over the text, and pairs times b additions an offset.
"""

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, StoreError, fresh_dir, read_json, write_json
from vecsmith.encode.words import BitCipher, WordVectors, least_bits
from vecsmith.encode.words._bit_cipher import SMOOTHING

from ._counts import CooccurrenceCounter, Ranking
from ._tokens import Text, Tokenizer, split_words

Doubles = NDArray[np.float64]

logger = logging.getLogger(__name__)

MODES = ("cat", "sum")
TRANSFORMS = ("log-prob", "log1p", "pmi")
SETTINGS, COUNTS, VECTORS = "cipher.json", "counts", "vectors"


def log_transform(contexts: Doubles, kind: str, *, floor: float) -> Doubles:
    """Take the log of context vectors.

    Args:
        contexts: C, not below 0, shape (words, bits).
        kind: One of `TRANSFORMS`.
        floor: e, the mass that is spread over all bits, as a share of the row's, for "log-prob" and
            "pmi"; it keeps the log of zero away and does not weigh more on rare words.

    Returns:
        Shape (words, bits); a row without any mass is flat.
    """
    if kind == "log1p":
        return np.log1p(contexts)
    mass = contexts.sum(1, keepdims=True)
    empty = mass == 0
    mass = np.where(empty, 1, mass)
    share = (contexts / mass + floor / contexts.shape[1]) / (1 + floor)
    share = np.where(empty, 1 / contexts.shape[1], share)
    if kind == "log-prob":
        return np.log(share)
    # log C - log row - log column + log whole, with the row's mass gone already
    column = contexts.sum(0) + floor * contexts.sum() / contexts.shape[1]
    whole = column.sum()
    expected = np.where(column > 0, column / (whole if whole > 0 else 1), 1 / contexts.shape[1])
    return np.asarray(np.where(empty, 0.0, np.log(share) - np.log(expected)))


def context_vectors(
    counter: CooccurrenceCounter, ranking: Ranking, table: Doubles
) -> dict[int, Doubles]:
    """Sum up the codes of what stands around each word, for each offset.

    Args:
        counter: Counts.
        ranking: Words that are kept.
        table: U, shape (words, bits).

    Returns:
        Offset -> C_d, shape (words, bits), from -r to r.
    """
    found = {}
    for offset in range(1, counter.radius + 1):
        pairs = counter.matrix(offset, ranking.rows)
        found[-offset], found[offset] = pairs.T @ table, pairs @ table
    return {offset: found[offset] for offset in sorted(found)}


@dataclass(frozen=True)
class CipherOptions:
    """Further settings of cipher vectors.

    Attributes:
        min_count: Leave out words that were seen less often.
        max_words: Keep at most so many.
        floor: As for `log_transform`.
        own_code: Count a word as its own context at offset 0, once each time it was seen.
        standardize: Give each dimension mean 0 and standard deviation 1 over the words.
    """

    min_count: int = 1
    max_words: int | None = None
    floor: float = 0.1
    own_code: bool = False
    standardize: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.floor) and self.floor > 0):
            raise ConfigError(f"floor must be above 0; got {self.floor}")


def standardized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give each dimension mean 0 and standard deviation 1.

    Args:
        vectors: Shape (words, dims).

    Returns:
        Shape (words, dims); a dimension that does not vary becomes 0.
    """
    spread = vectors.std(0, dtype=np.float64)
    centred = vectors - vectors.mean(0, dtype=np.float64)
    return np.asarray(centred / np.where(spread > 0, spread, 1), np.float32)


class CipherVectors:
    """Count a corpus, and make word vectors of it.

    Args:
        bits: b; raised to the least that tells all words apart, if need be.
        radius: r.
        mode: "cat" or "sum".
        transform: One of `TRANSFORMS`.
        smoothing: How codes of words that frequency cannot tell apart are blurred, as
            `smoothing_shares` says.
        options: Further settings.
        tokenizer: How texts that are strings are split.

    Attributes:
        cipher: Codes of the words.
        counter: All counts.
        vectors: The word vectors, most frequent words first.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        bits: int = 100,
        radius: int = 2,
        *,
        mode: str = "cat",
        transform: str = "log-prob",
        smoothing: str = "nf",
        options: CipherOptions | None = None,
        tokenizer: Tokenizer = split_words,
    ) -> None:
        if bits < 1 or radius < 1:
            raise ConfigError(f"bits and radius must be at least 1; got {bits} and {radius}")
        for name, value, known in (
            ("mode", mode, MODES),
            ("transform", transform, TRANSFORMS),
            ("smoothing", smoothing, SMOOTHING),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {known}; got {value!r}")
        self.bits, self.radius, self.mode = bits, radius, mode
        self.transform, self.smoothing = transform, smoothing
        self.options = CipherOptions() if options is None else options
        self.counter = CooccurrenceCounter(radius, tokenizer=tokenizer)
        self.cipher = BitCipher(bits)
        self._vectors: WordVectors | None = None

    def fit(self, texts: Iterable[Text]) -> "CipherVectors":
        """Count a corpus; what was counted before is forgotten.

        Args:
            texts: Each a string, which is split, or a list of words; read once, as they come.

        Returns:
            Itself.

        Raises:
            DataError: A text is something else, or no word is left.
        """
        old = self.counter
        self.counter = CooccurrenceCounter(
            self.radius, tokenizer=old.tokenizer, threads=old.threads
        )
        return self.partial_fit(texts)

    def partial_fit(self, texts: Iterable[Text]) -> "CipherVectors":
        """Count more texts: the counts are those of both together, and so are the vectors.

        Args:
            texts: As for `fit`.

        Returns:
            Itself.

        Raises:
            DataError: As for `fit`.
        """
        self.counter.add(texts)
        self._vectors = None
        self.vectors  # noqa: B018 - what is wrong with the text is said here
        return self

    @property
    def vectors(self) -> WordVectors:
        """The word vectors."""
        if self._vectors is None:
            self._vectors = self._build()
        return self._vectors

    def __getitem__(self, word: str | list[str]) -> NDArray[np.float32]:
        """Return the vector of a word, or of several."""
        return self.vectors[word]

    def to_keyed_vectors(self) -> Any:
        """Make gensim's `KeyedVectors`, as `WordVectors.to_keyed_vectors` does."""
        return self.vectors.to_keyed_vectors()

    def to_sentence_transformer(self) -> Any:
        """Make a sentence encoder, as `WordVectors.to_sentence_transformer` does."""
        return self.vectors.to_sentence_transformer()

    def _build(self) -> WordVectors:
        ranking = self.counter.ranking(
            min_count=self.options.min_count, max_words=self.options.max_words
        )
        least = least_bits(len(ranking.words))
        if self.bits < least:
            logger.warning(
                "%d bits cannot tell %d words apart: %d are taken",
                self.bits,
                len(ranking.words),
                least,
            )
        self.cipher = BitCipher(max(self.bits, least)).fit_order(ranking.words, ranking.counts)
        table = self.cipher.table(
            smoothing=self.smoothing,
            documents=ranking.documents,
            total_documents=self.counter.texts,
        )
        contexts = context_vectors(self.counter, ranking, table)
        if self.options.own_code:
            contexts[0] = ranking.counts[:, None] * table
        parts = [contexts[offset] for offset in sorted(contexts)]
        if self.mode == "sum":
            parts = [np.sum(parts, axis=0)]
        floor = self.options.floor
        made = np.empty((len(table), len(parts) * table.shape[1]), np.float32)
        for place, part in enumerate(parts):
            columns = slice(place * table.shape[1], (place + 1) * table.shape[1])
            made[:, columns] = log_transform(part, self.transform, floor=floor)
        if self.options.standardize:
            made = standardized(made)
        name = f"cipher {self.mode} {self.cipher.bits} bits radius {self.radius}"
        return WordVectors(ranking.words, made, name=name)

    def save(self, folder: str | Path) -> None:
        """Save settings, counts and vectors; more can be counted after loading.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        place = Path(folder)
        with fresh_dir(place) as fresh:
            self.counter.save(fresh / COUNTS)
            self.vectors.save(fresh / VECTORS)
            settings = {
                "format": 1,
                "bits": self.bits,
                "radius": self.radius,
                "mode": self.mode,
                "transform": self.transform,
                "smoothing": self.smoothing,
                "options": asdict(self.options),
            }
            write_json(fresh / SETTINGS, settings)

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: Tokenizer = split_words) -> "CipherVectors":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The fitted vectors, with their counts.

        Raises:
            StoreError: Missing or damaged.
        """
        place = Path(folder)
        settings = read_json(place / SETTINGS)
        if not isinstance(settings, dict) or settings.pop("format", None) != 1:
            raise StoreError(
                f"{str(place / SETTINGS)!r} should say format 1 but does not; "
                "load it with a later vecsmith, or count again"
            )
        options = CipherOptions(**settings.pop("options"))
        made = cls(**settings, options=options, tokenizer=tokenizer)
        made.counter = CooccurrenceCounter.load(place / COUNTS, tokenizer=tokenizer)
        vectors = WordVectors.load(place / VECTORS)
        counts = made.counter.counts[[made.counter._ids[word] for word in vectors.words]]
        bits = max(made.bits, least_bits(len(vectors)))
        made.cipher = BitCipher(bits).fit_order(vectors.words, counts)
        made._vectors = vectors
        return made
