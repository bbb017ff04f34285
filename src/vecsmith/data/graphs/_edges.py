"""Edges as they come, in lists, arrays or tables: to columns of numbers; what is wrong is named."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean

Ids = NDArray[np.int64]
Column = str | int

DUPLICATES = ("max", "refuse", "sum")
SELF_LOOPS = ("drop", "keep", "refuse")


class EdgeColumns(NamedTuple):
    """Edges by column, still in the ids of the user.

    Attributes:
        sources: First end of each edge.
        targets: Second end of each edge.
        weights: Above 0, shape (edges,).
        relations: Type of each edge; None where edges have no type.
    """

    sources: list[Hashable]
    targets: list[Hashable]
    weights: NDArray[np.float64]
    relations: list[Hashable] | None


class NumberedEdges(NamedTuple):
    """Edges by place of their ends.

    Attributes:
        rows: First ends, shape (edges,).
        columns: Second ends, shape (edges,).
        weights: Above 0, shape (edges,).
        relations: Number of the type, shape (edges,); None without types.
    """

    rows: Ids
    columns: Ids
    weights: NDArray[np.float64]
    relations: Ids | None

    def where(self, kept: NDArray[np.bool_]) -> "NumberedEdges":
        """Keep some.

        Args:
            kept: Whether each is kept.

        Returns:
            Those edges.
        """
        relations = None if self.relations is None else self.relations[kept]
        return NumberedEdges(self.rows[kept], self.columns[kept], self.weights[kept], relations)


def edge_columns(
    edges: Any, columns: Sequence[Column] | None, relation: Column | None
) -> EdgeColumns:
    """Split edges into columns.

    Args:
        edges: A table with named columns, an array (edges, 2 or 3), or rows.
        columns: Names or places of source, target and, where there is one, weight. None takes
            "source", "target" and "weight" of a table that has them, else the first two columns,
            and of rows and arrays a third as the weight.
        relation: Name or place of the column of types.

    Returns:
        The columns.

    Raises:
        DataError: A row of another length, a missing column, an end or weight that is no such.
        ConfigError: `columns` does not name two or three.
    """
    names = _names(edges)
    table = _table(edges) if names is None else None
    known = list(names) if names is not None else list(range(len(table or ())))
    picked = _picked(known, columns, relation, named=names is not None)
    found = {
        c: _values(edges[c]) if table is None else table[int(c)]
        for c in (*picked, relation)
        if c is not None
    }
    sources, targets = found[picked[0]], found[picked[1]]
    for end in (sources, targets):
        _check_ends(end)
    weights = np.ones(len(sources))
    if len(picked) == 3:
        weights = _weights(found[picked[2]], sources, targets)
    return EdgeColumns(sources, targets, weights, None if relation is None else found[relation])


def _names(edges: Any) -> list[str] | None:
    for attribute in ("column_names", "columns"):
        names = getattr(edges, attribute, None)
        if names is not None:
            return list(names)
    return list(edges) if isinstance(edges, dict) else None


def _values(column: Any) -> list[Any]:
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _table(edges: Any) -> list[list[Any]]:
    if isinstance(edges, np.ndarray):
        if edges.ndim != 2 or edges.shape[1] < 2:
            raise DataError(
                f"an array of edges should be of shape (edges, 2 or 3) but is {edges.shape}; "
                "for an adjacency matrix give scipy.sparse.csr_array(matrix)"
            )
        ends = edges
        if edges.dtype.kind == "f" and np.isfinite(edges[:, :2]).all():
            whole = edges[:, :2] == np.floor(edges[:, :2])
            if whole.all():
                return [*edges[:, :2].astype(np.int64).T.tolist(), *edges[:, 2:].T.tolist()]
        return list(ends.T.tolist())
    if isinstance(edges, str | bytes) or not isinstance(edges, Iterable):
        raise DataError(
            "edges should be rows (source, target), an array or a table but are "
            f"{repr(edges)[:80]}; files are read by read_edge_list, read_kgtk and read_recbole"
        )
    rows = list(edges)
    width = 2
    for number, row in enumerate(rows):
        if isinstance(row, str | bytes) or not hasattr(row, "__len__") or len(row) < 2:
            raise DataError(
                f"edge {number} should be (source, target) or (source, target, weight) but is "
                f"{repr(row)[:80]}; correct it or leave it out"
            )
        width = len(row) if number == 0 else width
        if len(row) != width:
            raise DataError(
                f"edge {number} has {len(row)} parts and the first edge {width}; "
                "give all edges a weight or none"
            )
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], []]


def _picked(
    known: list[Any], columns: Sequence[Column] | None, relation: Column | None, *, named: bool
) -> list[Any]:
    picked: list[Any]
    if columns is None:
        left = [c for c in known if c != relation]
        if named and "source" in left and "target" in left:
            picked = [c for c in ("source", "target", "weight") if c in left]
        elif named:
            picked = left[:2] + [c for c in ("weight",) if c in left[2:]]
        else:
            picked = left[:3]
    else:
        picked = [*columns]
    if len(picked) not in (2, 3):
        raise ConfigError(
            f"columns must name source and target, and a weight if there is one; got {picked!r} "
            f"of the columns {known!r}"
        )
    for column in (*picked, *(() if relation is None else (relation,))):
        if column not in known:
            raise DataError(
                f"the edges have no column {column!r}; "
                + did_you_mean(str(column), [str(c) for c in known])
            )
    return picked


def _check_ends(ends: list[Any]) -> None:
    try:
        different = set(ends)
    except TypeError as error:
        raise DataError(
            f"ends of edges must be hashable (text, numbers, tuples); {error}: turn them into text"
        ) from error
    for end in different:
        try:
            missing = end is None or bool(end != end)
        except (TypeError, ValueError):
            missing = True
        if missing:
            raise DataError(
                f"edge {_place(ends, end)} has no end ({end!r}); correct it or leave it out"
            )


def _place(ends: list[Any], end: Any) -> int:
    return next(place for place, other in enumerate(ends) if other is end)


def _weights(
    values: list[Any], sources: list[Hashable], targets: list[Hashable]
) -> NDArray[np.float64]:
    try:
        weights = np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"weights of edges must be numbers ({error}); for triples (head, relation, tail) give "
            "columns=(0, 2), relation=1"
        ) from error
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(wrong):
        first = wrong[0]
        raise DataError(
            f"weights must be finite and above 0; edge {first}, {sources[first]!r} - "
            f"{targets[first]!r}, has {weights[first]} ({len(wrong)} such edges): leave out edges "
            "of weight 0, and give signed graphs as two"
        )
    return weights


def number_nodes(
    columns: EdgeColumns, nodes: Iterable[Hashable] | None
) -> tuple[list[Hashable], NumberedEdges, list[Hashable]]:
    """Number the nodes, those that are given first, then others as they are first seen.

    Args:
        columns: The edges.
        nodes: Ids that come first, some without an edge perhaps.

    Returns:
        Ids of the nodes, the edges by number, and names of the relations.

    Raises:
        DataError: An id is given twice, or cannot be an id.
    """
    places: dict[Hashable, int] = {}
    given = [] if nodes is None else _values(nodes)
    if given:
        _check_ends(given)
    for node in given:
        if node in places:
            raise DataError(f"the node {node!r} is given twice in nodes; give each id once")
        places[node] = len(places)
    ends = []
    pairs = np.empty(2 * len(columns.sources), np.int64)
    for place, (a, b) in enumerate(zip(columns.sources, columns.targets, strict=True)):
        pairs[2 * place] = places.setdefault(a, len(places))
        pairs[2 * place + 1] = places.setdefault(b, len(places))
    relations: dict[Hashable, int] = {}
    types = None
    if columns.relations is not None:
        _check_ends(columns.relations)
        ends = [relations.setdefault(r, len(relations)) for r in columns.relations]
        types = np.array(ends, np.int64)
    edges = NumberedEdges(pairs[::2].copy(), pairs[1::2].copy(), columns.weights, types)
    return list(places), edges, list(relations)


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse an unknown value of a setting.

    Args:
        name: The setting.
        value: What came.
        known: What is possible.

    Raises:
        ConfigError: It is not among them.
    """
    if value not in known:
        raise ConfigError(f"{name} cannot be {value!r}; {did_you_mean(str(value), known)}")


