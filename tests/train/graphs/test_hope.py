"""HOPE against Katz proximity in full, and its borders."""

import networkx as nx
import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import HOPE, katz_operator, spectral_radius


def dense_katz(matrix: np.ndarray, beta: float) -> np.ndarray:
    return np.linalg.inv(np.eye(len(matrix)) - beta * matrix) @ (beta * matrix)


@pytest.fixture(scope="module", params=[False, True], ids=["undirected", "directed"])
def graph(request) -> GraphData:
    rng = np.random.default_rng(1)
    edges = np.c_[rng.integers(0, 40, (150, 2)), rng.integers(1, 4, 150)]
    return GraphData.from_edges(edges, directed=request.param)


def test_the_operator_is_katz(graph) -> None:
    matrix = graph.adjacency.toarray()
    beta = 0.7 / spectral_radius(graph.adjacency)
    whole = dense_katz(matrix, beta)
    x = np.random.default_rng(0).normal(size=(len(graph), 3))
    for solver in ("lu",) if graph.directed else ("lu", "cg"):
        made = katz_operator(graph.adjacency, beta, solver=solver)
        np.testing.assert_allclose(made @ x, whole @ x, atol=1e-8)
        np.testing.assert_allclose(made.T @ x, whole.T @ x, atol=1e-8)
        np.testing.assert_allclose(made @ x[:, 0], whole @ x[:, 0], atol=1e-8)


def test_katz_is_the_sum_over_paths(graph) -> None:
    matrix = graph.adjacency.toarray()
    beta = 0.3 / spectral_radius(graph.adjacency)
    total, power = np.zeros_like(matrix), np.eye(len(matrix))
    for _ in range(60):
        power = beta * power @ matrix
        total += power
    made = katz_operator(graph.adjacency, beta) @ np.eye(len(matrix))
    np.testing.assert_allclose(made, total, atol=1e-12)


def test_scores_are_the_best_of_that_rank(graph) -> None:
    made = HOPE(dim=20).fit(graph)
    whole = dense_katz(graph.adjacency.toarray(), made.beta_)
    left, values, right = np.linalg.svd(whole)
    np.testing.assert_allclose(made.singular_values_, values[:10], rtol=1e-6)
    best = (left[:, :10] * values[:10]) @ right[:10]
    np.testing.assert_allclose(made.score_rows(np.arange(len(graph))), best, atol=1e-5)
    half = made.vectors[:, :10], made.vectors[:, 10:]
    np.testing.assert_allclose(half[0] @ half[1].T, best, atol=1e-5)


def test_all_singular_values_give_katz_back(karate) -> None:
    made = HOPE(dim=66).fit(karate)
    whole = dense_katz(karate.adjacency.toarray(), made.beta_)
    left, values, right = np.linalg.svd(whole)
    best = (left[:, :33] * values[:33]) @ right[:33]
    np.testing.assert_allclose(made.score_rows(np.arange(34)), best, atol=1e-5)


def test_direction_counts() -> None:
    made = HOPE(dim=18).fit(GraphData.from_edges([(i, i + 1) for i in range(9)], directed=True))
    assert made.radius_ == 0 and made.beta_ == 0.5
    np.testing.assert_allclose(made.score([0, 0, 1], [1, 2, 0]), [0.5, 0.25, 0], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_radius(seed) -> None:
    for host in (
        nx.gnp_random_graph(80, 0.1, seed=seed),
        nx.gnp_random_graph(120, 0.02, seed=seed, directed=True),
        nx.cycle_graph(60, create_using=nx.DiGraph),
        nx.star_graph(70),
    ):
        graph = GraphData.from_networkx(host)
        values = np.linalg.eigvals(graph.adjacency.toarray())
        assert spectral_radius(graph.adjacency) == pytest.approx(np.abs(values).max(), rel=1e-6)


def test_radius_of_loops() -> None:
    graph = GraphData.from_edges([(0, 0, 3.0), (0, 1, 1.0)], directed=True)
    assert spectral_radius(graph.adjacency) == 3


def test_beta_must_be_below_the_border(karate) -> None:
    border = 1 / spectral_radius(karate.adjacency)
    HOPE(dim=4, beta=0.99 * border).fit(karate)
    for wrong in (border * (1 + 1e-9), 1.0, 0, -0.1, float("nan"), "half", None):
        with pytest.raises(ConfigError, match="beta must be"):
            HOPE(dim=4, beta=wrong).fit(karate)


def test_wrong_settings(karate, graph) -> None:
    with pytest.raises(ConfigError, match="even"):
        HOPE(dim=5).fit(karate)
    with pytest.raises(DataError, match="at most 66"):
        HOPE(dim=68).fit(karate)
    with pytest.raises(ConfigError, match="solver"):
        HOPE(dim=4, solver="qr").fit(karate)
    if graph.directed:
        with pytest.raises(ConfigError, match="undirected"):
            HOPE(dim=4, solver="cg").fit(graph)


def test_beta_is_half_of_its_border_and_signs_are_fixed(graph) -> None:
    made = HOPE(dim=10).fit(graph)
    assert made.beta_ == pytest.approx(0.5 / spectral_radius(graph.adjacency))
    left = made.vectors[:, :5]
    assert (left[np.abs(left).argmax(0), np.arange(5)] > 0).all()


def test_large_undirected_graphs_are_solved_without_factors(graph, monkeypatch) -> None:
    seen = []

    def spied(matrix, beta, *, solver):
        seen.append(solver)
        return katz_operator(matrix, beta, solver=solver)

    monkeypatch.setattr("vecsmith.train.graphs._hope.katz_operator", spied)
    for border in (len(graph), len(graph) + 1):
        monkeypatch.setattr("vecsmith.train.graphs._hope.LU_NODES", border)
        HOPE(dim=4).fit(graph)
    assert seen == ["lu" if graph.directed else "cg", "lu"]


def test_solvers_agree(karate) -> None:
    rows = [HOPE(dim=8, solver=s).fit(karate).score_rows(np.arange(34)) for s in ("lu", "cg")]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
