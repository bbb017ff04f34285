"""CSV and TSV, row by row; delimiter and header are found in the first 64 KiB."""

import csv
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import IO

from .._documents import Section, Skipped, SourceFile
from ._decode import open_text
from ._rows import row_section, title_column

SAMPLE = 1 << 16
LARGEST_FIELD = 1 << 24  # characters; a quote that is never closed ends here
LISTED = 5  # broken rows that are listed one by one


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a CSV file.

    Args:
        file: The file.
        skipped: Called for rows that cannot be read.

    Yields:
        One section a row.
    """
    name = file.absolute.name
    with open_text(file.absolute) as handle:
        sample = handle.read(SAMPLE)
    dialect, header = _dialect(sample, file.path)
    rows = _rows(file, dialect, skipped)
    first = next(rows, None)
    if first is None:
        return
    columns = [(cell.strip() if header else "") or f"column {n}" for n, cell in enumerate(first, 1)]
    title = title_column(columns) if header else None
    for row in rows if header else itertools.chain([first], rows):
        names = itertools.chain(columns, (f"column {n + 1}" for n in range(len(columns), len(row))))
        section = row_section(name, dict(zip(names, row, strict=False)), title)
        if section is not None:
            yield section


def _dialect(sample: str, path: str) -> tuple[type[csv.Dialect], bool]:
    class Found(csv.excel):
        delimiter = "\t" if path.lower().endswith(".tsv") else _delimiter(sample)

    lines = list(itertools.islice(csv.reader(sample.splitlines(), Found), 20))
    lines = [line for line in lines if line]
    return Found, len(lines) > 1 and _is_header(lines[0], lines[1:])


def _is_header(first: list[str], others: list[list[str]]) -> bool:
    """A header names columns: no empty, numeric or repeated cells, and no long text."""
    if not first[0].strip() and all(line[0].strip() for line in others):
        first = first[1:]  # pandas gives its index, the first column, no name
    plain = all(cell.strip() and len(cell) < 80 and not _number(cell) for cell in first)
    return bool(first) and plain and len(set(first)) == len(first)


def _delimiter(sample: str) -> str:
    best, score = ",", 0.0
    lines = sample.splitlines()[:50]
    if len(lines) > 1 and len(sample) >= SAMPLE:
        lines = lines[:-1]
    for delimiter in ",;\t|":

        class Tried(csv.excel):
            pass

        Tried.delimiter = delimiter
        try:
            widths = [len(row) for row in csv.reader(lines, Tried) if row]
        except csv.Error:
            continue
        if not widths or max(widths) < 2:
            continue
        common = max(set(widths), key=widths.count)
        found = widths.count(common) / len(widths) * min(common, 10) if common > 1 else 0
        if found > score:
            best, score = delimiter, found
    return best


def _number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


class _Lines:
    """Lines of a file, their number, and whether more were asked for than there are."""

    def __init__(self, handle: IO[str]) -> None:
        self.handle = handle
        self.number = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.handle.readline(1 << 20)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        return line.replace("\x00", "")


def _rows(
    file: SourceFile, dialect: type[csv.Dialect], skipped: Callable[[Skipped], None]
) -> Iterator[list[str]]:
    broken, quoted = 0, 0

    def tell(reason: str) -> None:
        nonlocal broken
        broken += 1
        if broken <= LISTED:
            skipped(Skipped(file.path, reason))

    while True:
        with open_text(file.absolute) as handle:
            lines = _Lines(handle)
            if quoted:
                # The line whose quote is never closed is read as it stands, the rest as rows.
                line = next(itertools.islice(lines, quoted - 1, None), "")
                yield _next_row(csv.reader([line], dialect, quoting=csv.QUOTE_NONE)) or []
            quoted = yield from _until_open_quote(lines, dialect, tell)
        if not quoted:
            break
        tell(f"quote in line {quoted} is never closed: the lines after it are read as rows")
    if broken > LISTED:
        skipped(Skipped(file.path, f"{broken - LISTED} more broken rows"))


def _until_open_quote(
    lines: _Lines, dialect: type[csv.Dialect], tell: Callable[[str], None]
) -> Generator[list[str], None, int]:
    """Give rows; return the number of the line from which on all is one quoted cell, or 0."""
    reader = csv.reader(lines, dialect)
    while True:
        before = lines.number
        try:
            row = _next_row(reader)
        except csv.Error as error:
            tell(f"row of lines {before + 1} to {lines.number} is broken: {error}")
            continue
        if row is None:
            return 0
        if lines.ended:  # a row is whole at the end of its line, but for an open quote
            return before + 1
        if any(cell.strip() for cell in row):
            yield row


def _next_row(reader: Iterator[list[str]]) -> list[str] | None:
    # The limit is one for the whole process, so it is set for the one call that needs it.
    before = csv.field_size_limit(LARGEST_FIELD)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)
