"""What ships is decided on both copies of the index, and the cut-off is judged on other queries."""

import numpy as np
import pytest

from vecsmith.build._calibrate import fit_cutoff, judge_cutoff, labelled_lists
from vecsmith.build._judge import (
    AS_SHIPPED,
    WITHOUT,
    choose_fusion,
    choose_shipped,
    judge,
    judge_store,
    score_views,
)
from vecsmith.data import Passage, SourceFile
from vecsmith.evaluate import Groups, HeldOut
from vecsmith.store import Fusion, PassageTable, Store, build_vectors

DOCUMENTS, DIMS = 120, 16


class Encoder:
    """Texts that name a document lie near it."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.documents = unit(rng.standard_normal((DOCUMENTS, DIMS)))
        self.noise = unit(rng.standard_normal((DOCUMENTS, DIMS)))

    def encode(self, texts, *, kind="document", **_):
        rows = []
        for text in texts:
            number = int(text.split()[0].removeprefix("doc"))
            share = 0.9 if kind == "document" else 0.7
            rows.append(share * self.documents[number] + (1 - share) * self.noise[number])
        return unit(np.array(rows)).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Space:
    def __init__(self, index=None, encoder=None):
        from vecsmith.core import Stamp

        self.index, self.encoder = index, encoder
        self.stamp = Stamp("m", "0" * 32, DIMS, "mean", "", "", 64)


@pytest.fixture
def views(tmp_path):
    """An index of 120 documents of one passage; the copy lacks the first word of each."""
    encoder = Encoder()
    with PassageTable(tmp_path / "passages.sqlite", write=True) as table:
        for number in range(DOCUMENTS):
            path = f"d{number}"
            file = SourceFile(path, tmp_path, "text", 1, 0, "00")
            text = f"doc{number} is kept here"
            table.add_document(file, [Passage(path, 0, (), text, "prose", "", "")])
        table.finish()
    shown = PassageTable(tmp_path / "passages.sqlite")
    texts = [f"doc{number}" for number in range(DOCUMENTS)]
    vectors = encoder.encode(texts)
    spaces = {"base": Space(build_vectors([vectors], DOCUMENTS, DIMS), encoder)}
    copy = judge_store(
        tmp_path / "judge", tmp_path / "passages.sqlite", {}, {}, {}, int8=False, seed=0
    )
    copy.passages.close()
    with PassageTable(tmp_path / "judge" / "passages.sqlite", write=True) as changed:
        changed.replace_contents(dict.fromkeys(range(DOCUMENTS), "is kept here"))
        changed.finish()
    masked = PassageTable(tmp_path / "judge" / "passages.sqlite")
    stores = {AS_SHIPPED: Store.assemble(shown, spaces), WITHOUT: Store.assemble(masked, spaces)}
    for store in stores.values():
        store.fusions = {"base_hybrid": Fusion("convex", 0.5, 10.0)}
    yield stores
    shown.close()
    masked.close()


def queries(numbers):
    return [HeldOut(f"doc{number}", frozenset({number}), "heading") for number in numbers]


GROUPS = Groups(np.arange(DOCUMENTS), np.arange(DOCUMENTS))


def test_a_query_scores_the_mean_of_both_copies(views):
    mean, by_view = score_views(views, queries(range(30)), ["bm25", "base"], GROUPS)
    assert by_view[AS_SHIPPED]["bm25"]["mrr@10"] == [1.0] * 30
    assert by_view[WITHOUT]["bm25"]["mrr@10"] == [0.0] * 30
    assert mean["bm25"]["mrr@10"] == [0.5] * 30
    assert by_view[AS_SHIPPED]["base"] == by_view[WITHOUT]["base"] == mean["base"]


def test_a_copy_that_was_killed_while_it_was_changed_is_made_anew(views, tmp_path):
    folder = tmp_path / "judge"
    (folder / "passages.sqlite-journal").write_bytes(b"left over")
    again = judge_store(folder, tmp_path / "passages.sqlite", {}, {}, {}, int8=False, seed=0)
    assert not (folder / "passages.sqlite-journal").exists()
    assert len(again.passages.search("doc7", 5)[0]) == 1
    again.close()


def test_the_fusion_serves_both_copies(views):
    fusion, grid = choose_fusion(views, "base", queries(range(60)), GROUPS)
    of = {(row["method"], row["weight"]): row["ndcg@10"] for row in grid}
    # In the copy words find nothing, so what is found there is found by the vectors.
    assert of["convex", 0.0] < 0.6 and of["convex", 1.0] > 0.99
    assert fusion.weight > 0.0
    assert choose_fusion(views, "base", queries(range(19)), GROUPS)[1] == []


def scores(**means):
    rng = np.random.default_rng(1)
    noise = rng.uniform(-0.05, 0.05, 60)
    return {
        n: {"ndcg@10": (m + noise * (i + 1)).tolist()} for i, (n, m) in enumerate(means.items())
    }


def test_the_adapted_model_must_not_be_behind_in_either_copy():
    untouched = {"bm25": 0.4, "base": 0.5, "base_hybrid": 0.6}
    gain = scores(**untouched, adapted=0.62, adapted_hybrid=0.7)
    fine = {AS_SHIPPED: scores(**untouched, adapted=0.5, adapted_hybrid=0.65), WITHOUT: gain}
    assert choose_shipped(gain, fine)["shipped"] == "adapted_hybrid"
    behind = {AS_SHIPPED: scores(**untouched, adapted=0.5, adapted_hybrid=0.55), WITHOUT: gain}
    chosen = choose_shipped(gain, behind)
    assert chosen["shipped"] == "base_hybrid"
    assert chosen["reason"].endswith(f"behind base_hybrid on validation {AS_SHIPPED}")
    even = scores(**untouched, adapted=0.5, adapted_hybrid=0.6)
    assert "nothing significant" in choose_shipped(even, {AS_SHIPPED: even})["reason"]
    assert choose_shipped({}, {})["shipped"] == "base_hybrid"


def test_judging_reports_by_copy_and_by_kind(views):
    asked = [*queries(range(10)), HeldOut("doc11", frozenset({11}), "link")]
    found = judge(views, asked, GROUPS, "base_hybrid")
    assert found["by_view"][AS_SHIPPED]["bm25"] == 1.0
    assert found["by_view"][WITHOUT]["bm25"] == 0.0
    assert {name: part["queries"] for name, part in found["by_origin"].items()} == {
        "heading": 10,
        "link": 1,
    }
    assert found["rankings"]["bm25"]["ndcg@10"]["mean"] == pytest.approx(0.5)
    assert judge(views, [], GROUPS, "base")["rankings"] == {}


def test_lists_have_each_answer_once_and_none_without(views):
    answered, empty = labelled_lists(views, "base", queries(range(4)), GROUPS)
    assert answered.scores.shape == (8, 30)
    assert answered.labels.sum(axis=1).tolist() == [1.0] * 8 and not empty.labels.any()
    assert answered.labels[0, 0] == 1.0 and answered.mask.all()


def test_the_cutoff_is_fitted_and_then_judged_on_other_queries(views):
    adapter, told = fit_cutoff(views, "base", queries(range(80)), GROUPS, precision=None, seed=0)
    assert told["lists"] == 160 + 54 and 0 < told["tau"] < 1 and "curve" not in told
    found = judge_cutoff(adapter, views, "base", queries(range(80, 120)), GROUPS)
    # By hand, from the lists and the threshold.
    answered, empty = labelled_lists(views, "base", queries(range(80, 120)), GROUPS)
    passing = adapter.scores(answered.query_vecs, answered.scores) >= adapter.tau
    assert found["recall"] == pytest.approx(passing[answered.labels > 0].mean())
    assert found["precision"] == pytest.approx(answered.labels[passing].mean())
    silent = ~(adapter.scores(empty.query_vecs, empty.scores) >= adapter.tau).any(axis=1)
    assert found["told"] == pytest.approx(silent.mean())
    assert found["recall"] > 0.85 and found["told"] > found["silent"]
    assert any(row["tau"] == adapter.tau for row in found["curve"])
    few, why = fit_cutoff(views, "base", queries(range(39)), GROUPS, precision=None, seed=0)
    assert few is None and "too few" in why["reason"]
    assert fit_cutoff(views, "bm25", queries(range(80)), GROUPS, precision=None, seed=0)[0] is None
