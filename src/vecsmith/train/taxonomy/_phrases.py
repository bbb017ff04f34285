"""Phrases as sequences of vectors, frozen: of words, of sub-words, of a language model's tokens.

Three sources, one interface: word vectors (with sub-words also for words that were never seen), the
input embeddings of a language model with its tokenizer, and the token states of a sentence encoder,
which are the only ones that depend on the context.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, ModelError, StoreError, require
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode.words import SubwordVectors, WordVectors

Floats = NDArray[np.float32]

KIND = "phrase encoder"
_WORD = re.compile(r"\w+|[^\w\s]")


@runtime_checkable
class PhraseEncoder(Protocol):
    """What turns phrases into sequences of vectors."""

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        ...

    def sequences(self, phrases: Sequence[str], most: int) -> list[Floats]:
        """Give the vectors of phrases.

        Args:
            phrases: Any texts.
            most: Vectors of a phrase that are kept, from its beginning.

        Returns:
            Shape (tokens, dims) each; no row where nothing of the phrase is known.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Save what it needs.

        Args:
            folder: Where to.
        """
        ...


def phrase_words(phrase: str) -> list[str]:
    """Split a phrase: lower case, each sign of punctuation alone.

    Args:
        phrase: Any text.

    Returns:
        Its words and signs.
    """
    return _WORD.findall(phrase.lower())


class WordSequences:
    """Vectors of words, in any script that the vectors know.

    Args:
        vectors: Words that have none are passed over; with sub-words there are hardly any.
    """

    def __init__(self, vectors: WordVectors | SubwordVectors) -> None:
        self.vectors = vectors

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        return self.vectors.dims

    def sequences(self, phrases: Sequence[str], most: int) -> list[Floats]:
        """Look the words of phrases up; see `PhraseEncoder`.

        Args:
            phrases: Any texts.
            most: Words of a phrase that are kept.

        Returns:
            Shape (words, dims) each.
        """
        split = [phrase_words(phrase) for phrase in phrases]
        words = list(dict.fromkeys(word for part in split for word in part))
        if isinstance(self.vectors, SubwordVectors):
            table, known = self.vectors.rows(words)
        else:
            rows = self.vectors.ids(words, unknown="mark")
            table, known = self.vectors.vectors[rows], rows >= 0
        place = {word: row for row, word in enumerate(words) if known[row]}
        return [table[[place[word] for word in part if word in place][:most]] for part in split]

    def save(self, folder: str | Path) -> None:
        """Save the vectors.

        Args:
            folder: Where to.
        """
        inner = Path(folder) / "vectors"
        kind = "subwords" if isinstance(self.vectors, SubwordVectors) else "words"
        write_state(folder, KIND, {"source": kind}, {})
        self.vectors.save(inner)


class TokenTable:
    """Vectors of a tokenizer's tokens, as a language model's input embeddings.

    Args:
        tokenizer: A fast tokenizer of transformers, or one of tokenizers.
        table: Row of each id, shape (ids, dims); an `nn.Embedding` as well.
    """

    def __init__(self, tokenizer: Any, table: Any) -> None:
        plain = getattr(tokenizer, "backend_tokenizer", tokenizer)
        weight = getattr(table, "weight", table)
        if hasattr(weight, "detach"):
            weight = weight.detach().float().cpu().numpy()
        self.table: Floats = np.ascontiguousarray(weight, np.float32)
        if not hasattr(plain, "encode_batch"):
            raise ConfigError(f"tokenizer must be a fast one; got {type(tokenizer).__name__}")
        # a copy, since many are saved with padding to a fixed length, which would count as words
        self.tokenizer = type(plain).from_str(plain.to_str())
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        last = max(self.tokenizer.get_vocab().values(), default=-1)
        if self.table.ndim != 2 or last >= len(self.table) or not np.isfinite(self.table).all():
            raise DataError(
                f"the table must hold a row of finite numbers for each id up to {last}; got shape "
                f"{self.table.shape}: use the tokenizer of the same model"
            )
        unknown = getattr(self.tokenizer.model, "unk_token", None)
        self._unknown = None if unknown is None else self.tokenizer.token_to_id(unknown)

    @classmethod
    def from_model(cls, model: Any) -> "TokenTable":
        """Take the input embeddings of a sentence-transformers model.

        Args:
            model: A model whose first module is a transformer or a table of tokens.

        Returns:
            Tokenizer and table.

        Raises:
            ModelError: The model has no input embeddings.
        """
        first = model[0]
        inner = getattr(first, "auto_model", None)
        if inner is not None:
            return cls(model.tokenizer, inner.get_input_embeddings())
        if hasattr(first, "embedding"):
            return cls(first.tokenizer, first.embedding)
        raise ModelError(f"{type(first).__name__} has no input embeddings; give a transformer")

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        return self.table.shape[1]

    def sequences(self, phrases: Sequence[str], most: int) -> list[Floats]:
        """Look the tokens of phrases up; see `PhraseEncoder`.

        Args:
            phrases: Any texts.
            most: Tokens of a phrase that are kept.

        Returns:
            Shape (tokens, dims) each; unknown tokens are left out.
        """
        found = self.tokenizer.encode_batch(list(phrases), add_special_tokens=False)
        return [
            self.table[[row for row in one.ids if row != self._unknown][:most]] for one in found
        ]

    def save(self, folder: str | Path) -> None:
        """Save tokenizer and table.

        Args:
            folder: Where to.
        """
        values = {"source": "tokens", "tokenizer": self.tokenizer.to_str()}
        write_state(folder, KIND, values, {"table": self.table})


class TokenStates:
    """Last states of a frozen sentence encoder, one a token.

    Args:
        model: Of sentence-transformers, or its name or folder, which is what `save` keeps.
        batch_size: Phrases that are encoded together.
    """

    def __init__(self, model: Any, *, batch_size: int = 64) -> None:
        if isinstance(model, str | Path):
            model = require("sentence_transformers", "train").SentenceTransformer(str(model))
        self.model, self.batch_size = model, batch_size

    @property
    def dims(self) -> int:
        """Dimensions of a state."""
        return int(self.model.get_embedding_dimension())

    def sequences(self, phrases: Sequence[str], most: int) -> list[Floats]:
        """Encode phrases; see `PhraseEncoder`.

        Args:
            phrases: Any texts.
            most: States of a phrase that are kept.

        Returns:
            Shape (tokens, dims) each, special tokens with them; none for an empty phrase.
        """
        states: list[Floats] = [np.zeros((0, self.dims), np.float32)] * len(phrases)
        full = [row for row, phrase in enumerate(phrases) if phrase.strip()]
        if full:
            found = self.model.encode(
                [phrases[row] for row in full],
                output_value="token_embeddings",
                batch_size=self.batch_size,
                show_progress_bar=False,
            )
            for row, one in zip(full, found, strict=True):
                states[row] = one[:most].float().cpu().numpy()
        return states

    def save(self, folder: str | Path) -> None:
        """Save the encoder.

        Args:
            folder: Where to.
        """
        write_state(folder, KIND, {"source": "states", "batch_size": self.batch_size}, {})
        self.model.save_pretrained(str(Path(folder) / "model"), create_model_card=False)


def as_phrase_encoder(words: Any) -> PhraseEncoder:
    """Take whatever gives phrases as sequences of vectors.

    Args:
        words: A `PhraseEncoder`, `WordVectors`, `SubwordVectors`, or a model of
            sentence-transformers, whose token states are taken.

    Returns:
        A phrase encoder.

    Raises:
        ConfigError: Something else.
    """
    if isinstance(words, WordVectors | SubwordVectors):
        return WordSequences(words)
    if isinstance(words, PhraseEncoder):
        return words
    if hasattr(words, "encode") and hasattr(words, "tokenizer"):
        return TokenStates(words)
    raise ConfigError(
        "words must be WordVectors, SubwordVectors, a TokenTable or a sentence-transformers model; "
        f"got {type(words).__name__}"
    )


def load_phrase_encoder(folder: str | Path) -> PhraseEncoder:
    """Load what the `save` of a phrase encoder wrote.

    Args:
        folder: Where it lies.

    Returns:
        The encoder.

    Raises:
        StoreError: Missing or damaged.
    """
    values, arrays = read_state(folder, KIND)
    source = values.get("source")
    if source == "words":
        return WordSequences(WordVectors.load(Path(folder) / "vectors"))
    if source == "subwords":
        return WordSequences(SubwordVectors.load(Path(folder) / "vectors"))
    with reading(folder):
        if source == "tokens":
            from tokenizers import Tokenizer

            return TokenTable(Tokenizer.from_str(values["tokenizer"]), arrays["table"])
        if source == "states":
            return TokenStates(str(Path(folder) / "model"), batch_size=values["batch_size"])
    raise StoreError(f"{str(folder)!r} holds phrases of an unknown source {source!r}; save again")
