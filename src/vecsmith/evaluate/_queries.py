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
        missing: How many more documents are relevant that the index does not hold.
    """

    text: str
    relevant: frozenset[int]
    origin: str = "file"
    missing: int = 0


def read_queries(
    path: str | Path,
    documents: Mapping[str, int],
    *,
    skipped: Callable[[str], None],
    source: str = "",
    duplicates: Mapping[str, str] | None = None,
) -> list[HeldOut]:
    """Read ``{"query": …, "documents": [path, …]}`` lines.

    A named document that the index does not hold stays relevant and can never be found, as in
    trec_eval: recall and nDCG are shares of what there is to find, and an index that could not
    read a document has lost it. A line that names no document of the index at all is left out:
    its paths are more likely meant for another source.

    Args:
        path: JSONL file; `document` with one path is taken too.
        documents: Path -> id of the documents of the index.
        skipped: Told one sentence for each line that is left out, and for each line that is used
            although the index lacks some of its documents.
        source: The indexed folder; paths may be absolute below it.
        duplicates: Path -> path of the document with the same content that is in the index.

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
            query, unknown = _parse(line, documents, source, duplicates or {})
        except DataError as error:
            skipped(f"line {number}: {error}")
            continue
        queries.append(query)
        if unknown:
            skipped(
                f"line {number}: no document of the index is called "
                f"{', '.join(map(repr, unknown))}; counted as relevant and never found"
            )
    if not queries:
        raise DataError(
            f"no line of {str(path)!r} names a query and a document of the index; "
            "paths are relative to the folder that was indexed"
        )
    return queries


def _parse(
    line: str, documents: Mapping[str, int], source: str, duplicates: Mapping[str, str]
) -> tuple[HeldOut, list[str]]:
    """Return the query of a line, and its paths that are not in the index."""
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
    named = [_relative(path, source) for path in paths]
    kept = dict.fromkeys(duplicates.get(path, path) for path in named)
    found = {documents[path] for path in kept if path in documents}
    if not found:
        raise DataError(f"no document of the index is called {', '.join(map(repr, paths[:3]))}")
    unknown = [path for path in kept if path not in documents]
    return HeldOut(text, frozenset(found), missing=len(unknown)), unknown


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
