"""Counts of words and pairs of words, by their distance in the text; sparse, additive, streamed.

For each offset d = 1 … r the counter keeps F_d[w, c], how often word c stands d places after word w
in one text; F_-d is its transpose. Pairs are kept as sorted keys (w, c) with their counts, blocks
of texts are merged into them, and no table of words by words is ever made: a pair needs 16 bytes,
however many words there are.

All words are counted, rare ones too: which are kept is asked for later (`ranking`), so that counts
of two corpora add up to those of both. Cost: r sorts of each block of tokens, on as many threads as
there are offsets and cores; and merging, which is linear in the pairs that are held.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, StoreError, read_json, write_json

from ._tokens import Ids, Text, TokenBlock, Tokenizer, split_words, token_blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WORDS, ARRAYS = "counts.json", "counts.safetensors"


class Pairs(NamedTuple):
    """Counts of pairs, by rising key.

    Attributes:
        keys: First word times 2^32, plus second word, shape (pairs,).
        counts: How often each was seen, shape (pairs,).
    """

    keys: Ids
    counts: Ids


class Ranking(NamedTuple):
    """Words that are kept, most frequent first, and of equal counts by the alphabet.

    Attributes:
        words: The words.
        rows: Their places in the counter, shape (words,).
        counts: Their counts, shape (words,).
        documents: How many texts hold each, shape (words,).
    """

    words: list[str]
    rows: Ids
    counts: Ids
    documents: Ids


def count_offset(block: TokenBlock, offset: int) -> Pairs:
    """Count the pairs of a block that stand so far apart in one text.

    Args:
        block: Tokens.
        offset: Distance, at least 1.

    Returns:
        The pairs; those with an unknown word are left out.
    """
    first, second = block.ids[:-offset], block.ids[offset:]
    together = (block.texts[:-offset] == block.texts[offset:]) & (first >= 0) & (second >= 0)
    return Pairs(*np.unique((first[together] << 32) | second[together], return_counts=True))


def merge_pairs(runs: list[Pairs]) -> Pairs:
    """Add up counts of equal pairs.

    Args:
        runs: Counts.

    Returns:
        Their sum.
    """
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([run.keys for run in runs])
    counts = np.concatenate([run.counts for run in runs])
    # the runs are sorted: a stable sort merges them
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return Pairs(keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts)


class CooccurrenceCounter:
    """Words and pairs of words of a growing corpus.

    Args:
        radius: Largest distance that is counted; 0 counts words alone.
        tokenizer: How texts that are strings are split.
        threads: How many offsets are counted at once; None goes by offsets and cores.

    Attributes:
        tokens: Tokens that were seen.
        texts: Texts that were seen.

    Raises:
        ConfigError: A number out of its range.
    """

    def __init__(
        self, radius: int = 2, *, tokenizer: Tokenizer = split_words, threads: int | None = None
    ) -> None:
        if radius < 0 or (threads is not None and threads < 1):
            raise ConfigError(
                f"radius must be 0 or above, threads at least 1; got {radius} and {threads}"
            )
        self.radius, self.tokenizer = radius, tokenizer
        self.threads = threads or max(1, min(radius, os.cpu_count() or 1))
        self.tokens = self.texts = 0
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__
        self._counts: Ids = np.zeros(0, np.int64)
        self._documents: Ids = np.zeros(0, np.int64)
        self._runs: dict[int, list[Pairs]] = {d: [] for d in range(1, radius + 1)}

    def add(self, texts: Iterable[Text]) -> "CooccurrenceCounter":
        """Count more texts.

        Args:
            texts: Each a string, which is split, or a list of words; read once, as they come.

        Returns:
            Itself.

        Raises:
            DataError: A text is something else.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            for block in token_blocks(texts, self._ids.__getitem__, tokenizer=self.tokenizer):
                self._add_words(block)
                offsets = list(self._runs)
                for offset, found in zip(
                    offsets, pool.map(lambda d, b=block: count_offset(b, d), offsets), strict=True
                ):
                    self._keep(offset, found)
        return self

    def _add_words(self, block: TokenBlock) -> None:
        size = len(self._ids)
        self._counts = _grown(self._counts, size) + np.bincount(block.ids, minlength=size)
        once = np.unique((block.texts << 32) | block.ids) & 0xFFFFFFFF
        self._documents = _grown(self._documents, size) + np.bincount(once, minlength=size)
        self.tokens += len(block.ids)
        self.texts += block.number

    def _keep(self, offset: int, found: Pairs) -> None:
        runs = self._runs[offset]
        runs.append(found)
        # a run is merged with one that is not much longer, so that each pair moves a few times
        while len(runs) > 1 and len(runs[-2].keys) <= 2 * len(runs[-1].keys):
            runs[-2:] = [merge_pairs(runs[-2:])]

    @property
    def words(self) -> list[str]:
        """All words, as they were first seen."""
        return list(self._ids)

    @property
    def counts(self) -> Ids:
        """Count of each word, shape (words,)."""
        return self._counts

    def pairs(self, offset: int) -> Pairs:
        """Give the counts of one offset.

        Args:
            offset: From 1 to the radius.

        Returns:
            Pairs of places in `words`.

        Raises:
            ConfigError: Not counted.
        """
        if offset not in self._runs:
            raise ConfigError(f"offset must be from 1 to the radius {self.radius}; got {offset}")
        runs = self._runs[offset]
        if not runs:
            return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
        runs[:] = [merge_pairs(runs)]
        return runs[0]

    def ranking(self, *, min_count: int = 1, max_words: int | None = None) -> Ranking:
        """Rank the words.

        Args:
            min_count: Leave out words that were seen less often.
            max_words: Keep at most so many.

        Returns:
            The words that are kept.

        Raises:
            DataError: None is.
            ConfigError: A number is below 1.
        """
        if min_count < 1 or (max_words is not None and max_words < 1):
            raise ConfigError(
                f"min_count and max_words must be at least 1; got {min_count} and {max_words}"
            )
        names = self.words
        kept = np.flatnonzero(self._counts >= min_count)
        if not len(kept):
            raise DataError(
                f"none of {len(names)} words in {self.tokens} tokens was seen {min_count} times; "
                "lower min_count, or give more text"
            )
        rows = np.array(
            sorted(kept.tolist(), key=lambda row: (-self._counts[row], names[row])), np.int64
        )[:max_words]
        words = [names[row] for row in rows]
        return Ranking(words, rows, self._counts[rows], self._documents[rows])

    def matrix(self, offset: int, rows: Ids) -> "csr_array":
        """Give F_d over some words.

        Args:
            offset: d, not 0; below 0 gives the transpose of -d.
            rows: Places of the words in the counter, in the order wanted.

        Returns:
            Sparse counts, shape (words, words), rows for the word, columns for what stands d places
            after it.

        Raises:
            ConfigError: Not counted.
        """
        from scipy.sparse import csr_array

        pairs = self.pairs(abs(offset))
        new = np.full(len(self._ids), -1, np.int64)
        new[rows] = np.arange(len(rows))
        first, second = new[pairs.keys >> 32], new[pairs.keys & 0xFFFFFFFF]
        kept = (first >= 0) & (second >= 0)
        places = (first[kept], second[kept]) if offset > 0 else (second[kept], first[kept])
        shape = (len(rows), len(rows))
        return csr_array((pairs.counts[kept].astype(np.float64), places), shape)

    def save(self, folder: str | Path) -> None:
        """Save all counts, so that more can be added later.

        Args:
            folder: An existing folder, or one to make.

        Raises:
            StoreError: It cannot be written.
        """
        from safetensors.numpy import save_file

        from vecsmith.core import atomic_path

        place = Path(folder)
        arrays: dict[str, NDArray[np.int64]] = {
            "counts": self._counts,
            "documents": self._documents,
        }
        for offset in self._runs:
            pairs = self.pairs(offset)
            arrays |= {f"keys {offset}": pairs.keys, f"counts {offset}": pairs.counts}
        with atomic_path(place / ARRAYS) as temporary:
            save_file(arrays, temporary)
        about = {"radius": self.radius, "tokens": self.tokens, "texts": self.texts}
        write_json(place / WORDS, {**about, "words": self.words})

    @classmethod
    def load(
        cls, folder: str | Path, *, tokenizer: Tokenizer = split_words
    ) -> "CooccurrenceCounter":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The counter.

        Raises:
            StoreError: Missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        place = Path(folder)
        about = read_json(place / WORDS)
        try:
            arrays = load_file(place / ARRAYS)
            made = cls(about["radius"], tokenizer=tokenizer)
            for word in about["words"]:
                _ = made._ids[word]
            made.tokens, made.texts = about["tokens"], about["texts"]
            made._counts, made._documents = arrays["counts"], arrays["documents"]
            for offset in made._runs:
                pairs = Pairs(arrays[f"keys {offset}"], arrays[f"counts {offset}"])
                made._runs[offset] = [pairs] if len(pairs.keys) else []
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise StoreError(
                f"{str(place)!r} should hold counts of words but is damaged ({error!r}); "
                "count again"
            ) from error
        if len(made._ids) != len(made._counts):
            raise StoreError(f"{str(place)!r} holds counts of other words; count again")
        return made


def _grown(counts: Ids, size: int) -> Ids:
    return np.concatenate([counts, np.zeros(size - len(counts), np.int64)])
