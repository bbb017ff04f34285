"""Batches of several data sets: each batch of one set, sets drawn by size times weight.

The processes that train together take consecutive batches of one set: each sets its rows against
those of the others, so that all must have the columns of one set, and its loss.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler, SetEpochMixin
from sentence_transformers.sentence_transformer.data_collator import (
    SentenceTransformerDataCollator,
)
from torch.utils.data import BatchSampler, SequentialSampler

from vecsmith.core import DataError, hash_text, numpy_generator


class WeightedBatchSampler(MultiDatasetDefaultBatchSampler):  # type: ignore[misc]
    """Draws batches from several data sets in proportion to size times weight.

    A set whose batches run out before the others starts again in another order. The epoch has as
    many batches as the sets have together.

    Args:
        dataset: The sets, concatenated.
        batch_samplers: One batch sampler a set.
        weights: One weight a set.
        processes: Processes that train together; so many consecutive batches are of one set.
        generator: Not used; the order follows from the seed and the epoch alone.
        seed: Seed.
    """

    def __init__(
        self,
        dataset: Any,
        batch_samplers: Sequence[Any],
        *,
        weights: Sequence[float],
        processes: int = 1,
        generator: Any = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, batch_samplers=batch_samplers, generator=generator, seed=seed)
        self.weights, self.processes = list(weights), processes

    def __iter__(self) -> Iterator[list[int]]:
        """Yield batches of rows."""
        rng = np.random.default_rng([self.seed or 0, self.epoch])
        offsets = [0, *accumulate(len(part) for part in self.dataset.datasets)]
        sizes = [len(sampler) for sampler in self.batch_samplers]
        shares = np.array([s * w for s, w in zip(sizes, self.weights, strict=True)], float)
        total = len(self) // self.processes
        # as many of each as its share says, in random order: no luck of the draw in the mixture
        counts = np.floor(shares / shares.sum() * total).astype(int)
        rest = np.argsort(-(shares / shares.sum() * total - counts), kind="stable")
        counts[rest[: total - counts.sum()]] += 1
        order = rng.permutation(np.repeat(np.arange(len(sizes)), counts))
        endless = [self._endless(place) for place in range(len(sizes))]
        for place in order:
            for _ in range(self.processes):
                yield [row + offsets[place] for row in next(endless[place])]

    def _endless(self, place: int) -> Iterator[list[int]]:
        """Yield batches of one set, in another order each time it begins anew."""
        sampler, rounds = self.batch_samplers[place], 0
        while True:
            batch = None
            for batch in sampler:
                yield batch
            if batch is None:
                raise DataError(
                    f"of data set {place + 1} no batch of {sampler.batch_size} rows without "
                    "repeated texts can be made; lower batch_size, or, where positives are labels "
                    'of classes, add "own-negatives" to its objective'
                )
            rounds += 1
            if hasattr(sampler, "set_epoch"):
                # far from the epochs that the trainer will set
                sampler.set_epoch(self.epoch + 1_000_003 * rounds)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        whole = sum(len(sampler) for sampler in self.batch_samplers)
        return whole // self.processes * self.processes


class ShuffledBatchSampler(SetEpochMixin, BatchSampler):  # type: ignore[misc]
    """Draws batches in an order that follows from seed and epoch; rows may share texts.

    Args:
        dataset: The rows.
        batch_size: Rows of a batch.
        drop_last: Whether to leave out a last batch that is not whole.
        seed: Seed.
        **_: What trainers say besides.
    """

    def __init__(
        self, dataset: Any, *, batch_size: int, drop_last: bool, seed: int = 0, **_: Any
    ) -> None:
        super().__init__(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)
        self.rows, self.seed, self.epoch = len(dataset), seed, 0

    def __iter__(self) -> Iterator[list[int]]:
        """Yield batches of rows."""
        generator = numpy_generator(self.seed or 0, f"batches {self.epoch}")
        order = generator.permutation(self.rows)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield [int(row) for row in order[start : start + self.batch_size]]


@dataclass
class CuttingCollator(SentenceTransformerDataCollator):  # type: ignore[misc]
    """The trainer's collator; texts of some data sets are cut by the collator of their loss.

    What is drawn follows from the batch, so that a run that goes on draws as one that was not
    stopped, although batches are made ahead of the step.

    Attributes:
        cuts: Data set -> a `TextCollator`; of a run on a single set there is one.
    """

    cuts: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch."""
        known = "dataset_name" in features[0]
        name = features[0]["dataset_name"] if known else next(iter(self.cuts))
        cut = self.cuts.get(name)
        if cut is None:
            return dict(super().__call__(features))
        names = [key for key in features[0] if key != "dataset_name"]
        columns = {key: [row[key] for row in features] for key in names}
        draw = torch.Generator()
        draw.manual_seed(int(hash_text(*(t for c in columns.values() for t in c))[:15], 16))
        columns = {key: cut.cut(texts, generator=draw) for key, texts in columns.items()}
        rows = [
            {**row, **{key: columns[key][place] for key in names}}
            for place, row in enumerate(features)
        ]
        return dict(super().__call__(rows))


class SetsTrainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """The trainer, with batches for data sets in which texts come again and again.

    Args:
        *given: As for `SentenceTransformerTrainer`.
        repeating: Names of data sets whose loss does not mind equal texts in a batch, such as
            labels of classes; of a single data set any name.
        **named: As for `SentenceTransformerTrainer`.
    """

    def __init__(self, *given: Any, repeating: Sequence[str] = (), **named: Any) -> None:
        self.repeating = set(repeating)
        super().__init__(*given, **named)

    def get_batch_sampler(self, dataset: Any, *given: Any, **named: Any) -> Any:
        """Choose the batch sampler of a data set."""
        sets = self.train_dataset
        parts = sets if isinstance(sets, dict) else dict.fromkeys(self.repeating, sets)
        if any(part is dataset and name in self.repeating for name, part in parts.items()):
            return ShuffledBatchSampler(dataset, *given, **named)
        return super().get_batch_sampler(dataset, *given, **named)
