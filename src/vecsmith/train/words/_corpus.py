"""A corpus as word ids on disk: read and tokenised once, gone through as often as needed.

Texts come as a stream of any size, a one-shot iterator too; their tokens lie in an unnamed file, 4
bytes each, which goes away with the corpus. Windows end at the borders of texts, and of pieces of
`PIECE` tokens where a text is longer.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, StoreError

from ._counts import CooccurrenceCounter, Ranking
from ._tokens import Ids, Text, Tokenizer, split_words, token_blocks

Ints = NDArray[np.int32]

PIECE = 1000
_BLOCK = 1 << 22


class Pieces(NamedTuple):
    """A corpus in the ids of one vocabulary, unknown words left out.

    Attributes:
        ids: Word of each token, shape (tokens,).
        starts: Where each piece starts, and the end of the last, shape (pieces + 1,). No piece is
            empty.
    """

    ids: Ints
    starts: Ids

    def words(self, names: list[str]) -> Iterator[list[str]]:
        """Give the pieces as lists of words.

        Args:
            names: Words of the ids.

        Yields:
            The words of each piece.
        """
        for start, end in zip(self.starts[:-1], self.starts[1:], strict=True):
            yield [names[i] for i in self.ids[start:end].tolist()]


class WordCorpus:
    """Tokens of a stream of texts.

    Args:
        texts: Each a string, which is split, or a list of words; read once, as they come.
        tokenizer: How strings are split.
        folder: Where the unnamed file lies; None takes the system's folder for such files.

    Attributes:
        tokens: Number of tokens.
        texts: Number of texts.

    Raises:
        DataError: A text is something else, or there is no token.
        StoreError: The file cannot be written.
    """

    def __init__(
        self,
        texts: Iterable[Text],
        *,
        tokenizer: Tokenizer = split_words,
        folder: str | Path | None = None,
    ) -> None:
        self.tokenizer, self.folder = tokenizer, folder
        self._counter = CooccurrenceCounter(0, tokenizer=tokenizer)
        lengths = [np.zeros(0, np.int64)]
        lookup = self._counter._ids.__getitem__
        with _scratch(folder) as file:
            for block in token_blocks(texts, lookup, tokenizer=tokenizer):
                self._counter._add_words(block)
                lengths.append(np.bincount(block.texts, minlength=block.number))
                _append(file, block.ids)
            self.tokens, self.texts = self._counter.tokens, self._counter.texts
            if not self.tokens:
                raise DataError(f"{self.texts} texts hold no word; give texts with words")
            self._ids = _mapped(file)
        self._lengths = np.concatenate(lengths)

    @property
    def words(self) -> list[str]:
        """All words, as they were first seen."""
        return self._counter.words

    def ranking(self, *, min_count: int = 1, max_words: int | None = None) -> Ranking:
        """Rank the words, as `CooccurrenceCounter.ranking` does.

        Args:
            min_count: Leave out words that were seen less often.
            max_words: Keep at most so many.

        Returns:
            The words that are kept.

        Raises:
            DataError: None is.
            ConfigError: A number is below 1.
        """
        return self._counter.ranking(min_count=min_count, max_words=max_words)

    def pieces(self, words: dict[str, int]) -> Pieces:
        """Write the corpus in the ids of a vocabulary.

        Args:
            words: Word -> id; other words are left out, and windows reach over them.

        Returns:
            Tokens and borders.

        Raises:
            DataError: No token is among these words.
            StoreError: The file cannot be written.
        """
        new = np.fromiter((words.get(word, -1) for word in self.words), np.int32, len(self.words))
        ends = np.cumsum(self._lengths)
        kept = np.zeros(len(ends), np.int64)
        with _scratch(self.folder) as file:
            for start in range(0, self.tokens, _BLOCK):
                ids = new[self._ids[start : start + _BLOCK]]
                known = np.flatnonzero(ids >= 0)
                owners, number = np.unique(
                    np.searchsorted(ends, known + start, side="right"), return_counts=True
                )
                kept[owners] += number
                _append(file, ids[known])
            if not kept.any():
                raise DataError(
                    f"none of {self.tokens} tokens is among the {len(words)} words of the "
                    "vocabulary; give texts like those it was made from"
                )
            return Pieces(_mapped(file), piece_starts(kept))


def piece_starts(lengths: Ids) -> Ids:
    """Cut texts into pieces of at most `PIECE` tokens.

    Args:
        lengths: Tokens of each text, shape (texts,); empty ones give no piece.

    Returns:
        Starts of the pieces and the end of the last, shape (pieces + 1,).
    """
    number = -(-lengths // PIECE)
    owner = np.repeat(np.arange(len(lengths)), number)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    starts = (np.cumsum(lengths) - lengths)[owner] + place * PIECE
    return np.append(starts, lengths.sum())


def _scratch(folder: str | Path | None) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise StoreError(
            f"the tokens of the corpus need a file in {str(folder or tempfile.gettempdir())!r}, "
            f"which cannot be made ({error}); give another folder"
        ) from error


def _append(file: IO[bytes], ids: NDArray[Any]) -> None:
    try:
        file.write(ids.astype(np.int32, copy=False).tobytes())
    except OSError as error:
        raise StoreError(
            f"the tokens of the corpus cannot be written ({error}); free space, or give a folder "
            "with more of it"
        ) from error


def _mapped(file: IO[bytes]) -> Ints:
    # the map outlives the file
    file.flush()
    return np.memmap(file, np.int32, "r")
