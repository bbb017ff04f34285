"""Word vectors made of their parts: a vector for any word, seen in training or not.

Paper: Enriching Word Vectors with Subword Information (P. Bojanowski, E. Grave, A. Joulin and T.
Mikolov, 2017; fastText). A word's n-grams of letters, with "<" before and ">" after it, are hashed
(FNV-1a, as fastText does) into rows of a table,

    x(w) = mean of the word's own row, if it has one, and the rows of its n-grams

It comes from `vecsmith.train.train_fasttext`, from a `.bin` file of Facebook's fastText, or from
its own folder, and needs gensim for the first two alone.

Use for inflected languages, rare words and misspellings. Avoid where a word's spelling says nothing
of its meaning (names), or memory is short: the table of n-grams is often the larger one. Cost: one
hash a letter and length of n-gram, and as many rows added.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, require, shown

from .._state import read_state, reading, write_state
from ._word_search import nearest, row_norms
from ._word_vectors import WordVectors

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

KIND = "subword vectors"
_OFFSET, _PRIME, _MASK = 2166136261, 16777619, 0xFFFFFFFF


def ngram_buckets(word: str, shortest: int, longest: int, buckets: int) -> list[int]:
    """Hash the n-grams of a word, as fastText does.

    Args:
        word: Any word.
        shortest: Letters of the shortest n-gram; with 0 for both there are none.
        longest: Letters of the longest.
        buckets: Number of rows.

    Returns:
        A row for each n-gram, from the first letter on, short ones first.
    """
    letters = [letter.encode("utf-8", "surrogateescape") for letter in f"<{word}>"]
    last, found = len(letters), []
    for start in range(last):
        state = _OFFSET
        for end in range(start, min(last, start + longest)):
            for byte in letters[end]:
                # fastText takes bytes as signed
                state = ((state ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _PRIME) & _MASK
            size = end - start + 1
            if size >= shortest and not (size == 1 and (start == 0 or end == last - 1)):
                found.append(state % buckets)
    return found


class SubwordVectors:
    """Words, their rows, and the rows of n-grams.

    Args:
        words: Each once.
        own: Rows of the words themselves, shape (words, dims).
        ngrams: Rows of the n-grams, shape (buckets, dims).
        lengths: Letters of the shortest and the longest n-gram; (0, 0) for none.
        name: What the vectors are, for people.

    Raises:
        DataError: Shapes that do not fit, or numbers that are not finite.
        ConfigError: Lengths out of their range.
    """

    def __init__(
        self,
        words: Sequence[str],
        own: ArrayLike,
        ngrams: ArrayLike,
        *,
        lengths: tuple[int, int] = (3, 6),
        name: str = "subword vectors",
    ) -> None:
        self.lengths = (int(lengths[0]), int(lengths[1]))
        if self.lengths != (0, 0) and not 1 <= self.lengths[0] <= self.lengths[1]:
            raise ConfigError(f"lengths must be (shortest, longest), from 1; got {lengths}")
        # checks words and numbers
        self._own = WordVectors(words, own, name=name)
        self.ngrams: Floats = np.ascontiguousarray(ngrams, np.float32)
        shape = self.ngrams.shape
        if len(shape) != 2 or shape[1] != self._own.dims or (self.lengths[1] and not shape[0]):
            raise DataError(
                f"rows of n-grams must have {self._own.dims} dimensions, as the words have; got "
                f"shape {shape}"
            )
        if not np.isfinite(self.ngrams).all():
            raise DataError("rows of n-grams must be finite numbers; train again")
        self.name = name

    @property
    def words(self) -> list[str]:
        """Words that have a row of their own."""
        return self._own.words

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        return self._own.dims

    def __len__(self) -> int:
        return len(self._own)

    def __contains__(self, word: object) -> bool:
        return word in self._own

    def __repr__(self) -> str:
        return f"SubwordVectors({self.name!r}: {len(self)} words, {self.dims} dimensions)"

    def __getitem__(self, word: str | Sequence[str]) -> Floats:
        """Return the vector of a word (dims,), or of several (words, dims)."""
        rows, known = self.rows([word] if isinstance(word, str) else word)
        if not known.all():
            lost = ([word] if isinstance(word, str) else list(word))[int(np.flatnonzero(~known)[0])]
            raise DataError(
                f"{shown(lost)!r} has neither a row nor an n-gram of {self.lengths[0]} letters or "
                "more; leave it out, or ask rows() which words are known"
            )
        return rows[0] if isinstance(word, str) else rows

    def vector(self, word: str) -> Floats:
        """Make the vector of a word.

        Args:
            word: Any word.

        Returns:
            Shape (dims,).

        Raises:
            DataError: The word has neither a row nor n-grams.
        """
        return self[word]

    def rows(self, words: Iterable[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Make the vectors of words.

        Args:
            words: Any words.

        Returns:
            Rows of shape (words, dims), zeros where there is nothing to make one of; and whether
            there was, shape (words,).
        """
        words = list(words)
        made = np.zeros((len(words), self.dims), np.float32)
        known = np.zeros(len(words), np.bool_)
        places = self._own.ids(words, unknown="mark")
        for place, (word, own) in enumerate(zip(words, places, strict=True)):
            buckets = self._buckets(word)
            count = len(buckets) + (own >= 0)
            if count:
                total = self.ngrams[buckets].sum(0, dtype=np.float64)
                made[place] = (total + (self._own.vectors[own] if own >= 0 else 0)) / count
                known[place] = True
        return made, known

    def _buckets(self, word: str) -> list[int]:
        return ngram_buckets(word, *self.lengths, len(self.ngrams)) if self.lengths[1] else []

    def to_word_vectors(self, words: Iterable[str] | None = None) -> WordVectors:
        """Fix a table, for search, analogies and the tools that take one.

        Args:
            words: Any words; None takes those that have a row.

        Returns:
            Word vectors.

        Raises:
            DataError: A word has neither a row nor n-grams.
        """
        wanted = self.words if words is None else list(words)
        return WordVectors(wanted, self[wanted], name=self.name)

    def most_similar(self, word: str, top_k: int = 10) -> list[tuple[str, float]]:
        """Find the words with a row whose vectors have the highest cosine.

        Args:
            word: Any word; it is left out of the answer.
            top_k: How many.

        Returns:
            Words and cosines, falling.

        Raises:
            DataError: The word has neither a row nor n-grams.
        """
        table = self.to_word_vectors()
        out = table.ids([word], unknown="mark")[None]
        scores, rows = nearest(
            table.vectors, self[word][None], top_k, norms=row_norms(table.vectors), exclude=out
        )
        found = zip(scores[0], rows[0], strict=True)
        return [(self.words[row], float(score)) for score, row in found if row >= 0]

    def save(self, folder: str | Path) -> None:
        """Save words and rows.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        values = {"name": self.name, "lengths": self.lengths, "words": self.words}
        arrays = {"own": self._own.vectors, "ngrams": self.ngrams}
        write_state(folder, KIND, values, arrays)

    @classmethod
    def load(cls, path: str | Path) -> "SubwordVectors":
        """Load a folder that `save` wrote, or a `.bin` file of Facebook's fastText.

        Args:
            path: Folder or file. Quantised `.ftz` files are not read.

        Returns:
            The vectors.

        Raises:
            StoreError: A folder is missing or damaged.
            DataError: A file is missing, damaged, or of another kind.
            MissingExtra: gensim, which reads files, is not installed.
        """
        source = Path(path)
        if source.is_file() or source.suffix == ".bin":
            return cls.from_gensim(_facebook(source), name=source.name)
        values, arrays = read_state(source, KIND)
        with reading(source):
            return cls(
                values["words"],
                arrays["own"],
                arrays["ngrams"],
                lengths=tuple(values["lengths"]),
                name=values["name"],
            )

    @classmethod
    def from_gensim(cls, vectors: Any, *, name: str = "fastText") -> "SubwordVectors":
        """Take the rows of gensim's `FastTextKeyedVectors`.

        Args:
            vectors: The `wv` of gensim's `FastText`.
            name: What the vectors are.

        Returns:
            The vectors; arrays are shared where possible.
        """
        lengths = (vectors.min_n, vectors.max_n)
        # gensim says "no n-grams" by lengths that cross
        lengths = lengths if 1 <= lengths[0] <= lengths[1] else (0, 0)
        words = vectors.index_to_key
        return cls(words, vectors.vectors_vocab, vectors.vectors_ngrams, lengths=lengths, name=name)


def _facebook(path: Path) -> Any:
    fasttext = require("gensim.models.fasttext", "words")
    if not path.is_file():
        raise DataError(f"no file {str(path)!r} of fastText is there; check the path")
    try:
        return fasttext.load_facebook_vectors(str(path))
    except Exception as error:
        # gensim checks little: what a damaged file raises is of any kind
        raise DataError(
            f"{str(path)!r} does not read as a .bin file of fastText ({error!r}); give one that "
            "is whole and not quantised (.ftz), or fetch it again"
        ) from error
