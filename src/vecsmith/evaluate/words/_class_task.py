"""Word classes: a window tagger whose first layer starts from the vectors and is fine-tuned.

R. Collobert and others (2011), as S. Lai's study has it: the vectors of five words, one hidden
layer, softmax over the tags of the middle one. It sees words alone, no endings and no capitals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    Budget,
    ConfigError,
    EpochBatches,
    FitOptions,
    fit,
    numpy_generator,
)
from vecsmith.encode.words import WordVectors

from ._protocol import TaskScore, WordTask
from ._tagged import TaggedTexts, word_windows
from ._text_tasks import kept_words, scale_to

Ids = NDArray[np.int64]
# rows before those of the words
_OUTSIDE, _UNKNOWN, _FIRST = 0, 1, 2


@dataclass(frozen=True)
class TaggerTraining:
    """How a window tagger is trained.

    Attributes:
        epochs: Passes, at most.
        batch_size: Words a step.
        lr: Learning rate of Adam, constant.
        patience: Passes without a better development score before training stops.
        seed: Seed of weights and order.
    """

    epochs: int = 10
    batch_size: int = 256
    lr: float = 2e-3
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ConfigError(f"lr must be above 0; got {self.lr!r}")

    def options(self, steps: int) -> FitOptions:
        """Return the options of the training loop.

        Args:
            steps: Steps of a pass.
        """
        return FitOptions(
            lr=self.lr,
            schedule="constant",
            warmup=0.0,
            validate_every=steps,
            patience=self.patience,
            higher_is_better=True,
            seed=self.seed,
            cpu=True,
            description="tagger",
        )


class WordClassTask(WordTask):
    """Share of words whose tag a fine-tuned window tagger finds.

    Args:
        data: Sentences with tags.
        name: Name of the task.
        window: Words the tagger sees, odd.
        hidden: Units of its hidden layer.
        training: How it is trained; the development sentences choose the pass.
        spread: Standard deviation that the entries of each table are scaled to; None leaves them.

    Raises:
        ConfigError: `window` is even, or `hidden` below 1.
    """

    metric = "accuracy"

    def __init__(
        self,
        data: TaggedTexts,
        *,
        name: str = "pos",
        window: int = 5,
        hidden: int = 100,
        training: TaggerTraining | None = None,
        spread: float | None = 0.3,
    ) -> None:
        if window < 1 or window % 2 == 0 or hidden < 1:
            raise ConfigError(
                f"window must be odd and hidden at least 1; got {window} and {hidden}"
            )
        self.data, self.name, self.window, self.hidden = data, name, window, hidden
        self.training, self.spread = training or TaggerTraining(), spread

    def score(self, vectors: WordVectors) -> TaskScore:
        """Train and judge.

        Args:
            vectors: Word vectors.

        Returns:
            Accuracy over the words of the test sentences.
        """
        import torch

        parts = (self.data.train, self.data.development, self.data.test)
        table = kept_words(vectors, (w for words, _ in parts for row in words for w in row))
        table = scale_to(table, self.spread)
        names = {tag: number for number, tag in enumerate(self.data.tags)}
        # a tag that training never saw is never found
        tags = [np.array([names.get(t, -1) for r in part[1] for t in r]) for part in parts]
        windows = [word_windows(table, part[0], self.window // 2) + _FIRST for part in parts]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            model = self._tagger(table, len(names))
            self._train(model, (windows[0], tags[0]), (windows[1], tags[1]))
        accuracy = _accuracy(model, windows[2], tags[2])
        covered = float((windows[2][:, self.window // 2] != _UNKNOWN).mean())
        details = {"development": _accuracy(model, windows[1], tags[1])}
        return TaskScore(self.name, self.metric, accuracy, len(tags[2]), covered, details)

    def _tagger(self, table: WordVectors, tags: int) -> Any:
        import torch
        from torch import nn

        embedding = nn.Embedding(len(table) + _FIRST, table.dims)
        with torch.no_grad():
            embedding.weight[:_FIRST] = 0
            embedding.weight[_FIRST:] = torch.from_numpy(table.vectors)
        return nn.Sequential(
            embedding,
            nn.Flatten(),
            nn.Linear(self.window * table.dims, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, tags),
        )

    def _train(self, model: Any, train: tuple[Ids, Ids], held: tuple[Ids, Ids]) -> None:
        import torch

        how = self.training
        steps = -(-len(train[0]) // how.batch_size)

        def batches(epoch: int) -> EpochBatches:
            order = numpy_generator(how.seed, "tagger", f"epoch {epoch}").permutation(len(train[0]))
            parts: Iterator[Ids] = iter(np.array_split(order, steps))
            rows = (tuple(torch.from_numpy(x[part]) for x in train) for part in parts)
            return EpochBatches(steps, rows)

        def step(net: Any, batch: Any) -> Any:
            return torch.nn.functional.cross_entropy(net(batch[0]), batch[1])

        fit(
            model,
            step,
            batches,
            budget=Budget(epochs=how.epochs),
            options=how.options(steps),
            optimizer=torch.optim.Adam(model.parameters(), lr=how.lr),
            validate=lambda net: _accuracy(net, *held),
        )


def _accuracy(model: Any, windows: Ids, tags: Ids) -> float:
    import torch

    with torch.no_grad():
        found = [
            model(torch.from_numpy(windows[i : i + 8192])).argmax(1).numpy()
            for i in range(0, len(windows), 8192)
        ]
    return float((np.concatenate(found) == tags).mean())
