"""Documents with labels of several aspects: pairs that share a label, splits by document.

"Similar" depends on the aspect: two programs can serve one task and be made of different things.
For aspect-based embeddings each document carries, for each aspect, any number of labels (or none);
two documents are relevant to each other in an aspect if they share one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator

NEGATIVES_A_POSITIVE = 0.5


@dataclass(frozen=True)
class AspectFold:
    """One side to train on and one to test on; no document (and no group) is on both.

    Attributes:
        train: Documents for training.
        test: Documents for tests.
    """

    train: "AspectDataset"
    test: "AspectDataset"


class AspectDataset:
    """Documents with labels.

    Args:
        texts: The documents.
        labels: Aspect -> for each document its labels in this aspect, any number.
        groups: What must not be parted by a split (documents of one source), or None.
        max_label_docs: Labels that as many documents or more have are dropped: they tell little.
            None keeps all.

    Raises:
        DataError: Lengths do not agree, or there is no aspect.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Mapping[str, Sequence[Sequence[str]]],
        *,
        groups: Sequence[Any] | None = None,
        max_label_docs: int | None = 100,
    ) -> None:
        lengths = {"texts": len(texts), **{name: len(rows) for name, rows in labels.items()}}
        lengths |= {} if groups is None else {"groups": len(groups)}
        if len(set(lengths.values())) > 1 or not labels or not texts:
            raise DataError(f"every document needs its row in each aspect; got {lengths}")
        self.texts = list(texts)
        self.aspects = tuple(labels)
        self.groups = list(range(len(texts))) if groups is None else list(groups)
        self.names: dict[str, list[str]] = {}
        self.matrices: dict[str, sparse.csr_matrix] = {}
        for aspect, rows in labels.items():
            self.names[aspect], self.matrices[aspect] = _matrix(rows, max_label_docs)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.texts)

    def matrix(self, aspect: str) -> sparse.csr_matrix:
        """Return which document has which label.

        Args:
            aspect: Its name.

        Returns:
            Ones and zeros, shape (documents, labels).

        Raises:
            ConfigError: No such aspect.
        """
        if aspect not in self.matrices:
            raise ConfigError(
                f"no aspect is called {aspect!r}; {did_you_mean(aspect, self.aspects)}"
            )
        return self.matrices[aspect]

    def labelled(self, aspect: str) -> NDArray[np.int64]:
        """Find the documents with at least one label; of the others nothing is known.

        Args:
            aspect: Its name.

        Returns:
            Their numbers, ascending.
        """
        return np.flatnonzero(np.diff(self.matrix(aspect).indptr)).astype(np.int64)

    def relevant(self, aspect: str) -> sparse.csr_matrix:
        """Mark pairs of documents that share a label.

        Args:
            aspect: Its name.

        Returns:
            Sparse, shape (documents, documents), True where they do, nothing on the diagonal. Time
            and memory go with the pairs that share a label, not with all.
        """
        matrix = self.matrix(aspect)
        shared = sparse.coo_matrix(matrix @ matrix.T)
        off = shared.row != shared.col
        cells = shared.row[off], shared.col[off]
        found = sparse.csr_matrix((np.ones(len(cells[0]), bool), cells), shape=shared.shape)
        # what is drawn from it must not hang on the order in which products come
        found.sort_indices()
        return found

    def subset(self, rows: Sequence[int] | NDArray[np.int64]) -> "AspectDataset":
        """Take some documents; labels that were dropped stay dropped, no others are.

        Args:
            rows: Their numbers.

        Returns:
            A data set of these.
        """
        part = object.__new__(AspectDataset)
        part.texts = [self.texts[row] for row in rows]
        part.groups = [self.groups[row] for row in rows]
        part.aspects, part.names = self.aspects, self.names
        part.matrices = {name: matrix[np.asarray(rows)] for name, matrix in self.matrices.items()}
        return part

    def split(self, k: int = 4, *, seed: int = 0) -> list[AspectFold]:
        """Cut the documents into k parts, each of which is the test side once.

        Args:
            k: Number of parts.
            seed: Seed of the cut.

        Returns:
            The folds; groups are never parted.

        Raises:
            ConfigError: Fewer than two parts, or fewer groups than parts.
        """
        kinds = sorted(set(self.groups), key=str)
        if not 2 <= k <= len(kinds):
            raise ConfigError(f"k must lie from 2 to the {len(kinds)} groups; got {k}")
        order = numpy_generator(seed, "folds").permutation(len(kinds))
        part_of = {kinds[kind]: place % k for place, kind in enumerate(order)}
        parts = np.array([part_of[group] for group in self.groups])
        return [
            AspectFold(
                self.subset(np.flatnonzero(parts != part)),
                self.subset(np.flatnonzero(parts == part)),
            )
            for part in range(k)
        ]

    def positives(
        self, aspect: str, count: int | None = None, *, seed: int = 0
    ) -> NDArray[np.int64]:
        """Draw pairs of documents that share a label.

        Args:
            aspect: Its name.
            count: How many; None, or more than there are, gives all.
            seed: Seed of the draw and of the order.

        Returns:
            Numbers of documents, shape (pairs, 2), each pair once.

        Raises:
            DataError: No two documents share a label.
        """
        above = sparse.triu(self.relevant(aspect))
        pairs = np.stack([above.row, above.col], axis=1).astype(np.int64)
        if not len(pairs):
            raise DataError(
                f"no two documents share a label of {aspect!r}; give more documents, or raise "
                "max_label_docs"
            )
        rng = numpy_generator(seed, "positives", aspect)
        drawn = pairs[rng.permutation(len(pairs))[:count]]
        flipped = rng.integers(2, size=len(drawn)).astype(bool)
        drawn[flipped] = drawn[flipped, ::-1]
        return np.asarray(drawn, np.int64)

    def negatives(self, aspect: str, count: int, *, seed: int = 0) -> NDArray[np.int64]:
        """Draw pairs of documents that both have labels but share none.

        Args:
            aspect: Its name.
            count: How many; the authors take half as many as positives.
            seed: Seed of the draw.

        Returns:
            Numbers of documents, shape (pairs, 2), each pair once; fewer than `count` where there
            are not enough. Pairs are drawn and refused, so that not all are looked at.
        """
        labelled = self.labelled(aspect)
        rng = numpy_generator(seed, "negatives", aspect)
        shared = sparse.triu(self.relevant(aspect)[np.ix_(labelled, labelled)])
        size = len(labelled)
        # a pair as one number; row < column
        taken = shared.row.astype(np.int64) * size + shared.col
        pairs = labelled[np.stack(np.divmod(_outside(taken, size, count, rng), max(size, 1)), 1)]
        return np.asarray(pairs, np.int64)


