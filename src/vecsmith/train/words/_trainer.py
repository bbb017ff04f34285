"""Seven word embedding models under one roof: one corpus, vocabulary, sampling and optimizer.

Paper: How to Generate a Good Word Embedding? (S. Lai, K. Liu, S. He and J. Zhao, 2016); Word and
Document Embeddings based on Neural Network Approaches (S. Lai, 2016). The models differ in how the
context is represented and in how the target is scored, and in nothing else: see `models`.

    skipgram  cbow  order  lbl  nnlm        predict the target from its context
    cw                                      scores target and context together
    glove                                   fits logarithms of counts

The step is AdaGrad's with a constant rate, sums from 1e-8; windows are whole (k words on each side,
not shrunk at random); word vectors are e, never o or a sum.

Use to compare models on one corpus, or to train one where gensim does not have it. Cost: one core
goes through some 200,000 tokens a second with Skip-gram (d = 50, k = 5, N = 5).
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import (
    ConfigError,
    ModelError,
    did_you_mean,
    progress,
)
from vecsmith.encode.words import WordVectors

from ._cell_units import CellUnits
from ._corpus import WordCorpus
from ._sampling import Vocabulary, WindowUnits
from ._tokens import Text, Tokenizer, split_words
from ._trainer_files import TrainerState, load_state, save_state
from ._training_options import Pass, WordTraining
from .engines._kernel_engine import KernelEngine
from .engines._tables import Tables, new_tables
from .engines._torch_engine import TorchEngine
from .models._objectives import OBJECTIVES
from .models._table import MODELS
from .models._window_model import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

Callback = Callable[["WordEmbeddingTrainer", Pass], None]
Engine = KernelEngine | TorchEngine
Units = WindowUnits | CellUnits


class WordEmbeddingTrainer:
    """Train word vectors.

    Args:
        model: One of `MODELS`.
        dim: d.
        window: k, words on each side.
        negative: N, noise words a target.
        objective: "neg" (logistic) or "rank" (margin); not for "glove", which fits counts.
        options: Further settings.
        tokenizer: How texts that are strings are split.

    Attributes:
        vocabulary: Words and counts, once fitted.
        passes: What is known of each pass.

    Raises:
        ConfigError: A setting is unknown or out of its range.
    """

    def __init__(
        self,
        model: str = "skipgram",
        dim: int = 50,
        *,
        window: int = 5,
        negative: int = 5,
        objective: str = "neg",
        options: WordTraining | None = None,
        tokenizer: Tokenizer = split_words,
    ) -> None:
        for name, value, known in (("model", model, MODELS), ("objective", objective, OBJECTIVES)):
            if value not in known:
                raise ConfigError(f"{name} {value!r} is unknown; {did_you_mean(value, known)}")
        if min(dim, window, negative) < 1:
            raise ConfigError(
                f"dim, window and negative must be at least 1; got {dim}, {window} and {negative}"
            )
        if model == "glove" and objective != "neg":
            raise ConfigError("glove fits counts and has no other objective; leave objective out")
        self.model, self.dim, self.window = model, dim, window
        self.negative, self.objective = negative, objective
        self.options = WordTraining() if options is None else options
        self.tokenizer = tokenizer
        self.vocabulary: Vocabulary | None = None
        self.passes: list[Pass] = []
        self._tables: Tables | None = None

    def fit(
        self,
        texts: Iterable[Text] | WordCorpus,
        *,
        callback: Callback | None = None,
        checkpoint: str | Path | None = None,
    ) -> "WordEmbeddingTrainer":
        """Learn from a corpus; what was learned before is forgotten.

        Args:
            texts: Each a string, which is split, or a list of words; read once, as they come. A
                `WordCorpus` that serves several models is tokenised once.
            callback: Called after each pass with the trainer and the `Pass`.
            checkpoint: Folder where the trainer is saved after each pass. Where it holds a run with
                these settings and this vocabulary, that run goes on.

        Returns:
            Itself.

        Raises:
            DataError: A text is something else, or no word is left.
            StoreError: The checkpoint is damaged or cannot be written.
            ConfigError: The checkpoint is of other settings or texts.
            ModelError: Numbers got out of hand.
        """
        corpus = self._corpus(texts)
        ranking = corpus.ranking(min_count=self.options.min_count, max_words=self.options.max_words)
        self.vocabulary = Vocabulary(ranking.words, ranking.counts)
        self._tables, self.passes = None, []
        if checkpoint is not None and Path(checkpoint).exists():
            self._resume(Path(checkpoint))
        if self._tables is None:
            self._tables = new_tables(self.model, self.shape, self.options.seed)
        left = self.options.epochs - len(self.passes)
        return self._train(corpus, left, callback, checkpoint)

    def partial_fit(
        self,
        texts: Iterable[Text] | WordCorpus,
        *,
        epochs: int = 1,
        callback: Callback | None = None,
        checkpoint: str | Path | None = None,
    ) -> "WordEmbeddingTrainer":
        """Go on learning, from the same texts or others; the vocabulary stays.

        Args:
            texts: As for `fit`.
            epochs: Passes.
            callback: As for `fit`.
            checkpoint: Folder where the trainer is saved after each pass.

        Returns:
            Itself.

        Raises:
            DataError: A text is something else, or has no word of the vocabulary.
            ConfigError: `epochs` is below 1.
            ModelError: Numbers got out of hand.
        """
        if epochs < 1:
            raise ConfigError(f"epochs must be at least 1; got {epochs}")
        if self._tables is None:
            return self.fit(texts, callback=callback, checkpoint=checkpoint)
        return self._train(self._corpus(texts), epochs, callback, checkpoint)

    @property
    def shape(self) -> Shape:
        """Sizes of the model.

        Raises:
            ModelError: It is not fitted.
        """
        if self.vocabulary is None:
            raise ModelError("the trainer has no vocabulary yet; call fit first")
        hidden = self.options.hidden or self.dim
        return Shape(len(self.vocabulary), self.dim, self.window, hidden)

    def vectors(self) -> WordVectors:
        """Give the word vectors e.

        Returns:
            A copy, most frequent words first.

        Raises:
            ModelError: The trainer is not fitted.
        """
        if self._tables is None or self.vocabulary is None:
            raise ModelError("there are no word vectors yet; call fit first")
        made = self._tables.values["embeddings"][: len(self.vocabulary)].copy()
        return WordVectors(self.vocabulary.words, made, name=f"{self.model} {self.dim}")

    def parameters(self) -> "dict[str, NDArray[Any]]":
        """Give all tables of the model: e with the row of the padding last, and its other ones.

        Returns:
            Name -> copy.

        Raises:
            ModelError: The trainer is not fitted.
        """
        if self._tables is None:
            raise ModelError("there are no parameters yet; call fit first")
        return {name: table.copy() for name, table in self._tables.values.items()}

    def save(self, folder: str | Path) -> None:
        """Save settings, vocabulary and all tables; training can go on after loading.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ModelError: The trainer is not fitted.
            StoreError: The place cannot be written.
        """
        if self._tables is None or self.vocabulary is None:
            raise ModelError("there is nothing to save yet; call fit first")
        state = TrainerState(self._settings(), self.vocabulary, self._tables, self.passes)
        save_state(Path(folder), state)

    @classmethod
    def load(
        cls, folder: str | Path, *, tokenizer: Tokenizer = split_words
    ) -> "WordEmbeddingTrainer":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.
            tokenizer: The one that was used.

        Returns:
            The fitted trainer.

        Raises:
            StoreError: Missing or damaged.
        """
        state = load_state(Path(folder))
        settings = dict(state.settings)
        options = WordTraining(**settings.pop("options"))
        made = cls(**settings, options=options, tokenizer=tokenizer)
        made.vocabulary, made._tables, made.passes = state.vocabulary, state.tables, state.passes
        return made

    def _settings(self) -> dict[str, Any]:
        names = ("model", "dim", "window", "negative", "objective")
        return {name: getattr(self, name) for name in names} | {"options": asdict(self.options)}

    def _resume(self, folder: Path) -> None:
        state, mine = load_state(folder), self._settings()
        theirs = {**state.settings, "options": dict(state.settings["options"])}
        # what may differ between the parts of one run
        for name in ("epochs", "workers", "engine", "device"):
            theirs["options"][name] = mine["options"][name]
        assert self.vocabulary is not None
        if theirs != mine or state.vocabulary.words != self.vocabulary.words:
            raise ConfigError(
                f"{str(folder)!r} holds a run of other settings or texts; give another checkpoint, "
                "or delete it to start anew"
            )
        self._tables, self.passes = state.tables, state.passes

    def _corpus(self, texts: Iterable[Text] | WordCorpus) -> WordCorpus:
        if isinstance(texts, WordCorpus):
            return texts
        return WordCorpus(texts, tokenizer=self.tokenizer)

    def _units(self, corpus: WordCorpus) -> Units:
        assert self.vocabulary is not None
        pieces, options = corpus.pieces(self.vocabulary.places), self.options
        if self.model == "glove":
            return CellUnits(
                pieces,
                self.vocabulary,
                window=self.window,
                validation=options.validation,
                seed=options.seed,
            )
        return WindowUnits(
            pieces,
            self.vocabulary,
            window=self.window,
            negative=self.negative,
            subsample=options.subsample,
            validation=options.validation,
            seed=options.seed,
        )

    def _engine(self) -> Engine:
        assert self._tables is not None
        options = self.options
        compiled = options.engine == "numba"
        if options.engine == "auto":
            compiled = options.device == "cpu" and find_spec("numba") is not None
        if compiled:
            return KernelEngine(
                self._tables,
                self.model,
                window=self.window,
                objective=self.objective,
                rate=options.rate,
            )
        return TorchEngine(
            self._tables,
            self.model,
            window=self.window,
            objective=self.objective,
            rate=options.rate,
            batch=options.batch,
            device=options.device,
        )

    def _train(
        self,
        corpus: WordCorpus,
        epochs: int,
        callback: Callback | None,
        checkpoint: str | Path | None,
    ) -> "WordEmbeddingTrainer":
        if epochs < 1:
            return self
        units, engine = self._units(corpus), self._engine()
        for _ in range(epochs):
            started, epoch = time.perf_counter(), len(self.passes)
            self._pass(units, engine, epoch)
            engine.finish()
            self._check()
            seconds = time.perf_counter() - started
            self.passes.append(Pass(epoch + 1, units.tokens, seconds, held_out_loss(units, engine)))
            if callback is not None:
                callback(self, self.passes[-1])
            # after the callback: a run that is cut off there calls it again
            if checkpoint is not None:
                self.save(checkpoint)
        return self

    def _pass(self, units: Units, engine: Engine, epoch: int) -> None:
        def run(job: tuple[int, Any]) -> int:
            number, part = job
            unit = units.unit(part, str(epoch), str(number))
            engine.step(unit)
            return len(part)

        jobs = list(units.epoch(epoch))
        with progress(description=f"{self.model} pass {epoch + 1}", total=len(jobs)) as bar:
            if isinstance(engine, KernelEngine) and self.options.threads > 1:
                with ThreadPoolExecutor(self.options.threads) as pool:
                    for _ in pool.map(run, jobs):
                        bar.update()
                return
            for job in jobs:
                run(job)
                bar.update()

    def _check(self) -> None:
        import numpy as np

        assert self._tables is not None
        for name, table in self._tables.values.items():
            if not np.isfinite(table).all():
                raise ModelError(
                    f"numbers of {name!r} became infinite or NaN in pass {len(self.passes) + 1}; "
                    "give a lower rate"
                )


def held_out_loss(units: Units, engine: Engine) -> float | None:
    """Measure the loss on what is held out.

    Args:
        units: The corpus.
        engine: The model.

    Returns:
        Mean over predictions; None without any.
    """
    total, number = 0.0, 0
    for unit in units.validation():
        loss, made = engine.loss(unit)
        total, number = total + loss, number + made
    return total / number if number else None
