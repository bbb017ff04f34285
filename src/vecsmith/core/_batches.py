"""Batches in an order that can be taken up again in the middle.

Everything random in the making of batches (shuffling, augmentation, masking in a collate function)
draws from a stream of its own, swapped in around each fetch. The model's draws (dropout) are thus
no part of it, and the position "epoch e, batch n" can be reached again by fetching n batches from
the state that the stream had when the epoch began. What samplers and datasets hold of their own is
stored too, as far as `_source_states` finds it.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ConfigError, DataError
from ._seeds import numpy_generator
from ._source_states import set_source_states, source_states

Batches = Iterable[Any] | Callable[[int], Iterable[Any]]


@dataclass(frozen=True)
class EpochBatches:
    """The batches of one epoch, of which it is known how many come.

    Attributes:
        count: How many.
        batches: What gives them; a generator can be gone through once.
    """

    count: int
    batches: Iterable[Any]

    def __len__(self) -> int:
        """Return how many batches come."""
        return self.count

    def __iter__(self) -> Iterator[Any]:
        """Go through the batches."""
        return iter(self.batches)


def like_length_batches(
    lengths: Iterable[int], batch_size: int, rng: np.random.Generator, *, pool: int = 20
) -> Iterator[NDArray[np.int64]]:
    """Batch rows of like length for training, so that little is padded, in a random order.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows of a batch; the last one may have fewer.
        rng: Draws the order; the next epoch needs another state of it.
        pool: Batches whose rows are sorted together; more pad less, and mix less.

    Yields:
        Numbers of the rows of a batch.
    """
    sizes = np.fromiter(lengths, np.int64)
    order = rng.permutation(len(sizes))
    pools = (order[at : at + batch_size * pool] for at in range(0, len(order), batch_size * pool))
    order = np.concatenate([p[np.argsort(sizes[p], kind="stable")] for p in pools] or [order])
    for start in rng.permutation(-(-len(order) // batch_size)) * batch_size:
        yield order[start : start + batch_size]


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


class BatchStream:
    """Endless batches over epochs, with a position that can be stored and taken up again.

    For a stored position to give the same batches, they must depend on nothing but the epoch, the
    position in it, the global generators of Python, NumPy and torch, and what is stored beside
    these: generators in the attributes `generator` and `rng` of the source, its `sampler`,
    `batch_sampler` and `dataset`, and the `state_dict` of these three (taken between two passes).
    Not stored are other state, whatever lies in worker processes, and a place in an
    `IterableDataset`, which is gone through again instead. A function of the epoch is called again
    for the current epoch or, at the very start of an epoch, for the one before.

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
        # batches of all processes in the current epoch, once it has been opened
        self._length = _length(source)
        self._begin()

    def _begin(self) -> None:
        self._iterator: Iterator[Any] | None = None
        self._ahead: tuple[Any] | None = None
        # "opened" is filled when the epoch's first batch is fetched
        self._at_start = {
            "random": self._states,
            "source": source_states(self.source),
            "opened": {},
        }
        self._ended: dict[str, Any] | None = None

    def epochs(self, ahead: float = 0.0) -> float:
        """Return the epochs gone through; whole ones only where an epoch has no length.

        Args:
            ahead: How many batches further.
        """
        if self._length is None:
            return float(self.epoch)
        length = max(self._length // self.share[1], self.batch, 1)
        return self.epoch + (self.batch + ahead) / length

    def knows_length(self) -> bool:
        """Tell whether the epoch of the next batch knows how many it has; fetches that batch."""
        if self._ahead is None:
            self._ahead = self._fetch()
        return self._length is not None

    def position(self) -> dict[str, Any]:
        """Return what `seek` needs."""
        if self._ended is not None:
            return self._ended
        return {"epoch": self.epoch, "batch": self.batch, "start": self._at_start, "ended": False}

    def seek(self, position: dict[str, Any]) -> None:
        """Go to a stored position; the batches before it in its epoch are fetched and dropped.

        Args:
            position: What `position` returned.

        Raises:
            DataError: The data ends before the position: it is not the data of that run.
        """
        epoch, batch, start = position["epoch"], position["batch"], position["start"]
        self.epoch, self.batch = epoch, 0
        self._states = start["random"]
        set_source_states(self.source, start["source"])
        self._begin()
        self._at_start["opened"] = start["opened"]
        while self.batch < batch and self.epoch == epoch:
            self.next()
        if (self.epoch, self.batch) != ((epoch + 1, 0) if position["ended"] else (epoch, batch)):
            ends = "goes on after" if self.epoch == epoch else "ends before"
            raise DataError(
                f"the checkpoint stands at batch {batch} of epoch {epoch} but this data {ends} it: "
                "resume with the data of the first run, or delete the checkpoint"
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
            ended = {**self.position(), "ended": True}
            self.epoch, self.batch = self.epoch + 1, 0
            self._begin()
            # what two epochs of a function share is out of reach until the next one is opened;
            # opening it only for a checkpoint could be costly, and it may not exist
            if callable(self.source) and ended["start"]["opened"]:
                self._ended = ended
        return batch

    def _fetch(self) -> tuple[Any] | None:
        """Fetch one batch with the stream's own random states; None at the end of the epoch."""
        rank, world = self.share
        with kept_random_states(cuda=False):
            set_random_states(self._states)
            if self._iterator is None:
                self._iterator, self._ended = iter(self._open()), None
            taken = list(islice(self._iterator, world))
            self._states = random_states(cuda=False)
        return (taken[rank],) if len(taken) == world else None

    def _open(self) -> Iterable[Any]:
        if callable(self.source):
            opened = self.source(self.epoch)
        else:
            opened = self.source
            for name in ("", "sampler", "batch_sampler"):
                part = getattr(opened, name, None) if name else opened
                set_epoch = getattr(part, "set_epoch", None)
                if set_epoch is not None:
                    set_epoch(self.epoch)
        self._length = _length(opened)
        # empty, and no change, unless this epoch is taken up again
        set_source_states(opened, self._at_start["opened"])
        self._at_start["opened"] = source_states(opened)
        return opened


def _length(batches: Any) -> int | None:
    try:
        return len(batches) if isinstance(batches, Sized) else None
    except TypeError:
        # a DataLoader of data without length has __len__, which raises
        return None
