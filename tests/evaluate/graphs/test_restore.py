"""The report: both halves, on embedders and on vectors from anywhere."""

import json

import networkx as nx
import numpy as np
import pytest

from vecsmith.core import ConfigError, numpy_generator
from vecsmith.data.graphs import GraphData
from vecsmith.data.samples import load_word_graph
from vecsmith.evaluate.graphs import (
    SentenceVectors,
    VectorScores,
    analogy_test,
    hop_distances_in_space,
    reconstruction,
    restore,
    similarity_test,
)
from vecsmith.evaluate.graphs._reconstruction import weight_error
from vecsmith.evaluate.graphs._semantics import labelled
from vecsmith.train.graphs import HOPE, SDNE, LaplacianEigenmaps, SDNETraining

PAIRS = [("a", "b", 9), ("c", "d", 8), ("a", "c", 2), ("b", "d", 1), ("a", "d", 0), ("a", "zz", 5)]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.array([[1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1]])


class TestWords:
    def test_similarity(self, vectors) -> None:
        words = labelled(vectors.astype(np.float32), ["A", "b", "c", "d"])
        made = similarity_test(words, PAIRS)
        assert (made.items, made.missing) == (5, 1) and made.coverage == 5 / 6
        assert made.spearman == pytest.approx(0.6669, abs=1e-3)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        # the top quarter of five: the two pairs from the upper quartile on
        gaps = [np.linalg.norm(unit[0] - unit[1]), np.linalg.norm(unit[2] - unit[3])]
        assert made.euclid == pytest.approx(np.mean(gaps), rel=1e-4)
        every = [np.linalg.norm(unit[i] - unit[j]) for i in range(4) for j in range(i)]
        assert made.euclid_random == pytest.approx(np.mean(every), rel=0.03)

    def test_too_few_pairs(self, vectors) -> None:
        words = labelled(vectors.astype(np.float32), ["a", "b", "x", "y"])
        made = similarity_test(words, PAIRS)
        assert (made.items, made.missing, made.spearman) == (1, 5, None)

    def test_vectors_that_tell_nothing(self) -> None:
        words = labelled(np.ones((4, 2), np.float32), ["a", "b", "c", "d"])
        assert similarity_test(words, PAIRS).spearman == 0

    def test_the_first_of_equal_labels(self) -> None:
        words = labelled(
            np.arange(6, dtype=np.float32).reshape(3, 2), ["New_York", "new york", "b"]
        )
        assert words.words == ["new york", "b"] and words["new york"].tolist() == [0, 1]

    def test_analogies(self) -> None:
        table = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [-1, -1, 0.2]], np.float32)
        words = labelled(table, ["man", "king", "woman", "queen", "tree"])
        rows = [
            ("s", "man", "king", "woman", "queen"),
            ("s", "man", "king", "woman", "tree"),
            ("s", "man", "king", "woman", "duke"),
        ]
        made = analogy_test(words, rows)
        assert (made.items, made.missing) == (2, 1)
        assert made.accuracy_1 == 0.5 and made.accuracy_10 == 1.0
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        goal = unit[1] - unit[0] + unit[2]
        gaps = [np.linalg.norm(goal - unit[d]) for d in (3, 4)]
        assert made.euclid == pytest.approx(np.mean(gaps), rel=1e-5)
        nothing = analogy_test(words, rows[2:])
        assert nothing.items == 0 and nothing.accuracy_1 is None

    def test_the_tenth_word_counts_and_the_random_end_is_anothers(self) -> None:
        """On a circle the goal of a : b = c : d lies at d, and others come by their angle."""
        angles = np.radians([0, 0, 0, *range(9, 0, -1), 10])
        table = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        words = labelled(table, [f"w{i}" for i in range(13)])
        rows = [("s", "w0", "w1", "w2", "w12"), ("s", "w0", "w1", "w2", "w3")]
        made = analogy_test(words, rows)
        # nine words lie nearer to the goal at 0 than w12, eight than w3
        assert made.accuracy_1 == 0 and made.accuracy_10 == 1
        far, near = (2 * np.sin(np.radians(angle) / 2) for angle in (10, 9))
        assert made.euclid == pytest.approx((far + near) / 2, rel=1e-4)
        exact = [("s", "w0", "w3", "w2", "w3"), ("s", "w0", "w12", "w2", "w12")]
        for seed in range(8):
            gaps = analogy_test(words, exact, random_state=seed)
            assert gaps.euclid == pytest.approx(0, abs=1e-6)
            order = numpy_generator(seed, "restore", "analogies").permutation(2)
            apart = 2 * np.sin(np.radians(1) / 2) * (order[0] == 1)
            assert gaps.euclid_random == pytest.approx(apart, abs=1e-5)

    def test_random_pairs_come_from_the_seed(self, vectors) -> None:
        words = labelled(vectors.astype(np.float32), ["a", "b", "c", "d"])
        found = [similarity_test(words, PAIRS, random_state=s).euclid_random for s in (0, 0, 1)]
        assert found[0] == found[1] != found[2]


def test_distances_by_hops() -> None:
    graph = GraphData.from_edges([(0, 1), (1, 2), (2, 3)])
    vectors = np.array([[2.0, 0], [0, 3], [-1, 0], [0, 0]])
    made = hop_distances_in_space(graph, vectors, (0, 1, 2, 3, 5))
    root = np.sqrt(2)
    assert made[1] == pytest.approx((root + root + 1) / 3)
    assert made[2] == pytest.approx((2 + 1) / 2) and made[3] == pytest.approx(1)
    assert 5 not in made and made[0] == pytest.approx((root + 2 + 1 + root + 1 + 1) / 6, rel=0.03)


