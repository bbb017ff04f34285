"""Vocabularies of categorical fields, counted in pieces.

Each field's values are numbered by falling count (ties in the order of the values), so that small
numbers are frequent values. Values seen fewer than `min_count` times, and values that come later,
share number 0 where `unknown` is set.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, StoreError, read_json, shown, write_json


class FieldVocabulary:
    """Numbers for the values of several fields.

    Args:
        names: Names of the fields.
        min_count: Values seen less often share the number of unknown values.
        unknown: Keep number 0 of each field for unknown and rare values.

    Raises:
        ConfigError: Names are missing or double, or rare values have no number to share.
    """

    def __init__(self, names: Iterable[str], *, min_count: int = 1, unknown: bool = True) -> None:
        self.names = tuple(names)
        if not self.names or len(set(self.names)) != len(self.names):
            raise ConfigError(f"names must be given and differ; got {self.names}")
        if min_count < 1 or (min_count > 1 and not unknown):
            raise ConfigError(
                f"min_count must be at least 1, and above 1 only with unknown=True; got {min_count}"
            )
        self.min_count, self.unknown = min_count, unknown
        self._counts: tuple[Counter[str], ...] = tuple(Counter() for _ in self.names)
        self._numbers: tuple[dict[str, int], ...] | None = None

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Count further rows.

        Args:
            columns: Values of each field; they are taken as texts.

        Raises:
            ConfigError: The vocabulary is closed, or a field is missing.
        """
        if self._numbers is not None:
            raise ConfigError("the vocabulary is closed; make a new one to count further rows")
        for name, counter in zip(self.names, self._counts, strict=True):
            counter.update(map(str, _column(columns, name)))

    def close(self) -> None:
        """Number the values that were counted.

        Raises:
            DataError: Nothing was counted.
        """
        if not all(self._counts):
            raise DataError("no rows were counted; add some before closing the vocabulary")
        first = int(self.unknown)
        self._numbers = tuple(
            {
                value: place
                for place, (value, _) in enumerate(
                    sorted(
                        (item for item in counter.items() if item[1] >= self.min_count),
                        key=lambda item: (-item[1], item[0]),
                    ),
                    first,
                )
            }
            for counter in self._counts
        )

    def _known(self) -> tuple[dict[str, int], ...]:
        if self._numbers is None:
            raise ConfigError("the vocabulary is still counting; call close() first")
        return self._numbers

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each field has."""
        return tuple(len(field) + int(self.unknown) for field in self._known())

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.int32]:
        """Turn values into numbers.

        Args:
            columns: Values of each field, of equal lengths.

        Returns:
            Shape (rows, fields).

        Raises:
            DataError: A value is unknown, and unknown values have no number.
        """
        known = self._known()
        rows = len(_column(columns, self.names[0]))
        out = np.empty((rows, len(self.names)), np.int32)
        for field, (name, numbers) in enumerate(zip(self.names, known, strict=True)):
            values = list(map(str, _column(columns, name)))
            try:
                found = (
                    [numbers.get(value, 0) for value in values]
                    if self.unknown
                    else [numbers[value] for value in values]
                )
            except KeyError as error:
                raise DataError(
                    f"field {name!r} has the value {shown(str(error.args[0]))}, which its "
                    "vocabulary does not hold; make the vocabulary with unknown=True"
                ) from error
            out[:, field] = found
        return out

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON.

        Args:
            path: The file.
        """
        values = {
            name: list(numbers) for name, numbers in zip(self.names, self._known(), strict=True)
        }
        kept = {"min_count": self.min_count, "unknown": self.unknown, "values": values}
        write_json(path, kept)

    @classmethod
    def load(cls, path: str | Path) -> "FieldVocabulary":
        """Read a vocabulary.

        Args:
            path: From `save`.

        Returns:
            The vocabulary, closed.

        Raises:
            StoreError: The file is missing or damaged.
        """
        kept = read_json(path)
        try:
            made = cls(kept["values"], min_count=kept["min_count"], unknown=kept["unknown"])
            made._numbers = tuple(
                {value: place for place, value in enumerate(values, int(made.unknown))}
                for values in kept["values"].values()
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"file {str(path)!r} should hold a vocabulary but does not; save it again"
            ) from error
        return made


def _column(columns: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any]:
    if name not in columns:
        raise ConfigError(f"field {name!r} is missing from the columns; got {sorted(columns)}")
    return columns[name]
