"""Exact index of passages with a dense and a lexical half.

Every passage is scored in both halves, the lexical one through inverted lists (for each word of the
query the passages that kept it), and the sums are ranked: no passage is lost because one half alone
ranked it low. Cost: n (dims + k) products a query; memory n (4 dims + 8 k) bytes, on disk
n (4 dims + 6 k).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vecsmith.core import DataError, Stamp, StoreError, atomic_path

QUERIES_A_BLOCK = 64


class DuplexIndex:
    """Passages of a `vecsmith.train.DuplexRetriever`, searched exactly.

    Args:
        dense: Dense halves, shape (n, dims); 0 dims where that half is off.
        ids: Words kept of each passage, shape (n, k).
        values: Their weights, shape (n, k).
        vocabulary: Number of words.
        stamp: `DuplexRetriever.stamp` of the passages, kept with the index.

    Raises:
        DataError: Shapes do not fit.
    """

    def __init__(
        self,
        dense: NDArray[np.float32],
        ids: NDArray[np.int32],
        values: NDArray[Any],
        *,
        vocabulary: int,
        stamp: Stamp | None = None,
    ) -> None:
        if dense.ndim != 2 or ids.ndim != 2 or ids.shape != values.shape or len(ids) != len(dense):
            raise DataError(
                "DuplexIndex needs dense of shape (n, dims) and ids and values of shape (n, k); "
                f"got {dense.shape}, {ids.shape} and {values.shape}"
            )
        if ids.size and not (ids.min() >= 0 and ids.max() < vocabulary):
            raise DataError(
                f"ids must lie from 0 to below vocabulary {vocabulary}; "
                f"got {ids.min()} to {ids.max()}"
            )
        self.dense = np.ascontiguousarray(dense, np.float32)
        self.ids = np.ascontiguousarray(ids, np.int32)
        self.values = np.ascontiguousarray(values, np.float16)
        self.vocabulary, self.stamp = vocabulary, stamp
        self._lists = self._inverted()

    def __len__(self) -> int:
        return len(self.dense)

    def _inverted(self) -> Any:
        from scipy.sparse import csr_matrix

        count, kept = self.ids.shape
        starts = np.arange(0, count * kept + 1, kept) if kept else np.zeros(count + 1, np.int64)
        data = (self.values.astype(np.float32).ravel(), self.ids.ravel(), starts)
        return csr_matrix(data, shape=(count, self.vocabulary)).tocsc()

    def scores(
        self, dense: NDArray[np.float32], lexical: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Score every passage.

        Args:
            dense: Dense halves of queries, shape (queries, dims).
            lexical: Their lexical halves, shape (queries, vocabulary).

        Returns:
            Shape (queries, n).

        Raises:
            DataError: Queries have other dimensions than the passages.
        """
        want = (self.dense.shape[1], self.vocabulary if self.ids.shape[1] else 0)
        came = (dense.shape[1], lexical.shape[1])
        if came[0] != want[0] or (want[1] and came[1] != want[1]):
            raise DataError(
                f"queries must have {want[0]} dense dimensions and {want[1]} words, as the index "
                f"has; got {came[0]} and {came[1]}: encode them with the passages' retriever"
            )
        total: NDArray[np.float32] = dense.astype(np.float32) @ self.dense.T
        if want[1]:
            total += (self._lists @ lexical.astype(np.float32).T).T
        return total

    def search(
        self, dense: NDArray[np.float32], lexical: NDArray[np.float32], k: int = 10
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the best passages by the sum of both halves.

        Args:
            dense: Dense halves of queries, shape (queries, dims).
            lexical: Their lexical halves, shape (queries, vocabulary).
            k: How many.

        Returns:
            Scores and passage numbers, best first, shape (queries, min(k, n)).

        Raises:
            DataError: As `scores`; or k below 1.
        """
        if k < 1:
            raise DataError(f"k must be at least 1; got {k}")
        k = min(k, len(self))
        best: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        for start in range(0, len(dense), QUERIES_A_BLOCK):
            part = slice(start, start + QUERIES_A_BLOCK)
            scores = self.scores(dense[part], lexical[part])
            top = (
                np.argpartition(-scores, k - 1, axis=1)[:, :k] if k else np.zeros((len(scores), 0))
            )
            top = np.sort(top.astype(np.int64), axis=1)
            found = np.take_along_axis(scores, top, axis=1)
            order = np.argsort(-found, axis=1, kind="stable")
            best.append((np.take_along_axis(found, order, 1), np.take_along_axis(top, order, 1)))
        if not best:
            return np.zeros((0, k), np.float32), np.zeros((0, k), np.int64)
        return np.concatenate([s for s, _ in best]), np.concatenate([t for _, t in best])

    def save(self, path: str | Path) -> None:
        """Save to one safetensors file.

        Args:
            path: Where to.
        """
        arrays: dict[str, NDArray[Any]] = {"dense": self.dense, "ids": self.ids}
        arrays["values"] = self.values
        arrays["vocabulary"] = np.array([self.vocabulary], np.int64)
        with atomic_path(Path(path)) as temporary:
            kept = {} if self.stamp is None else {"stamp": json.dumps(self.stamp.to_dict())}
            save_file(arrays, temporary, metadata=kept)

    @classmethod
    def load(cls, path: str | Path, *, stamp: Stamp | None = None) -> "DuplexIndex":
        """Load from a file of `save`.

        Args:
            path: The file.
            stamp: Of the retriever that is to ask; an index of another one's passages is refused.

        Returns:
            The index.

        Raises:
            StoreError: Missing or damaged, or of another retriever.
        """
        try:
            with safe_open(str(path), framework="np") as held:
                known = (held.metadata() or {}).get("stamp")
                arrays = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
            parts = [arrays[name] for name in ("dense", "ids", "values")]
            made_by = None if known is None else Stamp.from_dict(json.loads(known))
            index = cls(*parts, vocabulary=int(arrays["vocabulary"][0]), stamp=made_by)
        except (OSError, KeyError, ValueError, SafetensorError, DataError) as error:
            raise StoreError(
                f"{str(path)!r} is no duplex index, or damaged ({error}); build it again"
            ) from error
        if stamp is not None and made_by is not None:
            made_by.check(stamp)
        return index
