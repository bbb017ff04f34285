"""Triples of any ids: checked, counted, numbered, and split without a fact standing on both sides.

A split by triples alone leaks: (aspirin, treats, pain) in training gives (pain, treated-by,
aspirin) away. Here all triples of one unordered pair of entities go to the same side (K. Toutanova
and D. Chen, 2015, on inverse relations), and a pair is held out only where both entities and all
its relations are still met in training.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator

Triple = tuple[Hashable, Hashable, Hashable]


@dataclass(frozen=True)
class KnowledgeGraph:
    """Numbered triples.

    Attributes:
        triples: Numbers of head, relation and tail, shape (triples, 3); each fact once.
        ids: Entities in the order they were met.
        relations: Relations in the order they were met.
        duplicates: How many triples were given again and are left out.
    """

    triples: NDArray[np.int64]
    ids: tuple[Hashable, ...]
    relations: tuple[Hashable, ...]
    duplicates: int = 0

    @classmethod
    def from_triples(cls, triples: Iterable[Sequence[Any]]) -> "KnowledgeGraph":
        """Check and number triples.

        Args:
            triples: Head, relation and tail of each fact; any hashable ids.

        Returns:
            The graph.

        Raises:
            DataError: No triple, a row that is none, or an id that cannot be one.
        """
        entities: dict[Hashable, int] = {}
        relations: dict[Hashable, int] = {}
        seen: dict[tuple[int, int, int], None] = {}
        given = 0
        for given, row in enumerate(triples, 1):
            head, relation, tail = checked_triple(row, given - 1)
            numbers = (
                entities.setdefault(head, len(entities)),
                relations.setdefault(relation, len(relations)),
                entities.setdefault(tail, len(entities)),
            )
            seen[numbers] = None
        if not seen:
            raise DataError(
                "triples must hold at least one (head, relation, tail); got an empty graph: "
                "check the file or the filter that the triples come from"
            )
        table = np.array(list(seen), np.int64)
        return cls(table, tuple(entities), tuple(relations), given - len(seen))

    def numbered(self, triples: Iterable[Sequence[Any]]) -> NDArray[np.int64]:
        """Number triples by this graph's entities and relations.

        Args:
            triples: Head, relation and tail of each.

        Returns:
            Shape (triples, 3).

        Raises:
            DataError: No triples, or an entity or relation that this graph does not know.
        """
        entity, relation = number_of(self.ids), number_of(self.relations)
        rows = [checked_triple(row, place) for place, row in enumerate(triples)]
        unknown = [i for h, _, t in rows for i in (h, t) if i not in entity]
        strange = [r for _, r, _ in rows if r not in relation]
        if unknown or strange or not rows:
            raise DataError(
                f"triples must use entities and relations that were fitted; got {len(rows)} rows, "
                f"unknown entities: {few(unknown)}, unknown relations: {few(strange)}; leave these "
                "rows out, or fit on a graph that holds them"
            )
        return np.array([(entity[h], relation[r], entity[t]) for h, r, t in rows], np.int64)


def checked_triple(row: Any, place: int) -> Triple:
    """Check one triple.

    Args:
        row: What came.
        place: Its number, for the error.

    Returns:
        Head, relation and tail.

    Raises:
        DataError: Not three hashable ids, or an id that is None, NaN or an empty string.
    """
    if isinstance(row, str) or not hasattr(row, "__len__") or len(row) != 3:
        raise DataError(
            f"triple {place} must be (head, relation, tail); got {row!r}: give three ids a row"
        )
    head, relation, tail = row
    for name, item in (("head", head), ("relation", relation), ("tail", tail)):
        if item is None or item == "" or (isinstance(item, float) and math.isnan(item)):
            raise DataError(
                f"{name} of triple {place} must be an id; got {item!r}: drop rows with holes"
            )
        try:
            hash(item)
        except TypeError as error:
            raise DataError(
                f"{name} of triple {place} must be hashable; got {type(item).__name__}: "
                "use a string, a number or a tuple"
            ) from error
    return head, relation, tail


def number_of(items: Sequence[Hashable]) -> Mapping[Hashable, int]:
    """Map items to their places.

    Args:
        items: Distinct ids.

    Returns:
        Item to place.
    """
    return {item: place for place, item in enumerate(items)}


def few(items: Iterable[Any], most: int = 5) -> str:
    """Show the first of many items.

    Args:
        items: What to show.
        most: How many at most.

    Returns:
        Their text; "none" without any.
    """
    distinct = list(dict.fromkeys(items))
    more = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return ", ".join(map(repr, distinct[:most])) + more if distinct else "none"


def split_triples(
    triples: Iterable[Sequence[Any]], *, share: float = 0.1, seed: int = 0
) -> tuple[list[Triple], list[Triple]]:
    """Hold triples out, so that no held-out pair of entities is met in training at all.

    Args:
        triples: Head, relation and tail of each fact.
        share: Part of the pairs to hold out.
        seed: Seed of the choice.

    Returns:
        Training and held-out triples; every entity and relation of the latter is in the former.

    Raises:
        ConfigError: share out of range.
        DataError: Bad triples, or no pair can be held out.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share must be above 0 and below 1; got {share!r}")
    graph = KnowledgeGraph.from_triples(triples)
    groups: dict[tuple[int, int], list[int]] = {}
    for place, (head, _, tail) in enumerate(graph.triples.tolist()):
        groups.setdefault((min(head, tail), max(head, tail)), []).append(place)
    pairs = list(groups)
    entities = Counter(e for pair in pairs for e in dict.fromkeys(pair))
    relations = Counter(graph.triples[:, 1].tolist())
    held: list[int] = []
    wanted = max(1, round(share * len(pairs)))
    for index in numpy_generator(seed, "knowledge", "split").permutation(len(pairs)):
        if wanted == 0:
            break
        pair = pairs[index]
        used = Counter(graph.triples[groups[pair], 1].tolist())
        alone = any(entities[e] < 2 for e in pair)
        if alone or any(relations[r] <= count for r, count in used.items()):
            continue
        entities.subtract(dict.fromkeys(pair, 1))
        relations.subtract(used)
        held += groups[pair]
        wanted -= 1
    if not held:
        raise DataError(
            "no pair can be held out: every one has an entity or a relation that no other pair "
            "has; give a denser graph"
        )
    kept = np.setdiff1d(np.arange(len(graph.triples)), held)
    return _named(graph, kept), _named(graph, np.sort(held))


def _named(graph: KnowledgeGraph, places: NDArray[np.int64]) -> list[Triple]:
    return [
        (graph.ids[h], graph.relations[r], graph.ids[t])
        for h, r, t in graph.triples[places].tolist()
    ]
