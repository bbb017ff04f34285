"""What every node embedder must do: fit all that holds a graph, score, save, refuse."""

import json
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import (
    EMBEDDERS,
    GraphEmbedder,
    NodeEmbedder,
    SDNETraining,
    WalkTraining,
)

WALKS = {"walks_per_node": 3, "walk_length": 10, "window": 3, "options": WalkTraining(epochs=2)}
SETTINGS = {
    "deepwalk": WALKS,
    "gf": {"epochs": 5},
    "hope": {},
    "lap": {},
    "lle": {},
    "node2vec": {"q": 0.5, **WALKS},
    "sdne": {"hidden": (12,), "options": SDNETraining(epochs=5, batch=8)},
}
NAMES = sorted(EMBEDDERS)


def embedder(name: str, dim: int = 6, **settings) -> GraphEmbedder:
    return NodeEmbedder(name, dim, **{**SETTINGS[name], **settings})


def test_every_embedder_is_tested() -> None:
    assert set(SETTINGS) == set(EMBEDDERS)
    assert all(EMBEDDERS[name].name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryEmbedder:
    def test_shape_and_holders(self, name, karate) -> None:
        made = embedder(name).fit(karate)
        assert made.vectors.shape == (34, 6) and made.vectors.dtype == np.float32
        assert np.isfinite(made.vectors).all() and made.vectors.std() > 0
        rows = [(a, b) for a, b, *_ in zip(*karate.edges(), strict=True)]
        holders = [karate.adjacency, nx.Graph(rows)]
        for holder in holders:
            other = clone(made).fit(holder)
            order = other.index_of(karate.node_ids)
            assert other.vectors.shape == (34, 6)
            if holder is karate.adjacency:
                assert order.tolist() == list(range(34))
                np.testing.assert_array_equal(other.vectors, made.vectors)

    def test_rows_are_pairs(self, name, karate) -> None:
        made = embedder(name).fit(karate)
        rows = made.score_rows([3, 20, 7])
        assert rows.shape == (3, 34) and rows.dtype == np.float32
        for place, i in enumerate((3, 20, 7)):
            pairs = made.score(np.full(34, i), np.arange(34))
            np.testing.assert_allclose(pairs, rows[place], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(made.score_rows(i)[0], rows[place], rtol=1e-4, atol=1e-5)

    def test_saved_and_loaded(self, name, karate, tmp_path) -> None:
        made = embedder(name).fit(karate)
        made.save_pretrained(tmp_path / "m")
        for kind in (GraphEmbedder, type(made)):
            again = kind.from_pretrained(tmp_path / "m")
            assert type(again) is type(made) and again.get_params() == made.get_params()
            np.testing.assert_array_equal(again.vectors, made.vectors)
            np.testing.assert_array_equal(again.score_rows([0, 5]), made.score_rows([0, 5]))
            assert again.node_ids_ == made.node_ids_ and again.labels_ == made.labels_

    def test_a_directed_graph_with_labels_comes_back(self, name, tmp_path) -> None:
        rows = [(i, (i * k + 1) % 12) for i in range(12) for k in (1, 5, 7)]
        graph = GraphData.from_edges(rows, directed=True, labels={3: "three"}, self_loops="drop")
        made = embedder(name, dim=4).fit(graph)
        made.save_pretrained(tmp_path / "m")
        again = GraphEmbedder.from_pretrained(tmp_path / "m")
        assert again.directed_ and again.labels_ == graph.labels != tuple(map(str, range(12)))
        np.testing.assert_array_equal(again.score_rows([0, 5]), made.score_rows([0, 5]))

    def test_a_clone_learns_the_same(self, name, karate) -> None:
        made = embedder(name, random_state=4)
        other = clone(made)
        assert other is not made and other.get_params() == made.get_params()
        np.testing.assert_array_equal(made.fit_transform(karate), other.fit(karate).vectors)

    def test_ids(self, name) -> None:
        rows = [(f"n{i}", f"n{(i * k + 1) % 20}") for i in range(20) for k in (1, 3)]
        made = embedder(name, dim=4).fit(rows)
        np.testing.assert_array_equal(
            made.transform(["n7", "n2"]),
            made.vectors[[made.node_ids_.index("n7"), made.node_ids_.index("n2")]],
        )
        with pytest.raises(DataError, match="no node 'n99'"):
            made.transform(["n1", "n99"])

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_awkward_graphs(self, name) -> None:
        """Parts, loops, weights, directions and lonely nodes: all nodes get a vector."""
        rng = np.random.default_rng(0)
        rows = [
            (a, b, w)
            for a, b, w in zip(
                rng.integers(0, 20, 60),
                rng.integers(0, 20, 60),
                rng.integers(1, 5, 60),
                strict=True,
            )
        ]
        rows += [(a + 20, b + 20, w) for a, b, w in rows] + [(0, 0, 3)]
        for directed in (False, True):
            graph = GraphData.from_edges(rows, directed=directed, nodes=[*range(40), "alone"])
            made = embedder(name, dim=4).fit(graph)
            assert made.vectors.shape == (41, 4) and np.isfinite(made.vectors).all()
            assert not made.transform(["alone"]).any()

    def test_lonely_nodes_are_told(self, name, karate) -> None:
        graph = GraphData.from_edges([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)], nodes=["alone"])
        with pytest.warns(UserWarning, match="1 of 5 nodes have no edge .* the first 'alone'"):
            embedder(name, dim=2).fit(graph)

    def test_nothing_to_learn(self, name) -> None:
        with pytest.raises(DataError, match="no edge"):
            embedder(name).fit(csr_array((5, 5)))
        with pytest.raises(DataError, match="no edge"):
            embedder(name).fit([(1, 1)])
        with pytest.raises(DataError, match="empty"):
            embedder(name).fit([])

    def test_wrong_settings(self, name, karate) -> None:
        for wrong in ({"dim": 0}, {"dim": 2.5}, {"random_state": -1}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                embedder(name).set_params(**wrong).fit(karate)

    def test_wrong_numbers(self, name, karate) -> None:
        made = embedder(name)
        for call in (lambda: made.vectors, lambda: made.score_rows([0])):
            with pytest.raises(ModelError, match="fit"):
                call()
        made.fit(karate)
        for wrong in ([34], [-1], [0.5], ["a"], [[1]]):
            with pytest.raises(DataError):
                made.score_rows(wrong)
        with pytest.raises(DataError, match="as many"):
            made.score([1, 2], [1])


@pytest.mark.parametrize("name", ["deepwalk", "gf", "node2vec", "sdne"])
def test_another_seed_learns_other_vectors(name, karate) -> None:
    first, second = (embedder(name, random_state=s).fit(karate).vectors for s in (0, 1))
    assert (first != second).any(1).all()


def test_vectors_that_are_not_finite_are_refused(karate) -> None:
    with pytest.raises(ModelError, match="'gf' became infinite or NaN"):
        embedder("gf", rate=1e30).fit(karate)


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'node2vec'"):
        NodeEmbedder("node2vek")
    with pytest.raises(ConfigError, match="walk_length"):
        NodeEmbedder("node2vec", walk_len=3)


class TestFiles:
    def test_ids_of_all_kinds(self, tmp_path) -> None:
        made = embedder("deepwalk", dim=4).fit([("a", 1), (1, ("t", 2)), (("t", 2), 2.5)])
        made.save_pretrained(tmp_path / "m")
        assert GraphEmbedder.from_pretrained(tmp_path / "m").node_ids_ == made.node_ids_
        odd = embedder("deepwalk", dim=4).fit([(frozenset({1}), "a"), ("a", "b")])
        with pytest.raises(DataError, match="frozenset"):
            odd.save_pretrained(tmp_path / "n")
        assert not (tmp_path / "n").exists()

    def test_another_method_is_refused(self, karate, tmp_path) -> None:
        embedder("node2vec").fit(karate).save_pretrained(tmp_path / "m")
        with pytest.raises(StoreError, match="those of 'node2vec'"):
            EMBEDDERS["deepwalk"].from_pretrained(tmp_path / "m")

    def test_damage_is_told(self, karate, tmp_path) -> None:
        made = embedder("node2vec").fit(karate)
        made.save_pretrained(tmp_path / "m")
        arrays = tmp_path / "m" / "arrays.safetensors"
        arrays.write_bytes(arrays.read_bytes()[:-50])
        with pytest.raises(StoreError, match="damaged"):
            GraphEmbedder.from_pretrained(tmp_path / "m")
        with pytest.raises(StoreError):
            GraphEmbedder.from_pretrained(tmp_path / "none")
        with pytest.raises(ModelError):
            embedder("node2vec").save_pretrained(tmp_path / "n")

    def test_parts_that_do_not_fit_are_told(self, karate, tmp_path) -> None:
        embedder("node2vec").fit(karate).save_pretrained(tmp_path / "m")
        path = tmp_path / "m" / "settings.json"
        values = json.loads(path.read_text())
        values["node_ids"].pop()
        path.write_text(json.dumps(values))
        with pytest.raises(StoreError, match="damaged"):
            GraphEmbedder.from_pretrained(tmp_path / "m")

    def test_a_fresh_process_reads_the_same(self, karate, tmp_path) -> None:
        made = embedder("node2vec").fit(karate)
        made.save_pretrained(tmp_path / "m")
        code = (
            "from vecsmith.train.graphs import GraphEmbedder; "
            f"m = GraphEmbedder.from_pretrained({str(tmp_path / 'm')!r}); "
            "print(m.vectors.tobytes().hex())"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == made.vectors.tobytes().hex()
