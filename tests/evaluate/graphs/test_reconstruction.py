"""Average precision by hand and by a naive loop, floors, ties, hop modes."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import eye_array

from vecsmith.core import ConfigError, DataError, numpy_generator
from vecsmith.data.graphs import GraphData
from vecsmith.evaluate.graphs import (
    VectorScores,
    average_precisions,
    random_floor,
    reconstruction,
)
from vecsmith.evaluate.graphs._reconstruction import ranking, weight_error


class Table:
    """Scores written down."""

    scored_by = "own"

    def __init__(self, scores) -> None:
        self.scores = np.asarray(scores, np.float32)
        self.vectors = self.scores
        self.n_parameters = self.scores.size

    def score(self, i, j):
        return self.scores[i, j]

    def score_rows(self, idx):
        return self.scores[idx].copy()


def naive_ap(scores, right, own) -> float:
    order = sorted((j for j in range(len(scores)) if j != own), key=lambda j: -scores[j])
    found, total = 0, 0.0
    for place, j in enumerate(order, 1):
        if right[j]:
            found += 1
            total += found / place
    return total / found if found else float("nan")


def test_a_path_by_hand() -> None:
    """0 - 1 - 2 - 3, scores written down; at one hop and at two."""
    graph = GraphData.from_edges([(0, 1), (1, 2), (2, 3)])
    scores = [
        [9, 1, 3, 2],  # 2 3 1: hop 1 {1}: 1/3           hop 2 {2}: 1
        [5, 9, 1, 4],  # 0 3 2: hop 1 {0, 2}: (1 + 2/3)/2   hop 2 {3}: 1/2
        [1, 2, 9, 3],  # 3 1 0: hop 1 {1, 3}: 1             hop 2 {0}: 1/3
        [3, 2, 1, 9],  # 0 1 2: hop 1 {2}: 1/3              hop 2 {1}: 1/2
    ]
    one, two, three = reconstruction(graph, {"m": Table(scores)}, precision_at=(1, 2))["m"]
    assert one.items.tolist() == pytest.approx([1 / 3, 5 / 6, 1, 1 / 3])
    assert two.items.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 2])
    assert three.items.tolist() == pytest.approx([1 / 2, 1]) and three.sources == 2
    assert one.mean_ap == pytest.approx(2.5 / 4)
    assert one.precision == pytest.approx({1: 2 / 4, 2: (0 + 1 / 2 + 1 + 0) / 4})
    assert one.prevalence == pytest.approx((1 + 2 + 2 + 1) / 12)
    ball = reconstruction(graph, {"m": Table(scores)}, hops=(2,), hop_mode="ball")["m"][0]
    assert ball.items.tolist() == pytest.approx([(1 + 2 / 3) / 2, 1, 1, (1 / 2 + 2 / 3) / 2])


def test_karate_club() -> None:
    """The member 11 knows 0 alone; 16 knows 5 and 6: places are counted by hand."""
    graph = GraphData.from_networkx(nx.karate_club_graph(), weight="none")
    degrees = graph.degrees.astype(np.float32)
    scores = np.tile(degrees + np.arange(34) * 1e-3, (34, 1))
    found = reconstruction(graph, {"degree": Table(scores)}, hops=(1,))["degree"][0]
    # by degree: 33 (17), 0 (16), 32 (12), 2 (10), 1 (9), 31 (6), 3 (6), 23, ...
    assert np.argsort(-scores[0])[:8].tolist() == [33, 0, 32, 2, 1, 31, 3, 23]
    assert found.items[11] == pytest.approx(1 / 2)
    places = [np.argsort(-scores[0]).tolist().index(j) + 1 for j in (5, 6)]
    best, worst = sorted(places)
    assert found.items[16] == pytest.approx((1 / best + 2 / worst) / 2)


@given(st.integers(2, 9), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_naive_loop(n, seed) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(n * n).reshape(n, n).astype(float)
    right = rng.random((n, n)) < 0.4
    np.fill_diagonal(right, False)
    made = average_precisions(ranking(scores, np.arange(n), rng), right)
    for i in range(n):
        np.testing.assert_allclose(made[i], naive_ap(scores[i], right[i], i))


@pytest.mark.parametrize(("right", "candidates"), [(1, 1), (1, 5), (3, 7), (7, 7), (12, 30)])
def test_the_floor_is_the_mean_over_orders(right, candidates) -> None:
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((20_000, candidates)), 1)
    flags = np.zeros((20_000, candidates), bool)
    flags[:, :right] = True
    items = average_precisions(order, flags)
    error = items.std() / np.sqrt(len(items))
    floor = random_floor(np.array([right]), candidates)[0]
    assert abs(items.mean() - floor) <= 4 * error + 1e-12


def test_equal_scores_are_ordered_at_random() -> None:
    """Ids sorted by degree must not help a scorer that says nothing."""
    host = nx.barabasi_albert_graph(300, 3, seed=0)
    graph = GraphData.from_networkx(host)
    found = reconstruction(graph, {"constant": Table(np.ones((300, 300)))})["constant"]
    for hop in found:
        error = hop.items.std() / np.sqrt(hop.sources)
        assert abs(hop.mean_ap - hop.floor) < 4 * error
        assert abs(hop.lift) < 0.05


@pytest.mark.parametrize("mode", ["ring", "ball", "ego"])
def test_the_truth_is_perfect_and_the_node_itself_is_no_hit(mode) -> None:
    rng = np.random.default_rng(0)
    graph = GraphData.from_edges(rng.integers(0, 60, (150, 2)))
    steps = graph.hop_distances(np.arange(len(graph)), max_hops=9)
    near = np.where(steps < 0, -99, -steps).astype(float)
    near[np.diag_indices(len(near))] = 99
    hops = (1,) if mode == "ring" else (1, 2, 3)
    for hop in reconstruction(graph, {"m": Table(near)}, hops=hops, hop_mode=mode)["m"]:
        assert hop.mean_ap == pytest.approx(1) and hop.lift == pytest.approx(1)


def test_egos_are_ranked_among_themselves() -> None:
    """A star beside a far clique: in the ego graph of a leaf there is nothing to confuse."""
    rows = [(0, i) for i in range(1, 6)] + [(a, b) for a in range(10, 16) for b in range(10, a)]
    graph = GraphData.from_edges([*rows, (5, 10)])
    flat = VectorScores(np.eye(len(graph)))
    found = reconstruction(graph, {"m": flat}, hops=(2,), hop_mode="ego", random_state=1)["m"][0]
    assert found.mode == "ego" and found.floor > 0.3


def test_egos_by_a_naive_loop() -> None:
    """Loops are no edges to others, and one seed stands for each 32 of the sample."""
    graph = GraphData.from_networkx(nx.gnp_random_graph(64, 0.08, seed=1))
    looped = GraphData.from_scipy(graph.adjacency + eye_array(64))
    scores = np.random.default_rng(0).normal(size=(64, 64))
    how = {"hops": (1, 2), "hop_mode": "ego", "random_state": 2}
    plain, other = (reconstruction(g, {"m": Table(scores)}, **how)["m"] for g in (graph, looped))
    for one, two in zip(plain, other, strict=True):
        np.testing.assert_array_equal(one.items, two.items)
        assert (one.floor, one.prevalence) == (two.floor, two.prevalence)
    # the seeds of both halves of the sample
    rng = numpy_generator(2, "restore", "sample")
    sources = np.sort(rng.permutation(64))
    wanted = []
    for seed in rng.permutation(sources)[:2]:
        steps = graph.hop_distances(np.array([seed]), max_hops=2)[0]
        for k in (1, 2):
            nodes = np.flatnonzero((steps >= 0) & (steps <= k))
            rows = np.sort(rng.permutation(nodes)[:32])
            for i in rows:
                right = graph.adjacency.toarray()[i, nodes] > 0
                ap = naive_ap(scores[i, nodes], right, int(np.flatnonzero(nodes == i)[0]))
                wanted.append((k, ap))
    for hop in plain:
        np.testing.assert_allclose(hop.items, [ap for k, ap in wanted if k == hop.hops])


def test_an_ego_graph_of_two_nodes_says_nothing() -> None:
    graph = GraphData.from_edges([(0, 1), (2, 3)])
    with pytest.raises(DataError, match="at 2 hops"):
        reconstruction(graph, {"m": np.eye(4)}, hops=(2,), hop_mode="ego")


def test_direction() -> None:
    graph = GraphData.from_edges([(0, 1), (1, 2)], directed=True)
    forth = np.eye(3, k=1)
    first = reconstruction(graph, {"f": Table(forth), "b": Table(forth.T)}, hops=(1,))
    assert first["f"][0].mean_ap == 1 > first["b"][0].mean_ap
    assert first["f"][0].sources == 2


def test_a_sample_is_the_same_for_all_methods_and_blocks(monkeypatch) -> None:
    graph = GraphData.from_networkx(nx.gnp_random_graph(120, 0.05, seed=1))
    rng = np.random.default_rng(0)
    methods = {"a": rng.normal(size=(120, 8)), "b": rng.normal(size=(120, 8))}
    whole = reconstruction(graph, methods, sample=50, random_state=3)
    monkeypatch.setattr("vecsmith.evaluate.graphs._reconstruction._CELLS", 700)
    parts = reconstruction(graph, methods, sample=50, random_state=3)
    for name in methods:
        for left, right in zip(whole[name], parts[name], strict=True):
            np.testing.assert_array_equal(left.items, right.items)
            assert left.sources <= 50
    other = reconstruction(graph, methods, sample=50, random_state=4)
    assert other["a"][0].mean_ap != whole["a"][0].mean_ap


def test_errors_of_weights() -> None:
    graph = GraphData.from_edges([(0, 1, 3.0), (1, 2, 4.0), (2, 2, 9.0)])
    scores = graph.adjacency.toarray()
    assert weight_error(graph, Table(scores)) == 0
    assert weight_error(graph, Table(np.zeros((3, 3)))) == 1
    scores[0, 1] += 1
    scores[1, 2] += 2
    assert weight_error(graph, Table(scores)) == pytest.approx(np.sqrt(5) / 5)


def test_what_is_wrong_is_named() -> None:
    graph = GraphData.from_edges([(0, 1), (1, 2)])
    good = np.eye(3)
    for wrong in (
        {"hops": ()},
        {"hops": (0,)},
        {"hops": (1, 1)},
        {"hop_mode": "disc"},
        {"sample": 0},
        {"precision_at": (0,)},
    ):
        with pytest.raises(ConfigError):
            reconstruction(graph, {"m": good}, **wrong)
    for methods, text in (
        ({}, "nothing to assess"),
        ({"m": np.eye(4)}, "'m' has vectors of 4 nodes"),
        ({"m": np.full((3, 2), np.nan)}, "finite"),
        ({"m": "vectors"}, "'m' should be"),
        ({"m": np.ones(3)}, "'m' should be"),
        ({"m": Table(np.full((3, 3), np.nan))}, "NaN"),
    ):
        with pytest.raises(DataError, match=text):
            reconstruction(graph, methods, hops=(1,))
    with pytest.raises(DataError, match="at 7 hops"):
        reconstruction(graph, {"m": good}, hops=(7,))
    with pytest.raises(DataError, match="1 rows are not, the first 1"):
        VectorScores([[1.0, 2], [np.inf, 1], [0, 1]])
    with pytest.raises(ConfigError, match="measure"):
        VectorScores(good, "l2")


def test_vectors_are_scored_by_their_measure() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    gaps = ((vectors[:, None] - vectors) ** 2).sum(2)
    for name, wanted in (
        ("dot", vectors @ vectors.T),
        ("cosine", unit @ unit.T),
        ("euclidean", -gaps),
    ):
        made = VectorScores(vectors, name)
        np.testing.assert_allclose(made.score_rows([2, 0]), wanted[[2, 0]], atol=1e-5)
        np.testing.assert_allclose(made.score([2, 0], [1, 3]), wanted[[2, 0], [1, 3]], atol=1e-5)
