"""One mean a class, kept as sum and count: what a classifier needs that never forgets.

Zhou et al. (2024), *Revisiting Class-Incremental Learning with Pre-Trained Models* (SimpleCIL)::

    p_c = mean of phi(x) over the examples of class c,    predict argmax_c cos(phi(x), p_c)

Means are of raw vectors; length is taken away only inside the cosine. Classes and examples may come
in any order and any number of pieces: the sums are the same. Cost: one sum an example.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError

Floats = NDArray[np.floating[Any]]


class Prototypes:
    """Running means of classes.

    Args:
        dims: Numbers of a vector.

    Attributes:
        labels: Classes in the order they came.
        sums: Shape (classes, dims), float64.
        counts: Examples of each, shape (classes,), int64.
    """

    def __init__(self, dims: int) -> None:
        self.labels: list[Hashable] = []
        self.sums = np.zeros((0, dims))
        self.counts = np.zeros(0, np.int64)

    def add(self, vectors: Floats, labels: Sequence[Hashable]) -> list[Hashable]:
        """Add examples.

        Args:
            vectors: Shape (examples, dims).
            labels: Their classes, known or new.

        Returns:
            The new classes.

        Raises:
            DataError: Vectors are not finite, or of other dimensions.
        """
        vectors = self._checked(vectors)
        fresh = [label for label in dict.fromkeys(labels) if label not in set(self.labels)]
        self.labels += fresh
        more = len(fresh)
        self.sums = np.concatenate([self.sums, np.zeros((more, self.sums.shape[1]))])
        self.counts = np.concatenate([self.counts, np.zeros(more, np.int64)])
        place = {label: row for row, label in enumerate(self.labels)}
        rows = np.array([place[label] for label in labels], np.int64)
        np.add.at(self.sums, rows, vectors.astype(np.float64))
        np.add.at(self.counts, rows, 1)
        return fresh

    def forget(self, label: Hashable) -> None:
        """Take a class out.

        Args:
            label: A known class.

        Raises:
            DataError: It is not known.
        """
        if label not in self.labels:
            raise DataError(f"no class is called {label!r}; known are {self.labels[:5]}")
        row = self.labels.index(label)
        del self.labels[row]
        self.sums = np.delete(self.sums, row, axis=0)
        self.counts = np.delete(self.counts, row)

    @property
    def means(self) -> NDArray[np.float64]:
        """The prototypes, shape (classes, dims)."""
        return self.sums / self.counts[:, None]

    def cosines(self, vectors: Floats) -> NDArray[np.float64]:
        """Compare vectors with all classes.

        Args:
            vectors: Shape (rows, dims).

        Returns:
            Shape (rows, classes).

        Raises:
            DataError: There is no class yet, or vectors are not finite or of other dimensions.
        """
        if not self.labels:
            raise DataError("the classifier knows no class yet; teach it some with learn")
        return unit(self._checked(vectors)) @ unit(self.means).T

    def _checked(self, vectors: Floats) -> NDArray[np.float64]:
        rows = np.asarray(vectors, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.sums.shape[1]:
            raise DataError(
                f"vectors must be of shape (rows, {self.sums.shape[1]}); got {rows.shape}"
            )
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
            raise DataError(
                f"vectors must be finite; row {bad} holds NaN or infinity: leave it out"
            )
        return rows


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of length 1; those of length 0 stay.

    Args:
        rows: Shape (rows, dims).
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
