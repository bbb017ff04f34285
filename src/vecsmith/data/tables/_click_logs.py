"""Criteo and Avazu click logs from the user's own files, read in pieces and encoded to disk.

Neither log may be passed on, so the files come from the user: ``train.txt`` of Criteo's display
advertising challenge (label, 13 numbers, 26 categories; tabs), ``train`` or ``train.csv`` of
Avazu's (a heading; id, click, 22 categories). A gzip file is read as it is. One pass counts, one
writes; memory holds the vocabularies and one piece.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, progress, shown

from ._field_table import FieldTable, _describe
from ._vocabulary import FieldVocabulary


@dataclass(frozen=True)
class ClickLog:
    """Layout of a log.

    Attributes:
        delimiter: Between columns.
        heading: The file starts with the names of its columns.
        label: Place of the label.
        numbers: Places of numeric columns.
        fields: Name and place of each categorical column.
    """

    delimiter: str
    heading: bool
    label: int
    numbers: tuple[int, ...]
    fields: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Columns that a line must have."""
        return 1 + max(self.label, *self.numbers, *(place for _, place in self.fields))


_AVAZU = (
    "hour C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id "
    "device_ip device_model device_type device_conn_type C14 C15 C16 C17 C18 C19 C20 C21"
).split()

CLICK_LOGS: dict[str, ClickLog] = {
    "avazu": ClickLog(
        ",", True, 1, (), tuple((name, place) for place, name in enumerate(_AVAZU, 2))
    ),
    "criteo": ClickLog(
        "\t", False, 0, tuple(range(1, 14)), tuple((f"C{i}", 13 + i) for i in range(1, 27))
    ),
}


@dataclass(frozen=True)
class _Piece:
    columns: dict[str, list[str]]
    labels: NDArray[np.float32]
    numbers: NDArray[np.float32] | None


def _layout(kind: str) -> ClickLog:
    if kind not in CLICK_LOGS:
        raise ConfigError(f"no click log is called {kind!r}; {did_you_mean(kind, CLICK_LOGS)}")
    return CLICK_LOGS[kind]


def read_click_log(
    path: str | Path, kind: str, *, piece: int = 100_000, limit: int | None = None
) -> Iterator[_Piece]:
    """Read a log in pieces.

    Numbers are log-scaled as log(1 + x), 0 where they are missing or negative.

    Args:
        path: The file, plain or gzip.
        kind: A key of `CLICK_LOGS`.
        piece: Rows held at a time.
        limit: Rows read at most.

    Yields:
        Pieces with `columns` (values by field), `labels` and `numbers`.

    Raises:
        ConfigError: Unknown kind.
        DataError: The file is missing, cut off, or a line is not of the log's layout.
    """
    layout = _layout(kind)
    path = Path(path)
    try:
        packed = path.suffix == ".gz"
        with gzip.open(path) if packed else path.open("rb") as raw:  # type: ignore[attr-defined]
            text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
            lines = enumerate(csv.reader(text, delimiter=layout.delimiter), 1)
            if layout.heading:
                next(lines, None)
            rows = islice(lines, limit)
            while block := list(islice(rows, piece)):
                yield _parse(block, layout, path)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{str(path)!r} cannot be read as the click log {kind!r} ({error}); "
            "give the whole file as its site offers it"
        ) from error


def _parse(block: list[tuple[int, list[str]]], layout: ClickLog, path: Path) -> _Piece:
    for line, row in block:
        if len(row) != layout.width or row[layout.label] not in {"0", "1"}:
            raise DataError(
                f"line {line} of {str(path)!r} should have {layout.width} columns, with 0 or 1 in "
                f"column {layout.label + 1}; got {len(row)}: {shown(layout.delimiter.join(row))}"
            )
    columns = {name: [row[place] for _, row in block] for name, place in layout.fields}
    labels = np.array([row[layout.label] == "1" for _, row in block], np.float32)
    if not layout.numbers:
        return _Piece(columns, labels, None)
    try:
        raw = [[float(row[place] or 0.0) for place in layout.numbers] for _, row in block]
    except ValueError as error:
        raise DataError(
            f"lines {block[0][0]} to {block[-1][0]} of {str(path)!r} should hold numbers in "
            f"columns {layout.numbers[0] + 1} to {layout.numbers[-1] + 1} ({error})"
        ) from error
    return _Piece(columns, labels, np.log1p(np.maximum(raw, 0.0)).astype(np.float32))


def encode_click_log(
    path: str | Path,
    kind: str,
    folder: str | Path,
    *,
    min_count: int = 2,
    limit: int | None = None,
    count_rows: int | None = None,
) -> FieldTable:
    """Encode a log to arrays on disk.

    Args:
        path: The file, plain or gzip.
        kind: A key of `CLICK_LOGS`.
        folder: Where ``ids.npy``, ``labels.npy``, ``numbers.npy`` and the vocabulary go.
        min_count: Values seen less often share number 0 of their field.
        limit: Rows read at most.
        count_rows: Only the first so many rows make the vocabulary (those of the training days);
            None: all.

    Returns:
        The table, memory-mapped.

    Raises:
        ConfigError: Unknown kind.
        DataError: The file cannot be used.
    """
    layout, folder = _layout(kind), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = FieldVocabulary((name for name, _ in layout.fields), min_count=min_count)
    rows = 0
    for part in progress(read_click_log(path, kind, limit=limit), "counting", unit="piece"):
        left = len(part.labels) if count_rows is None else max(0, count_rows - rows)
        vocabulary.add({name: values[:left] for name, values in part.columns.items()})
        rows += len(part.labels)
    vocabulary.close()
    vocabulary.save(folder / "vocabulary.json")
    out = _arrays(folder, rows, layout)
    start = 0
    for part in progress(read_click_log(path, kind, limit=limit), "encoding", unit="piece"):
        stop = start + len(part.labels)
        out["ids"][start:stop] = vocabulary.encode(part.columns)
        out["labels"][start:stop] = part.labels
        if part.numbers is not None:
            out["numbers"][start:stop] = part.numbers
        start = stop
    for array in out.values():
        array.flush()
    table = FieldTable(
        out["ids"], out["labels"], vocabulary.names, vocabulary.sizes, out.get("numbers")
    )
    _describe(folder, table)
    return FieldTable.load(folder)


def _arrays(folder: Path, rows: int, layout: ClickLog) -> dict[str, Any]:
    """Mapped arrays on disk, to be filled."""
    shapes = {"ids": (rows, len(layout.fields)), "labels": (rows,)}
    if layout.numbers:
        shapes["numbers"] = (rows, len(layout.numbers))
    kinds = {"ids": np.int32, "labels": np.float32, "numbers": np.float32}
    return {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=kinds[name], shape=shape
        )
        for name, shape in shapes.items()
    }