def without_loops(edges: NumberedEdges, self_loops: str, ids: list[Hashable]) -> NumberedEdges:
    """Treat edges from a node to itself as told.

    Args:
        edges: The edges.
        self_loops: "keep", "drop" or "refuse".
        ids: Ids of the nodes, for the error.

    Returns:
        The edges that stay.

    Raises:
        DataError: There is one, and it was to be refused.
        ConfigError: Unknown choice.
    """
    check_choice("self_loops", self_loops, SELF_LOOPS)
    loops = edges.rows == edges.columns
    if self_loops == "refuse" and loops.any():
        raise DataError(
            f"{int(loops.sum())} edges lead from a node to itself, the first at "
            f"{ids[edges.rows[np.flatnonzero(loops)[0]]]!r}; give self_loops='keep' or 'drop'"
        )
    return edges.where(~loops) if self_loops == "drop" else edges


def refuse_duplicates(edges: NumberedEdges, ids: list[Hashable], *, directed: bool) -> None:
    """Refuse an edge that comes twice, of an undirected graph also with its ends exchanged.

    Args:
        edges: The edges.
        ids: Ids of the nodes, for the error.
        directed: Whether the order of the ends matters.

    Raises:
        DataError: There is one.
    """
    first, second = edges.rows, edges.columns
    if not directed and edges.relations is None:
        first, second = np.minimum(first, second), np.maximum(first, second)
    parts = [first, second] if edges.relations is None else [first, second, edges.relations]
    _, places, number = np.unique(np.stack(parts), axis=1, return_index=True, return_counts=True)
    twice = places[number > 1]
    if len(twice):
        place = twice.min()
        raise DataError(
            f"{len(twice)} edges come more than once, the first {ids[edges.rows[place]]!r} - "
            f"{ids[edges.columns[place]]!r}; give duplicates='sum' or 'max'"
        )
