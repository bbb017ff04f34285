"""CSV and TSV, row by row; delimiter and header are found in the first 64 KiB."""

import csv
import itertools
from collections.abc import Callable, Iterator

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
    with open_text(file.absolute) as handle:
        dialect, header = _dialect(sample, file.path)
        lines = (line.replace("\x00", "") for line in iter(lambda: handle.readline(1 << 20), ""))
        rows = _rows(csv.reader(lines, dialect), file.path, skipped)
        first = next(rows, None)
        if first is None:
            return
        columns = first if header else [f"column {n + 1}" for n in range(len(first))]
        columns = [column.strip() for column in columns]
        title = title_column(columns) if header else None
        for row in rows if header else itertools.chain([first], rows):
            names = itertools.chain(
                columns, (f"column {n + 1}" for n in range(len(columns), len(row)))
            )
            section = row_section(name, dict(zip(names, row, strict=False)), title)
            if section is not None:
                yield section


def _dialect(sample: str, path: str) -> tuple[type[csv.Dialect], bool]:
    class Found(csv.excel):
        delimiter = "\t" if path.lower().endswith(".tsv") else _delimiter(sample)

    lines = list(itertools.islice(csv.reader(sample.splitlines(), Found), 20))
    lines = [line for line in lines if line]
    first = lines[0] if lines else []
    # A header names columns: no empty, numeric or repeated cells, and no long text.
    plain = all(cell.strip() and len(cell) < 80 and not _number(cell) for cell in first)
    return Found, bool(first) and plain and len(set(first)) == len(first) and len(lines) > 1


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


def _rows(
    reader: Iterator[list[str]], path: str, skipped: Callable[[Skipped], None]
) -> Iterator[list[str]]:
    broken = 0
    while True:
        # The limit is one for the whole process, so it is set for the one call that needs it.
        before = csv.field_size_limit(LARGEST_FIELD)
        try:
            row = next(reader, None)
        except csv.Error as error:
            broken += 1
            if broken <= LISTED:
                line = getattr(reader, "line_num", 0)
                skipped(Skipped(path, f"row that ends at line {line} is broken: {error}"))
            continue
        finally:
            csv.field_size_limit(before)
        if row is None:
            break
        if any(cell.strip() for cell in row):
            yield row
    if broken > LISTED:
        skipped(Skipped(path, f"{broken - LISTED} more broken rows"))
