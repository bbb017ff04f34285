import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.data.taxonomy import Taxonomy
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.taxonomy import (
    crosswalk,
    evaluate_mapping,
    exact_phrases,
    shuffle_nodes,
    zero_shot_report,
    zero_shot_split,
)
from vecsmith.train.graphs import Node2Vec
from vecsmith.train.taxonomy import Mapped, Text2Node, Text2NodeOptions

NAMES = {"r": "body", "a": "heart", "b": "lung", "a1": "heart pain", "a2": "heart failure"}
NAMES |= {"b1": "lung pain", "b2": "lung failure", "x": "apart"}
EDGES = [("a", "r"), ("b", "r"), ("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")]
TAX = Taxonomy.from_edges(EDGES, NAMES)
JOINED = TAX.rooted("top", "everything")


@pytest.fixture(scope="module")
def nodes():
    return Node2Vec(8, walk_length=20, window=3, random_state=0).fit(JOINED.graph)


@pytest.fixture(scope="module")
def make(nodes):
    rng = np.random.default_rng(0)
    words = ["body", "heart", "lung", "pain", "failure", "apart", "everything"]
    vectors = WordVectors(words, rng.normal(size=(7, 12)))
    options = Text2NodeOptions(epochs=40, lr=1e-2, share=0, batch_size=8)
    return lambda: Text2Node(vectors, nodes, mapper="linear", options=options)


def test_measures_by_hand():
    found = [["a1", "a2"], ["a", "a1"], ["b1", "a1"], [], ["x"]]
    gold = [["a1"], ["a1", "b"], ["a2"], ["a"], {"r"}]
    report = evaluate_mapping(found, gold, TAX, ks=(1, 2))
    assert report.accuracy == {1: 0.2, 2: 0.4}
    np.testing.assert_array_equal(report.distances, [0, 1, 4, np.inf, np.inf])
    assert report.mean_distance == pytest.approx(5 / 3) and report.count == 5
    assert report.within_1 == 0.4 and report.within_2 == 0.4
    assert (report.unmapped, report.unreached) == (1, 1)
    assert np.isnan(evaluate_mapping([[]], [["a"]], TAX).mean_distance)


@pytest.mark.parametrize(
    ("found", "gold", "ks", "match"),
    [
        ([], [], (1,), "as many"),
        ([["a"]], [["a"], ["b"]], (1,), "1 and 2"),
        ([["a"]], [[]], (1,), "phrase 0"),
        ([["a"]], ["a1"], (1,), "list of right concepts"),
        ([["a"]], [["a"]], (0,), "ks"),
        ([["z"]], [["a"]], (1,), "no node 'z'"),
    ],
)
def test_bad_measures(found, gold, ks, match):
    with pytest.raises(DataError, match=match):
        evaluate_mapping(found, gold, TAX, ks=ks)


def test_exact_phrases():
    made = exact_phrases(["Heart  PAIN", "pain of the heart"], ["heart pain"])
    assert made.tolist() == [True, False]
    assert exact_phrases(["ﬁbre", "ＨＥＡＲＴ"], ["Fibre", "heart"]).tolist() == [True, True]


def test_no_phrase_of_a_dropped_concept_is_left():
    pairs = [*TAX.pairs(), ("cardiac pain", "a1")]
    tests = [("p", ["a1"]), ("q", ["a1", "b1"]), ("r", ["a2"]), ("s", ["b2"])]
    split = zero_shot_split(pairs, tests, drop=0.5, seed=3)
    assert len(split.dropped) == 2 and not split.dropped & {node for _, node in split.pairs}
    assert len(split.pairs) == len([p for p in pairs if p[1] not in split.dropped])
    assert sorted([*split.seen, *split.unseen]) == sorted(tests)
    assert all(set(right) <= split.dropped for _, right in split.unseen)
    assert zero_shot_split(pairs, tests, drop=0.5, seed=3) == split
    drawn = {zero_shot_split(pairs, tests, drop=0.5, seed=s).dropped for s in range(8)}
    assert len(drawn) > 1


