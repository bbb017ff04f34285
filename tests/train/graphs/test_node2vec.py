"""DeepWalk and node2vec: streams, training, repeatability."""

import numpy as np
import pytest
from sklearn.base import clone

from vecsmith.core import ConfigError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import DeepWalk, Node2Vec, RandomWalks, WalkTraining
from vecsmith.train.graphs._skipgram import walk_stream

SMALL = {"walks_per_node": 10, "walk_length": 20, "window": 4}


def test_the_stream_holds_all_walks_and_no_window_spans_two() -> None:
    walks = np.array([[1, 2, 3], [4, -1, -1], [5, 6, -1]], np.int32)
    stream, places = walk_stream(walks, 2, 9)
    assert stream.tolist() == [9, 9, 1, 2, 3, 9, 9, 4, 9, 9, 9, 9, 5, 6, 9, 9, 9]
    assert stream[places].tolist() == [1, 2, 3, 4, 5, 6]
    assert places.min() >= 2 and places.max() < len(stream) - 2


@pytest.mark.parametrize("kind", [DeepWalk, Node2Vec])
def test_islands_lie_apart(kind, islands) -> None:
    options = WalkTraining(epochs=5, measure="cosine")
    made = kind(16, options=options, **SMALL).fit(islands)
    scores = made.score_rows(np.arange(24))
    same = np.equal.outer(np.arange(24) < 12, np.arange(24) < 12)
    apart = ~np.eye(24, dtype=bool)
    assert scores[same & apart].min() > scores[~same].max()


def test_deepwalk_is_node2vec_without_bias(karate) -> None:
    first = DeepWalk(8, **SMALL).fit(karate).vectors
    np.testing.assert_array_equal(first, Node2Vec(8, **SMALL).fit(karate).vectors)
    assert (first != Node2Vec(8, q=0.5, **SMALL).fit(karate).vectors).any()


def test_walks_are_those_of_the_settings(karate) -> None:
    given = {"p": 0.25, "q": 4.0}
    made = Node2Vec(8, walks_per_node=3, walk_length=7, random_state=5, **given).walks(karate)
    wanted = RandomWalks(karate, length=7, per_node=3, seed=5, **given)
    assert len(made) == len(wanted) == 3 * 34
    np.testing.assert_array_equal(made.make(np.arange(102)), wanted.make(np.arange(102)))


def test_seeds(karate) -> None:
    first = Node2Vec(8, q=2, **SMALL).fit(karate).vectors
    np.testing.assert_array_equal(first, Node2Vec(8, q=2, **SMALL).fit(karate).vectors)
    assert (first != Node2Vec(8, q=2, random_state=1, **SMALL).fit(karate).vectors).all()


def test_threads_reach_what_one_does(islands) -> None:
    options = WalkTraining(epochs=5, workers=4, measure="cosine")
    scores = Node2Vec(16, options=options, **SMALL).fit(islands).score_rows([3])[0]
    assert scores[:12].min() > scores[12:].max()


def test_batches_in_torch_learn_the_same(islands) -> None:
    options = WalkTraining(epochs=8, engine="torch", batch=16, measure="cosine")
    scores = Node2Vec(16, options=options, **SMALL).fit(islands).score_rows([3])[0]
    assert scores[:12].min() > scores[12:].max()


def test_passes_are_told(karate) -> None:
    from vecsmith.train.graphs._skipgram import skipgram_vectors

    seen = []
    walks = DeepWalk(8, **SMALL).walks(karate)
    made = skipgram_vectors(
        walks,
        8,
        window=4,
        options=WalkTraining(epochs=3),
        watch=lambda epoch, vectors: seen.append((epoch, vectors)),
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    np.testing.assert_array_equal(seen[-1][1], made)
    assert (seen[0][1] != made).any()


def test_wrong_settings(karate) -> None:
    for wrong in ({"p": 0}, {"q": -1}, {"window": 0}, {"walk_length": 1}, {"dim": 0}):
        with pytest.raises(ConfigError):
            clone(Node2Vec()).set_params(**wrong).fit(karate)
    for wrong in (
        {"epochs": 0},
        {"rate": 0},
        {"measure": "l2"},
        {"workers": 0},
        {"negative": 0},
        {"engine": "c"},
    ):
        with pytest.raises(ConfigError):
            WalkTraining(**wrong)


def test_a_heavy_edge_is_walked_more() -> None:
    graph = GraphData.from_edges([("a", "b", 50), ("a", "c", 1), ("c", "d", 1), ("b", "d", 1)])
    visits = Node2Vec(8, **SMALL).walks(graph).visits()
    assert visits[graph.index_of(["b"])[0]] > 2 * visits[graph.index_of(["c"])[0]]


def test_passes_have_walks_orders_and_noise_of_their_own(karate, monkeypatch) -> None:
    from vecsmith.train.graphs import _skipgram

    units = []
    monkeypatch.setattr(_skipgram.KernelEngine, "step", lambda self, unit: units.append(unit))
    walks = RandomWalks(karate, length=20, per_node=40)
    how = WalkTraining(epochs=2, negative=8)
    _skipgram.skipgram_vectors(walks, 4, window=4, options=how)
    assert len(units) == 2
    first, second = (unit.stream[unit.positions].reshape(-1, 20) for unit in units)
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == sorted(walks.make(np.arange(1360))[:, 0])
    assert first[:, 0].tolist() != second[:, 0].tolist()
    assert len({*map(tuple, first)} & {*map(tuple, second)}) < len(first) / 10
    assert not np.array_equal(units[0].negatives, units[1].negatives)
    # noise goes by the 3/4 power of how often walks come by
    drawn = np.bincount(np.concatenate([u.negatives.ravel() for u in units]), minlength=34)
    wanted = walks.visits() ** 0.75
    np.testing.assert_allclose(drawn / drawn.sum(), wanted / wanted.sum(), rtol=0.08)
