"""Taxonomies as graphs of named terms, with distances between terms in steps.

A `Hierarchy` is a tree or a directed acyclic graph of is-a links; each term has a name and any
number of synonyms. The distance of two terms is the length of the shortest path between them (0 the
same term, 1 parent and child, 2 siblings or grandparent); or, with `via="ancestor"`, of the
shortest path through a common ancestor, which differs where a term has several parents.

Distances are counted up to a `cap`: what is `cap` steps away or more is far. In a large taxonomy
nearly everything is joined through the root within ten steps, so that larger distances say little.

Cost: distances of n terms are products of sparse matrices, which meet in the middle: for a cap of 6
no ball is wider than 3 steps. 64 terms of 19,000 take a few milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator

if TYPE_CHECKING:
    from scipy.sparse import csr_array

UNKNOWN = -1
VIA = ("path", "ancestor")
Numbers = NDArray[np.int64]


class Hierarchy:
    """Terms with names and is-a links; see the module for what distance means.

    Args:
        ids: Id of each term; its place here is the term's number.
        names: Names of each term, the preferred one first; none where a term is never drawn, such
            as a chapter that only joins what lies below.
        parents: Numbers of each term's parents.
        drawn: Numbers of the terms that batches may hold; None means all that have a name.

    Raises:
        DataError: Unequal lengths, an id that comes twice, or a parent that is no term.
    """

    def __init__(
        self,
        ids: Sequence[str],
        names: Sequence[Sequence[str]],
        parents: Sequence[Sequence[int]],
        drawn: Numbers | None = None,
    ) -> None:
        if not len(ids) == len(names) == len(parents):
            raise DataError(
                "a hierarchy needs names and parents for each id; "
                f"got {len(ids)} ids, {len(names)} names and {len(parents)} parents"
            )
        self.ids = tuple(ids)
        self.number = {term: place for place, term in enumerate(self.ids)}
        if len(self.number) != len(self.ids):
            raise DataError("a hierarchy needs distinct ids; some come twice: merge their rows")
        wrong = [p for row in parents for p in row if not 0 <= p < len(ids)]
        if wrong:
            raise DataError(
                f"parents must be numbers of terms, 0 to {len(ids) - 1}; got {wrong[0]}"
            )
        self.names = tuple(distinct(row) for row in names)
        self.parents = tuple(tuple(row) for row in parents)
        named = np.flatnonzero([bool(row) for row in self.names])
        self.drawn: Numbers = named if drawn is None else np.intersect1d(named, drawn)

    @classmethod
    def from_edges(
        cls,
        edges: Iterable[tuple[str, str]],
        names: Mapping[str, str],
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> "Hierarchy":
        """Make a hierarchy of one's own.

        Args:
            edges: Pairs (id of the child, id of the parent).
            names: Id -> name; an id that stands in edges alone has no name and is never drawn.
            synonyms: Id -> further names.

        Returns:
            The hierarchy; named terms come first, in the order of `names`.
        """
        links = list(edges)
        every = dict.fromkeys([*names, *(term for link in links for term in link)])
        number = {term: place for place, term in enumerate(every)}
        parents: list[list[int]] = [[] for _ in every]
        for child, parent in links:
            parents[number[child]].append(number[parent])
        further = synonyms or {}
        texts = [[names[t], *further.get(t, ())] if t in names else [] for t in every]
        return cls(list(every), texts, parents)

    @classmethod
    def hpo(cls) -> "Hierarchy":
        """Read the Human Phenotype Ontology: 19,034 terms, 23,392 links, exact synonyms."""
        from .samples import load_hpo

        rows = load_hpo()[:]
        number = {term: place for place, term in enumerate(rows["id"])}
        names = [[name, *exact] for name, exact in zip(rows["name"], rows["exact"], strict=True)]
        return cls(rows["id"], names, [[number[p] for p in row] for row in rows["parents"]])

    @classmethod
    def icd10cm(cls) -> "Hierarchy":
        """Read ICD-10-CM: 46,881 codes below 22 chapters, inclusion terms as synonyms."""
        from .samples import load_icd10cm

        rows = load_icd10cm()[:]
        chapters = [f"chapter {number}" for number in dict.fromkeys(rows["chapter"])]
        ids = [*rows["code"], *chapters]
        number = {term: place for place, term in enumerate(ids)}
        above = [
            number[parent or f"chapter {chapter}"]
            for parent, chapter in zip(rows["parent"], rows["chapter"], strict=True)
        ]
        names = [[t, *more] for t, more in zip(rows["title"], rows["synonyms"], strict=True)]
        empty: list[list[Any]] = [[] for _ in chapters]
        return cls(ids, names + empty, [[p] for p in above] + empty)

    @classmethod
    def wordnet(cls) -> "Hierarchy":
        """Read WordNet's nouns: synsets with their lemmas and hypernyms."""
        from .samples import load_wordnet

        rows = load_wordnet()[:]
        number = {term: place for place, term in enumerate(rows["id"])}
        above = [[number[p] for p in row if p in number] for row in rows["hypernyms"]]
        return cls(rows["id"], rows["lemmas"], above)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def with_synonyms(self) -> Numbers:
        """Numbers of the terms that batches may hold and that have several names."""
        return np.array([t for t in self.drawn if len(self.names[t]) > 1], np.int64)

    @cached_property
    def upward(self) -> "csr_array":
        """Child -> parent, shape (terms, terms), with ones on the diagonal."""
        from scipy.sparse import csr_array, eye_array

        child = np.repeat(np.arange(len(self)), [len(row) for row in self.parents])
        parent = np.array([p for row in self.parents for p in row], np.int64)
        shape = (len(self), len(self))
        links = csr_array((np.ones(len(child), np.float32), (child, parent)), shape=shape)
        return _ones(csr_array(links + eye_array(len(self), dtype=np.float32)))

    @cached_property
    def around(self) -> "csr_array":
        """Term -> neighbour, up or down, shape (terms, terms), with ones on the diagonal."""
        from scipy.sparse import csr_array

        return _ones(csr_array(self.upward + self.upward.T))

    def balls(self, terms: Numbers, steps: int, *, via: str = "path") -> "list[csr_array]":
        """Find what lies within 0, 1, ..., `steps` steps of terms.

        Args:
            terms: Numbers of n terms.
            steps: Largest radius.
            via: "path" goes up and down, "ancestor" only up.

        Returns:
            One matrix of ones a radius, shape (n, all terms).
        """
        from scipy.sparse import csr_array

        step = self.around if via == "path" else self.upward
        rows = np.arange(len(terms))
        start = csr_array(
            (np.ones(len(terms), np.float32), (rows, terms)), shape=(len(terms), len(self))
        )
        found = [start]
        for _ in range(steps):
            found.append(_ones(csr_array(found[-1] @ step)))
        return found

    def distances(
        self, terms: Numbers, others: Numbers | None = None, *, cap: int = 6, via: str = "path"
    ) -> Numbers:
        """Count steps between terms.

        Args:
            terms: Numbers of n terms.
            others: Numbers of m terms; None takes `terms` again.
            cap: What is this far or farther gets this number.
            via: "path" for the shortest path, "ancestor" for that through a common ancestor.

        Returns:
            Shape (n, m), from 0 to `cap`.

        Raises:
            ConfigError: A cap below 1, or an unknown `via`.
        """
        if cap < 1:
            raise ConfigError(f"cap must be at least 1; got {cap}")
        if via not in VIA:
            raise ConfigError(f"via cannot be {via!r}; {did_you_mean(via, VIA)}")
        # each term once: batches hold several names of a term
        left, of_left = np.unique(np.asarray(terms, np.int64), return_inverse=True)
        right, of_right = left, of_left
        if others is not None:
            right, of_right = np.unique(np.asarray(others, np.int64), return_inverse=True)
        radius = cap // 2 if via == "path" else cap - 1
        ours = self.balls(left, radius, via=via)
        theirs = ours if others is None else self.balls(right, radius, via=via)
        found = np.full((len(left), len(right)), cap, np.int64)
        for steps in range(cap - 1, -1, -1):
            splits = [((steps + 1) // 2, steps // 2)]
            if via == "ancestor":
                splits = [(up, steps - up) for up in range(steps + 1)]
            for up, down in splits:
                meet = (ours[up] @ theirs[down].T).tocoo()
                found[meet.row, meet.col] = steps
        return found[np.ix_(of_left, of_right)]

    def distance(self, a: str, b: str, *, cap: int = 6, via: str = "path") -> int:
        """Count steps between two terms.

        Args:
            a: Id.
            b: Id.
            cap: See `distances`.
            via: See `distances`.

        Returns:
            From 0 to `cap`.

        Raises:
            DataError: No such id.
        """
        for term in (a, b):
            if term not in self.number:
                raise DataError(f"no term has the id {term!r}; {did_you_mean(term, self.ids)}")
        pair = np.array([self.number[a], self.number[b]])
        return int(self.distances(pair[:1], pair[1:], cap=cap, via=via)[0, 0])

    def hold_out(self, share: float = 0.2, *, seed: int = 0, subtrees: bool = False) -> Numbers:
        """Choose terms for a test.

        Args:
            share: Share of the terms that may be drawn.
            seed: Seed of the choice.
            subtrees: Whole subtrees of 10 to 200 terms instead of single terms, so that no near
                relative of most test terms is left to train on.

        Returns:
            Their numbers, sorted.
        """
        rng = numpy_generator(seed, "hold out", str(subtrees))
        order, wanted = rng.permutation(self.drawn), round(share * len(self.drawn))
        if not subtrees:
            return np.sort(order[:wanted])
        below = self.descendants()
        taken: set[int] = set()
        for root in order:
            if len(taken) >= wanted:
                break
            if 10 <= len(below[root]) <= 200:
                taken |= below[root]
        return np.intersect1d(self.drawn, np.array(sorted(taken), np.int64))

    def descendants(self) -> list[set[int]]:
        """Collect the numbers of each term and of all below it."""
        from graphlib import TopologicalSorter

        below = [{term} for term in range(len(self))]
        # children come before their parents
        children: dict[int, list[int]] = {term: [] for term in range(len(self))}
        for term, row in enumerate(self.parents):
            for parent in row:
                children[parent].append(term)
        for term in TopologicalSorter(children).static_order():
            below[term].update(*(below[child] for child in children[term]))
        return below

    def without(self, terms: Numbers) -> "Hierarchy":
        """Keep terms out of batches; links and distances stay as they are.

        Args:
            terms: Numbers of the terms, a test's for instance.

        Returns:
            A hierarchy that draws neither them nor any term that shares a name with them.
        """
        texts = {name.casefold() for term in terms for name in self.names[term]}
        sharing = [t for t in self.drawn if any(n.casefold() in texts for n in self.names[t])]
        kept = np.setdiff1d(self.drawn, np.union1d(np.array(sharing, np.int64), terms))
        return Hierarchy(self.ids, self.names, self.parents, kept)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Drop empty names and those that differ from an earlier one in capitals alone.

    Args:
        names: Names of a term.

    Returns:
        What is left, in order.
    """
    found: dict[str, str] = {}
    for name in names:
        if name.strip():
            found.setdefault(name.casefold(), name)
    return tuple(found.values())


def _ones(matrix: "csr_array") -> "csr_array":
    # numbers of paths would grow without bound
    matrix.data[:] = 1.0
    return matrix
