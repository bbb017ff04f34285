"""Batches of several data sets: each batch of one set, sets drawn by size times weight."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler


class WeightedBatchSampler(MultiDatasetDefaultBatchSampler):  # type: ignore[misc]
    """Draws batches from several data sets in proportion to size times weight.

    A set whose batches run out before the others starts again in another order. The epoch has as
    many batches as the sets have together.

    Args:
        dataset: The sets, concatenated.
        batch_samplers: One batch sampler a set.
        weights: One weight a set.
        generator: Not used; the order follows from the seed and the epoch alone.
        seed: Seed.
    """

    def __init__(
        self,
        dataset: Any,
        batch_samplers: Sequence[Any],
        *,
        weights: Sequence[float],
        generator: Any = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, batch_samplers=batch_samplers, generator=generator, seed=seed)
        self.weights = list(weights)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield batches of rows."""
        rng = np.random.default_rng([self.seed or 0, self.epoch])
        offsets = [0, *accumulate(len(part) for part in self.dataset.datasets)]
        sizes = [len(sampler) for sampler in self.batch_samplers]
        shares = np.array([s * w for s, w in zip(sizes, self.weights, strict=True)], float)
        total = len(self)
        # as many of each as its share says, in random order: no luck of the draw in the mixture
        counts = np.floor(shares / shares.sum() * total).astype(int)
        rest = np.argsort(-(shares / shares.sum() * total - counts), kind="stable")
        counts[rest[: total - counts.sum()]] += 1
        order = rng.permutation(np.repeat(np.arange(len(sizes)), counts))
        running = [iter(sampler) for sampler in self.batch_samplers]
        rounds = [0] * len(sizes)
        for place in order:
            batch = next(running[place], None)
            if batch is None:
                rounds[place] += 1
                sampler = self.batch_samplers[place]
                if hasattr(sampler, "set_epoch"):
                    # far from the epochs that the trainer will set
                    sampler.set_epoch(self.epoch + 1_000_003 * rounds[place])
                running[place] = iter(sampler)
                batch = next(running[place], None)
            if batch is not None:
                yield [row + offsets[place] for row in batch]

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return sum(len(sampler) for sampler in self.batch_samplers)
