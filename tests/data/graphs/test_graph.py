"""Graphs from all that holds edges: nothing is lost, and what is wrong is named."""

import gzip
import itertools

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array, csr_matrix

from vecsmith.core import ConfigError, DataError
from vecsmith.data.graphs import (
    GraphData,
    as_graph,
    hop_distances,
    read_edge_list,
    read_kgtk,
    read_recbole,
)

PATH = [("a", "b"), ("b", "c"), ("c", "d")]


class TestFromEdges:
    def test_rows(self) -> None:
        graph = GraphData.from_edges([("a", "b", 2), ("b", "c", 0.5)])
        assert graph.node_ids == ("a", "b", "c") == graph.labels
        assert (len(graph), graph.n_edges, graph.directed) == (3, 2, False)
        np.testing.assert_array_equal(
            graph.adjacency.toarray(), [[0, 2, 0], [2, 0, 0.5], [0, 0.5, 0]]
        )

    def test_direction(self) -> None:
        graph = GraphData.from_edges(PATH, directed=True)
        np.testing.assert_array_equal(graph.adjacency.toarray(), np.eye(4, k=1))
        assert graph.n_edges == 3 == graph.undirected().n_edges

    def test_directions_are_forgotten_by_adding(self) -> None:
        rows = [("a", "b", 2), ("b", "a", 3), ("b", "b", 4), ("b", "c", 1)]
        graph = GraphData.from_edges(rows, directed=True)
        both = graph.undirected()
        assert both.adjacency.toarray().tolist() == [[0, 5, 0], [5, 4, 1], [0, 1, 0]]
        assert both.undirected() is both and graph.degrees.tolist() == [1, 3, 0]
        # an edge that only comes in joins a node too
        assert graph.isolated.tolist() == []

    def test_whole_numbers_of_a_float_array_are_ids(self) -> None:
        graph = GraphData.from_edges(np.array([[1, 2, 2.5], [2, 3, 3.0]]))
        assert graph.labels == ("1", "2", "3")
        halves = GraphData.from_edges(np.array([[1.5, 2], [2, 3]]))
        assert halves.labels == ("1.5", "2.0", "3.0")

    def test_any_ids(self) -> None:
        ids = [("x", 1), frozenset({2}), 7, "7", 2.5]
        graph = GraphData.from_edges(list(itertools.pairwise(ids)))
        assert graph.node_ids == tuple(ids)
        assert graph.index_of([7, "7"]).tolist() == [2, 3]

    @pytest.mark.parametrize(
        "edges",
        [
            pd.DataFrame({"w": [9, 9], "target": [2, 3], "source": [1, 2], "weight": [2.0, 3.0]}),
            {"source": [1, 2], "target": [2, 3], "weight": [2.0, 3.0]},
            np.array([[1, 2, 2.0], [2, 3, 3.0]]),
            [[1, 2, "2"], [2, 3, "3"]],
            iter([(1, 2, 2), (2, 3, 3)]),
        ],
        ids=["frame", "dict", "array", "texts", "iterator"],
    )
    def test_every_holder(self, edges) -> None:
        graph = GraphData.from_edges(edges)
        assert graph.node_ids == (1, 2, 3)
        assert graph.adjacency.toarray()[[0, 1], [1, 2]].tolist() == [2, 3]

    def test_first_columns_of_a_table(self) -> None:
        frame = pd.DataFrame({"from": ["a"], "to": ["b"], "since": ["x"]})
        assert GraphData.from_edges(frame).node_ids == ("a", "b")
        assert GraphData.from_edges(frame, columns=("since", "to")).node_ids == ("x", "b")

    def test_nodes_without_an_edge_stay(self) -> None:
        graph = GraphData.from_edges([("a", "b"), ("s", "s")], nodes=["z", "b"])
        assert graph.node_ids == ("z", "b", "a", "s")
        assert graph.isolated.tolist() == [0, 3]

    def test_only_nodes(self) -> None:
        graph = GraphData.from_edges([], nodes=[1, 2])
        assert len(graph) == 2 and graph.n_edges == 0

    def test_self_loops(self) -> None:
        rows = [("a", "a", 3), ("a", "b", 1)]
        kept = GraphData.from_edges(rows)
        assert kept.adjacency.toarray().tolist() == [[3, 1], [1, 0]] and kept.n_edges == 2
        dropped = GraphData.from_edges(rows, self_loops="drop")
        assert dropped.adjacency.toarray().tolist() == [[0, 1], [1, 0]]
        with pytest.raises(DataError, match="1 edges lead from a node to itself, the first at 'a'"):
            GraphData.from_edges(rows, self_loops="refuse")

    def test_duplicates(self) -> None:
        rows = [("a", "b", 1), ("b", "a", 4), ("b", "c", 1)]
        assert GraphData.from_edges(rows).adjacency[0, 1] == 5
        largest = GraphData.from_edges(rows, duplicates="max").adjacency.toarray()
        assert largest.tolist() == [[0, 4, 0], [4, 0, 1], [0, 1, 0]]
        with pytest.raises(DataError, match="'a' - 'b'"):
            GraphData.from_edges(rows, duplicates="refuse")
        both = GraphData.from_edges(rows, duplicates="refuse", directed=True)
        assert both.adjacency[1, 0] == 4

    def test_types(self) -> None:
        rows = [("a", "r", "b"), ("a", "s", "b"), ("b", "r", "c")]
        graph = GraphData.from_edges(
            rows, columns=(0, 2), relation=1, directed=True, duplicates="refuse"
        )
        assert graph.relations == ("r", "s") and graph.adjacency[0, 1] == 2
        assert graph.triples.tolist() == [[0, 0, 1], [0, 1, 1], [1, 0, 2]]
        part = graph.subgraph(["c", "b"])
        assert part.triples.tolist() == [[1, 0, 0]]
        how = {"columns": (0, 2), "relation": 1, "duplicates": "refuse"}
        with pytest.raises(DataError, match="more than once"):
            GraphData.from_edges([*rows, rows[0]], **how)
        # a typed edge has a direction, whatever the graph has
        assert len(GraphData.from_edges([*rows, ("b", "r", "a")], **how).triples) == 4

    @pytest.mark.parametrize(
        ("edges", "text"),
        [
            ([], "empty"),
            ([("a", None)], "edge 0 has no end"),
            ([("a", float("nan"))], "edge 0 has no end"),
            (pd.DataFrame({"source": ["a"], "target": [pd.NA]}), "no end"),
            (np.array([[1, 2], [np.nan, 3]]), "no end"),
            ([("a", ["b"])], "hashable"),
            ([("a", "b"), ("a",)], "edge 1 should be"),
            ([("a", "b"), ("a", "c", 1)], "edge 1 has 3 parts"),
            ([("a", "b", "knows")], "relation=1"),
            ([("a", "b", 0)], "above 0"),
            ([("a", "b", -1.0)], "above 0"),
            ([("a", "b", float("inf"))], "finite"),
            ("a b", "read_edge_list"),
            (5, "rows"),
            (np.ones((3, 3, 3)), "shape"),
            (np.ones(3), "shape"),
            (["ab"], "edge 0 should be"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_named(self, edges, text) -> None:
        with pytest.raises(DataError, match=text):
            GraphData.from_edges(edges)

    def test_wrong_settings(self) -> None:
        with pytest.raises(DataError, match="'b' is given twice"):
            GraphData.from_edges(PATH, nodes=["b", "b"])
        for wrong in ({"duplicates": "add"}, {"self_loops": "no"}, {"columns": (0,)}):
            with pytest.raises(ConfigError):
                GraphData.from_edges(PATH, **wrong)
        with pytest.raises(DataError, match="no column"):
            GraphData.from_edges(PATH, columns=(0, 5))


class TestFromOthers:
    def test_scipy_is_not_changed(self) -> None:
        given = coo_array(([1.0, 2.0, 3.0, 3.0], ([0, 0, 0, 1], [1, 1, 2, 1])), shape=(3, 3))
        before = given.data.copy(), given.row.copy()
        graph = GraphData.from_scipy(given)
        assert graph.directed and graph.adjacency[0, 1] == 3
        np.testing.assert_array_equal(given.data, before[0])
        np.testing.assert_array_equal(given.row, before[1])

    def test_unsorted_csr_is_not_changed(self) -> None:
        given = csr_array((np.ones(2), np.array([2, 1]), np.array([0, 2, 2, 2])), shape=(3, 3))
        GraphData.from_scipy(given)
        assert given.indices.tolist() == [2, 1]

    def test_symmetry_decides(self) -> None:
        square = csr_matrix(np.array([[0, 1], [1, 0]]))
        assert not GraphData.from_scipy(square).directed
        with pytest.raises(DataError, match="symmetric"):
            GraphData.from_scipy(csr_matrix(np.eye(3, k=1)), directed=False)

    @pytest.mark.parametrize(
        "matrix",
        [csr_array((2, 3)), np.eye(2), csr_array([[0, -1.0], [-1.0, 0]]), csr_array((0, 0))],
    )
    def test_other_matrices(self, matrix) -> None:
        with pytest.raises(DataError):
            GraphData.from_scipy(matrix)

    def test_ids_must_fit(self) -> None:
        with pytest.raises(DataError, match="different ids"):
            GraphData.from_scipy(csr_array(np.ones((2, 2))), node_ids=["a", "a"])
        with pytest.raises(DataError, match="as many"):
            GraphData.from_scipy(csr_array(np.ones((2, 2))), node_ids=["a"])

    def test_networkx(self) -> None:
        given = nx.MultiDiGraph()
        given.add_node("alone", label="Alone")
        given.add_edge(1, 2)
        given.add_edge(1, 2, weight=4.0)
        graph = as_graph(given)
        assert graph.directed and graph.node_ids == ("alone", 1, 2)
        assert graph.adjacency[1, 2] == 5 and graph.labels[0] == "Alone"

    def test_as_graph(self) -> None:
        graph = GraphData.from_edges(PATH)
        assert as_graph(graph) is graph
        assert not as_graph(PATH).directed and as_graph(PATH, directed=True).directed
        assert as_graph(graph.adjacency).n_edges == 3


class TestParts:
    def test_subgraph(self) -> None:
        graph = GraphData.from_edges(PATH, labels={"b": "Bee"})
        part = graph.subgraph(["c", "b", "a"])
        assert part.node_ids == ("c", "b", "a") and part.labels == ("c", "Bee", "a")
        assert part.adjacency.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
        for wrong in ([], ["a", "a"], ["e"], [["a"]], "ab"):
            with pytest.raises(DataError):
                graph.subgraph(wrong)

    def test_largest_component(self) -> None:
        graph = GraphData.from_edges([(9, 8), *[(i, i + 1) for i in range(3)]], directed=True)
        assert graph.largest_component().node_ids == (0, 1, 2, 3)
        ring = GraphData.from_edges([(9, 8), (8, 7), (0, 1), (1, 0)], directed=True)
        assert ring.largest_component(strong=True).node_ids == (0, 1)

    def test_edges_round_trip(self) -> None:
        graph = GraphData.from_edges([("a", "a", 2), ("a", "b", 3), ("c", "b", 1)])
        rows, columns, weights = graph.edges()
        again = GraphData.from_edges(
            zip(rows.tolist(), columns.tolist(), weights.tolist(), strict=True)
        )
        np.testing.assert_array_equal(again.adjacency.toarray(), graph.adjacency.toarray())


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_hops_are_shortest_paths(edges, directed) -> None:
    graph = GraphData.from_edges(edges, directed=directed)
    host = (nx.DiGraph if directed else nx.Graph)(edges)
    found = graph.hop_distances(np.arange(len(graph)), max_hops=3)
    paths = dict(nx.all_pairs_shortest_path_length(host, cutoff=3))
    for i, a in enumerate(graph.node_ids):
        for j, b in enumerate(graph.node_ids):
            assert found[i, j] == paths[a].get(b, -1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 5)), min_size=1))
