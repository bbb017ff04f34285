"""What is held out, what is trained on, and by what training is watched."""

import numpy as np
import pytest

from vecsmith.build._heldout import make_split, side_of
from vecsmith.build._negatives import near_others
from vecsmith.build._train import LEAST_MINED, training_columns
from vecsmith.build._watch import pool_mrr
from vecsmith.data import Pair
from vecsmith.store import PassageTable, build_vectors


@pytest.fixture(scope="module")
def split(built):
    with PassageTable(built / "passages.sqlite") as table:
        yield make_split(table, seed=0, pairs_file=None, source="."), table


def test_no_query_is_both_trained_on_and_judged(split):
    found, _ = split
    trained = {pair.query.lower() for pair in found.pairs}
    for queries in found.queries.values():
        assert queries and not trained & {query.text.lower() for query in queries}


def test_training_sees_no_document_that_is_held_out(split):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    assert {side_of(names[pair.group], 0) for pair in found.pairs} == {"train"}
    for side in ("validation", "test"):
        for query in found.queries[side]:
            if query.origin != "link":
                assert {side_of(names[group], 0) for group in query.relevant} == {side}


def test_words_of_links_are_held_out_of_known_documents_too(split):
    found, table = split
    names = {number: name for name, number in table.document_ids().items()}
    links = [q for side in found.queries.values() for q in side if q.origin == "link"]
    assert any(side_of(names[group], 0) == "train" for q in links for group in q.relevant)


def test_pairs_without_a_negative_are_trained_on_only_if_need_be():
    pairs = [Pair(f"q{i}", f"p{i}", i, i, "heading") for i in range(LEAST_MINED + 2)]
    texts = {7: "seven"}
    enough = [7] * LEAST_MINED + [-1, -1]
    assert set(training_columns(pairs, enough, texts)) == {"mined"}
    few = [7] * (LEAST_MINED - 1) + [-1, -1, -1]
    sets = training_columns(pairs, few, texts)
    assert {name: len(columns["anchor"]) for name, columns in sets.items()} == {
        "mined": LEAST_MINED - 1,
        "plain": 3,
    }
    assert set(training_columns(pairs, [-1] * len(pairs), texts)) == {"plain"}


class Table:
    """An encoder that knows its vectors."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, *, kind="document", **_):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)

    encode_query = encode_document = encode


def test_near_others_are_the_nearest_of_other_groups():
    rows = [[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0, 1]]
    vectors = np.array(rows, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = build_vectors([vectors], len(vectors), 2)
    pair = Pair("q", "p", 0, 0, "link")
    found = near_others([pair], Table({"q": [1, 0]}), index, [0, 0, 1, 2, 3], each=2)
    assert found == [2, 3]
    assert near_others([], Table({}), index, [0, 0, 1, 2, 3]) == []


def test_distractors_count_as_wrong():
    model = Table({"q": [1, 0], "p": [0.8, 0.6], "near": [1, 0.1], "far": [0, 1]})
    pairs = [Pair("q", "p", 0, 0, "link")]
    assert pool_mrr(model, pairs) == 1
    assert pool_mrr(model, pairs, ["far"]) == 1
    assert pool_mrr(model, pairs, ["near", "far"]) == 0.5
