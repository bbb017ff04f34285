"""Step 1: files -> passages in SQLite, document by document."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from vecsmith.core import DataError, progress
from vecsmith.data import (
    RepeatedBlocks,
    Section,
    Skipped,
    SourceFile,
    list_files,
    read_sections,
    split_passages,
)
from vecsmith.store import PassageTable

logger = logging.getLogger(__name__)


def listing(source: str | Path) -> tuple[list[SourceFile], list[Skipped]]:
    """List the files of a source and what is left out of it.

    Args:
        source: Folder or file.

    Returns:
        Files in reading order; skipped entries.

    Raises:
        DataError: The source is not there, or holds no file that can be read.
    """
    skipped: list[Skipped] = []
    files = list(list_files(source, skipped=skipped.append))
    _need(files, skipped, source)
    return files, skipped


def check_source(source: str | Path) -> None:
    """Fail before any work is done if a source holds nothing to read.

    Args:
        source: Folder or file.

    Raises:
        DataError: The source is not there, or holds no file that can be read.
    """
    skipped: list[Skipped] = []
    first = next(iter(list_files(source, skipped=skipped.append)), None)
    _need([] if first is None else [first], skipped, source)


def _need(files: Sequence[SourceFile], skipped: Sequence[Skipped], source: str | Path) -> None:
    if not files:
        detail = f" ({skipped[0].path}: {skipped[0].reason})" if skipped else ""
        raise DataError(
            f"source {str(source)!r} holds no readable document{detail}; give a folder with text, "
            "Markdown, HTML, PDF, DOCX, CSV, JSONL, Parquet or source code"
        )


def listing_hash(files: Sequence[SourceFile]) -> str:
    """Hash paths and contents of a listing.

    Args:
        files: The files.

    Returns:
        Hexadecimal digits.
    """
    state = hashlib.blake2b(digest_size=16)
    for file in files:
        state.update(f"{file.path}\x00{file.sha256}\x00".encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def boilerplate(files: Sequence[SourceFile]) -> RepeatedBlocks:
    """Count blocks that many documents of a folder share, over a sample.

    Args:
        files: The files of a source.

    Returns:
        Counts that `RepeatedBlocks.clean` uses.
    """
    repeated = RepeatedBlocks()
    for file in files:
        if repeated.wants(file):
            repeated.observe(file, _sections(file))
    return repeated


def _sections(file: SourceFile) -> Iterator[Section]:
    return read_sections(file, skipped=lambda _: None)


def passages_of(
    file: SourceFile,
    repeated: RepeatedBlocks,
    count_tokens: Callable[[Sequence[str]], list[int]],
    skipped: Callable[[Skipped], None],
    *,
    max_tokens: int,
) -> Iterator[Any]:
    """Stream the passages of one file.

    Args:
        file: The file.
        repeated: Boilerplate of the source.
        count_tokens: Counter of the model's tokens.
        skipped: Told what is left out.
        max_tokens: Tokens of a passage.

    Returns:
        Passages in order.
    """
    sections = repeated.clean(file, read_sections(file, skipped=skipped))
    return split_passages(file, sections, count_tokens, max_tokens=max_tokens)


class _Earlier:
    """What an earlier table says about the files of a source."""

    def __init__(self, table: PassageTable, files: Sequence[SourceFile]) -> None:
        self.table = table
        self.known = {document.path: document.sha256 for document in table.documents()}
        self.dropped: dict[str, int] = table.fact("boilerplate", {})
        self.notes: dict[str, list[Skipped]] = {}
        for path, reason in table.skipped():
            self.notes.setdefault(path, []).append(Skipped(path, reason))
        self.repeated = RepeatedBlocks.from_dict(table.fact("repeated_blocks", {}))
        self.stale = self.repeated.recount(files, _sections)

    def holds(self, file: SourceFile) -> bool:
        """Tell whether reading the file again would give what the table has."""
        same = self.known.get(file.path) == file.sha256
        return same and self.repeated.group(file) not in self.stale

    def copy(self, files: Sequence[SourceFile], target: PassageTable) -> None:
        with target.together():
            for file in files:
                notes = self.notes.get(file.path, [])
                target.copy_document(self.table, file.path, file, notes, self.dropped)


def _runs(files: Iterable[SourceFile], earlier: _Earlier | None) -> Iterator[list[SourceFile]]:
    """Give files that follow one another and are to be copied together, all others alone."""
    for copied, run in groupby(files, lambda file: earlier is not None and earlier.holds(file)):
        if copied:
            yield list(run)
        else:
            yield from ([file] for file in run)


def _begun(path: Path) -> str | None:
    with PassageTable(path, write=True) as table:
        return table.fact("listing")  # type: ignore[no-any-return]


def read_source(
    source: str | Path,
    path: Path,
    count_tokens: Callable[[Sequence[str]], list[int]],
    *,
    max_tokens: int,
    known: PassageTable | None = None,
) -> dict[str, Any]:
    """Read a source into a passage table; goes on after the last document it holds already.

    Args:
        source: Folder or file.
        path: The table's file.
        count_tokens: Counter of the model's tokens.
        max_tokens: Tokens of a passage.
        known: An earlier table: documents whose content is unchanged are copied from it. Its
            findings of what is boilerplate hold, but for folders that have grown: those are
            counted anew, and where that finds other blocks, all their documents are read again.

    Returns:
        Numbers of documents, passages, skipped entries and copied documents; hash of the listing.

    Raises:
        DataError: Nothing to read.
    """
    files, skipped = listing(source)
    digest = listing_hash(files)
    if path.exists() and _begun(path) not in (None, digest):
        logger.warning("the source changed since this build was begun; it is read anew")
        for part in path.parent.glob(f"{path.name}*"):
            part.unlink()
    with PassageTable(path, write=True) as table:
        if table.fact("listing") is None:
            table.begin(digest, skipped)
        earlier = _Earlier(known, files) if known is not None else None
        repeated = earlier.repeated if earlier is not None else boilerplate(files)
        copied = 0
        here = {document.path for document in table.documents()}
        here.update(path for path, _ in table.skipped())
        files_left = (f for f in progress(files, "reading", unit="file") if f.path not in here)
        for run in _runs(files_left, earlier):
            if earlier is not None and earlier.holds(run[0]):
                copied += len(run)
                earlier.copy(run, table)
                continue
            (file,), notes = run, list[Skipped]()
            stream = passages_of(file, repeated, count_tokens, notes.append, max_tokens=max_tokens)
            table.add_document(file, stream, notes, repeated.dropped)
        if len(table) == 0:
            raise DataError(
                f"no text was found in the {len(files)} files of {str(source)!r}; "
                f"first reason: {table.skipped()[0][1]}"
            )
        table.set_fact("boilerplate", table.dropped())
        table.set_fact("repeated_blocks", repeated.to_dict())
        table.finish()
        return {
            "documents": len(table.documents()),
            "passages": len(table),
            "skipped": len(table.skipped()),
            "copied": copied,
            "listing": digest,
        }
