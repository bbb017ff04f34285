"""Rows of categorical fields as integers, with labels: what recommenders and click models read.

Arrays may be memory-mapped, so that a log of fifty million rows is split, counted and batched
without being held.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, StoreError, numpy_generator, read_json, write_json

from ._vocabulary import FieldVocabulary

FORMAT = 1


@dataclass(frozen=True)
class FieldTable:
    """Encoded rows.

    Attributes:
        ids: Integer of each field's value, counted from 0 within the field, shape (rows, fields).
        labels: 0 or 1, shape (rows,).
        names: Names of the fields.
        sizes: How many values each field has.
        numbers: Numeric columns, float32, shape (rows, columns); None without any.
    """

    ids: NDArray[Any]
    labels: NDArray[Any]
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    numbers: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.dtype.kind not in "iu":
            raise DataError(
                "ids must be whole numbers of shape (rows, fields); "
                f"got {self.ids.dtype} of shape {self.ids.shape}"
            )
        if not self.ids.shape[1] == len(self.names) == len(self.sizes):
            raise DataError(
                f"ids, names and sizes must have one entry a field; got {self.ids.shape[1]}, "
                f"{len(self.names)} and {len(self.sizes)}"
            )
        if self.labels.shape != (len(self.ids),):
            raise DataError(
                f"labels must have shape ({len(self.ids)},), one a row; got {self.labels.shape}"
            )
        if self.numbers is not None and self.numbers.shape[:1] != self.labels.shape:
            raise DataError(
                f"numbers must have {len(self.ids)} rows; got shape {self.numbers.shape}"
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> "FieldTable":
        """Take some rows.

        Args:
            rows: Their places.

        Returns:
            A table of these rows, in memory.
        """
        numbers = None if self.numbers is None else self.numbers[rows]
        return FieldTable(self.ids[rows], self.labels[rows], self.names, self.sizes, numbers)

    def split(
        self, shares: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int = 0
    ) -> tuple["FieldTable", ...]:
        """Split the rows at random.

        Args:
            shares: Shares of the parts; the last one takes what rounding leaves.
            seed: Seed of the order.

        Returns:
            One table a share.

        Raises:
            ConfigError: The shares do not add up to one, or a part would be empty.
        """
        if abs(sum(shares) - 1.0) > 1e-6 or min(shares) <= 0:
            raise ConfigError(f"shares must be above 0 and add up to 1; got {tuple(shares)}")
        order = numpy_generator(seed, "tables", "split").permutation(len(self))
        borders = np.floor(np.cumsum(shares)[:-1] * len(self) + 1e-9).astype(int)
        parts = np.split(order, borders)
        if min(map(len, parts)) == 0:
            raise ConfigError(f"{len(self)} rows are too few for shares {tuple(shares)}")
        return tuple(self.take(part) for part in parts)

    def counts(self) -> tuple[NDArray[np.int64], ...]:
        """Count how often each value occurs.

        Returns:
            One array a field, shape (size of the field,).
        """
        found = tuple(np.zeros(size, np.int64) for size in self.sizes)
        for start in range(0, len(self), 1 << 20):
            part = np.asarray(self.ids[start : start + (1 << 20)])
            for field, total in enumerate(found):
                total += np.bincount(part[:, field], minlength=len(total))
        return found

    def batches(
        self, size: int, *, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32] | None, NDArray[np.float32]]]:
        """Go through the rows once.

        Args:
            size: Rows a batch; the last batch may be smaller.
            rng: Source of the order; None keeps the order of the rows.

        Yields:
            ids, numbers (or None) and labels.
        """
        if size < 1:
            raise ConfigError(f"size must be at least 1; got {size}")
        order = None if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), size):
            stop = start + size
            rows = slice(start, stop) if order is None else order[start:stop]
            yield (
                np.asarray(self.ids[rows], np.int64),
                None if self.numbers is None else np.asarray(self.numbers[rows], np.float32),
                np.asarray(self.labels[rows], np.float32),
            )

    def save(self, folder: str | Path) -> None:
        """Write the table as plain arrays, which `load` maps instead of reading.

        Args:
            folder: Where to; made if it is not there.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "ids.npy", self.ids)
        np.save(folder / "labels.npy", self.labels)
        if self.numbers is not None:
            np.save(folder / "numbers.npy", self.numbers)
        _describe(folder, self)

    @classmethod
    def load(cls, folder: str | Path, *, mapped: bool = True) -> "FieldTable":
        """Open a saved table.

        Args:
            folder: Where it lies.
            mapped: Map the arrays; otherwise read them.

        Returns:
            The table.

        Raises:
            StoreError: A file is missing or damaged.
        """
        folder = Path(folder)
        kept = read_json(folder / "table.json")
        mode: Any = "r" if mapped else None

        def read(name: str) -> NDArray[Any]:
            try:
                return np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise StoreError(
                    f"{str(folder / name)!r}.npy should hold the {name} of a table but cannot be "
                    f"read ({error}); write the table again"
                ) from error

        numbers = read("numbers") if kept["numbers"] else None
        table = cls(
            read("ids"), read("labels"), tuple(kept["names"]), tuple(kept["sizes"]), numbers
        )
        if len(table) != kept["rows"]:
            raise StoreError(
                f"{str(folder)!r} should hold {kept['rows']} rows but holds {len(table)}; "
                "write the table again"
            )
        return table


def _describe(folder: Path, table: FieldTable) -> None:
    write_json(
        folder / "table.json",
        {
            "format": FORMAT,
            "rows": len(table),
            "names": list(table.names),
            "sizes": list(table.sizes),
            "numbers": table.numbers is not None,
        },
    )


def encode_columns(
    columns: Mapping[str, Sequence[Any]],
    labels: Sequence[float] | NDArray[Any],
    *,
    numbers: NDArray[Any] | None = None,
    vocabulary: FieldVocabulary | None = None,
) -> tuple[FieldTable, FieldVocabulary]:
    """Turn columns of values into integers.

    Args:
        columns: Values of each field, one a row.
        labels: 0 or 1, one a row.
        numbers: Numeric columns, shape (rows, columns).
        vocabulary: From other rows; by default that of these rows, every value kept.

    Returns:
        The table, and its vocabulary for further rows.

    Raises:
        DataError: There are no rows, or columns of unequal lengths.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if not lengths or len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise DataError(f"columns must have the same number of rows, at least 1; got {lengths}")
    if vocabulary is None:
        vocabulary = FieldVocabulary(tuple(columns), unknown=False)
        vocabulary.add(columns)
        vocabulary.close()
    ids = vocabulary.encode(columns)
    table = FieldTable(
        ids, np.asarray(labels, np.float32), vocabulary.names, vocabulary.sizes, numbers
    )
    return table, vocabulary
