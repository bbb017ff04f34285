"""Walks step with the probabilities of the papers, on any number of threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import chisquare

from vecsmith.core import ConfigError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import RandomWalks

# 0 is where walks come from; 0 - 1 - {0, 2, 3, 4}, of which 2 is a neighbour of 0 too
EDGES = [(0, 1, 2.0), (1, 2, 1.0), (0, 2, 0.5), (1, 3, 3.0), (1, 4, 0.5), (3, 4, 1.0), (4, 5, 1.5)]


def naive(graph: GraphData, before: int, at: int, p: float, q: float) -> np.ndarray:
    matrix = graph.adjacency.toarray()
    shares = np.zeros(len(matrix))
    for to in range(len(matrix)):
        if matrix[at, to]:
            bias = 1 / p if to == before else 1.0 if matrix[before, to] else 1 / q
            shares[to] = matrix[at, to] * bias
    return shares / shares.sum()


def steps(walks: RandomWalks, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of (v, x) at the first step, and of (t, v, x) after it."""
    first, later = np.zeros((n, n)), np.zeros((n, n, n))
    for block in walks.blocks():
        block = block[(block >= 0).all(1)]
        np.add.at(first, (block[:, 0], block[:, 1]), 1)
        for k in range(block.shape[1] - 2):
            np.add.at(later, tuple(block[:, k : k + 3].T), 1)
    return first, later


def fits(counts: np.ndarray, shares: np.ndarray) -> None:
    assert not counts[shares == 0].any()
    seen = shares > 0
    if seen.sum() == 1:
        return
    assert chisquare(counts[seen], counts.sum() * shares[seen]).pvalue > 1e-4


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize(
    ("p", "q"), [(1, 1), (0.25, 4), (4, 0.25), (0.001, 1), (1, 0.01), (50, 50), (1, 100)]
)
def test_probabilities(p: float, q: float, directed: bool, weighted: bool) -> None:
    one_way = {(0, 2), (1, 3)}
    back = [(b, a, w + 1) for a, b, w in EDGES if directed and (a, b) not in one_way]
    rows = [row if weighted else row[:2] for row in EDGES + back]
    graph = GraphData.from_edges(rows, directed=directed, nodes=range(6))
    n = len(graph)
    first, later = steps(RandomWalks(graph, length=6, per_node=4000, p=p, q=q, seed=3), n)
    matrix = graph.adjacency.toarray()
    for v in range(n):
        fits(first[v], matrix[v] / matrix[v].sum())
        for t in range(n):
            # the shares of rare cells need a number
            if matrix[t, v] and later[t, v].sum() > 3000:
                fits(later[t, v], naive(graph, t, v, p, q))


def test_every_walk_starts_where_it_should_and_follows_edges() -> None:
    graph = GraphData.from_edges([(0, 1), (1, 2), (2, 0), (2, 3), (3, 3)], directed=True)
    made = np.concatenate(list(RandomWalks(graph, length=7, per_node=3).blocks(size=5)))
    assert made.shape == (12, 7)
    assert made[:, 0].tolist() == [0, 1, 2, 3] * 3
    matrix = graph.adjacency.toarray()
    assert (matrix[made[:, :-1], made[:, 1:]] > 0).all()


def test_dead_ends_stop() -> None:
    graph = GraphData.from_edges([(0, 1), (1, 2)], directed=True, nodes=[0, 1, 2, 3])
    made = RandomWalks(graph, length=4, per_node=1).make(np.arange(4))
    assert made.tolist() == [[0, 1, 2, -1], [1, 2, -1, -1], [2, -1, -1, -1], [3, -1, -1, -1]]
    assert RandomWalks(graph, length=4, per_node=1).visits().tolist() == [1, 2, 3, 1]


def test_walks_depend_on_seed_number_and_epoch_alone() -> None:
    rng = np.random.default_rng(0)
    graph = GraphData.from_edges(rng.integers(0, 200, (900, 2)))
    walks = RandomWalks(graph, length=20, per_node=5, q=0.5, seed=7)
    whole = walks.make(np.arange(len(walks)))
    order = rng.permutation(len(walks))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(walks.make, np.array_split(order, 37)))
    np.testing.assert_array_equal(np.concatenate(parts), whole[order])
    for other in (
        RandomWalks(graph, length=20, per_node=5, q=0.5, seed=8).make(np.arange(len(walks))),
        walks.make(np.arange(len(walks)), epoch=1),
    ):
        assert (other != whole).any(1).mean() > 0.99
    assert (whole[: len(graph)] != whole[len(graph) : 2 * len(graph)]).any(1).mean() > 0.95


def test_wrong_settings() -> None:
    graph = GraphData.from_edges([(0, 1)])
    for wrong in ({"length": 1}, {"per_node": 0}, {"p": 0}, {"q": float("inf")}, {"seed": -1}):
        with pytest.raises(ConfigError):
            RandomWalks(graph, **wrong)
