"""Scores with intervals and verdicts."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.evaluate import own_queries, score_model, spearman, text_similarity


class Vectors:
    """A model that looks vectors up."""

    def __init__(self, table):
        self.table = table

    def encode(self, texts, **_):
        rows = np.array([self.table(t) for t in texts], float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_query = encode_document = encode


def noisy(noise, dims=16):
    """Texts "q7" and "d7" are near; the more noise, the less."""

    def table(text):
        key = int("".join(c for c in text if c.isdigit()))
        own = np.random.default_rng(key).normal(size=dims)
        other = np.random.default_rng([key, ord(text[0]), round(1000 * noise)]).normal(size=dims)
        return own + noise * other

    return Vectors(table)


N = 120
QUERIES = own_queries([f"q{i}" for i in range(N)], [f"d{i}" for i in range(N)], list(range(N)))


def test_scores_are_means_of_items():
    items = QUERIES.measure(noisy(0.8))
    score = score_model(QUERIES, noisy(0.8))
    assert score.value.mean == pytest.approx(items.mean()) and score.items == N
    assert score.value.low < score.value.mean < score.value.high and score.verdict == ""
    vectors = noisy(0.8)
    similarity = vectors.encode(["q3"]) @ vectors.encode([f"d{i}" for i in range(N)]).T
    rank = int((similarity > similarity[0, 3]).sum())
    assert items[3] == pytest.approx(1 / np.log2(rank + 2) if rank < 10 else 0.0)


def test_verdicts():
    assert score_model(QUERIES, noisy(0.5), noisy(1.5)).verdict == "better"
    assert score_model(QUERIES, noisy(1.5), noisy(0.5)).verdict == "worse"
    same = score_model(QUERIES, noisy(1.0), noisy(1.0001))
    assert same.verdict == "not distinguishable"
    row = same.as_dict()
    assert row["difference_ci95"][0] <= 0 <= row["difference_ci95"][1] and row["p"] > 0.05


def test_the_base_may_be_its_items():
    items = QUERIES.measure(noisy(1.5))
    one, two = (score_model(QUERIES, noisy(0.5), base) for base in (items, noisy(1.5)))
    assert one == two


def test_several_documents_a_query():
    task = own_queries(["q0", "q1"], ["d0", "d1", "d0 again 0"], [[0, 2], 1], metric="recall@10")
    assert task.measure(noisy(0.0)).tolist() == [1.0, 1.0]


def test_correlation_has_an_interval_over_texts():
    from scipy import stats

    rng = np.random.default_rng(0)
    pairs = [(f"a{i}", f"b{j}") for i in range(12) for j in range(12, 20)]
    model = noisy(0.3)
    cosines = [float((model.encode([a]) @ model.encode([b]).T).item()) for a, b in pairs]
    gold = list(np.array(cosines) + 0.2 * rng.normal(size=len(pairs)))
    task = text_similarity(pairs, gold)
    score = score_model(task, model)
    assert score.value.mean == pytest.approx(stats.spearmanr(cosines, gold).statistic)
    assert score.value.low < score.value.mean < score.value.high
    against = score_model(task, model, noisy(5.0))
    assert against.verdict == "better" and against.difference.mean == pytest.approx(
        score.value.mean - against.against.mean
    )
    assert score_model(task, model, model).verdict == "not distinguishable"


def test_spearman_ties_and_constants():
    from scipy import stats

    x, y = np.array([1.0, 2, 2, 3, 5]), np.array([2.0, 1, 4, 4, 9])
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(x, np.ones(5)) == 0.0


def test_errors():
    with pytest.raises(DataError, match="one entry a query"):
        own_queries(["a", "b"], ["c"], [0])
    with pytest.raises(DataError, match="places"):
        own_queries(["a"], ["c"], [1])
    with pytest.raises(DataError, match="3 or more pairs"):
        text_similarity([("a", "b")] * 3, [1.0, 1.0, 1.0])


def mteb_task(kind, data):
    mteb = pytest.importorskip("mteb")
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    del mteb
    about = TaskMetadata(
        name="Local",
        description="local",
        reference=None,
        type=kind,
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        dataset={"path": "local/local", "revision": "0" * 40},
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )

    class Local(AbsTaskRetrieval if kind == "Retrieval" else AbsTaskSTS):
        metadata = about

        def load_data(self, *_, **__):
            self.dataset, self.data_loaded = data, True

    return Local()


def test_tasks_of_mteb():
    from datasets import Dataset

    from vecsmith.evaluate import task_evaluation

    part = {
        "corpus": Dataset.from_dict(
            {"id": ["a", "b"], "title": ["", "d1"], "text": ["d0", "more"]}
        ),
        "queries": Dataset.from_dict({"id": ["x", "y", "z"], "text": ["q0", "q1", "q2"]}),
        "relevant_docs": {"x": {"a": 1, "b": 0}, "y": {"b": 2}},
        "top_ranked": None,
    }
    found = task_evaluation(mteb_task("Retrieval", {"default": {"test": part}}))
    assert found.name == "mteb:Local" and found.measure(noisy(0.0)).tolist() == [1.0, 1.0]
    assert "d1 more" in found.texts
    pairs = Dataset.from_dict(
        {"sentence1": ["a1", "a2", "a3"], "sentence2": ["b1", "b2", "b4"], "score": [5, 4, 0]}
    )
    similar = task_evaluation(mteb_task("STS", {"test": pairs}))
    assert similar.metric == "spearman" and similar.gold.tolist() == [5, 4, 0]
    with pytest.raises(ConfigError, match="Classification"):
        task_evaluation(mteb_task("Classification", {}))
    with pytest.raises(ConfigError, match="no task"):
        from vecsmith.evaluate import mteb_evaluation

        mteb_evaluation("NoSuchTaskAtAll")