@pytest.fixture(scope="module")
def words() -> GraphData:
    graph = load_word_graph()
    steps = graph.hop_distances(graph.index_of(["dog"]), max_hops=3)[0]
    near = np.flatnonzero(steps >= 0)
    return graph.take(near[np.argsort(steps[near], kind="stable")][:300]).largest_component()


@pytest.fixture(scope="module")
def report(words):
    sdne = SDNE(16, hidden=(64,), options=SDNETraining(epochs=40, batch=100)).fit(words)
    methods = {
        "hope": HOPE(32).fit(words),
        "lap": LaplacianEigenmaps(32).fit(words),
        "sdne": sdne,
        "sdne vectors": VectorScores(sdne.vectors, "dot"),
        "random": np.random.default_rng(0).normal(size=(len(words), 32)),
    }
    return restore(words, methods, semantic=["simlex999", "google-analogies"], precision_at=(1,))


def test_what_is_kept(report) -> None:
    lift = {row.name: [hop.lift for hop in row.reconstruction] for row in report.methods}
    assert lift["sdne"][0] > lift["sdne vectors"][0] + 0.2
    assert min(lift[name][0] for name in ("hope", "lap", "sdne")) > 0.3
    assert all(abs(value) < 0.03 for value in lift["random"])
    assert (
        report["hope"].distances[1]
        < report["hope"].distances[3]
        < report["hope"].distances[0] + 0.1
    )
    assert report["sdne"].parameters > report["sdne vectors"].parameters == 16 * report.nodes
    assert [row.scored_by for row in report.methods] == [
        "dot",
        "euclidean",
        "decoder",
        "dot",
        "cosine",
    ]
    simlex = report["lap"].semantic[0]
    assert simlex.name == "simlex999" and simlex.items > 20 and simlex.missing > 500
    assert simlex.spearman > report["random"].semantic[0].spearman + 0.1


def test_table_and_json(report) -> None:
    table = report.table()
    assert "hops: ring" in table and "mAP of a random order" in table
    for name in ("hope", "sdne vectors", "simlex999", "google-analogies"):
        assert name in table
    made = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert made["hop_mode"] == "ring" and len(made["methods"]) == 5
    hop = made["methods"][0]["reconstruction"][0]
    assert hop["lift"] == pytest.approx((hop["map"] - hop["floor"]) / (1 - hop["floor"]))
    with pytest.raises(KeyError):
        report["none"]


def test_what_is_told_is_what_was_measured() -> None:
    graph = GraphData.from_edges([(0, 1, 2.0), (1, 2, 1.0), (2, 3, 1.0), (3, 4, 3.0)])
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    how = {"hops": (1, 2), "precision_at": (1,), "random_state": 3}
    pairs = {"mine": [("0", "1", 3), ("1", "2", 2), ("2", "3", 1), ("3", "9", 1)]}
    report = restore(graph, {"v": vectors}, semantic=pairs, **how)
    row, scorer = report["v"], VectorScores(vectors)
    one, two = reconstruction(graph, {"v": scorer}, **how)["v"]
    assert row.reconstruction == (one, two) and row.weight_error == weight_error(graph, scorer)
    assert row.distances == hop_distances_in_space(graph, vectors, (0, 1, 2), random_state=3)
    made = report.to_json()["methods"][0]
    assert made["weight_error"] == row.weight_error
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in report.table().split("\n")
    ]
    assert lines[4] == [
        "v",
        "cosine",
        "15",
        *(f"{hop.mean_ap:.3f}" for hop in (one, two)),
        *(f"{hop.lift:.3f}" for hop in (one, two)),
        f"{one.precision[1]:.3f}",
        f"{row.weight_error:.3f}",
    ]
    assert lines[6] == ["Euclidean distance of unit vectors", "1 hops", "2 hops", "random"]
    assert lines[8] == ["v", *(f"{row.distances[k]:.3f}" for k in (1, 2, 0))]
    assert lines[12][:3] == ["mine", "3 of 4", "v"]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plot(report, tmp_path, ending) -> None:
    report.plot(tmp_path / f"r.{ending}")
    assert (tmp_path / f"r.{ending}").stat().st_size > 5000


def test_text_encoders_are_assessed() -> None:
    class Letters:
        def encode(self, texts):
            return [[text.count(c) + 0.01 for c in "abcdo"] for text in texts]

    graph = GraphData.from_edges([("aa", "aab"), ("ccd", "cd"), ("aab", "cd")])
    report = restore(graph, {"letters": SentenceVectors(Letters(), graph.labels)}, hops=(1,))
    assert report["letters"].reconstruction[0].lift > 0.3


def test_own_word_tests() -> None:
    graph = GraphData.from_networkx(nx.relabel_nodes(nx.path_graph(4), dict(enumerate("abcd"))))
    report = restore(graph, {"v": np.eye(4)[:, :3] + 0.1}, hops=(1,), semantic={"mine": PAIRS})
    assert report["v"].semantic[0].name == "mine" and report["v"].semantic[0].items == 5
    asked = [("s", "a", "b", "c", "d"), ("s", "a", "b", "c", "zz")]
    report = restore(graph, {"v": np.eye(4)}, hops=(1,), semantic={"asked": asked, "mine": PAIRS})
    first, second = report["v"].semantic
    assert (first.name, first.items, first.missing) == ("asked", 1, 1)
    assert first.accuracy_1 is not None and second.spearman is not None
    with pytest.raises(ConfigError, match="did you mean 'simlex999'"):
        restore(graph, {"v": np.eye(4)}, hops=(1,), semantic=["simlex99"])
