"""A graph: sparse adjacency, and who its nodes are.

Any hashable ids; weights above 0; directed or not; edges may have types, which are kept as triples
beside the adjacency. Nodes without an edge are nodes too.
"""

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, issparse
from scipy.sparse.csgraph import connected_components

from vecsmith.core import DataError

from ._edges import (
    DUPLICATES,
    Column,
    Ids,
    NumberedEdges,
    check_choice,
    edge_columns,
    number_nodes,
    refuse_duplicates,
    without_loops,
)
from ._hops import hop_distances


@dataclass(frozen=True, eq=False)
class GraphData:
    """A graph whose nodes are numbered.

    Attributes:
        adjacency: Weight of the edge from row to column, shape (n, n); of an undirected graph
            symmetric, a self-loop once on the diagonal.
        node_ids: Id of each node.
        labels: Text of each node; () takes the ids.
        directed: Whether edges have a direction.
        triples: Head, relation and tail of each typed edge as it came, shape (edges, 3); None
            where edges have no types.
        relations: Names of the types.

    Raises:
        DataError: The parts do not fit together, or a weight is not finite and above 0.
    """

    adjacency: csr_array
    node_ids: tuple[Hashable, ...]
    labels: tuple[str, ...] = ()
    directed: bool = False
    triples: Ids | None = field(default=None, repr=False)
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "adjacency", _clean(self.adjacency, directed=self.directed))
        object.__setattr__(self, "node_ids", tuple(self.node_ids))
        n = self.adjacency.shape[0]
        labels = tuple(self.labels) or tuple(str(node) for node in self.node_ids)
        object.__setattr__(self, "labels", labels)
        if len(self.node_ids) != n or len(labels) != n:
            raise DataError(
                f"{n} rows of the adjacency need as many node ids and labels; got "
                f"{len(self.node_ids)} and {len(labels)}"
            )
        if len(self.places) != n:
            raise DataError(f"{n} nodes have {len(self.places)} different ids; give each its own")

    @classmethod
    def from_edges(
        cls,
        edges: Any,
        *,
        directed: bool = False,
        columns: Sequence[Column] | None = None,
        relation: Column | None = None,
        nodes: Iterable[Hashable] | None = None,
        labels: Mapping[Any, str] | None = None,
        duplicates: str = "sum",
        self_loops: str = "keep",
    ) -> "GraphData":
        """Make a graph from edges.

        Args:
            edges: A table (pandas, datasets, dict of columns), an array (edges, 2 or 3), or rows
                (source, target) or (source, target, weight). Ids may be anything hashable.
            directed: Whether edges lead from source to target alone.
            columns: Names or places of source, target and weight, where they are not "source",
                "target" and "weight" or the first ones.
            relation: Name or place of the column with the types of edges.
            nodes: Ids that come first in the order of nodes; those without an edge too.
            labels: Id -> text; other nodes are labelled by their ids.
            duplicates: Weights of an edge that comes twice are added ("sum"), the larger is taken
                ("max"), or it is an error ("refuse").
            self_loops: Edges from a node to itself: "keep", "drop" or "refuse".

        Returns:
            The graph.

        Raises:
            DataError: Edges that are none, weights not above 0, an id twice in `nodes`, or nothing.
            ConfigError: Unknown choice.
        """
        check_choice("duplicates", duplicates, DUPLICATES)
        found = edge_columns(edges, columns, relation)
        ids, numbered, relations = number_nodes(found, nodes)
        if not ids:
            raise DataError("the graph is empty: give at least one edge, or nodes")
        numbered = without_loops(numbered, self_loops, ids)
        if duplicates == "refuse":
            refuse_duplicates(numbered, ids, directed=directed)
        matrix = _combined(numbered, len(ids), directed=directed, largest=duplicates == "max")
        triples = None
        if numbered.relations is not None:
            triples = np.stack([numbered.rows, numbered.relations, numbered.columns], 1)
        texts = dict(labels or {})
        names = tuple(str(texts.get(node, node)) for node in ids)
        return cls(matrix, tuple(ids), names, directed, triples, tuple(map(str, relations)))

    @classmethod
    def from_scipy(
        cls,
        matrix: Any,
        *,
        node_ids: Sequence[Hashable] | None = None,
        labels: Sequence[str] = (),
        directed: bool | None = None,
    ) -> "GraphData":
        """Make a graph from a sparse adjacency matrix.

        Args:
            matrix: Shape (n, n), anything of scipy.sparse; not changed.
            node_ids: Id of each row; None takes the numbers.
            labels: Text of each row.
            directed: None takes a matrix that is not symmetric as directed.

        Returns:
            The graph.

        Raises:
            DataError: Not square, a weight below 0 or not finite, or not symmetric where
                `directed` is False.
        """
        if not issparse(matrix) or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise DataError(
                "an adjacency matrix should be square and of scipy.sparse but is "
                f"{type(matrix).__name__} of shape {getattr(matrix, 'shape', None)}"
            )
        square = csr_array(matrix, dtype=np.float64)
        if directed is None:
            directed = not _symmetric(square)
        ids = tuple(range(square.shape[0])) if node_ids is None else tuple(node_ids)
        return cls(square, ids, tuple(labels), directed)

    @classmethod
    def from_networkx(cls, graph: Any, *, weight: str = "weight") -> "GraphData":
        """Make a graph from one of networkx.

        Args:
            graph: Any of its kinds; parallel edges are added up.
            weight: Attribute of the edges; those without weigh 1.

        Returns:
            The graph, with its nodes in their order.

        Raises:
            DataError: A weight is not above 0, or there is no node.
        """
        rows = [(a, b, 1.0 if w is None else w) for a, b, w in graph.edges(data=weight)]
        texts = {n: str(d["label"]) for n, d in graph.nodes(data=True) if "label" in d}
        return cls.from_edges(
            rows, directed=graph.is_directed(), nodes=list(graph.nodes), labels=texts
        )

    def __len__(self) -> int:
        return self.adjacency.shape[0]

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        return f"GraphData({len(self)} nodes, {self.n_edges} edges, {kind})"

    @cached_property
    def places(self) -> dict[Hashable, int]:
        """Id -> number of the node."""
        return {node: place for place, node in enumerate(self.node_ids)}

    @cached_property
    def n_edges(self) -> int:
        """Number of edges, each pair of an undirected graph once."""
        if self.directed:
            return int(self.adjacency.nnz)
        loops = np.count_nonzero(self.adjacency.diagonal())
        return int(self.adjacency.nnz - loops) // 2 + int(loops)

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """Number of edges that lead out of each node, shape (n,)."""
        return np.diff(self.adjacency.indptr).astype(np.int64)

    @cached_property
    def isolated(self) -> Ids:
        """Numbers of the nodes without an edge to another node."""
        pattern = self.adjacency.copy()
        pattern.setdiag(0)
        pattern.eliminate_zeros()
        out, into = np.diff(pattern.indptr), np.bincount(pattern.indices, minlength=len(self))
        return np.flatnonzero((out == 0) & (into == 0))

    def index_of(self, ids: Iterable[Hashable]) -> Ids:
        """Find nodes.

        Args:
            ids: Their ids.

        Returns:
            Their numbers, shape (ids,).

        Raises:
            DataError: An id is unknown.
        """
        return find_places(self.places, ids)

    def edges(self) -> tuple[Ids, Ids, NDArray[np.float64]]:
        """List the edges.

        Returns:
            Rows, columns and weights; each pair of an undirected graph once, the lower first.
        """
        cells = coo_array(self.adjacency)
        kept = slice(None) if self.directed else cells.row <= cells.col
        rows, columns = cells.row[kept].astype(np.int64), cells.col[kept].astype(np.int64)
        return rows, columns, cells.data[kept]

    def subgraph(self, ids: Iterable[Hashable]) -> "GraphData":
        """Keep some nodes and the edges between them.

        Args:
            ids: Their ids, in the order they are to have.

        Returns:
            The induced graph.

        Raises:
            DataError: An id is unknown or comes twice, or there is none.
        """
        return self.take(self.index_of(ids))

    def take(self, places: Ids) -> "GraphData":
        """Keep some nodes, by number, and the edges between them.

        Args:
            places: Their numbers, in the order they are to have.

        Returns:
            The induced graph.

        Raises:
            DataError: A number comes twice, or there is none.
        """
        places = np.asarray(places, np.int64)
        if not len(places) or len(np.unique(places)) != len(places):
            raise DataError(
                f"a subgraph needs nodes that differ; got {len(places)}, of which "
                f"{len(np.unique(places))} differ"
            )
        triples = self.triples
        if triples is not None:
            new = np.full(len(self), -1)
            new[places] = np.arange(len(places))
            triples = np.stack([new[triples[:, 0]], triples[:, 1], new[triples[:, 2]]], 1)
            triples = triples[(triples[:, [0, 2]] >= 0).all(1)]
        return GraphData(
            self.adjacency[places][:, places],
            tuple(self.node_ids[i] for i in places),
            tuple(self.labels[i] for i in places),
            self.directed,
            triples,
            self.relations,
        )

    def largest_component(self, *, strong: bool = False) -> "GraphData":
        """Keep the largest part whose nodes are connected.

        Args:
            strong: Of a directed graph, ways must exist in both directions.

        Returns:
            The induced graph, in the order of the nodes.
        """
        kind = "strong" if strong else "weak"
        _, names = connected_components(self.adjacency, directed=self.directed, connection=kind)
        return self.take(np.flatnonzero(names == np.bincount(names).argmax()))

    def undirected(self) -> "GraphData":
        """Forget directions; weights of both directions are added.

        Returns:
            The graph, itself where it is undirected.
        """
        if not self.directed:
            return self
        both = self.adjacency + self.adjacency.T
        both.setdiag(self.adjacency.diagonal())
        return GraphData(both, self.node_ids, self.labels, False, self.triples, self.relations)

    def hop_distances(self, sources: Ids, *, max_hops: int) -> NDArray[np.int16]:
        """Count the steps from some nodes to all; see `hop_distances`.

        Args:
            sources: Numbers of nodes, shape (sources,).
            max_hops: Nodes farther away count as not reached.

        Returns:
            Steps, -1 where none lead, shape (sources, n).
        """
        return hop_distances(self.adjacency, sources, max_hops=max_hops)


