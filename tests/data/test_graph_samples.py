"""Graphs of real data hold what their sources say."""

import numpy as np
import pytest

from vecsmith.core import DataError
from vecsmith.data.samples import load_hpo_graph, load_movielens_graph, load_word_graph
from vecsmith.data.samples._graphs import read_pointers


def test_pointers_are_read() -> None:
    line = "00002621 00 a 02 near(p) 0 close_by 1 003 ! 00003131 a 0101 & 00002956 s 0000 = 05 n "
    line += "0200 | x"
    synset = read_pointers(line, "adj")
    assert synset.key == ("adj", "00002621") and synset.words == ["near", "close by"]
    assert synset.pointers[0] == ("!", ("adj", "00003131"), 1, 1)
    assert synset.pointers[1] == ("&", ("adj", "00002956"), 0, 0)
    assert synset.pointers[2] == ("=", ("noun", "05"), 2, 0)
    for wrong in ("00002621 00 a 09 near", "00002621", "00002621 00 a zz near 0 000"):
        with pytest.raises(DataError, match="no WordNet synset"):
            read_pointers(wrong, "adj")


@pytest.fixture(scope="module")
def words():
    wanted = ["dog", "cat", "canine", "feline", "hot", "cold", "auto", "car", "wheel", "Hot", "zzz"]
    return load_word_graph(wanted, largest_component=False)


def test_words(words) -> None:
    assert len(words) == 10 and "zzz" in words.node_ids
    names = words.node_ids
    edges = {(names[a], names[b]) for a, b, _ in zip(*words.edges(), strict=True)}
    assert {("canine", "dog"), ("cat", "feline"), ("cold", "hot"), ("auto", "car")} <= edges
    assert ("cat", "dog") not in edges
    assert (words.adjacency.data == 1).all() and not words.adjacency.diagonal().any()
    typed = {(names[h], words.relations[r], names[t]) for h, r, t in words.triples.tolist()}
    assert {("auto", "synonym", "car"), ("dog", "@", "canine"), ("hot", "!", "cold")} <= typed


def test_no_words() -> None:
    with pytest.raises(DataError, match="joins no two"):
        load_word_graph(["zzz", "yyy"])


def test_the_whole_word_graph() -> None:
    graph = load_word_graph()
    assert len(graph) == 1962 and graph.n_edges == 10355
    assert not len(graph.isolated)


def test_phenotypes() -> None:
    graph = load_hpo_graph()
    assert len(graph) == 19034 and graph.n_edges == 23392
    term, parents = graph.index_of(["HP:0001250", "HP:0012638"])
    assert graph.labels[term] == "Seizure" and graph.adjacency[term, parents] == 1


def test_films() -> None:
    graph = load_movielens_graph()
    assert len(graph) == 34628 and len(graph.relations) == 24
    assert "Home Alone" in graph.labels
    assert len(graph.triples) == 91631
    assert np.count_nonzero(graph.triples[:, 1] < 0) == 0
