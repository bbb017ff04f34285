"""Graph factorisation: weights at edges, by the steps of the paper's loss."""

import itertools

import numpy as np
import pytest
from scipy.sparse import eye_array

from vecsmith.core import ConfigError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import GraphFactorization
from vecsmith.train.graphs._factorization import gaps
from vecsmith.train.graphs._factorization_kernel import factor


def test_dot_products_are_the_weights() -> None:
    rng = np.random.default_rng(0)
    edges = [
        (a, b, float(rng.integers(1, 5))) for a in range(20) for b in range(a) if rng.random() < 0.4
    ]
    graph = GraphData.from_edges(edges)
    made = GraphFactorization(16, epochs=300, regularization=0).fit(graph)
    rows, columns, weights = graph.edges()
    np.testing.assert_allclose(made.score(rows, columns), weights, atol=0.05)
    assert made.losses_[-1] < 1e-3 < made.losses_[0]


@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_a_step_is_adagrads_on_the_loss(pull) -> None:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(4, 5)).astype(np.float32)
    before, squares = made.astype(np.float64), np.ones((4, 5), np.float32)
    ends = np.array([1]), np.array([3])
    loss = factor(
        *ends,
        np.array([2.0], np.float32),
        np.zeros((1, 0), np.int64),
        made,
        squares,
        (np.float32(0.1), np.float32(pull)),
    )

    def value(y: np.ndarray) -> float:
        return 0.5 * (2 - y[1] @ y[3]) ** 2 + pull / 2 * (y[1] @ y[1] + y[3] @ y[3])

    gap = 2 - before[1] @ before[3]
    assert loss == pytest.approx(gap**2, rel=1e-5)
    expected = before.copy()
    for i in (1, 3):
        for k in range(5):
            nudge = np.zeros((4, 5))
            nudge[i, k] = 1e-6
            slope = (value(before + nudge) - value(before - nudge)) / 2e-6
            expected[i, k] -= 0.1 * slope / np.sqrt(1 + slope**2)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_a_pass_goes_through_all_edges_and_skips_the_ends_among_the_noise() -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3)).astype(np.float32)
    rows, columns = np.array([0, 2]), np.array([1, 3])
    settings = (np.float32(1e-9), np.float32(0))
    found = []
    for noise in (
        np.zeros((2, 0), np.int64),
        np.array([[0, 1], [2, 3]]),
        np.array([[4, 1], [2, 3]]),
    ):
        made, squares = start.copy(), np.ones((5, 3), np.float32)
        weights = np.array([2.0, 1.0], np.float32)
        loss = factor(rows, columns, weights, noise, made, squares, settings)
        gaps = [2 - start[0] @ start[1], 1 - start[2] @ start[3]]
        assert loss == pytest.approx(np.mean(np.square(gaps)), rel=1e-4)
        found.append(squares)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_every_pass_has_an_order_of_its_own_and_no_loops(karate, monkeypatch) -> None:
    seen = []

    def spied(rows, columns, *rest):
        seen.append(np.stack([rows, columns], 1))
        return factor(rows, columns, *rest)

    where = "vecsmith.train.graphs._factorization_kernel.factor"
    monkeypatch.setattr(where, spied)
    made = GraphFactorization(4, epochs=3).fit(karate)
    assert all((a != b).any() for a, b in itertools.pairwise(seen))
    edges = np.stack(karate.edges()[:2], 1).tolist()
    assert all(sorted(order.tolist()) == sorted(edges) for order in seen)
    looped = GraphData.from_scipy(karate.adjacency + 5 * eye_array(34))
    np.testing.assert_array_equal(GraphFactorization(4, epochs=3).fit(looped).vectors, made.vectors)


def test_dot_products_start_at_some_tenths() -> None:
    graph = GraphData.from_edges([(i, i + 1) for i in range(299)])
    made = GraphFactorization(64, epochs=1, rate=1e-9).fit(graph).vectors
    products = made @ made.T
    assert products[~np.eye(300, dtype=bool)].std() == pytest.approx(0.3, rel=0.1)


def test_pairs_without_an_edge_fall(islands) -> None:
    apart = np.arange(1, 12), np.arange(13, 24)
    plain = GraphFactorization(8, epochs=60).fit(islands)
    pushed = GraphFactorization(8, epochs=60, negative=3).fit(islands)
    gaps = [np.abs(made.score(*apart)).mean() for made in (plain, pushed)]
    assert gaps[1] < 0.1 < 0.3 < gaps[0]
    assert pushed.score([1], [2])[0] > 0.7


def test_noise_is_no_neighbour(karate) -> None:
    nodes = np.repeat(np.arange(34), 50)
    drawn = gaps(karate, nodes, 4, np.random.default_rng(0))
    assert not karate.adjacency.toarray()[nodes[:, None], drawn].any()
    other = drawn[drawn != nodes[:, None]]
    assert 0.7 < len(other) / drawn.size < 0.95 and len(set(other.tolist())) == 34


def test_wrong_settings(karate) -> None:
    for wrong in ({"epochs": 0}, {"negative": -1}, {"rate": 0}, {"regularization": -1}):
        with pytest.raises(ConfigError):
            GraphFactorization(4, **wrong).fit(karate)
