"""Judging spaces by aspects."""

import numpy as np
import pytest

from vecsmith.core import ConfigError
from vecsmith.data import AspectDataset
from vecsmith.evaluate import aspect_bias, evaluate_aspects
from vecsmith.evaluate._aspects import aspect_scores


def naive(vectors, relevant, k):
    """One query after the other, by the definitions."""
    found = []
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for q in range(len(vectors)):
        if not relevant[q].any():
            continue
        order = sorted(
            (d for d in range(len(vectors)) if d != q), key=lambda d: -(unit[q] @ unit[d])
        )
        hits = [bool(relevant[q, d]) for d in order]
        total = sum(hits)
        found.append(
            {
                f"p@{k}": sum(hits[:k]) / k,
                f"r@{k}": sum(hits[:k]) / total,
                f"map@{k}": sum(
                    sum(hits[: i + 1]) / (i + 1) for i in range(min(k, len(hits))) if hits[i]
                )
                / total,
                f"ndcg@{k}": sum(h / np.log2(i + 2) for i, h in enumerate(hits[:k]))
                / sum(1 / np.log2(i + 2) for i in range(min(k, total, len(hits)))),
                "mrr": 1 / (hits.index(True) + 1),
                "prevalence": total / len(hits),
            }
        )
    return found


@pytest.mark.parametrize("k", [1, 3, 50])
def test_figures_match_the_definitions(k):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 4)).astype(np.float32)
    relevant = rng.uniform(size=(12, 12)) < 0.3
    relevant |= relevant.T
    relevant[5], relevant[:, 5] = False, False
    np.fill_diagonal(relevant, False)
    got, wanted = aspect_scores(vectors, relevant, (k,)), naive(vectors, relevant, k)
    assert got.queries.tolist() == [q for q in range(12) if relevant[q].any()]
    for name in wanted[0]:
        assert got.figures[name].tolist() == pytest.approx([row[name] for row in wanted]), name


def test_diagonal_and_bias():
    labels = {"left": [["a"], ["a"], ["b"], ["b"]], "right": [["x"], ["y"], ["x"], ["y"]]}
    docs = AspectDataset(list("1234"), labels)
    left = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    right = left[[0, 2, 1, 3]]
    spaces = {"left": left, "right": right}
    scores = evaluate_aspects(spaces, docs, ks=(1,))
    assert scores["left"]["left"].mean("p@1") == scores["right"]["right"].mean("p@1") == 1.0
    assert scores["left"]["right"].mean("p@1") == 0.0
    assert aspect_bias(left, spaces, docs, k=1) == {"left": 1.0, "right": 0.0}


def test_documents_without_labels_of_the_aspect_are_no_candidates():
    """Nothing is known about them: they would count as misses, and where they lie is chance."""
    rng = np.random.default_rng(1)
    rows = [["a"], [], ["a"], [], ["b"], ["b", "a"], [], ["c"]]
    docs = AspectDataset(list("12345678"), {"task": rows})
    vectors = rng.normal(size=(8, 4)).astype(np.float32)
    labelled = [0, 2, 4, 5, 7]
    shared = np.array(
        [[i != j and bool({*rows[i]} & {*rows[j]}) for j in labelled] for i in labelled]
    )
    wanted = naive(vectors[labelled], shared, 2)
    got = evaluate_aspects({"one": vectors}, docs, ks=(2,))["one"]["task"]
    # the numbers are those of the whole set
    assert got.queries.tolist() == [0, 2, 4, 5]
    for name in wanted[0]:
        assert got.figures[name].tolist() == pytest.approx([row[name] for row in wanted]), name
    vectors[[1, 3, 6]] = vectors[0]
    again = evaluate_aspects({"one": vectors}, docs, ks=(2,))["one"]["task"]
    assert all((again.figures[name] == got.figures[name]).all() for name in wanted[0])


def test_an_aspect_that_the_test_side_lacks():
    docs = AspectDataset(list("123"), {"task": [["a"], ["a"], ["b"]], "data": [[], [], ["x"]]})
    with pytest.raises(ConfigError, match="'data'"):
        evaluate_aspects({"one": np.eye(3, dtype=np.float32)}, docs, ks=(1,))


def test_nothing_to_ask():
    with pytest.raises(ConfigError, match="there must be documents that share labels"):
        aspect_scores(np.ones((3, 2), np.float32), np.zeros((3, 3), bool))
