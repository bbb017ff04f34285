"""A sentence encoder over a table of word vectors; how it pools and weighs: `_pools`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, fresh_dir

from .._state import read_state, reading, write_state_into
from .._texts import checked_texts, split_words, unit_rows
from ..words import WordVectors
from ._pools import (
    POOLINGS,
    WEIGHTS,
    PoolingOptions,
    pool_words,
    shared_directions,
    sif_weights,
)

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Splitter = Callable[[str], Sequence[str]]

KIND, TABLE = "word pooling", "table"


class TokenVectors(Protocol):
    """Words with vectors: `WordVectors`, or `SubwordVectors`, which has one for any word."""

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""

    def save(self, path: str | Path, /) -> None:
        """Write a folder."""


class WordPooling:
    """A sentence encoder over a table of word vectors.

    Args:
        table: Word vectors, or subword vectors, which leave no word out.
        how: "mean", "max", "min", "power" or "attention".
        weights: "none", "tfidf" or "sif"; the latter two for "mean", after `fit`.
        options: Further settings.
        tokenizer: How texts are split; by default into lower-case words and numbers.

    Attributes:
        directions: What is taken off, shape (components, dims).

    Raises:
        ConfigError: Unknown kind, or weights for something else than "mean".
    """

    def __init__(
        self,
        table: TokenVectors,
        how: str = "mean",
        *,
        weights: str = "none",
        options: PoolingOptions | None = None,
        tokenizer: Splitter = split_words,
    ) -> None:
        for name, value, known in (("how", how, POOLINGS), ("weights", weights, WEIGHTS)):
            if value not in known:
                raise ConfigError(f"{name} cannot be {value!r}; {did_you_mean(value, known)}")
        if weights != "none" and how != "mean":
            raise ConfigError(
                f"weights {weights!r} are for how='mean'; {how!r} has none: give weights='none'"
            )
        self.table, self.how, self.weights, self.tokenizer = table, how, weights, tokenizer
        self.options = PoolingOptions() if options is None else options
        self._counts: dict[str, int] = {}
        self._documents: dict[str, int] = {}
        self._tokens = self._texts = 0
        self.directions: Doubles = np.zeros((0, self.dims))

    @property
    def dims(self) -> int:
        """Dimensions of a text's vector."""
        return self.table.dims * (len(self.options.powers) if self.how == "power" else 1)

    @property
    def _needs_fit(self) -> bool:
        return self.weights != "none" or self.options.components > 0

    def fit(self, texts: Sequence[str]) -> "WordPooling":
        """Count words for the weights, and find what texts share.

        Args:
            texts: Texts of the kind to be encoded; for components several times more than dims.

        Returns:
            Itself.

        Raises:
            DataError: No texts, or none with a word that has a vector.
        """
        found = checked_texts(texts, some=True)
        words = [self.tokenizer(text) for text in found]
        self._counts = dict(Counter(word for text in words for word in text))
        self._documents = dict(Counter(word for text in words for word in {*text}))
        self._tokens, self._texts = sum(self._counts.values()), len(found)
        self.directions = np.zeros((0, self.dims))
        if self.options.components:
            rows = self._encode(found)
            if not rows.any():
                raise DataError(
                    f"no word of {len(found)} texts has a vector; check the tokenizer, or give "
                    "fold_case=True"
                )
            self.directions = shared_directions(rows, self.options.components)
        return self

    def _weights(self, words: Sequence[str]) -> Doubles | None:
        if self.weights == "sif":
            counts = [self._counts.get(word, 0) for word in words]
            return sif_weights(counts, self._tokens, self.options.sif)
        if self.weights == "tfidf":
            seen = np.array([self._documents.get(word, 0) for word in words])
            return np.asarray(1 + np.log((1 + self._texts) / (1 + seen)))
        return None

    def encode_tokens(self, texts: Sequence[str]) -> list[Floats]:
        """Look the words of texts up.

        Args:
            texts: Texts.

        Returns:
            For each text shape (words, dims), words without a vector left out.

        Raises:
            DataError: A text is no string.
        """
        return [self._lookup(text)[1] for text in checked_texts(texts)]

    def _lookup(self, text: str) -> tuple[list[str], Floats]:
        words = list(self.tokenizer(text))
        if not isinstance(self.table, WordVectors):
            # a table that makes vectors of parts of words
            rows, known = self.table.rows(words)  # type: ignore[attr-defined]
            return [w for w, k in zip(words, known, strict=True) if k], rows[known]
        places = self.table.ids(words, unknown="mark")
        if self.options.fold_case and (places < 0).any():
            for other in (str.lower, str.capitalize, str.upper):
                tried = self.table.ids([other(word) for word in words], unknown="mark")
                places = np.where(places < 0, tried, places)
        kept = places >= 0
        return [w for w, k in zip(words, kept, strict=True) if k], self.table.vectors[places[kept]]

    def _encode(self, texts: Sequence[str]) -> Doubles:
        made = np.zeros((len(texts), self.dims))
        for place, text in enumerate(texts):
            words, rows = self._lookup(text)
            if words:
                weights = self._weights(words)
                made[place] = pool_words(rows, self.how, weights=weights, options=self.options)
        return made

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts.

        Args:
            texts: Texts.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Float32, shape (texts, dims); zeros for a text without a word that has a vector.

        Raises:
            DataError: Not fitted where that is needed, or a text is no string.
        """
        found = checked_texts(texts)
        if self._needs_fit and not self._texts:
            raise DataError(
                "weights and components are learned from texts; call fit with some first"
            )
        rows = self._encode(found)
        # by text: a product of all rows at once rounds as it likes
        for row in rows if len(self.directions) else ():
            row -= (self.directions @ row) @ self.directions
        made = rows.astype(np.float32)
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def save(self, folder: str | Path) -> None:
        """Save table, settings, counts and directions; not the tokenizer.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        options: dict[str, Any] = asdict(self.options)
        options["powers"] = [str(power) for power in self.options.powers]
        values = {
            "table": "words" if isinstance(self.table, WordVectors) else "subwords",
            "how": self.how,
            "weights": self.weights,
            "options": options,
            "tokens": self._tokens,
            "texts": self._texts,
            "words": list(self._counts),
        }
        arrays = {
            "counts": np.array([*self._counts.values()], np.int64),
            "documents": np.array([self._documents[word] for word in self._counts], np.int64),
            "directions": self.directions,
        }
        with fresh_dir(folder) as fresh:
            self.table.save(fresh / TABLE)
            write_state_into(fresh, KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: Splitter = split_words) -> "WordPooling":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The encoder.

        Raises:
            StoreError: Missing or damaged.
        """
        from ..words import SubwordVectors

        values, arrays = read_state(folder, KIND)
        with reading(folder):
            kind: Any = {"words": WordVectors, "subwords": SubwordVectors}[values["table"]]
            options = dict(values["options"])
            options["powers"] = tuple(float(power) for power in options["powers"])
            made = cls(
                kind.load(Path(folder) / TABLE),
                values["how"],
                weights=values["weights"],
                options=PoolingOptions(**options),
                tokenizer=tokenizer,
            )
            words, counts = values["words"], arrays["counts"].tolist()
            made._counts = dict(zip(words, counts, strict=True))
            made._documents = dict(zip(words, arrays["documents"].tolist(), strict=True))
            made._tokens, made._texts = values["tokens"], values["texts"]
            made.directions = arrays["directions"]
            if made.directions.shape[1:] != (made.dims,):
                raise ValueError(f"directions of shape {made.directions.shape}")
        return made
