"""A taxonomy: concepts, their names and synonyms, and the graph that joins them.

The graph is undirected, since a way up and down again is as near as one way; which end of an edge
is the broader concept is kept beside it. Distances are counted on demand, never held for all pairs.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, connected_components

from vecsmith.core import DataError
from vecsmith.data.graphs import GraphData

Ids = NDArray[np.int64]
Pair = tuple[str, Hashable]
# sources of one search; each takes some bytes a node
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Concepts in a graph.

    Attributes:
        graph: Undirected; labels are the names.
        synonyms: Id -> further phrases; concepts without any may be missing.
        parents: Id -> ids of the broader concepts; tops may be missing.
    """

    graph: GraphData
    synonyms: Mapping[Hashable, tuple[str, ...]] = field(default_factory=dict, repr=False)
    parents: Mapping[Hashable, tuple[Hashable, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_edges(
        cls,
        edges: Iterable[tuple[Hashable, Hashable]],
        names: Mapping[Any, str] | Iterable[tuple[Hashable, str]],
        synonyms: Mapping[Any, Sequence[str]] | None = None,
    ) -> "Taxonomy":
        """Make a taxonomy.

        Args:
            edges: (narrower, broader) pairs of ids; one that comes twice counts once.
            names: Id -> name, or pairs, of all concepts; their order is the order of the nodes.
            synonyms: Id -> further phrases; ones that are empty are left out.

        Returns:
            The taxonomy; parts may lie apart (see `parts` and `rooted`).

        Raises:
            DataError: An id comes twice, has no name or an empty one, or an edge leads to itself.
        """
        known = _unique(names)
        ends = [_edge(edge) for edge in edges]
        synonyms = dict(synonyms or {})
        lost = next((n for n in _mentioned(ends, synonyms) if n not in known), None)
        if lost is not None:
            raise DataError(
                f"concept {lost!r} comes in edges or synonyms but has no name; give names of all"
            )
        graph = GraphData.from_edges(
            ends or np.zeros((0, 2), np.int64),
            nodes=list(known),
            labels=known,
            duplicates="max",
            self_loops="refuse",
        )
        parents: dict[Hashable, tuple[Hashable, ...]] = {}
        for narrow, broad in dict.fromkeys(ends):
            parents[narrow] = (*parents.get(narrow, ()), broad)
        return cls(graph, {node: _phrases(node, of) for node, of in synonyms.items()}, parents)

    @property
    def ids(self) -> tuple[Hashable, ...]:
        """Id of each concept, in the order of the graph."""
        return self.graph.node_ids

    def __len__(self) -> int:
        return len(self.graph)

    def __contains__(self, node: object) -> bool:
        return node in self.graph.places

    def name(self, node: Hashable) -> str:
        """Give the name of a concept.

        Args:
            node: Its id.

        Returns:
            The name.

        Raises:
            DataError: Unknown id.
        """
        return self.graph.labels[int(self.graph.index_of([node])[0])]

    def pairs(self, ids: Iterable[Hashable] | None = None) -> list[Pair]:
        """List phrases with their concepts: names and synonyms, to learn a map from.

        Args:
            ids: Of these concepts alone; None takes all.

        Returns:
            (phrase, id); a concept has a phrase once, names first, in the order of the ids.

        Raises:
            DataError: Unknown id.
        """
        wanted = self.ids if ids is None else list(ids)
        rows = self.graph.index_of(wanted)
        found: list[Pair] = []
        for node, row in zip(wanted, rows, strict=True):
            phrases = dict.fromkeys((self.graph.labels[row], *self.synonyms.get(node, ())))
            found += [(phrase, node) for phrase in phrases]
        return found

    @cached_property
    def parts(self) -> Ids:
        """Number of the part that each node lies in, shape (n,); nodes of two parts never meet."""
        return connected_components(self.graph.adjacency, directed=False)[1].astype(np.int64)

    def rooted(self, root: Hashable, name: str) -> "Taxonomy":
        """Hang all tops under one new concept, so that every two concepts are joined.

        Args:
            root: Id of the new concept.
            name: Its name.

        Returns:
            A taxonomy with the root as first node.

        Raises:
            DataError: The id is taken.
        """
        if root in self:
            raise DataError(f"concept {root!r} is there already; choose another id for the root")
        tops = [node for node in self.ids if not self.parents.get(node)]
        # a part that is one circle has no top; any of its nodes will do
        reached = set(self.parts[self.graph.index_of(tops)].tolist()) if tops else set()
        tops += [self.ids[int(r)] for part, r in _first_of_parts(self.parts) if part not in reached]
        edges = [(node, broad) for node, above in self.parents.items() for broad in above]
        names = {root: name, **dict(zip(self.ids, self.graph.labels, strict=True))}
        return type(self).from_edges([*edges, *((top, root) for top in tops)], names, self.synonyms)

    def subset(self, ids: Collection[Hashable]) -> "Taxonomy":
        """Keep some concepts and the edges between them.

        Args:
            ids: Their ids.

        Returns:
            The taxonomy of these.

        Raises:
            DataError: Unknown id, or one that comes twice.
        """
        kept = set(ids)
        return type(self)(
            self.graph.subgraph(ids),
            {node: of for node, of in self.synonyms.items() if node in kept},
            {
                node: tuple(broad for broad in above if broad in kept)
                for node, above in self.parents.items()
                if node in kept
            },
        )

    def distances(
        self, pairs: Sequence[tuple[Hashable, Hashable]], *, max_hops: int = 100
    ) -> NDArray[np.float64]:
        """Count the steps between concepts.

        Args:
            pairs: Two ids each.
            max_hops: Concepts farther away count as not joined.

        Returns:
            Steps, infinite where none lead, shape (pairs,).

        Raises:
            DataError: Unknown id.
        """
        first = self.graph.index_of([a for a, _ in pairs])
        second = self.graph.index_of([b for _, b in pairs])
        made = np.full(len(first), np.inf)
        sources, of = np.unique(first, return_inverse=True)
        for start in range(0, len(sources), _BLOCK):
            steps = self.graph.hop_distances(sources[start : start + _BLOCK], max_hops=max_hops)
            rows = np.flatnonzero((of >= start) & (of < start + _BLOCK))
            hops = steps[of[rows] - start, second[rows]]
            made[rows] = np.where(hops < 0, np.inf, hops)
        return made

    def path(self, first: Hashable, second: Hashable) -> list[Hashable]:
        """Find a shortest way between two concepts.

        Args:
            first: Id of one.
            second: Id of the other.

        Returns:
            Ids from one to the other, both with them; [] where no way leads.

        Raises:
            DataError: Unknown id.
        """
        start, end = (int(place) for place in self.graph.index_of([first, second]))
        _, before = breadth_first_order(self.graph.adjacency, start, directed=False)
        way = [end]
        while way[-1] != start:
            if before[way[-1]] < 0:
                return []
            way.append(int(before[way[-1]]))
        return [self.ids[place] for place in reversed(way)]


def _unique(names: Mapping[Any, str] | Iterable[tuple[Hashable, str]]) -> dict[Hashable, str]:
    pairs = names.items() if isinstance(names, Mapping) else names
    known: dict[Hashable, str] = {}
    for node, name in pairs:
        if node in known:
            raise DataError(
                f"concept {node!r} comes twice, as {known[node]!r} and {name!r}; keep one, and "
                "give the other name as a synonym"
            )
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"concept {node!r} needs a name; got {name!r}")
        known[node] = name
    if not known:
        raise DataError("a taxonomy needs at least one concept; names is empty")
    return known


def _edge(edge: Any) -> tuple[Hashable, Hashable]:
    if isinstance(edge, str) or not isinstance(edge, Sequence) or len(edge) != 2:
        raise DataError(f"edges must be (narrower, broader) pairs of ids; got {edge!r}")
    return edge[0], edge[1]


def _mentioned(
    edges: list[tuple[Hashable, Hashable]], synonyms: Mapping[Any, Sequence[str]]
) -> Iterable[Hashable]:
    for narrow, broad in edges:
        yield narrow
        yield broad
    yield from synonyms


def _phrases(node: Hashable, phrases: Sequence[str]) -> tuple[str, ...]:
    if isinstance(phrases, str) or not all(isinstance(phrase, str) for phrase in phrases):
        raise DataError(f"synonyms of {node!r} must be a list of texts; got {phrases!r}")
    return tuple(phrase for phrase in phrases if phrase.strip())


def _first_of_parts(parts: Ids) -> list[tuple[int, int]]:
    names, rows = np.unique(parts, return_index=True)
    return [(int(name), int(row)) for name, row in zip(names, rows, strict=True)]
