import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.evaluate import (
    METRICS,
    Groups,
    HeldOut,
    compare,
    document_ranks,
    evaluate_index,
    metric_values,
    score_store,
    summarise,
)


class Ranked:
    def __init__(self, rows):
        self.rows = np.array(rows, dtype=np.int64)


class WordStore:
    """A store of rankings by hand; only the lexical one, so that no model is asked."""

    shipped = "bm25"

    def __init__(self, found, documents):
        self.found, self.documents, self.passages = found, documents, self

    def rankings(self):
        return ["bm25"]

    def column(self, name):
        return {"document": self.documents}[name]

    def rank(self, texts, ranking, vectors=None):
        return [Ranked(self.found[text]) for text in texts]


def naive(ranked, relevant):
    gain = first = hits = 0.0
    for place, item in enumerate(ranked[:10], start=1):
        if item in relevant:
            hits += 1
            gain += 1 / math.log2(place + 1)
            first = first or 1 / place
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(10, len(relevant)) + 1))
    return {"ndcg@10": gain / ideal, "mrr@10": first, "recall@10": hits / len(relevant)}


@given(
    st.lists(st.integers(0, 30), max_size=25, unique=True),
    st.frozensets(st.integers(0, 30), min_size=1, max_size=15),
)
def test_metrics_equal_a_plain_loop(ranked, relevant):
    got = metric_values(ranked, relevant)
    assert tuple(got) == METRICS
    assert got == pytest.approx(naive(ranked, relevant), rel=1e-12)
    assert all(0 <= value <= 1 + 1e-12 for value in got.values())


def test_metrics_by_hand():
    # Relevant at places 2 and 4, a third one not found.
    got = metric_values([7, 1, 8, 2], {1, 2, 3})
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    assert got["ndcg@10"] == pytest.approx(gain / (1 + 1 / math.log2(3) + 0.5))
    assert (got["mrr@10"], got["recall@10"]) == (0.5, pytest.approx(2 / 3))
    assert set(metric_values([5, 6], {5, 6}).values()) == {1.0}
    # One that cannot be found counts among those that are right.
    lacking = metric_values([5, 6], {5}, missing=1)
    assert lacking["recall@10"] == 0.5 and lacking["mrr@10"] == 1.0
    assert lacking["ndcg@10"] == naive([5, 6], {5, 99})["ndcg@10"]
    assert set(metric_values([], {5}).values()) == {0.0}
    assert set(metric_values([*range(10), 99], {99}).values()) == {0.0}


def test_a_document_counts_once_at_its_best_passage():
    assert document_ranks(np.array([4, 4, 2, 4, 9, 2])) == [4, 2, 9]
    assert document_ranks(np.arange(20), most=3) == [0, 1, 2]
    store = WordStore({"q": [0, 1, 2, 3]}, documents=[5, 5, 5, 6])
    documents = np.array(store.documents)
    groups = Groups(structure=np.arange(4), document=documents)
    values = score_store(store, [HeldOut("q", frozenset({6}))], ["bm25"], groups)
    assert values["bm25"]["mrr@10"] == [0.5]
    # What was made from structure means sections, here the passages themselves.
    made = HeldOut("q", frozenset({3}), "heading")
    assert score_store(store, [made], ["bm25"], groups)["bm25"]["mrr@10"] == [0.25]


def test_an_interval_alone_is_no_verdict_on_few_queries():
    # Four of four ahead: the interval excludes 0, the permutation test cannot (p = 2 / 2^4).
    found = compare([0.5, 0.6, 0.7, 0.8], [0.4, 0.4, 0.6, 0.6])
    assert found["ci95"][0] > 0 and found["p"] == 0.125
    assert found["verdict"] == "not distinguishable"


def test_an_index_is_scored_and_compared_with_itself():
    store = WordStore({"a": [0], "b": [1, 0]}, documents=[1, 2])
    queries = [HeldOut("a", frozenset({1})), HeldOut("b", frozenset({1}))]
    result = evaluate_index(store, queries)
    assert result["queries"] == 2 and result["rankings"]["bm25"]["mrr@10"]["mean"] == 0.75
    assert result["comparison"]["verdict"] == "not distinguishable"
    assert (result["comparison"]["difference"], result["comparison"]["p"]) == (0.0, 1.0)


def test_verdicts():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, 40)
    high = low + rng.uniform(0.1, 0.3, 40)
    better = compare(high, low)
    assert better["verdict"] == "better" and better["p"] < 0.01
    assert better["difference"] == pytest.approx(np.mean(high - low))
    assert better["ci95"][0] < better["difference"] < better["ci95"][1]
    assert compare(low, high)["verdict"] == "worse"
    noise = low + np.tile([0.1, -0.1], 20)
    assert compare(noise, low)["verdict"] == "not distinguishable"
    with pytest.raises(ConfigError, match="one length"):
        compare(low, low[:-1])


def test_summaries_hold_mean_and_interval():
    out = summarise({"bm25": {"mrr@10": [1.0, 0.0, 0.5, 0.5]}})
    cell = out["bm25"]["mrr@10"]
    assert cell["mean"] == 0.5 and cell["ci95"][0] < 0.5 < cell["ci95"][1]
