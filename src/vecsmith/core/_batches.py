"""Batches in an order that can be taken up again in the middle.

Everything random in the making of batches (shuffling, augmentation, masking in a collate function)
draws from a stream of its own, swapped in around each fetch. The model's draws (dropout) are thus
no part of it, and the position "epoch e, batch n" can be reached again by fetching n batches from
the state that the stream had when the epoch began.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import ConfigError, DataError
from ._seeds import numpy_generator

if TYPE_CHECKING:
    import torch

Batches = Iterable[Any] | Callable[[int], Iterable[Any]]


def random_states(*, cuda: bool = True) -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch.

    Args:
        cuda: Also those of the GPUs, where there are any.
    """
    import torch

    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    states = {
        "python": random.getstate(),
        "numpy": (name, keys, *rest),
        "torch": torch.get_rng_state(),
    }
    if cuda and torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` returned.

    Args:
        states: Such a dictionary.
    """
    import torch

    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def fresh_states(seed: int, *names: str) -> dict[str, Any]:
    """Return generator states that depend on the seed and the names alone.

    Args:
        seed: Any non-negative integer.
        *names: What the stream is for.
    """
    import torch

    with kept_random_states():
        word = int(numpy_generator(seed, *names).integers(2**32))
        random.seed(word)
        np.random.seed(word)  # noqa: NPY002
        torch.manual_seed(word)
        return random_states()


@contextlib.contextmanager
def kept_random_states(*, cuda: bool = True) -> Iterator[None]:
    """Give the global generators back, at the end, the states they had.

    Args:
        cuda: Also those of the GPUs, where there are any.
    """
    before = random_states(cuda=cuda)
    try:
        yield
    finally:
        set_random_states(before)


def _generators(loader: Any) -> "list[torch.Generator]":
    import torch

    sampler, batch_sampler = (
        getattr(loader, "sampler", None),
        getattr(loader, "batch_sampler", None),
    )
    holders = (loader, sampler, batch_sampler, getattr(batch_sampler, "sampler", None))
    found = {id(g): g for g in (getattr(holder, "generator", None) for holder in holders)}
    return [g for g in found.values() if isinstance(g, torch.Generator)]


class BatchStream:
    """Endless batches over epochs, with a position that can be stored and taken up again.

    Args:
        source: A DataLoader, any other iterable of batches, or a function of the epoch's number
            that returns one. `set_epoch` of the source or its samplers is called where it exists.
        seed: Seed of the stream that the making of batches draws from.
        share: (rank, world): of every `world` batches this process takes the one at `rank`; an
            incomplete last round of an epoch is left out.
    """

    def __init__(self, source: Batches, *, seed: int, share: tuple[int, int] = (0, 1)) -> None:
        if isinstance(source, Iterator) or not (callable(source) or isinstance(source, Iterable)):
            raise ConfigError(
                "batches must be a DataLoader, a list or another iterable that can be gone through "
                f"again, or a function of the epoch; got {type(source).__name__}: "
                "wrap a generator in a function"
            )
        self.source, self.share = source, share
        self.epoch, self.batch = 0, 0
        self._states = fresh_states(seed, "batches")
        self._states.pop("cuda", None)
        self._begin()

    def _begin(self) -> None:
        self._iterator: Iterator[Any] | None = None
        self._ahead: tuple[Any] | None = None
        self._at_start = {
            "random": self._states,
            "generators": [g.get_state() for g in _generators(self.source)],
        }

    @property
    def epochs(self) -> float:
        """Epochs gone through; whole ones only where the source has no length."""
        try:
            length = len(self.source) // self.share[1]  # type: ignore[arg-type]
        except TypeError:
            return float(self.epoch)
        return self.epoch + self.batch / max(length, self.batch, 1)

    def position(self) -> dict[str, Any]:
        """Return what `seek` needs."""
        return {"epoch": self.epoch, "batch": self.batch, "start": self._at_start}

    def seek(self, position: dict[str, Any]) -> None:
        """Go to a stored position; the batches before it in its epoch are fetched and dropped.

        Args:
            position: What `position` returned.

        Raises:
            DataError: The data ends before the position: it is not the data of that run.
        """
        states, generators = position["start"]["generators"], _generators(self.source)
        self.epoch, self.batch = position["epoch"], 0
        self._states = position["start"]["random"]
        for generator, state in zip(generators, states, strict=False):
            generator.set_state(state)
        self._begin()
        while self.batch < position["batch"] and self.epoch == position["epoch"]:
            self.next()
        if (self.epoch, self.batch) != (position["epoch"], position["batch"]):
            raise DataError(
                f"the checkpoint stands at batch {position['batch']} of epoch {position['epoch']} "
                "but this data ends before it: resume with the data of the first run, "
                "or delete the checkpoint"
            )

    def next(self) -> Any:
        """Return the next batch, of the next epoch where one has ended.

        Raises:
            DataError: An epoch has no batch at all.
        """
        if self._ahead is None:
            self._ahead = self._fetch()
        if self._ahead is None:
            raise DataError(
                f"batches gave nothing in epoch {self.epoch}: it needs at least one batch "
                "for every process; give more data or a smaller batch size"
            )
        (batch,) = self._ahead
        self.batch += 1
        # one batch ahead, so that the end of an epoch is known when its last batch is given out
        self._ahead = self._fetch()
        if self._ahead is None:
            self.epoch, self.batch = self.epoch + 1, 0
            self._begin()
        return batch

    def _fetch(self) -> tuple[Any] | None:
        """Fetch one batch with the stream's own random states; None at the end of the epoch."""
        rank, world = self.share
        with kept_random_states(cuda=False):
            set_random_states(self._states)
            if self._iterator is None:
                self._iterator = iter(self._open())
            taken = list(islice(self._iterator, world))
            self._states = random_states(cuda=False)
        return (taken[rank],) if len(taken) == world else None

    def _open(self) -> Iterable[Any]:
        if callable(self.source):
            return self.source(self.epoch)
        parts = (self.source, getattr(self.source, "sampler", None))
        for part in (*parts, getattr(self.source, "batch_sampler", None)):
            set_epoch = getattr(part, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(self.epoch)
        return self.source