def _outside(
    taken: NDArray[np.int64], size: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw distinct pairs of `size` things that are not taken, each as row * size + column."""
    free = size * (size - 1) // 2 - len(taken)
    count = min(count, free)
    if 2 * count > free:
        # most of them are wanted: there are not many more than these and the taken ones
        row, column = np.triu_indices(size, 1)
        return rng.permutation(np.setdiff1d(row * size + column, taken))[:count]
    found = np.zeros(0, np.int64)
    while len(found) < count:
        ends = np.sort(rng.integers(size, size=(2 * count + 16, 2)), axis=1)
        codes = ends[ends[:, 0] < ends[:, 1]] @ np.array([size, 1])
        found = np.concatenate([found, codes[~np.isin(codes, taken)]])
        # each stays where it came first, so that what is cut off is chance
        found = found[np.sort(np.unique(found, return_index=True)[1])]
    return found[:count]


def _matrix(rows: Sequence[Sequence[str]], most: int | None) -> tuple[list[str], sparse.csr_matrix]:
    count: dict[str, int] = {}
    for labels in rows:
        for label in set(labels):
            count[label] = count.get(label, 0) + 1
    names = sorted(label for label, docs in count.items() if most is None or docs < most)
    place = {label: column for column, label in enumerate(names)}
    cells = [
        (row, place[label])
        for row, labels in enumerate(rows)
        for label in set(labels)
        if label in place
    ]
    at = np.array(cells, np.int64).reshape(-1, 2)
    ones = np.ones(len(at), np.float32)
    return names, sparse.csr_matrix((ones, (at[:, 0], at[:, 1])), shape=(len(rows), len(names)))
