"""Streams of batches that are taken up again, whatever their source holds of its own."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
)

from vecsmith.core import Budget, DataError, FitOptions, fit
from vecsmith.core._batches import BatchStream


def test_stream_with_workers_seeks_to_the_same_batches() -> None:
    rows = TensorDataset(torch.arange(20))

    def stream(workers: int) -> BatchStream:
        loader = DataLoader(rows, batch_size=3, shuffle=True, num_workers=workers)
        return BatchStream(loader, seed=2)

    plain = stream(0)
    batches = [plain.next()[0].tolist() for _ in range(10)]
    # the order is drawn by the main process, whatever the number of workers
    position = None
    first = stream(1)
    for index in range(10):
        if index == 9:
            position = first.position()
        assert first.next()[0].tolist() == batches[index]
    later = stream(0)
    later.seek(position)
    assert later.next()[0].tolist() == batches[9]
    assert sorted(n for batch in batches[:7] for n in batch) == list(range(20))


ROWS = 16


class Order(Sampler[int]):
    """A sampler with a generator that goes on from epoch to epoch."""

    def __init__(self, generator: object) -> None:
        self.rng = generator

    def __iter__(self) -> Iterator[int]:
        order = list(range(ROWS))
        self.rng.shuffle(order)
        return iter(order)

    def __len__(self) -> int:
        return ROWS


class Counting(Order):
    """A sampler that tells its own state."""

    def __init__(self) -> None:
        self.passes = [0]

    def __iter__(self) -> Iterator[int]:
        self.passes[0] += 1
        return iter([(self.passes[0] * 5 + 3 * row) % ROWS for row in range(ROWS)])

    def state_dict(self) -> dict[str, object]:
        return {"passes": self.passes}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self.passes = state["passes"]


class Fading(Dataset[torch.Tensor]):
    """A dataset whose rows change with each use, by a count and by a generator of its own."""

    def __init__(self) -> None:
        self.used, self.generator = 0, torch.Generator().manual_seed(4)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> torch.Tensor:
        self.used += 1
        return torch.randn(3, generator=self.generator) / self.used + row

    def state_dict(self) -> dict[str, object]:
        return {"used": self.used}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self.used = state["used"]


def table() -> torch.Tensor:
    return torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(7))


def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model(batch).square().mean()


def sampled(sampler: Sampler[int]) -> DataLoader[torch.Tensor]:
    return DataLoader(table(), batch_size=4, sampler=sampler)


def of_the_epoch_sampled() -> Callable[[int], DataLoader[torch.Tensor]]:
    sampler = Order(np.random.default_rng(3))
    return lambda epoch: sampled(sampler)


def of_the_epoch(*, shared: bool) -> Callable[[int], DataLoader[torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)

    def batches(epoch: int) -> DataLoader[torch.Tensor]:
        assert epoch <= 2, "opened before it is needed"
        own = generator if shared else torch.Generator().manual_seed(epoch)
        return DataLoader(table(), batch_size=4, shuffle=True, generator=own)

    return batches


OWN_STATE = {
    "pcg64": lambda: sampled(Order(np.random.default_rng(3))),
    "philox": lambda: sampled(Order(np.random.Generator(np.random.Philox(3)))),
    "mt19937": lambda: sampled(Order(np.random.Generator(np.random.MT19937(3)))),
    "legacy numpy": lambda: sampled(Order(np.random.RandomState(3))),
    "python": lambda: sampled(Order(random.Random(3))),
    "inside a batch sampler": lambda: DataLoader(
        table(), batch_sampler=BatchSampler(Order(np.random.default_rng(3)), 4, False)
    ),
    "sampler with a state": lambda: sampled(Counting()),
    "dataset with a state": lambda: DataLoader(Fading(), batch_size=4),
    "function, shared generator": lambda: of_the_epoch(shared=True),
    "function, new generators": lambda: of_the_epoch(shared=False),
    "function, shared sampler": of_the_epoch_sampled,
}


@pytest.mark.parametrize("name", OWN_STATE)
def test_sources_with_a_state_of_their_own_are_taken_up(tmp_path: Path, name: str) -> None:
    def seen(steps: int, folder: Path | None) -> list[torch.Tensor]:
        batches = []

        def step(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
            batches.append(batch)
            return loss(model, batch)

        budget, options, source = Budget(steps=steps), FitOptions(cpu=True), OWN_STATE[name]()
        fit(nn.Linear(3, 1), step, source, budget=budget, options=options, checkpoint=folder)
        return batches

    # four batches an epoch: stopped inside the first, at its end, inside the next two, at the end
    parts = [batch for steps in (2, 4, 6, 9, 12) for batch in seen(steps, tmp_path)]
    whole = seen(12, None)
    assert len(parts) == len(whole)
    assert all(torch.equal(a, b) for a, b in zip(parts, whole, strict=True))
    assert not torch.equal(whole[0], whole[4])


def test_other_sources_are_named(tmp_path: Path) -> None:
    def run(steps: int, source: object) -> None:
        options = FitOptions(cpu=True)
        budget = Budget(steps=steps)
        fit(nn.Linear(3, 1), loss, source, budget=budget, options=options, checkpoint=tmp_path)

    run(4, OWN_STATE["pcg64"]())
    with pytest.raises(DataError, match=r"state of sampler\.rng of the batches does not fit"):
        run(8, OWN_STATE["philox"]())
    (tmp_path / "state.safetensors").unlink()
    run(4, of_the_epoch(shared=True))
    with pytest.raises(DataError, match="goes on after"):
        run(8, lambda epoch: DataLoader(torch.zeros(2 * ROWS, 3), batch_size=4))


def test_place_in_an_iterable_dataset_is_reached_by_going_through_it_again() -> None:
    class Rows(IterableDataset[int]):
        place = 0

        def __iter__(self) -> Iterator[int]:
            yield from range(self.place, 6)
            self.place = 0

        def state_dict(self) -> dict[str, int]:
            return {"place": 6}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.place = state["place"]

    first, later = (BatchStream(DataLoader(Rows(), batch_size=2), seed=0) for _ in range(2))
    for _ in range(4):
        first.next()
    later.seek(first.position())
    assert torch.equal(later.next(), first.next())
