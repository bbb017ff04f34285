"""Batches of formulas with their points, made on the fly or drawn from a list.

A batch depends on the seed, the epoch and its place alone, so that a run that is taken up again
sees the same ones, and worker processes can make them.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vecsmith.core import ConfigError, DataError, EpochBatches, numpy_generator
from vecsmith.data.formulas import ExpressionGenerator, Sample
from vecsmith.encode.formulas import Snip

Ids = NDArray[np.int64]
# formulas in a row that may be too long
_TRIES = 1000


class PairBatch(NamedTuple):
    """Formulas and their points as tokens.

    Attributes:
        formulas: Shape (rows, tokens).
        points: Shape (rows, points, 3 * (max_dim + 1)).
        mask: Where a point is, shape (rows, points).
        groups: Number of each row's formula, shape (rows,); equal formulas have equal numbers.
    """

    formulas: Tensor
    points: Tensor
    mask: Tensor
    groups: Tensor


class PairSource:
    """Batches for a model.

    Args:
        model: Whose tokens are written.
        source: A generator, or samples; of samples with more than `max_points` points others are
            drawn each time.
        batch: Rows of a batch.
        epoch: Batches of an epoch from a generator.
        seed: Seed of the batches.
        workers: Processes that make batches of a generator; 0 makes them here.

    Raises:
        ConfigError: A number is out of range.
        DataError: Fewer than two samples, or one that the model cannot read.
    """

    def __init__(
        self,
        model: Snip,
        source: ExpressionGenerator | Sequence[Sample],
        *,
        batch: int = 256,
        epoch: int = 1000,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        for name, value, least in (
            ("batch", batch, 2),
            ("epoch", epoch, 1),
            ("workers", workers, 0),
        ):
            if not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"{name} must be a whole number of at least {least}; got {value!r}"
                )
        self.model, self.source, self.size = model, source, batch
        self.count, self.seed, self.workers = epoch, seed, workers
        self.kept: PairBatch | None = None
        if not isinstance(source, ExpressionGenerator):
            if len(source) < 2:
                raise DataError(f"training needs at least two samples; got {len(source)}")
            self.size = min(batch, len(source))
            self.count = len(source) // self.size
            most = max(len(sample.y) for sample in source)
            self.kept = self.tokens(source, limit=most)
        elif source.max_dim > model.config.max_dim:
            raise ConfigError(
                f"the generator makes formulas of {source.max_dim} inputs, the model reads "
                f"{model.config.max_dim}: make either fit"
            )

    def tokens(self, samples: Sequence[Sample], *, limit: int | None = None) -> PairBatch:
        """Write samples as tokens.

        Args:
            samples: Formulas with points.
            limit: Points of each; None takes `max_points`.

        Returns:
            A batch of all of them.
        """
        formulas = self.model.formula_inputs([sample.expression for sample in samples])
        sets = [(sample.X, sample.y) for sample in samples]
        points, mask = self.model.point_inputs(sets, limit=limit, seed=self.seed)
        groups = np.array([zlib.crc32(row[row > 0].tobytes()) for row in formulas])
        return PairBatch(*map(torch.from_numpy, (formulas, points, mask, groups)))

    def __call__(self, epoch: int) -> EpochBatches:
        """Return the batches of an epoch.

        Args:
            epoch: Its number.

        Returns:
            Batches, and how many.
        """
        if self.kept is not None:
            return EpochBatches(self.count, self._drawn(epoch))
        places: Iterator[PairBatch] = (self.made(epoch, i) for i in range(self.count))
        if self.workers:
            data = _Places(self, epoch)
            places = iter(
                torch.utils.data.DataLoader(data, batch_size=None, num_workers=self.workers)
            )
        return EpochBatches(self.count, places)

    def made(self, epoch: int, place: int) -> PairBatch:
        """Make a batch of new formulas.

        Args:
            epoch: Number of the epoch.
            place: Number of the batch in it.

        Returns:
            The batch.

        Raises:
            DataError: A thousand formulas in a row are longer than the model reads.
        """
        assert isinstance(self.source, ExpressionGenerator)
        rng = numpy_generator(self.seed, "pairs", str(epoch), str(place))
        most = self.model.config.max_tokens
        rows: list[Sample] = []
        idle = 0
        while len(rows) < self.size:
            if idle == _TRIES:
                raise DataError(
                    f"{_TRIES} formulas in a row had more than the {most} tokens that the model "
                    "reads; let the generator make shorter ones (max_symbols, prefactors), or take "
                    "a model of more max_tokens"
                )
            sample, idle = self.source.draw(rng), idle + 1
            # numbers take three tokens
            if 3 * len(sample.expression) + 2 <= most or (
                len(self.model.tokenizer.encode(sample.expression)) <= most
            ):
                rows.append(sample)
                idle = 0
        return self.tokens(rows)

    def _drawn(self, epoch: int) -> Iterator[PairBatch]:
        assert self.kept is not None
        rng = numpy_generator(self.seed, "order", str(epoch))
        order = rng.permutation(len(self.kept.formulas))
        most = self.model.config.max_points
        for i in range(self.count):
            chosen = torch.from_numpy(order[i * self.size : (i + 1) * self.size])
            formulas, points, mask, groups = (part[chosen] for part in self.kept)
            formulas = formulas[:, : int((formulas != 0).sum(1).max())]
            if points.shape[1] > most:
                # places without a point come last
                keys = rng.random(mask.shape) + 2.0 * ~mask.numpy()
                some = torch.from_numpy(keys.argpartition(most, axis=1)[:, :most])
                points = points.gather(1, some[..., None].expand(-1, -1, points.shape[2]))
                mask = mask.gather(1, some)
            yield PairBatch(formulas, points, mask, groups)


class _Places(torch.utils.data.Dataset[PairBatch]):
    """Batches of an epoch by place, for worker processes."""

    def __init__(self, source: PairSource, epoch: int) -> None:
        self.source, self.epoch = source, epoch

    def __len__(self) -> int:
        return self.source.count

    def __getitem__(self, place: int) -> PairBatch:
        torch.set_num_threads(1)
        return self.source.made(self.epoch, place)
