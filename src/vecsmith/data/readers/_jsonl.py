"""JSON Lines, line by line; a broken line is reported by number and the rest is read."""

import json
from collections.abc import Callable, Iterator
from typing import IO

from .._documents import Section, Skipped, SourceFile
from ._decode import open_text
from ._rows import row_section, title_column

LONGEST = 1 << 24  # characters of a line
LISTED = 5  # broken lines that are listed one by one


def read(file: SourceFile, *, skipped: Callable[[Skipped], None]) -> Iterator[Section]:
    """Read a JSON Lines file.

    Args:
        file: The file.
        skipped: Called for lines that hold no object.

    Yields:
        One section a line.
    """
    broken = 0
    name = file.absolute.name
    with open_text(file.absolute) as handle:
        for number, line in _lines(handle):
            row, reason = _parsed(line)
            if reason:
                broken += 1
                if broken <= LISTED:
                    skipped(Skipped(file.path, f"JSONL line {number} {reason}"))
                continue
            section = row_section(name, row, title_column(row)) if row else None
            if section is not None:
                yield section
    if broken > LISTED:
        skipped(Skipped(file.path, f"{broken - LISTED} more broken JSONL lines"))


def _lines(handle: IO[str]) -> Iterator[tuple[int, str]]:
    number = 0
    while line := handle.readline(LONGEST):
        number += 1
        whole = line.endswith("\n") or len(line) < LONGEST
        yield number, line if whole else ""
        while not whole:
            line = handle.readline(LONGEST)
            whole = line.endswith("\n") or len(line) < LONGEST


def _parsed(line: str) -> tuple[dict[str, object], str]:
    if not line:
        return {}, f"is longer than {LONGEST >> 20} Mi characters"
    if not line.strip():
        return {}, ""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, f"is no JSON: {error}"
    if isinstance(row, str):
        return {"": row}, ""
    return (row, "") if isinstance(row, dict) else ({}, f"is no object but {type(row).__name__}")
