"""What vectors of a graph know of the words on its nodes: human similarity, relatives, analogies.

Words are looked up among the labels, in lower case; what has no node is left out and counted, for a
score over other items is another score. Distances are Euclidean between vectors of length 1, from 0
to 2, and stand beside that of random pairs: a space where all lies close has small ones throughout.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, numpy_generator
from vecsmith.data.graphs import GraphData
from vecsmith.encode.words import WordVectors, solve_analogies
from vecsmith.evaluate.words import word_similarity
from vecsmith.evaluate.words._tasks import Question, _pairs, _questions, lookup
from vecsmith.train.graphs._scores import unit_rows

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

# pairs that count as related: those that people place highest
RELATED = 0.25
_DRAWS = 10_000


@dataclass(frozen=True)
class SemanticScore:
    """One test of words.

    Attributes:
        name: Name of the data.
        items: Pairs or questions that were asked.
        missing: Those with a word that is no node.
        spearman: Rank correlation of cosines with people; None for analogies, or where fewer than
            three pairs have nodes.
        accuracy_1: Share of analogies with the right word first; None for similarity.
        accuracy_10: With the right word among the first ten.
        euclid: Mean distance of related pairs, or of b - a + c from d in analogies.
        euclid_random: The same of random pairs of the same words.
    """

    name: str
    items: int
    missing: int
    spearman: float | None = None
    accuracy_1: float | None = None
    accuracy_10: float | None = None
    euclid: float | None = None
    euclid_random: float | None = None

    @property
    def coverage(self) -> float:
        """Share of the items that were asked."""
        return self.items / max(self.items + self.missing, 1)

    def to_json(self) -> dict[str, Any]:
        """Give everything as values for JSON."""
        return {**asdict(self), "coverage": self.coverage}


def labelled(vectors: Floats, labels: Sequence[str], name: str = "node vectors") -> WordVectors:
    """Make vectors of nodes those of words.

    Args:
        vectors: Shape (n, d).
        labels: Text of each node; of nodes with the same text the first counts.
        name: What they are, for errors.

    Returns:
        Words in lower case.
    """
    places: dict[str, int] = {}
    for place, label in enumerate(labels):
        places.setdefault(label.lower().replace("_", " "), place)
    return WordVectors(list(places), vectors[list(places.values())], name=name)


def similarity_test(
    words: WordVectors, data: str | Sequence[tuple[str, str, float]], *, random_state: int = 0
) -> SemanticScore:
    """Hold cosines against people's judgement, and see how near related pairs lie.

    Args:
        words: From `labelled`.
        data: A name that `load_word_similarity` knows, or pairs with scores.
        random_state: Seed of the random pairs.

    Returns:
        The score.
    """
    name, rows = _pairs(data)
    ends = [a.lower() for a, _, _ in rows], [b.lower() for _, b, _ in rows]
    known = np.stack([lookup(words, column, fold_case=False) for column in ends], 1)
    there = (known >= 0).all(1)
    items, missing = int(there.sum()), int((~there).sum())
    human = np.array([row[2] for row in rows], np.float64)[there]
    if items < 3 or np.ptp(human) == 0:
        return SemanticScore(name, items, missing)
    first, second = known[there].T
    unit = unit_rows(words.vectors)
    try:
        spearman: float | None = word_similarity(
            words,
            [
                (words.words[a], words.words[b], s)
                for a, b, s in zip(first, second, human, strict=True)
            ],
        ).spearman
    except DataError:
        # all cosines are equal
        spearman = 0.0
    near = human >= np.quantile(human, 1 - RELATED)
    gaps = np.linalg.norm(unit[first] - unit[second], axis=1)
    return SemanticScore(
        name,
        items,
        missing,
        spearman=spearman,
        euclid=float(gaps[near].mean()),
        euclid_random=_random_gap(unit, np.unique(known[there]), random_state),
    )


def analogy_test(
    words: WordVectors, data: str | Sequence[Question], *, random_state: int = 0
) -> SemanticScore:
    """Ask "a is to b as c is to d" of all words on nodes (3CosAdd; a, b and c are left out).

    Args:
        words: From `labelled`.
        data: A name that `load_analogies` knows, or questions (section, a, b, c, d).
        random_state: Seed of the random pairs.

    Returns:
        The score.
    """
    name, rows = _questions(data)
    columns = [
        lookup(words, [row[i].lower() for row in rows], fold_case=False) for i in range(1, 5)
    ]
    ids = np.stack(columns, 1) if rows else np.zeros((0, 4), np.int64)
    there = (ids >= 0).all(1)
    ids = ids[there]
    if not len(ids):
        return SemanticScore(name, 0, len(rows))
    _, found = solve_analogies(words.vectors, ids[:, :3], 10, norms=words.norms)
    hits = found == ids[:, 3:]
    unit = unit_rows(words.vectors)
    a, b, c, d = unit[ids.T]
    made = b - a + c
    other = numpy_generator(random_state, "restore", "analogies").permutation(len(ids))
    return SemanticScore(
        name,
        len(ids),
        int((~there).sum()),
        accuracy_1=float(hits[:, 0].mean()),
        accuracy_10=float(hits.any(1).mean()),
        euclid=float(np.linalg.norm(made - d, axis=1).mean()),
        euclid_random=float(np.linalg.norm(made - d[other], axis=1).mean()),
    )


def _random_gap(unit: Floats, rows: Ids, seed: int) -> float:
    rng = numpy_generator(seed, "restore", "pairs")
    first, second = rng.choice(rows, (2, _DRAWS))
    apart = first != second
    return float(np.linalg.norm(unit[first[apart]] - unit[second[apart]], axis=1).mean())


def hop_distances_in_space(
    graph: GraphData,
    vectors: Floats,
    hops: Sequence[int],
    *,
    sample: int = 500,
    random_state: int = 0,
) -> dict[int, float]:
    """Mean distance of nodes so many steps apart, between vectors of length 1.

    Args:
        graph: The graph.
        vectors: Shape (n, d).
        hops: Distances; 0 stands for random pairs.
        sample: Nodes whose rings are taken.
        random_state: Seed.

    Returns:
        Hops -> mean over the pairs at that distance; distances without a pair are left out.
    """
    unit = unit_rows(np.asarray(vectors, np.float32))
    rng = numpy_generator(random_state, "restore", "space")
    made: dict[int, float] = {}
    if 0 in hops:
        made[0] = _random_gap(unit, np.arange(len(graph)), random_state)
    totals, numbers = dict.fromkeys(hops, 0.0), dict.fromkeys(hops, 0)
    sources = rng.permutation(len(graph))[:sample]
    for start in range(0, len(sources), 64):
        rows = sources[start : start + 64]
        steps = graph.hop_distances(rows, max_hops=max(1, *hops))
        squares = 2 - 2 * np.clip(unit[rows] @ unit.T, -1, 1)
        # vectors of zeros lie at 1 from those of length 1
        empty: NDArray[np.bool_] = ~(unit != 0).any(1)
        squares[empty[rows][:, None] ^ empty] = 1
        squares[empty[rows][:, None] & empty] = 0
        gaps = np.sqrt(squares)
        for k in hops:
            there = steps == k if k else np.zeros(steps.shape, np.bool_)
            totals[k] += float(gaps[there].sum())
            numbers[k] += int(there.sum())
    made |= {k: totals[k] / numbers[k] for k in hops if numbers[k]}
    return made
