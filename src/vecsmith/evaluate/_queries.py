"""Labelled queries: read from a user's file, checked against the index."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vecsmith.core import DataError


@dataclass(frozen=True)
class HeldOut:
    """A query with what is relevant to it.

    Attributes:
        text: The query.
        relevant: Ids of relevant groups: documents, or sections of few large documents where the
            query was made from structure.
        origin: Where it comes from: "file", "link", "summary", "heading", "pairs".
    """

    text: str
    relevant: frozenset[int]
    origin: str = "file"


def read_queries(
    path: str | Path,
    documents: Mapping[str, int],
    *,
    skipped: Callable[[str], None],
    source: str = "",
) -> list[HeldOut]:
    """Read ``{"query": …, "documents": [path, …]}`` lines.

    Args:
        path: JSONL file; `document` with one path is taken too.
        documents: Path -> id of the documents of the index.
        skipped: Told one sentence for each line that is left out.
        source: The indexed folder; paths may be absolute below it.

    Returns:
        Queries that have at least one document in the index.

    Raises:
        DataError: The file is missing, or no line is usable.
    """
    try:
        # Only line feeds end a line: JSON strings may hold the other separators as they are.
        lines = Path(path).read_bytes().decode("utf-8-sig", "replace").split("\n")
    except OSError as error:
        raise DataError(
            f"queries file {str(path)!r} cannot be read: {error.strerror or error}; "
            'give a JSONL file with lines {"query": "…", "documents": ["path", …]}'
        ) from error
    queries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            queries.append(_parse(line, documents, source))
        except DataError as error:
            skipped(f"line {number}: {error}")
    if not queries:
        raise DataError(
            f"no line of {str(path)!r} names a query and a document of the index; "
            "paths are relative to the folder that was indexed"
        )
    return queries


def _parse(line: str, documents: Mapping[str, int], source: str) -> HeldOut:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is no JSON ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get("query"), str):
        raise DataError('needs an object with a text "query"')
    text = row["query"].strip()
    paths = row.get("documents", row.get("document", []))
    paths = [paths] if isinstance(paths, str) else paths
    if not text or not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
        raise DataError('needs a non-empty "query" and "documents" as a list of paths')
    found = {documents[p] for raw in paths if (p := _relative(raw, source)) in documents}
    if not found:
        raise DataError(f"no document of the index is called {', '.join(map(repr, paths[:3]))}")
    return HeldOut(text, frozenset(found))


def _relative(path: str, source: str) -> str:
    pure = PurePosixPath(path)
    if source and pure.is_absolute():
        try:
            pure = pure.relative_to(source)
        except ValueError as error:
            raise DataError(f"{path!r} lies outside of the source {source!r}") from error
        # A source that is one file knows its document by name.
        pure = pure if pure.parts else PurePosixPath(PurePosixPath(source).name)
    if ".." in pure.parts:
        raise DataError(f"{path!r} leads outside of the source; give a path below it")
    return str(pure)