def as_graph(graph: Any, *, directed: bool | None = None) -> GraphData:
    """Take whatever holds a graph.

    Args:
        graph: A `GraphData`, a matrix of scipy.sparse, a graph of networkx, or edges as
            `GraphData.from_edges` takes them.
        directed: For edges None means undirected; for a matrix, directed if it is not symmetric.

    Returns:
        The graph.

    Raises:
        DataError: It is none.
    """
    if isinstance(graph, GraphData):
        return graph
    if issparse(graph):
        return GraphData.from_scipy(graph, directed=directed)
    if hasattr(graph, "is_directed") and hasattr(graph, "adjacency"):
        return GraphData.from_networkx(graph)
    return GraphData.from_edges(graph, directed=bool(directed))


def find_places(places: Mapping[Hashable, int], ids: Iterable[Hashable]) -> Ids:
    """Look ids up.

    Args:
        places: Id -> number.
        ids: Ids.

    Returns:
        Their numbers, shape (ids,).

    Raises:
        DataError: One is unknown.
    """
    if isinstance(ids, str | bytes):
        raise DataError(f"ids should be a list of node ids but is the text {ids!r}; give [{ids!r}]")
    wanted = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    try:
        return np.array([places[node] for node in wanted], np.int64)
    except (KeyError, TypeError) as error:
        unknown = next(node for node in wanted if not _known(places, node))
        near = difflib.get_close_matches(str(unknown), map(str, _first(places, 5000)), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "node_ids lists them"
        raise DataError(
            f"the graph has no node {repr(unknown)[:80]} among its {len(places)}; {hint}"
        ) from error


def _known(places: Mapping[Hashable, int], node: Any) -> bool:
    try:
        return node in places
    except TypeError:
        return False


def _first(names: Mapping[Hashable, int], number: int) -> Iterator[Hashable]:
    for place, name in enumerate(names):
        if place == number:
            return
        yield name


def _combined(edges: NumberedEdges, n: int, *, directed: bool, largest: bool) -> csr_array:
    rows, columns, weights = edges.rows, edges.columns, edges.weights
    if not directed:
        off = rows != columns
        rows, columns = np.r_[rows, columns[off]], np.r_[columns, rows[off]]
        weights = np.r_[weights, weights[off]]
    if largest:
        # the last of equal cells is the largest
        order = np.lexsort((weights, columns, rows))
        rows, columns, weights = rows[order], columns[order], weights[order]
        last = np.ones(len(rows), np.bool_)
        last[:-1] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
        rows, columns, weights = rows[last], columns[last], weights[last]
    return csr_array((weights, (rows, columns)), shape=(n, n))


def _symmetric(matrix: csr_array) -> bool:
    gap = matrix - matrix.T
    return not gap.nnz or bool(np.abs(gap.data).max() <= 1e-9 * np.abs(matrix.data).max())


def _clean(matrix: Any, *, directed: bool) -> csr_array:
    made = csr_array(matrix, dtype=np.float64)
    if not made.has_canonical_format or (made.data == 0).any():
        # the matrix that came may share its arrays
        made = made.copy()
        made.sum_duplicates()
        made.eliminate_zeros()
    if made.shape[0] != made.shape[1] or not made.shape[0]:
        raise DataError(f"the adjacency should be square with a node at least; got {made.shape}")
    if not np.isfinite(made.data).all() or (made.data < 0).any():
        raise DataError(
            "weights must be finite and above 0; the adjacency holds others: leave those edges "
            "out, and give signed graphs as two"
        )
    if not directed and not _symmetric(made):
        raise DataError(
            "the adjacency of an undirected graph should be symmetric but is not; give "
            "directed=True, or matrix + matrix.T"
        )
    return made
