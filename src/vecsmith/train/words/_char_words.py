"""Words and their characters in one space, for Chinese: new words have vectors, too.

Papers: Joint Learning of Character and Word Embeddings (X. Chen and others, 2015); Word and
Document Embeddings based on Neural Network Approaches (S. Lai, 2016), which this form follows as
far as its abstract tells. With c_1 … c_n the characters of word w, and a CBOW window:

    u(w) = (e(w) + 1/n sum_i a(c_i)) / 2      x = mean of u over the words around the target
    the target word is told from noise words by <x, o(w)>, and each of its characters from noise
    characters by <x, q(c)>, so that characters too are learned from what stands around them
    vector(w) = e(w) + 1/n sum_i a(c_i)       or the mean of the characters alone for a new word

`parts` "words" leaves the characters out (CBOW), "characters" the words. Texts come segmented, for
example by jieba.

Use for Chinese and Japanese, on small corpora and with many rare words. Avoid where words are
spelled: a letter means nothing. Cost: two CBOW windows a token, in torch.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    DataError,
    ModelError,
    numpy_generator,
    progress,
    require,
    shown,
)
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode.words import WordVectors

from ._corpus import WordCorpus
from ._sampling import NoiseWords, Unit, Vocabulary, WindowUnits
from ._training_options import WordTraining
from .engines._tables import SQUARES
from .engines._torch_engine import adagrad_rows
from .models._objectives import logistic_loss

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]

KIND = "character and word vectors"
PARTS = ("both", "words", "characters")
# of longer words the first characters count
_LONGEST = 8


class CharWordEmbedding:
    """Learn vectors of words and characters.

    Args:
        dim: Dimensions.
        window: k, words on each side.
        negative: N, noise words of a word and noise characters of a character.
        parts: "both", "words" or "characters".
        options: Further settings; those of the compiled loops do not apply.

    Attributes:
        vocabulary: Words and counts, once fitted.
        characters: Characters -> row.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        dim: int = 50,
        *,
        window: int = 5,
        negative: int = 5,
        parts: str = "both",
        options: WordTraining | None = None,
    ) -> None:
        if min(dim, window, negative) < 1 or parts not in PARTS:
            raise ConfigError(
                f"dim, window and negative must be at least 1, parts one of {PARTS}; got {dim}, "
                f"{window}, {negative} and {parts!r}"
            )
        self.dim, self.window, self.negative, self.parts = dim, window, negative, parts
        self.options = WordTraining() if options is None else options
        self.vocabulary: Vocabulary | None = None
        self.characters: dict[str, int] = {}
        self._tables: dict[str, Any] = {}

    def fit(
        self,
        texts: "Iterable[list[str]] | WordCorpus",
        *,
        callback: "Callable[[CharWordEmbedding, int], None] | None" = None,
    ) -> "CharWordEmbedding":
        """Learn from segmented texts.

        Args:
            texts: Lists of words, read once, as they come.
            callback: Called after each pass with this object and the number of passes.

        Returns:
            Itself.

        Raises:
            DataError: A text is no list of words, or no word is left.
            MissingExtra: torch is not installed.
        """
        torch = require("torch", "train")
        options = self.options
        corpus = texts if isinstance(texts, WordCorpus) else WordCorpus(texts, tokenizer=_refuse)
        ranking = corpus.ranking(min_count=options.min_count, max_words=options.max_words)
        self.vocabulary = Vocabulary(ranking.words, ranking.counts)
        counts = self._read_characters()
        self._noise = NoiseWords(counts)
        self._start(torch)
        units = WindowUnits(
            corpus.pieces(self.vocabulary.places),
            self.vocabulary,
            window=self.window,
            negative=self.negative,
            subsample=options.subsample,
            validation=0.0,
            seed=options.seed,
        )
        for epoch in range(options.epochs):
            for number, part in progress(list(units.epoch(epoch)), f"pass {epoch + 1}"):
                rng = numpy_generator(options.seed, "characters", str(epoch), str(number))
                self._unit(units.unit(part, str(epoch), str(number)), rng)
            if callback is not None:
                callback(self, epoch + 1)
        return self

    def _read_characters(self) -> Longs:
        """List the characters with their counts, and those of each word."""
        assert self.vocabulary is not None
        words = self.vocabulary.words
        seen: dict[str, int] = {}
        for word, count in zip(words, self.vocabulary.counts.tolist(), strict=True):
            for character in word[:_LONGEST]:
                seen[character] = seen.get(character, 0) + count
        names = sorted(seen, key=lambda c: (-seen[c], c))
        self.characters = {c: row for row, c in enumerate(names)}
        # the last row is that of the padding, of no characters
        self._spelling = np.full((len(words) + 1, _LONGEST), len(names), np.int64)
        for row, word in enumerate(words):
            spelled = [self.characters[c] for c in word[:_LONGEST]]
            self._spelling[row, : len(spelled)] = spelled
        return np.array([seen[c] for c in names], np.int64)

    def _start(self, torch: Any) -> None:
        assert self.vocabulary is not None
        sizes = {"e": len(self.vocabulary), "a": len(self.characters)}
        self._tables = {}
        for name, size in sizes.items():
            rng = numpy_generator(self.options.seed, "characters", "start", name)
            table = (rng.random((size + 1, self.dim), np.float32) - 0.5) / self.dim
            self._tables[name] = torch.from_numpy(table)
            self._tables["o" if name == "e" else "q"] = torch.zeros(size + 1, self.dim)
        self._squares = {n: torch.full_like(t, SQUARES) for n, t in self._tables.items()}

    def _unit(self, unit: Unit, rng: np.random.Generator) -> None:
        contexts, targets = unit.contexts(self.window), unit.stream[unit.positions]
        for start in range(0, len(targets), self.options.batch):
            at = slice(start, start + self.options.batch)
            spelled = self._spelling[targets[at]]
            drawn = self._noise.draw(rng, (*spelled.shape, self.negative))
            words = np.concatenate([targets[at, None], unit.negatives[at]], 1)
            letters = np.concatenate([spelled[..., None], drawn], 2)
            self._step(contexts[at].astype(np.int64), words.astype(np.int64), letters)

    def _step(self, contexts: Longs, words: Longs, letters: Longs) -> None:
        import torch

        ids = {"e": torch.from_numpy(contexts), "a": torch.from_numpy(self._spelling[contexts])}
        ids |= {"o": torch.from_numpy(words), "q": torch.from_numpy(letters).flatten(0, 1)}
        used = {"both": "eaoq", "words": "eo", "characters": "aq"}[self.parts]
        rows = {n: self._tables[n][ids[n]].requires_grad_(True) for n in used}
        loss = char_word_loss(rows, ids, (len(self._spelling) - 1, len(self.characters)))
        for name, grad in zip(used, torch.autograd.grad(loss, list(rows.values())), strict=True):
            adagrad_rows(
                self._tables[name],
                self._squares[name],
                ids[name].flatten(),
                grad.reshape(-1, self.dim),
                self.options.rate,
            )

    def vector(self, word: str) -> Floats:
        """Give the vector of a word, seen or not.

        Args:
            word: Any word; a new one needs a known character.

        Returns:
            Shape (dim,).

        Raises:
            ModelError: Nothing was fitted.
            DataError: Neither the word nor one of its characters is known.
        """
        if not self._tables or self.vocabulary is None:
            raise ModelError("there are no vectors yet; call fit first")
        found = []
        known = [self.characters[c] for c in word[:_LONGEST] if c in self.characters]
        if self.parts != "words" and known:
            found.append(self._tables["a"][known].mean(0).numpy())
        if self.parts != "characters" and word in self.vocabulary.places:
            found.append(self._tables["e"][self.vocabulary.places[word]].numpy())
        if not found:
            raise DataError(
                f"{shown(word)!r} is not known, nor are its characters with parts={self.parts!r}; "
                "test with `in` first"
            )
        return np.asarray(np.sum(found, 0), np.float32)

    def __contains__(self, word: str) -> bool:
        """Tell whether a word has a vector."""
        spelled = self.parts != "words" and any(c in self.characters for c in word[:_LONGEST])
        known = self.vocabulary is not None and word in self.vocabulary.places
        return spelled or known

    def vectors(self, words: Iterable[str] | None = None) -> WordVectors:
        """Give vectors of words.

        Args:
            words: Any words; None takes those of the vocabulary.

        Returns:
            The word vectors, which every task and host takes.

        Raises:
            ModelError: Nothing was fitted.
            DataError: A word has no vector.
        """
        if self.vocabulary is None:
            raise ModelError("there are no vectors yet; call fit first")
        chosen = self.vocabulary.words if words is None else list(words)
        table = np.stack([self.vector(word) for word in chosen])
        return WordVectors(chosen, table, name=f"cbow of {self.parts} {self.dim}")

    def save(self, folder: str | Path) -> None:
        """Save words, characters and their vectors; what only training needs is left out.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ModelError: Nothing was fitted.
            StoreError: The place cannot be written.
        """
        if not self._tables or self.vocabulary is None:
            raise ModelError("there is nothing to save yet; call fit first")
        values = {
            "dim": self.dim,
            "window": self.window,
            "negative": self.negative,
            "parts": self.parts,
            "words": self.vocabulary.words,
            "characters": list(self.characters),
        }
        arrays = {name: self._tables[name].numpy() for name in ("e", "a")}
        write_state(folder, KIND, values, {**arrays, "counts": self.vocabulary.counts})

    @classmethod
    def load(cls, folder: str | Path) -> "CharWordEmbedding":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The embedding, which gives vectors; `fit` starts anew.

        Raises:
            StoreError: Missing or damaged.
        """
        torch = require("torch", "train")
        values, arrays = read_state(folder, KIND)
        with reading(folder):
            sizes = {name: values[name] for name in ("window", "negative", "parts")}
            made = cls(values["dim"], **sizes)
            made.vocabulary = Vocabulary(values["words"], arrays["counts"])
            made.characters = {c: row for row, c in enumerate(values["characters"])}
            for name, rows in (("e", made.vocabulary.words), ("a", made.characters)):
                if arrays[name].shape != (len(rows) + 1, made.dim):
                    raise DataError(f"table {name!r} has shape {arrays[name].shape}")
                made._tables[name] = torch.from_numpy(arrays[name])
        return made


def char_word_loss(rows: dict[str, Any], ids: dict[str, Any], pads: tuple[int, int]) -> Any:
    """Tell target words and their characters from noise.

    Args:
        rows: "e" (batch, 2 k, d) and "a" (batch, 2 k, letters, d) of the context, "o"
            (batch, 1 + N, d) and "q" (batch x letters, 1 + N, d) of targets and noise; words or
            characters may lack.
        ids: Their ids.
        pads: Id of the padding among words, and among characters.

    Returns:
        The sum of both losses, a scalar.
    """
    import torch

    present = (ids["e"] != pads[0]).float()
    parts = [rows["e"]] if "e" in rows else []
    if "a" in rows:
        spelled = (ids["a"] != pads[1]).float()
        spelled = spelled / spelled.sum(-1, keepdim=True).clamp(min=1)
        parts.append((rows["a"] * spelled[..., None]).sum(-2))
    share = present / present.sum(1, keepdim=True).clamp(min=1)
    x = (torch.stack(parts).mean(0) * share[..., None]).sum(1)
    some = present.any(1)
    loss = x.new_zeros(())
    for name, pad in (("o", pads[0]), ("q", pads[1])):
        if name not in rows:
            continue
        targets, noise = ids[name][:, :1], ids[name][:, 1:]
        each = len(targets) // len(x)
        counted = torch.cat([targets == targets, noise != targets], 1) & (targets != pad)
        counted = counted & some.repeat_interleave(each)[:, None]
        scores = (rows[name] @ x.repeat_interleave(each, 0)[..., None])[..., 0]
        loss = loss + logistic_loss(scores, counted.to(scores.dtype))
    return loss


def _refuse(text: str) -> list[str]:
    raise DataError(
        f"texts must come as lists of words; got the string {shown(text)!r}: segment it first, for "
        "example by jieba.lcut"
    )
