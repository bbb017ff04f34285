"""Pairs of pictures and texts, and batches of them in which no two rows show the same thing."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError


class PairedRows(NamedTuple):
    """Rows of one batch.

    Attributes:
        rows: Numbers of the pairs, shape (B,).
        sentences: Which sentence of each pair's text was drawn, shape (B,).
    """

    rows: NDArray[np.int64]
    sentences: NDArray[np.int64]


class PairedDataset:
    """Pictures with their texts.

    Args:
        images: One a pair, as `VisionEncoder.pixels` takes them.
        texts: For each picture one sentence, or a list of sentences of which one is drawn at random
            each time that the pair is used; blank ones are left out.
        groups: What each picture shows (a patient, a concept, …), or None where all differ. Rows of
            one batch are drawn from different groups, and each group is drawn equally often.
        may_flip: False where flipping a picture would change its meaning; None allows it.

    Raises:
        DataError: Unequal lengths, no pairs, or a pair without a sentence.
    """

    def __init__(
        self,
        images: Sequence[Any] | NDArray[np.uint8],
        texts: Sequence[str] | Sequence[Sequence[str]],
        *,
        groups: Sequence[Any] | None = None,
        may_flip: Sequence[bool] | None = None,
    ) -> None:
        self.images = images
        self.texts = [[text] if isinstance(text, str) else list(text) for text in texts]
        self.may_flip = None if may_flip is None else np.asarray(may_flip, bool)
        lengths = {"images": len(images), "texts": len(self.texts)}
        lengths |= {} if groups is None else {"groups": len(groups)}
        lengths |= {} if may_flip is None else {"may_flip": len(may_flip)}
        if len(set(lengths.values())) > 1 or not len(images):
            raise DataError(f"every picture needs its row in each argument; got {lengths}")
        self.texts = [[text for text in sentences if text.strip()] for sentences in self.texts]
        for row, sentences in enumerate(self.texts):
            if not sentences:
                raise DataError(
                    f"pair {row} has no sentence; leave it out, or give its picture some text"
                )
        self.groups: NDArray[np.int64] | None = None
        if groups is not None:
            self.groups = _numbered(groups)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.texts)

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[PairedRows]:
        """Draw the batches of one epoch: as many rows as there are pairs, incomplete ones left out.

        Args:
            size: Rows a batch.
            rng: Source of randomness.

        Yields:
            Rows with their sentences.

        Raises:
            DataError: There are fewer pairs, or fewer groups, than a batch has rows.
        """
        things = len(self) if self.groups is None else int(self.groups.max()) + 1
        if size > things:
            raise DataError(
                f"a batch of {size} needs as many different pairs or groups; there are {things}: "
                "take smaller batches"
            )
        order = rng.permutation(len(self))
        members = None if self.groups is None else _members(self.groups)
        for start in range(0, len(self) - size + 1, size):
            if members is None:
                rows = order[start : start + size]
            else:
                drawn = rng.choice(things, size, replace=False)
                rows = np.array([rng.choice(members[group]) for group in drawn])
            picks = [rng.integers(len(self.texts[row])) for row in rows]
            yield PairedRows(rows, np.array(picks))


def _numbered(groups: Sequence[Any]) -> NDArray[np.int64]:
    """Number things of any kind that can be hashed, tuples too, by their order if they have one."""
    things = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    try:
        kinds = sorted(set(things))
    except TypeError:
        kinds = list(dict.fromkeys(things))
    number = {kind: place for place, kind in enumerate(kinds)}
    return np.array([number[thing] for thing in things], np.int64)


def _members(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
