"""Batches of names with the distances between their terms, drawn so that near pairs are in them.

A random batch of a taxonomy holds almost no two terms that are near. So seeds are drawn, a few
relatives of each within some steps, and one or two names of each; the hops are drawn evenly, since
otherwise the many terms at the largest distance would crowd out parents and children.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vecsmith.core import ConfigError, DataError

from ._hierarchy import UNKNOWN, Hierarchy, Numbers


@dataclass(frozen=True)
class HierarchyBatch:
    """Names of terms of one hierarchy, or of several.

    Attributes:
        texts: B names, no two alike.
        terms: Number of each name's term, shape (B,).
        source: Which hierarchy each is of, shape (B,).
    """

    texts: list[str]
    terms: Numbers
    source: Numbers

    @property
    def concepts(self) -> Numbers:
        """Columns (source, term), shape (B, 2): what `concept_distances` reads."""
        return np.stack([self.source, self.terms], axis=1)


def concept_distances(
    hierarchies: Sequence[Hierarchy],
    concepts: Numbers,
    *,
    cap: int = 6,
    via: str = "path",
    between: int = UNKNOWN,
) -> Numbers:
    """Count steps between the concepts of a batch.

    Args:
        hierarchies: Where they are from.
        concepts: Columns (which hierarchy, number of the term), shape (B, 2).
        cap: See `Hierarchy.distances`.
        via: See `Hierarchy.distances`.
        between: Distance of terms of different hierarchies: `UNKNOWN`, or `cap` for far.

    Returns:
        Shape (B, B).
    """
    found = np.full((len(concepts), len(concepts)), between, np.int64)
    for place, hierarchy in enumerate(hierarchies):
        rows = np.flatnonzero(concepts[:, 0] == place)
        if len(rows):
            steps = hierarchy.distances(concepts[rows, 1], cap=cap, via=via)
            found[np.ix_(rows, rows)] = steps
    return found


def sample_batch(
    hierarchy: Hierarchy,
    size: int,
    rng: np.random.Generator,
    *,
    hops: int = 3,
    relatives: int = 3,
    names_per_term: int = 2,
) -> HierarchyBatch:
    """Draw a batch of terms and their relatives.

    Args:
        hierarchy: Where from.
        size: How many names.
        rng: Source of randomness.
        hops: How many steps a relative may be away.
        relatives: Relatives a seed; 0 gives random terms.
        names_per_term: Names a term at most.

    Returns:
        The batch; names that stand for two terms come once.

    Raises:
        ConfigError: A size or number of names below 1, hops below 1, or negative relatives.
        DataError: The hierarchy has not enough terms to draw.
    """
    if min(size, names_per_term, hops) < 1 or relatives < 0:
        raise ConfigError(
            "size, names_per_term and hops must be at least 1 and relatives at least 0; got "
            f"{size}, {names_per_term}, {hops} and {relatives}"
        )
    batch = _Names(hierarchy, rng, size, names_per_term)
    for _ in range(100):
        seeds = rng.choice(hierarchy.drawn, min(size, len(hierarchy.drawn)), replace=False)
        if relatives:
            seeds = seeds[: -(-size // (relatives + 1))]
        for family in _families(hierarchy, seeds, rng, hops, relatives):
            for term in family:
                batch.add(term)
        if batch.full:
            return batch.made()
    raise DataError(
        f"a batch of {size} names cannot be drawn from {len(hierarchy.drawn)} terms; "
        "use a smaller size"
    )


def synonym_batch(hierarchy: Hierarchy, size: int, rng: np.random.Generator) -> HierarchyBatch:
    """Draw two names each of random terms that have two.

    Args:
        hierarchy: Where from.
        size: How many names.
        rng: Source of randomness.

    Returns:
        The batch.

    Raises:
        DataError: Not enough terms have two names.
    """
    several = hierarchy.with_synonyms
    batch = _Names(hierarchy, rng, size, 2)
    for term in rng.permutation(several):
        batch.add(int(term))
        if batch.full:
            return batch.made()
    raise DataError(
        f"a batch of {size} names of terms with synonyms cannot be drawn: {len(several)} terms "
        "have any; use a smaller size, or synonym_ratio=0"
    )


def _families(
    hierarchy: Hierarchy, seeds: Numbers, rng: np.random.Generator, hops: int, relatives: int
) -> Iterator[list[int]]:
    if not relatives:
        yield from ([int(seed)] for seed in seeds)
        return
    allowed = np.zeros(len(hierarchy), bool)
    allowed[hierarchy.drawn] = True
    balls = hierarchy.balls(seeds, hops)
    for row, seed in enumerate(seeds):
        within = [ball.indices[ball.indptr[row] : ball.indptr[row + 1]] for ball in balls]
        shells = [np.setdiff1d(within[i], within[i - 1]) for i in range(1, hops + 1)]
        shells = [kept for shell in shells if len(kept := shell[allowed[shell]])]
        chosen = (shells[rng.integers(len(shells))] for _ in range(relatives if shells else 0))
        yield [int(seed), *(int(rng.choice(shell)) for shell in chosen)]


class _Names:
    """A batch while it is filled."""

    def __init__(
        self, hierarchy: Hierarchy, rng: np.random.Generator, size: int, per_term: int
    ) -> None:
        self.hierarchy, self.rng, self.size, self.per_term = hierarchy, rng, size, per_term
        self.texts: dict[str, str] = {}
        self.terms: dict[int, None] = {}
        self.rows: list[int] = []

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.size

    def add(self, term: int) -> None:
        if term in self.terms or self.full:
            return
        self.terms[term] = None
        names = self.hierarchy.names[term]
        for place in self.rng.permutation(len(names))[: self.per_term]:
            name = names[place]
            if not self.full and name.casefold() not in self.texts:
                self.texts[name.casefold()] = name
                self.rows.append(term)

    def made(self) -> HierarchyBatch:
        terms = np.array(self.rows, np.int64)
        return HierarchyBatch(list(self.texts.values()), terms, np.zeros_like(terms))
