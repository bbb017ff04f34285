"""Learn an embedded topic model from texts; what the model is: `_etm`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    FitResult,
    fit,
    fresh_dir,
    numpy_generator,
)
from vecsmith.encode import LexicalEncoder, LexicalOptions, WordVectors
from vecsmith.encode._state import read_state, reading, write_state_into
from vecsmith.encode._texts import checked_texts, unit_rows

from ._etm import ETM, ETMSizes, word_loss

Floats = NDArray[np.float32]

KIND, LEXICAL = "embedded topic model", "lexical"
_ROWS = 1024


@dataclass(frozen=True)
class ETMOptions:
    """Settings of the model and its training; those of the authors.

    Attributes:
        dims: Dimensions of words and topics; with a table of word vectors, its own.
        hidden: Units of each of the two layers that read a text.
        dropout: Share of units dropped in training.
        train_words: Whether the vectors of words are trained.
        batch_size: Texts a step.
        lr: Rate of Adam.
        weight_decay: L2 of Adam.
        cpu: Stay on the CPU even where there is a GPU.
    """

    dims: int = 300
    hidden: int = 800
    dropout: float = 0.5
    train_words: bool = True
    batch_size: int = 1000
    lr: float = 0.005
    weight_decay: float = 1.2e-6
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not self.lr > 0 or not self.weight_decay >= 0:
            raise ConfigError(
                "batch_size must be at least 1, lr above 0, weight_decay not below; got "
                f"{self.batch_size}, {self.lr} and {self.weight_decay}"
            )


class EmbeddedTopicModel:
    """Topics and words in one space, learned from texts.

    Args:
        topics: K.
        lexical: What words are; None takes single words, English stop words out. Give `min_df` and
            `max_df` on real text.
        table: Word vectors to start from, or to keep with `train_words=False`; words that it lacks
            are drawn at its scale.
        options: Further settings.
        seed: Seed of the start, the order of texts and what is drawn.

    Attributes:
        result: How the training went.

    Raises:
        ConfigError: Fewer than two topics.
    """

    def __init__(
        self,
        topics: int = 50,
        *,
        lexical: LexicalOptions | None = None,
        table: WordVectors | None = None,
        options: ETMOptions | None = None,
        seed: int = 0,
    ) -> None:
        if topics < 2:
            raise ConfigError(f"topics must be at least 2; got {topics}")
        self.dims, self.table, self.seed = topics, table, seed
        self.options = ETMOptions() if options is None else options
        self.lexical = LexicalEncoder("counts", options=lexical)
        self.result: FitResult | None = None
        self._model: ETM | None = None

    @property
    def model(self) -> ETM:
        """The module.

        Raises:
            DataError: Not fitted.
        """
        if self._model is None:
            raise DataError("there are no topics yet; call fit with texts, or load some")
        return self._model

    def fit(
        self,
        texts: Sequence[str],
        *,
        budget: Budget | None = None,
        checkpoint: str | Path | None = None,
    ) -> "EmbeddedTopicModel":
        """Learn topics.

        Args:
            texts: Texts, the longer the better; those without a word are left out.
            budget: How long; None takes 100 epochs.
            checkpoint: Folder for a checkpoint, from which a killed run goes on.

        Returns:
            Itself.

        Raises:
            DataError: No texts, or no words.
        """
        found = checked_texts(texts, some=True)
        counts = self.lexical.fit(found).encode(found)
        counts = counts[np.flatnonzero(np.diff(counts.indptr))]
        model, o = self._start(), self.options

        def batches(epoch: int) -> EpochBatches:
            order = numpy_generator(self.seed, "etm", str(epoch)).permutation(counts.shape[0])
            parts = [order[i : i + o.batch_size] for i in range(0, len(order), o.batch_size)]
            return EpochBatches(
                len(parts), (torch.from_numpy(counts[part].toarray()) for part in parts)
            )

        trained = [p for p in model.parameters() if p.requires_grad]
        self.result = fit(
            model,
            lambda net, batch: net(batch),
            batches,
            budget=budget or Budget(epochs=100),
            options=FitOptions(
                schedule="constant", warmup=0.0, max_norm=None, seed=self.seed, cpu=o.cpu
            ),
            optimizer=torch.optim.Adam(trained, lr=o.lr, weight_decay=o.weight_decay),
            checkpoint=checkpoint,
        )
        self._model = model.eval()
        return self

    def _start(self) -> ETM:
        o, words = self.options, self.lexical.terms
        dims = o.dims if self.table is None else self.table.dims
        sizes = ETMSizes(len(words), self.dims, dims, o.hidden, o.dropout)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return ETM(sizes, vectors=self._vectors(words), train_words=o.train_words)

    def _vectors(self, words: list[str]) -> torch.Tensor | None:
        if self.table is None:
            return None
        rows = self.table.ids(words, unknown="mark")
        if (rows < 0).all():
            raise DataError(
                f"none of {len(words)} words has a vector in {self.table.name!r}; check case and "
                "tokens of the table"
            )
        drawn = numpy_generator(self.seed, "etm words").standard_normal(
            (len(words), self.table.dims)
        )
        made = np.where((rows < 0)[:, None], drawn * self.table.vectors.std(), 0)
        made[rows >= 0] = self.table.vectors[rows[rows >= 0]]
        return torch.from_numpy(made.astype(np.float32))

    @property
    def beta(self) -> Floats:
        """Distributions of topics over words, shape (topics, words)."""
        with torch.inference_mode():
            return np.asarray(self.model.beta.cpu().numpy())

    @property
    def words(self) -> WordVectors:
        """Vectors of the words."""
        vectors = self.model.words.detach().cpu().numpy()
        return WordVectors(self.lexical.terms, vectors, name="embedded topic model")

    @property
    def topic_vectors(self) -> Floats:
        """Vectors of the topics, in the space of the words, shape (topics, dims)."""
        return np.array(self.model.topics.detach().cpu().numpy())

    def topics(self, top_k: int = 10) -> list[list[str]]:
        """Name the likeliest words of each topic.

        Args:
            top_k: How many.

        Returns:
            Words, falling.

        Raises:
            DataError: Not fitted.
        """
        order = np.argsort(-self.beta, axis=1, kind="stable")[:, :top_k]
        return [[self.lexical.terms[i] for i in row] for row in order]

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts by their shares of topics.

        Args:
            texts: Texts.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            theta at the mean of the posterior, float32, shape (texts, topics).

        Raises:
            DataError: Not fitted, or a text is no string.
        """
        made = self._theta(self.model, self.lexical.encode(checked_texts(texts)))
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def _theta(self, model: ETM, counts: Any) -> Floats:
        made = np.zeros((counts.shape[0], self.dims), np.float32)
        device = model.words.device
        with torch.inference_mode():
            for start in range(0, len(made), _ROWS):
                rows = torch.from_numpy(counts[start : start + _ROWS].toarray()).to(device)
                made[start : start + _ROWS] = model.theta(rows).cpu().numpy()
        return made

    def perplexity(self, texts: Sequence[str], *, seed: int = 0) -> float:
        """Score by completing texts: topics from half of the words, likelihood of the other half.

        Args:
            texts: Texts that the model was not learned from.
            seed: Seed of the halves.

        Returns:
            exp of the mean negative log likelihood of a word; lower is better, V at chance.

        Raises:
            DataError: Not fitted, or no text has two known words.
        """
        from scipy.sparse import csr_array

        counts = self.lexical.encode(checked_texts(texts, some=True))
        rng = numpy_generator(seed, "halves")
        seen = csr_array(counts, copy=True)
        for row in range(counts.shape[0]):
            part = slice(*counts.indptr[row : row + 2])
            numbers = counts.data[part].astype(np.int64)
            if numbers.sum():
                half = rng.multivariate_hypergeometric(numbers, numbers.sum() // 2)
                seen.data[part] = half
        hidden = counts - seen
        kept = np.flatnonzero((seen.sum(1) > 0) & (hidden.sum(1) > 0))
        if not len(kept):
            raise DataError(f"none of {counts.shape[0]} texts has two words that the model knows")
        theta, beta, loss = self._theta(self.model, seen[kept]), self.model.beta.detach().cpu(), 0.0
        for start in range(0, len(kept), _ROWS):
            rows = torch.from_numpy(hidden[kept[start : start + _ROWS]].toarray())
            loss += float(
                word_loss(rows, torch.from_numpy(theta[start : start + _ROWS]), beta).sum()
            )
        return float(np.exp(loss / hidden[kept].sum()))

    def save(self, folder: str | Path) -> None:
        """Save words, settings and weights.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
            DataError: Not fitted.
        """
        model = self.model
        values = {
            "sizes": asdict(model.sizes),
            "options": asdict(self.options),
            "seed": self.seed,
        }
        arrays = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
        with fresh_dir(folder) as fresh:
            self.lexical.save(fresh / LEXICAL)
            write_state_into(fresh, KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "EmbeddedTopicModel":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The model, on the CPU.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(folder, KIND)
        lexical = LexicalEncoder.load(Path(folder) / LEXICAL)
        with reading(folder):
            sizes, options = ETMSizes(**values["sizes"]), ETMOptions(**values["options"])
            made = cls(sizes.topics, options=options, seed=values["seed"])
            model = ETM(sizes, train_words=options.train_words)
            try:
                model.load_state_dict({n: torch.from_numpy(v) for n, v in arrays.items()})
            except RuntimeError as error:
                raise ValueError(str(error)) from error
            if sizes.words != lexical.dims:
                raise ValueError(f"{lexical.dims} words for a model of {sizes.words}")
            made.lexical, made._model = lexical, model.eval()
        return made
