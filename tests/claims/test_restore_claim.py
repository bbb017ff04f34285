"""The claim's own steps: the graph, the better score, the figures."""

import numpy as np

from vecsmith.claims.restore import HOPS, best, figures, graph, meanings
from vecsmith.evaluate.graphs import HopScore, MethodScores, SemanticScore


def row(name: str, values: tuple[float, ...], spearman: float = 0.1) -> MethodScores:
    hops = tuple(
        HopScore(k, "ring", v, 0.1 * k, 0.2, {1: 0.5}, 3, np.array([v]))
        for k, v in zip(HOPS, values, strict=True)
    )
    words = SemanticScore("simlex999", 5, 1, spearman=spearman, euclid=0.5, euclid_random=1.0)
    return MethodScores(name, "dot", 9, hops, 1.0, {0: 2.0, 1: 1.0, 2: 1.5, 3: 2.0}, (words,))


ROWS = {
    r.name: r
    for r in (
        row("hope, dot", (0.5, 0.6, 0.7)),
        row("hope, cosine", (0.4, 0.7, 0.3)),
        row("hope, as many numbers", (0.9, 0.9, 0.9)),
        row("deepwalk, dot", (0.1, 0.2, 0.4)),
        row("deepwalk, cosine", (0.2, 0.3, 0.5), 0.4),
        row("node2vec, dot", (0.1, 0.2, 0.4)),
        row("node2vec, cosine", (0.1, 0.2, 0.4)),
        row("sdne", (0.9, 0.3, 0.4)),
        row("sdne vectors, dot", (0.1, 0.2, 0.3)),
        row("sdne vectors, cosine", (0.1, 0.2, 0.3)),
        row("random", (0.1, 0.2, 0.3)),
    )
}


def test_the_better_score_of_a_method() -> None:
    assert [best(ROWS, "hope", place).name for place in range(3)] == [
        "hope, dot",
        "hope, cosine",
        "hope, dot",
    ]
    assert best(ROWS, "sdne", 0).name == "sdne"


def test_figures() -> None:
    made = figures(ROWS, "ring")
    assert made["lift 1 ring, hope"] == (0.5 - 0.1) / 0.9
    assert abs(made["lift 2 ring, hope"] - (0.7 - 0.2) / 0.8) < 1e-12
    assert made["lift 1 ring, random"] == 0 and made["floor 3 ring"] == 0.1 * 3


def test_meanings() -> None:
    made = meanings(ROWS)
    assert made["simlex999, deepwalk"] == 0.4 and made["pairs of simlex999"] == 5
    assert made["distance of related pairs over random, hope"] == 0.5
    assert made["distance 2 over random, sdne"] == 0.75


def test_the_small_graph_is_connected() -> None:
    data = graph(True)
    assert 100 <= len(data) <= 150 and "dog" in data.node_ids
    assert (data.hop_distances(np.array([0]), max_hops=50) >= 0).all()
