"""Laplacian eigenmaps and locally linear embedding against dense eigenvectors."""

import networkx as nx
import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.sparse import csr_array, diags_array

from vecsmith.core import DataError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import LaplacianEigenmaps, LocallyLinearEmbedding
from vecsmith.train.graphs._spectrum import smallest_eigenvectors


def same_up_to_sign(made: np.ndarray, wanted: np.ndarray, atol: float = 1e-5) -> None:
    signs = np.sign((made * wanted).sum(0))
    np.testing.assert_allclose(made, wanted * signs, atol=atol)


@pytest.fixture(scope="module")
def weighted() -> GraphData:
    rng = np.random.default_rng(3)
    edges = np.c_[rng.integers(0, 60, (300, 2)), rng.random(300) + 0.1]
    return GraphData.from_edges(edges, self_loops="drop").largest_component()


def test_laplacian(weighted) -> None:
    weights = weighted.adjacency.toarray()
    degrees = np.diag(weights.sum(1))
    values, vectors = eigh(degrees - weights, degrees)
    made = LaplacianEigenmaps(dim=5).fit(weighted)
    np.testing.assert_allclose(made.eigenvalues_, values[1:6], atol=1e-8)
    same_up_to_sign(made.vectors, vectors[:, 1:6])
    np.testing.assert_allclose(made.vectors.T @ degrees @ made.vectors, np.eye(5), atol=1e-4)


def test_linear(weighted) -> None:
    weights = weighted.adjacency.toarray()
    n = len(weights)
    gap = np.eye(n) - weights / weights.sum(1, keepdims=True)
    values, vectors = eigh(gap.T @ gap)
    made = LocallyLinearEmbedding(dim=5).fit(weighted)
    np.testing.assert_allclose(made.eigenvalues_, values[1:6], atol=1e-8)
    same_up_to_sign(made.vectors, vectors[:, 1:6] * np.sqrt(n), atol=1e-4)


@pytest.mark.parametrize("kind", [LaplacianEigenmaps, LocallyLinearEmbedding])
def test_the_search_finds_what_dense_mathematics_does(kind, monkeypatch) -> None:
    graph = GraphData.from_networkx(nx.connected_watts_strogatz_graph(400, 6, 0.3, seed=0))
    searched = kind(dim=6).fit(graph)
    monkeypatch.setattr("vecsmith.train.graphs._spectrum._DENSE", 1000)
    dense = kind(dim=6).fit(graph)
    np.testing.assert_allclose(searched.eigenvalues_, dense.eigenvalues_, atol=1e-8)
    same_up_to_sign(searched.vectors, dense.vectors, atol=1e-3)


@pytest.mark.parametrize("kind", [LaplacianEigenmaps, LocallyLinearEmbedding])
@pytest.mark.parametrize("size", [5, 120])
def test_parts_are_told_apart_first(kind, size) -> None:
    """Three components: two dimensions in which each part is a point of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for part in range(3):
        host = nx.random_regular_graph(4, size, seed=part)
        rows += [(a + part * size, b + part * size) for a, b in host.edges]
    graph = GraphData.from_edges(rows, nodes=rng.permutation(3 * size))
    made = kind(dim=4).fit(graph)
    assert (np.abs(made.eigenvalues_[:2]) < 1e-8).all() and made.eigenvalues_[2] > 1e-4
    points = made.vectors[:, :2]
    part = np.array(graph.node_ids) // size
    for p in range(3):
        mine = points[part == p]
        assert np.ptp(mine, 0).max() < 1e-4
        assert np.linalg.norm(points[part != p] - mine[0], axis=1).min() > 1e-3


def test_the_known_vector_is_left_out_wherever_it_stands() -> None:
    matrix = GraphData.from_edges([(0, 1), (2, 3), (4, 5)]).adjacency
    laplacian = np.diag([1.0] * 6) - matrix.toarray()
    _, vectors = smallest_eigenvectors(csr_array(laplacian), 2, besides=np.ones(6))
    np.testing.assert_allclose(vectors.sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(laplacian @ vectors, 0, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("kind", [LaplacianEigenmaps, LocallyLinearEmbedding])
def test_loops_are_no_distances(weighted, kind) -> None:
    loops = diags_array(np.random.default_rng(0).random(len(weighted)) + 1)
    looped = GraphData.from_scipy(weighted.adjacency + loops)
    made = kind(dim=5).fit(weighted).vectors
    np.testing.assert_allclose(kind(dim=5).fit(looped).vectors, made, atol=1e-5)


@pytest.mark.parametrize("dense", [1000, 10])
def test_the_largest_number_of_each_vector_is_positive(weighted, dense, monkeypatch) -> None:
    monkeypatch.setattr("vecsmith.train.graphs._spectrum._DENSE", dense)
    weights = weighted.adjacency
    laplacian = csr_array(diags_array(np.asarray(weights.sum(1)).ravel()) - weights)
    _, vectors = smallest_eigenvectors(laplacian, 7, besides=np.ones(len(weighted)))
    assert (vectors[np.abs(vectors).argmax(0), np.arange(7)] > 0).all()


def test_directions_are_forgotten() -> None:
    rows = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]
    for kind in (LaplacianEigenmaps, LocallyLinearEmbedding):
        made = kind(dim=2).fit(GraphData.from_edges(rows, directed=True)).vectors
        np.testing.assert_allclose(made, kind(dim=2).fit(rows).vectors, atol=1e-6)


def test_too_many_dimensions(karate) -> None:
    for kind in (LaplacianEigenmaps, LocallyLinearEmbedding):
        assert kind(dim=33).fit(karate).vectors.shape == (34, 33)
        with pytest.raises(DataError, match="at most 33"):
            kind(dim=34).fit(karate)