@settings(max_examples=60, deadline=None)
def test_no_weight_is_lost(edges) -> None:
    graph = GraphData.from_edges(edges, directed=True)
    assert graph.adjacency.sum() == sum(weight for *_, weight in edges)
    undirected = GraphData.from_edges(edges)
    assert undirected.edges()[2].sum() == sum(weight for *_, weight in edges)


def test_hops_do_not_look_at_weights() -> None:
    graph = GraphData.from_edges([("a", "b", 0.1), ("b", "c", 9.0)])
    found = graph.hop_distances(np.array([0]), max_hops=2)
    assert found.tolist() == [[0, 1, 2]]


def test_hops_refuse() -> None:
    square = csr_array(np.eye(3))
    with pytest.raises(ConfigError):
        hop_distances(square, np.array([0]), max_hops=0)
    with pytest.raises(DataError, match="0 to 2"):
        hop_distances(square, np.array([3]), max_hops=1)


class TestFiles:
    def test_edge_list(self, tmp_path) -> None:
        path = tmp_path / "a.txt.gz"
        with gzip.open(path, "wt") as file:
            file.write("# head\na b 2\n\nb c 1\n")
        graph = read_edge_list(path)
        assert graph.node_ids == ("a", "b", "c") and graph.adjacency[0, 1] == 2
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match="whole"):
            read_edge_list(path)
        plain = tmp_path / "b.csv"
        plain.write_text("New York,Paris\n")
        assert read_edge_list(plain, delimiter=",").node_ids == ("New York", "Paris")
        plain.write_text("% head\n#1 #2\n")
        assert read_edge_list(plain, comment="%").node_ids == ("#1", "#2")
        with pytest.raises(DataError, match="line 1"):
            plain.write_text("a b c d\n")
            read_edge_list(plain)
        with pytest.raises(DataError, match="cannot be read"):
            read_edge_list(tmp_path / "none")

    def test_kgtk(self, tmp_path) -> None:
        path = tmp_path / "cskg.tsv"
        path.write_text(
            "id\tnode1\trelation\tnode2\tnode1;label\tnode2;label\n"
            "e1\t/c/en/cat\t/r/IsA\t/c/en/animal\tcat|tom cat\tanimal\n"
            "e2\t/c/en/animal\t/r/IsA\tq\tanimal\t\n"
        )
        graph = read_kgtk(path)
        assert graph.node_ids == ("/c/en/cat", "/c/en/animal", "q")
        assert graph.labels == ("cat", "animal", "q") and graph.relations == ("/r/IsA",)
        assert graph.directed and graph.triples.tolist() == [[0, 0, 1], [1, 0, 2]]
        path.write_text("node1\tlabel\tnode2\na\tr\tb\nc\n")
        with pytest.raises(DataError, match="line 3"):
            read_kgtk(path)
        path.write_text("a b c\n")
        with pytest.raises(DataError, match="node1"):
            read_kgtk(path)

    def test_recbole(self, tmp_path) -> None:
        kg, link = tmp_path / "m.kg", tmp_path / "m.link"
        kg.write_text("head_id:token\trelation_id:token\ttail_id:token\nm.1\tfilm.of\tm.2\n")
        link.write_text("item_id:token\tentity_id:token\n7\tm.2\n")
        graph = read_recbole(kg, links=link, directed=False)
        assert graph.labels == ("m.1", "7") and graph.relations == ("film.of",)
        own = read_recbole(kg, links=link, labels={"m.2": "Alien"})
        assert own.labels == ("m.1", "Alien") and own.directed
        with pytest.raises(DataError, match="head_id"):
            read_recbole(link)
