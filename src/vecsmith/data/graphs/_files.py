"""Graphs in files: KGTK tables, RecBole's knowledge graphs, plain lists of edges; .gz too."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vecsmith.core import DataError

from ._graph import GraphData


def read_edge_list(
    path: str | Path,
    *,
    directed: bool = False,
    delimiter: str | None = None,
    comment: str = "#",
    **settings: Any,
) -> GraphData:
    """Read lines "source target" or "source target weight".

    Args:
        path: The file.
        directed: Whether edges have a direction.
        delimiter: What stands between the parts; None is any white space.
        comment: Start of lines that are left out.
        **settings: Of `GraphData.from_edges`: duplicates, self_loops, nodes, labels.

    Returns:
        The graph; ids are texts.

    Raises:
        DataError: The file cannot be read, or a line is something else.
    """
    rows = []
    for number, line in _lines(Path(path)):
        if not line.strip() or line.startswith(comment):
            continue
        parts = [part.strip() for part in line.split(delimiter)]
        if len(parts) not in (2, 3) or not all(parts):
            raise _wrong(Path(path), number, line, "a source, a target and perhaps a weight")
        rows.append(parts)
    return GraphData.from_edges(rows, directed=directed, **settings)


def read_kgtk(path: str | Path, *, directed: bool = True, **settings: Any) -> GraphData:
    """Read a table of KGTK, as the CommonSense Knowledge Graph is given.

    The columns node1, node2 and relation (or label) are needed; "node1;label" and "node2;label"
    give texts to the nodes, the first of several parted by "|".

    Args:
        path: A tab-separated file with a head line.
        directed: Whether edges have a direction.
        **settings: Of `GraphData.from_edges`: duplicates, self_loops, nodes.

    Returns:
        The graph, with typed edges as triples.

    Raises:
        DataError: The file cannot be read, lacks a column, or a line has other columns.
    """
    place = Path(path)
    head, rows = _tabular(place)
    kind = "relation" if "relation" in head else "label"
    wanted = [_column(head, name, place) for name in ("node1", kind, "node2")]
    edges = [tuple(row[i] for i in wanted) for row in rows]
    texts: dict[str, str] = {}
    for end, name in ((wanted[0], "node1;label"), (wanted[2], "node2;label")):
        if name in head:
            text = head.index(name)
            texts.update((r[end], r[text].split("|")[0]) for r in rows if r[text])
    return GraphData.from_edges(
        edges, directed=directed, columns=(0, 2), relation=1, labels=texts, **settings
    )


def read_recbole(
    path: str | Path,
    *,
    links: str | Path | None = None,
    labels: Mapping[str, str] | None = None,
    directed: bool = True,
    **settings: Any,
) -> GraphData:
    """Read a knowledge graph of RecBole.

    Args:
        path: A file .kg with head_id, relation_id and tail_id.
        links: A file .link with item_id and entity_id; entities that are items are labelled by
            their item.
        labels: Entity -> text; goes before `links`.
        directed: Whether edges have a direction.
        **settings: Of `GraphData.from_edges`: duplicates, self_loops, nodes.

    Returns:
        The graph, with typed edges as triples.

    Raises:
        DataError: A file cannot be read, lacks a column, or a line has other columns.
    """
    place = Path(path)
    head, rows = _tabular(place)
    wanted = [_column(head, name, place) for name in ("head_id", "relation_id", "tail_id")]
    texts: dict[str, str] = {}
    if links is not None:
        names, pairs = _tabular(Path(links))
        item, entity = (_column(names, name, Path(links)) for name in ("item_id", "entity_id"))
        texts = {pair[entity]: pair[item] for pair in pairs}
    texts.update(labels or {})
    edges = [tuple(row[i] for i in wanted) for row in rows]
    return GraphData.from_edges(
        edges, directed=directed, columns=(0, 2), relation=1, labels=texts, **settings
    )


def _tabular(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = _lines(path)
    _, first = next(lines, (0, ""))
    # RecBole's heads hold types: head_id:token
    head = [name.partition(":")[0] for name in first.split("\t")]
    rows = []
    for number, line in lines:
        if not line:
            continue
        row = line.split("\t")
        if len(row) != len(head):
            raise _wrong(path, number, line, f"{len(head)} columns as the first line")
        rows.append(row)
    return head, rows


def _column(head: list[str], name: str, path: Path) -> int:
    if name not in head:
        raise DataError(
            f"{str(path)!r} should have the column {name!r} in its first line but has "
            f"{', '.join(head)[:200]!r}; is it of this format, parted by tabs?"
        )
    return head.index(name)


def _wrong(path: Path, number: int, line: str, wanted: str) -> DataError:
    return DataError(
        f"line {number} of {str(path)!r} should hold {wanted} but is {line[:80]!r}; correct it"
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{str(path)!r} cannot be read as text ({error}); is it whole, and UTF-8?"
        ) from error
