"""Paragraph vectors: a vector for each document, trained to predict its words; on gensim.

Paper: Distributed Representations of Sentences and Documents (Q. Le and T. Mikolov, 2014; Doc2Vec).
With d the vector of a document, v those of words, by negative sampling,

    dbow        predict each word of the document from d           (PV-DBOW)
    dm          predict a word from the mean of d and the v around it     (PV-DM)
    dm-concat   likewise, from d and the v side by side, in order

A new text gets a vector by the same training with all else fixed, from a start that hangs on the
text and the seed alone, so that it is the same in each process and batch.

Use dbow on a few thousand documents of one kind. Avoid under that, or where a trained encoder is at
hand. Cost: that of skip-gram; a new text costs as many passes over its words as `infer_epochs`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator, require
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode._texts import split_words, unit_rows
from vecsmith.encode.words import WordVectors

from ..subwords import TokenLists

Floats = NDArray[np.float32]
Text = str | Sequence[str]
Tokenizer = Callable[[str], Sequence[str]]

METHODS = ("dbow", "dm", "dm-concat")
KIND = "document vectors"
# what gensim adds to a vocabulary to pad windows with
_NULL = "\0"
_SEEDS = 1 << 31


@dataclass(frozen=True)
class Doc2VecOptions:
    """Settings of paragraph vectors.

    Attributes:
        window: Largest distance of a context word, for dm and for words of dbow.
        min_count: Leave out words that were seen less often.
        negatives: Drawn words a prediction.
        epochs: Passes over the documents.
        infer_epochs: Passes over a new text.
        lr: Learning rate, falling to 0.0001.
        sample: Share above which a word is left out at random.
        with_words: Train vectors of words beside dbow, by skip-gram.
        threads: Threads; with more than one, a seed does not repeat a run.
    """

    window: int = 5
    min_count: int = 2
    negatives: int = 5
    epochs: int = 20
    infer_epochs: int = 50
    lr: float = 0.025
    sample: float = 1e-3
    with_words: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("window", "min_count", "negatives", "epochs", "infer_epochs", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not self.lr > 0 or not self.sample >= 0:
            raise ConfigError(
                f"lr must be above 0, sample not below; got {self.lr} and {self.sample}"
            )


class DocumentVectors:
    """Learn vectors of documents, and make them for new texts.

    Args:
        dims: Dimensions of a vector.
        method: "dbow", "dm" or "dm-concat".
        options: Further settings.
        seed: Seed of all that is drawn, below 2^31.
        tokenizer: How texts that are strings are split.

    Attributes:
        documents: Vectors of the documents of `fit`, shape (documents, dims).

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        dims: int = 100,
        *,
        method: str = "dbow",
        options: Doc2VecOptions | None = None,
        seed: int = 0,
        tokenizer: Tokenizer = split_words,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method cannot be {method!r}; {did_you_mean(method, METHODS)}")
        if dims < 1 or not 0 <= seed < _SEEDS:
            raise ConfigError(
                f"dims must be at least 1, seed from 0 to below 2^31; got {dims} and {seed}"
            )
        self.dims, self.method, self.seed, self.tokenizer = dims, method, seed, tokenizer
        self.options = Doc2VecOptions() if options is None else options
        self.documents: Floats = np.zeros((0, dims), np.float32)
        self._model: Any = None

    def _make(self) -> Any:
        o = self.options
        return require("gensim.models", "words").Doc2Vec(
            vector_size=self.dims,
            dm=int(self.method != "dbow"),
            dm_concat=int(self.method == "dm-concat"),
            dbow_words=int(o.with_words),
            window=o.window,
            min_count=o.min_count,
            negative=o.negatives,
            epochs=o.epochs,
            alpha=o.lr,
            sample=o.sample,
            workers=o.threads,
            seed=self.seed,
        )

    def fit(self, texts: Sequence[Text]) -> "DocumentVectors":
        """Train on documents.

        Args:
            texts: Each a string, which is split, or a list of words.

        Returns:
            Itself.

        Raises:
            DataError: No texts, or no word is frequent enough.
            MissingExtra: gensim is not installed.
        """
        model, lists = self._make(), TokenLists(texts, self.tokenizer)
        corpus = _Tagged(lists)
        try:
            model.build_vocab(corpus)
        except RuntimeError as error:
            raise DataError(f"no word of {len(lists)} texts is left ({error})") from error
        if not len(set(model.wv.index_to_key) - {_NULL}):
            raise DataError(
                f"no word of {len(lists)} texts was seen {self.options.min_count} times; lower "
                "min_count, or give more text"
            )
        model.train(corpus, total_examples=model.corpus_count, epochs=model.epochs)
        self._model, self.documents = model, np.asarray(model.dv.vectors, np.float32)
        return self

    def _fitted(self) -> Any:
        if self._model is None:
            raise DataError("the documents are not learned yet; call fit with texts, or load")
        return self._model

    @property
    def words(self) -> WordVectors:
        """Vectors of words, which dm trains, and dbow with `with_words`.

        Raises:
            DataError: Not fitted, or dbow without words.
        """
        model = self._fitted()
        if self.method == "dbow" and not self.options.with_words:
            raise DataError("dbow trains no vectors of words; give with_words=True, or use dm")
        names = model.wv.index_to_key
        kept = [row for row, word in enumerate(names) if word != _NULL]
        return WordVectors([names[row] for row in kept], model.wv.vectors[kept], name="Doc2Vec")

    def encode(
        self,
        texts: Sequence[Text],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Make vectors for texts.

        Args:
            texts: As for `fit`; words that it did not keep are left out.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Float32, shape (texts, dims); zeros for a text without a known word.

        Raises:
            DataError: Not fitted, or a text is something else.
        """
        model = self._fitted()
        if not isinstance(texts, str) and not len(texts):
            return np.zeros((0, self.dims), np.float32)
        lists = TokenLists(texts, self.tokenizer)
        made = np.stack([self._infer(model, words) for words in lists])
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def _infer(self, model: Any, words: list[str]) -> Floats:
        known = [word for word in words if word in model.wv.key_to_index]
        if not known:
            return np.zeros(self.dims, np.float32)
        # gensim starts from Python's hash of the text, which differs from process to process, and
        # goes on in one stream of random numbers, in which each text moves all that follow
        start = numpy_generator(self.seed, "doc2vec", " ".join(known)).random(self.dims) - 0.5
        vectors = (start / self.dims).astype(np.float32)[None]
        model.random.seed(self.seed)
        step, epochs = self._step(model), self.options.infer_epochs
        for rate in np.linspace(model.alpha, model.min_alpha, epochs):
            step(
                model,
                known,
                [0],
                float(rate),
                learn_words=False,
                learn_hidden=False,
                doctag_vectors=vectors,
                doctags_lockf=np.ones(1, np.float32),
            )
        return vectors[0]

    def _step(self, model: Any) -> Callable[..., Any]:
        inner = require("gensim.models.doc2vec", "words")
        # given from here: gensim takes the address of memory that it makes itself, and frees it
        room = {"work": np.zeros(model.layer1_size, np.float32)}
        if self.method == "dbow":
            return partial(inner.train_document_dbow, **room)
        room["neu1"] = np.zeros(model.layer1_size, np.float32)
        dm = self.method == "dm"
        return partial(inner.train_document_dm if dm else inner.train_document_dm_concat, **room)

    def save(self, folder: str | Path) -> None:
        """Save settings, vocabulary and all vectors; not the tokenizer.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Not fitted.
        """
        model = self._fitted()
        names = model.wv.index_to_key
        values = {
            "dims": self.dims,
            "method": self.method,
            "seed": self.seed,
            "options": asdict(self.options),
            "words": names,
        }
        counts = [model.wv.get_vecattr(word, "count") for word in names]
        arrays = {
            "counts": np.array(counts, np.int64),
            "words": model.wv.vectors,
            "output": model.syn1neg,
            "documents": self.documents,
        }
        write_state(folder, KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: Tokenizer = split_words) -> "DocumentVectors":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The fitted vectors.

        Raises:
            StoreError: Missing or damaged.
            MissingExtra: gensim is not installed.
        """
        values, arrays = read_state(folder, KIND)
        with reading(folder):
            made = cls(
                values["dims"],
                method=values["method"],
                options=Doc2VecOptions(**values["options"]),
                seed=values["seed"],
                tokenizer=tokenizer,
            )
            made.documents = arrays["documents"]
            made._model = made._restored(values["words"], arrays)
        return made

    def _restored(self, words: list[str], arrays: dict[str, NDArray[Any]]) -> Any:
        model = self._make()
        pairs = list(zip(words, arrays["counts"].tolist(), strict=True))
        # gensim puts the last of equally frequent words first
        counts = {word: count for word, count in reversed(pairs) if word != _NULL}
        model.build_vocab_from_freq(counts, corpus_count=len(self.documents))
        if model.wv.index_to_key != words:
            raise ValueError("the words are not in the order of their counts")
        for name, target in (("words", model.wv.vectors), ("output", model.syn1neg)):
            if arrays[name].shape != target.shape:
                raise ValueError(f"{name} of shape {arrays[name].shape} for {target.shape}")
        # a copy: what safetensors read may not be written to, or not be aligned
        model.wv.vectors[:], model.syn1neg[:] = arrays["words"], arrays["output"]
        return model


class _Tagged:
    """Documents with their numbers, read again at each pass."""

    def __init__(self, lists: TokenLists) -> None:
        self.lists = lists

    def __iter__(self) -> Iterator[Any]:
        tagged = require("gensim.models.doc2vec", "words").TaggedDocument
        for number, words in enumerate(self.lists):
            yield tagged(words, [number])
