"""Words (or tokens) with their vectors: one class, whatever trained or counted them.

A table of shape (words, dims) in float32, its words in order (most frequent first, where the source
says so), and the steps that changed it. It comes from files (word2vec, GloVe, vecsmith's own), from
an `nn.Embedding` with its tokenizer, or from any encoder; it goes to gensim's `KeyedVectors` or a
sentence-transformers model. Memory: the table once, and the words.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, Stamp, hash_text, shown

from ._word_files import FORMATS, OWN, Reading, format_of, read_words, write_words
from ._word_folder import read_folder, write_folder
from ._word_search import nearest, row_norms, solve_analogies

if TYPE_CHECKING:
    from gensim.models import KeyedVectors
    from sentence_transformers import SentenceTransformer

Floats = NDArray[np.float32]

_ROWS = 1 << 16


class WordVectors:
    """Words and their vectors.

    Args:
        words: Each once; the order is kept.
        vectors: Finite numbers, shape (words, dims); float32 is taken without a copy.
        name: What the vectors are, for people.
        steps: What was done to them since ("hard-debias:gender").

    Raises:
        DataError: No words, a word without a vector or twice, or numbers that are not finite.
    """

    def __init__(
        self,
        words: Sequence[str],
        vectors: ArrayLike,
        *,
        name: str = "word vectors",
        steps: Sequence[str] = (),
    ) -> None:
        self.words = list(words)
        self.vectors: Floats = np.ascontiguousarray(vectors, np.float32)
        self.name, self.steps = name, tuple(steps)
        self._check_shape()
        self._place = {word: row for row, word in enumerate(self.words)}
        if len(self._place) < len(self.words):
            twice = next(w for row, w in enumerate(self.words) if self._place[w] != row)
            raise DataError(
                f"words must differ, but {shown(twice)!r} comes more than once; keep one of them"
            )
        _check_finite(self.words, self.vectors)
        self._norms: Floats | None = None

    def _check_shape(self) -> None:
        if not self.words:
            raise DataError("a vocabulary must hold at least one word but is empty; give words")
        shape = self.vectors.shape
        if len(shape) != 2 or shape[0] != len(self.words) or shape[1] < 1:
            raise DataError(
                f"{len(self.words)} words need vectors of shape ({len(self.words)}, dims), one a "
                f"word; got {shape}: give a vector for each word, or leave words out"
            )
        other = next((word for word in self.words if not isinstance(word, str)), None)
        if other is not None:
            raise DataError(f"words must be strings; got {other!r}: decode or name it")

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        return self.vectors.shape[1]

    @property
    def norms(self) -> Floats:
        """Lengths of the vectors, shape (words,); 1 for a vector of zeros."""
        if self._norms is None:
            self._norms = row_norms(self.vectors)
        return self._norms

    @property
    def stamp(self) -> Stamp:
        """Name, content (hashed at each call) and steps, as vecsmith's indexes record them."""
        state = hashlib.blake2b(hash_text(*self.words).encode(), digest_size=16)
        state.update(self.vectors.data)
        return Stamp(
            self.name,
            state.hexdigest(),
            self.dims,
            pooling="none",
            max_tokens=1,
            reshape=self.steps,
        )

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._place

    def __repr__(self) -> str:
        return f"WordVectors({self.name!r}: {len(self)} words, {self.dims} dimensions)"

    def __getitem__(self, word: str | Sequence[str]) -> Floats:
        """Return the vector of a word (dims,), or of several (words, dims)."""
        if isinstance(word, str):
            return self.vectors[self.ids([word])[0]]
        return self.vectors[self.ids(word)]

    def vector(self, word: str) -> Floats:
        """Look a word up.

        Args:
            word: One of `words`.

        Returns:
            Shape (dims,).

        Raises:
            DataError: The word has no vector.
        """
        return self[word]

    def ids(self, words: Iterable[str], *, unknown: str = "error") -> NDArray[np.int64]:
        """Find the rows of words.

        Args:
            words: Any words.
            unknown: "error", or "mark" to give -1 for a word without a vector.

        Returns:
            Rows, shape (words,).

        Raises:
            DataError: A word has no vector.
            ConfigError: `unknown` is something else.
        """
        if unknown not in {"error", "mark"}:
            raise ConfigError(f"unknown must be 'error' or 'mark'; got {unknown!r}")
        if isinstance(words, str):
            raise ConfigError(f"words must be a list of words; got the single string {words!r}")
        words = list(words)
        rows = np.fromiter((self._place.get(w, -1) for w in words), np.int64, len(words))
        if unknown == "error" and (rows < 0).any():
            lost = [word for word, row in zip(words, rows, strict=True) if row < 0]
            raise DataError(self._unknown(lost))
        return rows

    def _unknown(self, lost: list[str]) -> str:
        word = lost[0]
        near = (word.lower(), word.capitalize(), word.upper(), word.strip().replace(" ", "_"))
        hint = next((f"; {w!r} has one" for w in near if w in self), "")
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        return (
            f"{shown(word)!r}{more} has no vector in {self.name!r} of {len(self)} words{hint}; "
            "test with `in` first, or leave such words out"
        )

    def most_similar(
        self, query: str | ArrayLike, top_k: int = 10, *, exclude: Iterable[str] = ()
    ) -> list[tuple[str, float]]:
        """Find the words with the highest cosine.

        Args:
            query: A word, which is left out of the answer, or a vector of shape (dims,).
            top_k: How many; fewer where the table has fewer.
            exclude: Further words to leave out.

        Returns:
            Words and cosines, falling.

        Raises:
            DataError: A word has no vector, or the vector is not finite or of other dimensions.
        """
        left_out = list(exclude)
        if isinstance(query, str):
            left_out.append(query)
            vector = self[query]
        else:
            vector = np.asarray(query, np.float32)
            if vector.shape != (self.dims,) or not np.isfinite(vector).all():
                raise DataError(
                    f"query must be a word or {self.dims} finite numbers; got shape {vector.shape}"
                )
        rows = self.ids(left_out)[None]
        found = nearest(self.vectors, vector[None], top_k, norms=self.norms, exclude=rows)
        return self._named(*found)[0]

    def analogy(
        self, a: str, b: str, c: str, *, top_k: int = 1, method: str = "add"
    ) -> list[tuple[str, float]]:
        """Answer "a is to b as c is to …"; many at once: `solve_analogies` with rows of `ids`.

        Args:
            a: For example "man".
            b: For example "king".
            c: For example "woman".
            top_k: How many answers.
            method: "add" (3CosAdd) or "mul" (3CosMul).

        Returns:
            Words and scores, falling; a, b and c are left out.

        Raises:
            DataError: A word has no vector.
        """
        rows = self.ids([a, b, c])[None]
        return self._named(
            *solve_analogies(self.vectors, rows, top_k, norms=self.norms, method=method)
        )[0]

    def _named(self, scores: Floats, rows: NDArray[np.int64]) -> list[list[tuple[str, float]]]:
        return [
            [(self.words[i], float(s)) for s, i in zip(*pair, strict=True) if i >= 0]
            for pair in zip(scores, rows, strict=True)
        ]

    def normalized(self) -> "WordVectors":
        """Divide all vectors by their lengths.

        Returns:
            A copy; a vector of zeros stays one.
        """
        return self.with_vectors(self.vectors / self.norms[:, None], step="normalize")

    def subset(self, words: Iterable[str] | int) -> "WordVectors":
        """Keep some words.

        Args:
            words: The words, in the order wanted, or how many from the top.

        Returns:
            A copy with these words.

        Raises:
            DataError: A word has no vector, or none is left.
        """
        if isinstance(words, int):
            rows = np.arange(min(max(words, 0), len(self)))
        else:
            rows = self.ids(words)
        kept = [self.words[row] for row in rows]
        return WordVectors(kept, self.vectors[rows], name=self.name, steps=self.steps)

    def with_vectors(self, vectors: ArrayLike, *, step: str) -> "WordVectors":
        """Give the same words other vectors.

        Args:
            vectors: Shape (words, any dims).
            step: What was done, for the record.

        Returns:
            New word vectors.

        Raises:
            DataError: As for a new table.
        """
        return WordVectors(self.words, vectors, name=self.name, steps=(*self.steps, step))

    def save(self, path: str | Path, *, format: str | None = None) -> None:
        """Write the vectors, whole or not at all.

        Args:
            path: A folder, or a file that ends in ".bin" (word2vec binary), ".txt" or ".vec"
                (word2vec text), ".gz" after it to pack it.
            format: One of "vecsmith" (a folder), "word2vec-binary", "word2vec-text" and "glove";
                None goes by the name.

        Raises:
            ConfigError: Unknown format.
            DataError: The format cannot hold one of the words.
            StoreError: The place cannot be written.
        """
        target = Path(path)
        kind = format or _kind_to_write(target)
        if kind not in FORMATS:
            raise ConfigError(f"format must be one of {FORMATS}; got {kind!r}")
        if kind == OWN:
            write_folder(target, self.words, self.vectors, self.stamp)
        else:
            write_words(target, self.words, self.vectors, kind)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        format: str | None = None,
        limit: int | None = None,
        only: Collection[str] | None = None,
        duplicates: str = "error",
    ) -> "WordVectors":
        """Read vectors.

        Args:
            path: What `save` wrote, or a file of word2vec or GloVe.
            format: As for `save`; None goes by the name and, for text, the first line.
            limit: At most so many words, from the top.
            only: Words to keep; those that the file lacks are left out.
            duplicates: "error", or "first" to keep the first row of a word that comes again.

        Returns:
            The vectors.

        Raises:
            ConfigError: An argument is out of range.
            DataError: The file is missing, empty, cut short or damaged; the text says where.
            StoreError: A folder is damaged.
        """
        source = Path(path)
        if format is not None and format not in FORMATS:
            raise ConfigError(f"format must be one of {FORMATS}; got {format!r}")
        kept = None if only is None else set(only)
        reading = Reading(limit, kept, duplicates)
        kind = format or format_of(source)
        stamp = None
        if kind == OWN:
            words, vectors, stamp = read_folder(source, reading)
        else:
            words, vectors = read_words(source, kind, reading)
        if not words:
            raise DataError(f"{str(source)!r} holds none of the words asked for; check only=")
        if stamp is None:
            return cls(words, vectors, name=source.name)
        return cls(words, vectors, name=stamp.model, steps=stamp.reshape)

    @classmethod
    def from_embedding(
        cls, embedding: Any, tokenizer: Any, *, name: str = "tokens"
    ) -> "WordVectors":
        """Take the token vectors of a model.

        Args:
            embedding: An `nn.Embedding`, or its weight of shape (rows, dims).
            tokenizer: Of transformers or of tokenizers. Rows beyond its tokens are left out.
            name: What the vectors are.

        Returns:
            Vectors of the tokens, in the order of their ids; a copy in float32.

        Raises:
            DataError: The table has fewer rows than the tokenizer has tokens.
        """
        from ._word_hosts import token_table

        return cls(*token_table(embedding, tokenizer), name=name)

    def to_keyed_vectors(self) -> "KeyedVectors":
        """Make gensim's `KeyedVectors`.

        Returns:
            A copy that gensim searches and evaluates.

        Raises:
            MissingExtra: gensim is not installed.
        """
        from ._word_hosts import keyed_vectors

        return keyed_vectors(self)

    def to_sentence_transformer(
        self, tokenizer: Any = None, *, lower_case: bool = False
    ) -> "SentenceTransformer":
        """Make a sentence encoder: the mean of the vectors of a text's words.

        Args:
            tokenizer: For token vectors, the fast tokenizer whose ids the pieces have; None splits
                at white space, and leaves out words without a vector.
            lower_case: Whether texts are lowered first; otherwise a word is looked up as it stands,
                then without punctuation, then lowered.

        Returns:
            A model that is saved, loaded and trained without vecsmith.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            DataError: A token of the tokenizer has no vector.
        """
        from ._word_hosts import sentence_transformer

        return sentence_transformer(self, tokenizer, lower_case=lower_case)


def _check_finite(words: list[str], vectors: Floats) -> None:
    # in blocks: a mask of the whole table is a quarter of its size
    for start in range(0, len(words), _ROWS):
        fine = np.isfinite(vectors[start : start + _ROWS]).all(1)
        if not fine.all():
            row = start + int(np.flatnonzero(~fine)[0])
            raise DataError(
                f"vectors must hold finite numbers, but that of {shown(words[row])!r} (row {row}) "
                "holds NaN or infinity; leave the word out, or train again"
            )


def _kind_to_write(path: Path) -> str:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    kinds = {".bin": "word2vec-binary", ".txt": "word2vec-text", ".vec": "word2vec-text", "": OWN}
    if suffix not in kinds:
        raise ConfigError(
            f"the format to write cannot be told by the name {path.name!r}; end it in "
            f".bin, .txt or .vec, give a folder, or give format=, one of {FORMATS}"
        )
    return kinds[suffix]