def test_bad_splits():
    with pytest.raises(ConfigError, match="drop"):
        zero_shot_split(TAX.pairs(), [("p", ["a"])], drop=1.0)
    with pytest.raises(DataError, match="tests"):
        zero_shot_split(TAX.pairs(), [])
    with pytest.raises(DataError, match="0 training pairs"):
        zero_shot_split([("p", "a")], [("p", ["a"])])


def test_report(make):
    tests = [("heart pain", ["a1"]), ("lung failure", ["b2"]), ("lung pain", ["b1"])]
    report = zero_shot_report(make, JOINED.pairs(), tests, JOINED, drop=0.3, seed=0)
    assert report.unseen.count == 1 and report.seen is not None and report.seen.count == 2
    assert report.full.count == 1 and report.seen.accuracy[5] == 1.0


class ByHeart:
    """Knows the phrases it was trained on, and nothing else."""

    def __init__(self, asked):
        self.asked = asked

    def fit(self, pairs):
        self.known = dict(pairs)
        return self

    def predict(self, phrases, k=1, *, lexical=None):
        self.asked.append(lexical)
        rows = [self.known.get(phrase) for phrase in phrases]
        return [
            Mapped(p, () if n is None else (n,), (), (), 0.0)
            for p, n in zip(phrases, rows, strict=True)
        ]


def test_unseen_phrases_are_asked_of_both_maps():
    asked = []
    tests = [(NAMES[node], [node]) for node in ("a1", "a2", "b1", "b2")]
    how = {"drop": 0.5, "seed": 1, "lexical": 0.25}
    report = zero_shot_report(lambda: ByHeart(asked), TAX.pairs(), tests, TAX, **how)
    assert report.unseen.accuracy[1] == 0 and report.unseen.unmapped == 2
    assert report.full.accuracy[1] == report.seen.accuracy[1] == 1
    assert asked == [0.25] * 3


def test_a_row_is_reviewed_below_either_border():
    class Mapper:
        def predict(self, phrases, k):
            scores = {"near": (0.75, 0.5, 0.25), "far": (0.75, 0.25, 0.0), "one": (0.75,)}
            return [
                Mapped(p, ("a", "b", "r")[: len(scores[p])][:k], (), scores[p][:k], 0.5)
                for p in phrases
            ]

    codes = [(1, "near"), (2, "far"), (3, "one")]

    def made(k=1, **how):
        return crosswalk(codes, Mapper(), k=k, **how)

    assert [row.margin for row in made()] == [0.25, 0.5, np.inf]
    assert [row.targets for row in made()] == [("a",)] * 3
    assert [row.scores for row in made(3)] == [(0.75, 0.5, 0.25), (0.75, 0.25, 0.0), (0.75,)]
    # what lies at a border is not below it
    assert not any(row.review for row in made())
    assert all(row.review for row in made(min_confidence=0.51))
    assert [row.review for row in made(min_margin=0.5)] == [True, False, False]


def test_shuffled_nodes(nodes):
    before = nodes.embedding_.copy()
    made = shuffle_nodes(nodes, seed=1)
    assert np.array_equal(nodes.embedding_, before)
    assert made.node_ids_ == nodes.node_ids_
    assert not np.array_equal(made.embedding_, nodes.embedding_)
    rows = sorted(map(tuple, made.embedding_))
    assert rows == sorted(map(tuple, nodes.embedding_))


def test_crosswalk_marks_what_to_review(make):
    model = make().fit(JOINED.pairs())
    rows = crosswalk([(1, "heart pain"), (2, ""), (3, "lung")], model, k=1)
    assert [row.code for row in rows] == [1, 2, 3] and rows[0].targets == ("a1",)
    assert rows[0].margin > 0 and rows[1].targets == () and rows[1].review
    # a map without confidences vouches for nothing
    assert all(row.review for row in rows)
    with pytest.raises(DataError, match="comes twice"):
        crosswalk([(1, "a"), (1, "b")], model)
