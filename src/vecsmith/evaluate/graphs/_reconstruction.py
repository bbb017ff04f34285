"""How well scores rebuild a graph: mean average precision at k hops, with its random floor.

For each node i all others are ranked by score, equal ones at random. Over the nodes R_i that count
as right,

    AP_i = 1 / |R_i| * sum over r with j_r in R_i of precision@r,     mAP = mean of AP_i
    floor_i = 1 / N * (H_N + (|R_i| - 1) / (N - 1) * (N - H_N)),
    lift = (mAP - floor) / (1 - floor)

with N the candidates and H_N = 1 + 1/2 + ... + 1/N: the floor is what a random order gives on
average, exactly. Which nodes are right at k hops:

    ring    those at distance k            ball    those at distance 1 to k
    ego     direct neighbours, ranked among the nodes at most k steps from a drawn node alone

Nodes without a right one do not count. Scores come in blocks of rows, so that n x n is never held.
Cost: a sort of n numbers for each of the sampled nodes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator
from vecsmith.data.graphs import GraphData

from ._scorers import Scorer, as_scorer

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

MODES = ("ball", "ego", "ring")
# numbers of a block of scores
_CELLS = 1 << 22
# rows that are ranked in one ego graph
_EGO_ROWS = 32


@dataclass(frozen=True)
class HopScore:
    """Reconstruction at one distance.

    Attributes:
        hops: k.
        mode: "ring", "ball" or "ego".
        mean_ap: mAP.
        floor: mAP of a random order.
        prevalence: Mean share of right nodes among the candidates.
        precision: k -> mean share of right ones among the first k.
        sources: Nodes that counted.
        items: AP of each of them.
    """

    hops: int
    mode: str
    mean_ap: float
    floor: float
    prevalence: float
    precision: dict[int, float]
    sources: int
    items: Doubles = field(repr=False, compare=False)

    @property
    def lift(self) -> float:
        """How far mAP is, with the floor at 0 and a perfect order at 1."""
        return (self.mean_ap - self.floor) / (1 - self.floor) if self.floor < 1 else 0.0


def ranking(scores: NDArray[Any], skip: Ids, rng: np.random.Generator) -> Ids:
    """Rank candidates, equal scores at random.

    Args:
        scores: Shape (rows, candidates).
        skip: Candidate that is the node itself, shape (rows,).
        rng: Source of randomness.

    Returns:
        Candidates, the highest first, without the node itself, shape (rows, candidates - 1).

    Raises:
        DataError: A score is NaN.
    """
    if np.isnan(scores).any():
        raise DataError("a score is NaN; scores must be numbers, larger for likelier edges")
    order = np.lexsort((rng.random(scores.shape, np.float32), -scores), axis=1)
    rows, candidates = scores.shape
    return order[order != skip[:, None]].reshape(rows, candidates - 1)


def average_precisions(order: Ids, right: Flags) -> Doubles:
    """Average precision of ranked candidates.

    Args:
        order: Candidates, the highest first, shape (rows, ranked).
        right: Which candidates are right, shape (rows, candidates).

    Returns:
        Shape (rows,); NaN for a row without a right one.
    """
    hits = np.take_along_axis(right, order, 1)
    found = np.cumsum(hits, 1, dtype=np.int32)
    number = found[:, -1]
    precision = found / np.arange(1, hits.shape[1] + 1)
    total = np.where(hits, precision, 0).sum(1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def random_floor(right: Ids, candidates: Ids | int) -> Doubles:
    """Average precision that a random order has on average.

    Args:
        right: Number of right candidates, at least 1, shape (rows,).
        candidates: Number of all, shape (rows,) or one number.

    Returns:
        Shape (rows,).
    """
    number = np.broadcast_to(np.asarray(candidates), np.shape(right)).astype(np.float64)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, number.max(initial=1) + 1))])
    whole = harmonic[number.astype(np.int64)]
    share = np.where(number > 1, (right - 1) / np.maximum(number - 1, 1), 0)
    made: Doubles = (whole + share * (number - whole)) / number
    return made


@dataclass
class _Tally:
    """What was seen of one method at one distance."""

    items: list[Doubles] = field(default_factory=list)
    floors: list[Doubles] = field(default_factory=list)
    shares: list[Doubles] = field(default_factory=list)
    firsts: list[Doubles] = field(default_factory=list)

    def add(self, order: Ids, right: Flags, precision_at: Sequence[int]) -> None:
        kept = right.any(1)
        if not kept.any():
            return
        order, right = order[kept], right[kept]
        number, ranked = right.sum(1), order.shape[1]
        self.items.append(average_precisions(order, right))
        self.floors.append(random_floor(number, ranked))
        self.shares.append(number / ranked)
        self.firsts.append(
            np.stack(
                [np.take_along_axis(right, order[:, :k], 1).sum(1) / k for k in precision_at], 1
            )
            if precision_at
            else np.zeros((len(order), 0))
        )

    def score(self, hops: int, mode: str, precision_at: Sequence[int]) -> HopScore:
        if not self.items:
            raise DataError(
                f"no sampled node has another one that counts at {hops} hops ({mode}); give fewer "
                "hops, or a larger sample"
            )
        items = np.concatenate(self.items)
        first = np.concatenate(self.firsts).mean(0)
        return HopScore(
            hops,
            mode,
            float(items.mean()),
            float(np.concatenate(self.floors).mean()),
            float(np.concatenate(self.shares).mean()),
            {k: float(value) for k, value in zip(precision_at, first, strict=True)},
            len(items),
            items,
        )


def reconstruction(
    graph: GraphData,
    methods: dict[str, Any],
    *,
    hops: Sequence[int] = (1, 2, 3),
    hop_mode: str = "ring",
    sample: int = 2000,
    precision_at: Sequence[int] = (1, 10),
    random_state: int = 0,
) -> dict[str, list[HopScore]]:
    """Measure how well methods rebuild a graph.

    Args:
        graph: The graph.
        methods: Name -> a fitted node embedder, a scorer, or vectors.
        hops: Distances.
        hop_mode: "ring", "ball" or "ego".
        sample: Nodes that are ranked; all, where the graph has no more.
        precision_at: Numbers of first ranks.
        random_state: Seed of the sample and of the order of equal scores.

    Returns:
        Name -> one score a distance; items stand for the same nodes with all methods.

    Raises:
        ConfigError: A setting out of its range.
        DataError: No methods, vectors of another graph, NaN, or nothing to count.
    """
    check_settings(hops, hop_mode, sample, precision_at)
    if not methods:
        raise DataError("there is nothing to assess; give methods={name: embedder or vectors}")
    scorers = {name: as_scorer(name, method, len(graph)) for name, method in methods.items()}
    tallies = {name: {k: _Tally() for k in hops} for name in methods}
    rng = numpy_generator(random_state, "restore", "sample")
    sources = np.sort(rng.permutation(len(graph))[:sample])
    noise = {name: numpy_generator(random_state, "restore", "ties", name) for name in methods}
    blocks = _egos if hop_mode == "ego" else _rings
    for rows, nodes, right in blocks(graph, sources, hops, hop_mode, rng):
        ks = list(right)
        skip = rows if nodes is None else np.searchsorted(nodes, rows)
        for name, scorer in scorers.items():
            scores = scorer.score_rows(rows)
            if nodes is not None:
                scores = scores[:, nodes]
            order = ranking(scores, skip, noise[name])
            for k in ks:
                tallies[name][k].add(order, right[k], precision_at)
    return {
        name: [tally.score(k, hop_mode, precision_at) for k, tally in mine.items()]
        for name, mine in tallies.items()
    }


def check_settings(
    hops: Sequence[int], hop_mode: str, sample: int, precision_at: Sequence[int]
) -> None:
    """Refuse settings that make no sense.

    Args:
        hops: Distances.
        hop_mode: Which nodes are right.
        sample: Nodes that are ranked.
        precision_at: Numbers of first ranks.

    Raises:
        ConfigError: One is out of its range.
    """
    if hop_mode not in MODES:
        raise ConfigError(f"hop_mode cannot be {hop_mode!r}; {did_you_mean(str(hop_mode), MODES)}")
    if not hops or min(hops) < 1 or len(set(hops)) != len(hops):
        raise ConfigError(f"hops must be different whole numbers from 1; got {tuple(hops)}")
    if sample < 1 or any(k < 1 for k in precision_at):
        raise ConfigError(
            f"sample and precision_at must be at least 1; got {sample} and {tuple(precision_at)}"
        )


_Block = tuple[Ids, "Ids | None", dict[int, Flags]]


def _rings(
    graph: GraphData, sources: Ids, hops: Sequence[int], mode: str, rng: np.random.Generator
) -> Iterator[_Block]:
    size = max(_CELLS // len(graph), 1)
    for start in range(0, len(sources), size):
        rows = sources[start : start + size]
        steps = graph.hop_distances(rows, max_hops=max(hops))
        if mode == "ring":
            yield rows, None, {k: steps == k for k in hops}
        else:
            yield rows, None, {k: (steps > 0) & (steps <= k) for k in hops}


def _egos(
    graph: GraphData, sources: Ids, hops: Sequence[int], mode: str, rng: np.random.Generator
) -> Iterator[_Block]:
    number = max(len(sources) // _EGO_ROWS, 1)
    for seed in rng.permutation(sources)[:number]:
        steps = graph.hop_distances(np.array([seed]), max_hops=max(hops))[0]
        for k in hops:
            nodes = np.flatnonzero((steps >= 0) & (steps <= k))
            if len(nodes) < 3:
                continue
            rows = np.sort(rng.permutation(nodes)[:_EGO_ROWS])
            right = graph.adjacency[rows][:, nodes].toarray() > 0
            right[np.arange(len(rows)), np.searchsorted(nodes, rows)] = False
            yield rows, nodes, {k: right}


def weight_error(graph: GraphData, scorer: Scorer) -> float:
    """Compare scores with the weights of edges: ||A - A^|| / ||A|| over the edges that exist.

    Args:
        graph: The graph.
        scorer: What gives A^; its numbers are taken as they are.

    Returns:
        0 where all weights are right; 1 is what scores of 0 have.
    """
    rows, columns, weights = graph.edges()
    apart = rows != columns
    made = scorer.score(rows[apart], columns[apart]).astype(np.float64)
    return float(np.linalg.norm(weights[apart] - made) / np.linalg.norm(weights[apart]))
