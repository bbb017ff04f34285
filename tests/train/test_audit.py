import numpy as np
import pytest

from vecsmith.core import DataError
from vecsmith.train import GuideCache, NegativeFilter, audit_false_negatives
from vecsmith.train.contrastive._audit import reciprocal_ranks

datasets = pytest.importorskip("datasets")


class Student:
    """Vectors by table, behind the interface of a sentence encoder."""

    def __init__(self, table):
        self.table = table

    def encode(self, texts, **options):
        return np.stack([self.table[text] for text in texts])


@pytest.fixture
def scene(tmp_path):
    """40 topics, two rows each: every row has one false negative in a batch that holds all rows."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(40, 24))
    texts = {n: [f"{n} {i}" for i in range(80)] for n in ("query", "positive")}

    def table(noise):
        rows = {}
        for name in texts:
            for i, text in enumerate(texts[name]):
                row = topics[i // 2] + noise * rng.normal(size=24)
                rows[text] = (row / np.linalg.norm(row)).astype(np.float32)
        return rows

    good, bad = table(0.3), table(3.0)
    guide = GuideCache.from_vectors(list(good), list(good.values()), tmp_path)
    return datasets.Dataset.from_dict(texts), guide, Student(good), Student(bad)


def test_counts_planted_false_negatives(scene):
    data, guide, _, bad = scene
    audit = audit_false_negatives(data, guide, student=bad, rule=NegativeFilter(0.3), batch_size=80)
    assert audit.rows == 80 and audit.rows_affected == 1.0
    assert audit.masked["qp"] == pytest.approx(1 / 79, rel=0.1)
    assert audit.guide_is_better is True and audit.guide_mrr > audit.student_mrr
    query, positive, struck = (int(text.split()[1]) for text in audit.examples[0])
    assert query == positive != struck and query // 2 == struck // 2


def test_warns_when_the_guide_does_not_beat_the_student(scene, tmp_path):
    data, _, good, bad = scene
    weak = GuideCache.from_vectors(list(bad.table), list(bad.table.values()), tmp_path / "weak")
    with pytest.warns(UserWarning, match="does not beat"):
        audit = audit_false_negatives(data, weak, student=good)
    assert audit.guide_is_better is False
    assert audit_false_negatives(data, weak).guide_is_better is None


def test_ranks_count_equal_texts_once():
    vecs = np.eye(3, dtype=np.float32)
    ranks = reciprocal_ranks(vecs[[0, 0, 1]], vecs[[0, 0, 2]], ["a", "a", "b"])
    assert ranks.tolist() == [1.0, 1.0, pytest.approx(1 / 1.5)]


def test_errors(scene):
    data, guide, *_ = scene
    with pytest.raises(DataError, match="columns"):
        audit_false_negatives(data.select_columns(["query"]), guide)
    with pytest.raises(DataError, match="batch_size"):
        audit_false_negatives(data, guide, batch_size=1)
