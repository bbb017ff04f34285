"""The study: what is trained and kept, going on, gain ratios by hand, guidelines, bad input."""

import json
import math

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.evaluate import EmbeddingStudy
from vecsmith.evaluate.words import SimilarityTask, StudyScore, StudyTable
from vecsmith.train import WordCorpus, WordEmbeddingTrainer, WordTraining

TRAINING = WordTraining(min_count=1, subsample=0.0, engine="torch", batch=64, validation=0.2)


def texts(number=40, extra=(), seed=0):
    rng = np.random.default_rng(seed)
    for topic in rng.integers(0, 3, number):
        yield [*(f"t{'xyz'[topic]}w{'abcd'[i]}" for i in rng.integers(0, 4, 8)), *extra]


def by_topic(vectors):
    """How much nearer words of one topic are."""
    units = vectors.normalized().vectors
    topics = np.array([word[:2] for word in vectors.words])
    same = topics[:, None] == topics
    alike = units @ units.T
    other = ~same
    np.fill_diagonal(same, False)
    return float(alike[same].mean() - alike[other].mean())


def study(folder, corpora=None, **changed):
    settings = {"models": ["skipgram", "cbow"], "dims": [4], "seeds": 2, "window": 2}
    corpora = {"toy": list(texts())} if corpora is None else corpora
    return EmbeddingStudy(folder, corpora, **(settings | {"training": TRAINING} | changed))


def test_runs_are_kept_after_each_pass(tmp_path):
    made = study(tmp_path, dims=[4, 6])
    runs = made.train(epochs=3)
    assert [(r.model, r.dim, r.seed, r.epoch) for r in runs] == [
        (model, dim, seed, epoch)
        for model in ("skipgram", "cbow")
        for dim in (4, 6)
        for seed in (0, 1)
        for epoch in (1, 2, 3)
    ]
    for run in runs:
        assert run.vectors().dims == run.dim and run.loss > 0
    last = next(r for r in runs if (r.model, r.dim, r.seed, r.epoch) == ("cbow", 6, 1, 3))
    options = WordTraining(
        min_count=1, subsample=0.0, engine="torch", batch=64, validation=0.2, epochs=3, seed=1
    )
    alone = WordEmbeddingTrainer("cbow", 6, window=2, options=options).fit(texts())
    assert (alone.vectors().vectors == last.vectors().vectors).all()
    about = json.loads((tmp_path / "toy" / "cbow-6-1" / "run.json").read_text())
    assert about["training"]["seed"] == 1 and len(about["passes"]) == 3


def test_every_so_many_passes_are_kept(tmp_path):
    runs = study(tmp_path, models=["cbow"], seeds=[7]).train(epochs=5, checkpoint_every=2)
    assert [run.epoch for run in runs] == [2, 4, 5] and {run.seed for run in runs} == {7}


def test_a_study_goes_on(tmp_path, monkeypatch):
    whole = study(tmp_path / "whole").train(epochs=3)
    calls = []
    real = WordEmbeddingTrainer._pass

    def counted(self, *given):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(self.model)
        return real(self, *given)

    monkeypatch.setattr(WordEmbeddingTrainer, "_pass", counted)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "part").train(epochs=3)
    monkeypatch.setattr(WordEmbeddingTrainer, "_pass", real)
    study(tmp_path / "part").train(epochs=2)
    runs = study(tmp_path / "part").train(epochs=3)
    assert len(runs) == len(whole) == 12
    for mine, theirs in zip(runs, whole, strict=True):
        assert (mine.vectors().vectors == theirs.vectors().vectors).all()
        assert mine.loss == theirs.loss
    # nothing is left to do: the corpus is not read again
    gone = study(tmp_path / "part", {"toy": tmp_path / "nowhere.txt"})
    assert len(gone.train(epochs=3)) == 12


def test_gain_ratios_are_over_all_runs_and_shared_words(tmp_path):
    corpora = {"toy": list(texts(99)), "more": list(texts(120, extra=["new"], seed=1))}
    made = study(tmp_path, corpora, seeds=1)
    made.train(epochs=8, checkpoint_every=4)
    seen = []

    def task(vectors):
        seen.append(tuple(vectors.words))
        return by_topic(vectors)

    table = made.evaluate({"topics": task}, passes="all")
    assert len(set(seen)) == 1 and "new" not in seen[0] and table.words == 12
    assert len(table.rows) == 2 * 2 * 2 and len(seen) == len(table.rows) + 1
    best = max(row.score for row in table.rows)
    for row in table.rows:
        assert row.gain == pytest.approx((row.score - row.random) / (best - row.random))
    assert max(row.gain for row in table.rows) == 1.0
    assert len({row.random for row in table.rows}) == 1
    last = made.evaluate({"topics": task})
    assert {row.epoch for row in last.rows} == {8} and len(last.rows) == 4
    assert "take " in made.guidelines() and "topics" in last.table()


def test_tasks_of_the_room_are_taken(tmp_path):
    made = study(tmp_path, models=["cbow"], seeds=1)
    made.train(epochs=1)
    pairs = [("txwa", "txwb", 5.0), ("txwa", "tywb", 1.0), ("tzwa", "tzwb", 4.0)]
    task = SimilarityTask(pairs, name="pairs")
    (row,) = made.evaluate([task]).rows
    assert row.task == "pairs" and row.score == task.run(made.runs()[0].vectors())


def row(model, dim, seed, epoch, loss, score):
    return StudyScore("c", model, dim, seed, epoch, loss, "ws", score, 0.1)


def test_guidelines_by_hand():
    rows = [
        row("order", 50, 0, 1, 2.0, 0.3),
        row("order", 50, 1, 1, 2.2, 0.5),
        row("order", 50, 0, 2, 2.4, 0.6),
        row("order", 50, 1, 2, 2.6, 0.6),
        row("order", 25, 0, 1, 2.0, 0.58),
        row("order", 25, 1, 1, 2.0, 0.58),
        row("cw", 50, 0, 1, None, 0.1),
        row("cw", 50, 1, 1, None, 0.2),
    ]
    table = StudyTable.from_scores(rows, 9)
    setup = ("c", "order", 50)
    assert table.curve(setup, "ws") == pytest.approx({1: (0.4 + 0.8) / 2, 2: 1.0})
    assert table.curve(setup, "ws", field="loss") == pytest.approx({1: 2.1, 2: 2.5})
    assert table.curve(("c", "cw", 50), "ws", field="loss") == {}
    assert table.gains()["c", "cw", 50]["ws"] == pytest.approx(0.1)
    assert table.guidelines() == (
        "- ws: take order with 50 dimensions on c (gain 1.00); 25 dimensions reach 95% of it; "
        "stop after pass 2 of 2; the loss is lowest after pass 1, where the gain is 0.60."
    )
    assert "| c | order | 50 | 0.600 (1.00) |" in table.table()
    poor = StudyTable.from_scores([row("cw", 50, 0, 1, None, 0.0)], 9)
    assert math.isnan(poor.rows[0].gain) and "no run is better" in poor.guidelines()


def test_a_corpus_may_be_a_file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(" ".join(row) for row in texts(9)), encoding="utf-8")
    made = study(tmp_path / "study", {"file": path, "read": WordCorpus(texts(9))}, seeds=1)
    first, second = (r.vectors() for r in made.train(epochs=1) if r.model == "cbow")
    assert (first.vectors == second.vectors).all()
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="UTF-8"):
        study(tmp_path / "other", {"file": path}).train(epochs=1)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"models": ["cbox"]}, "did you mean 'cbow'"),
        ({"models": []}, "models must hold"),
        ({"corpora": {}}, "corpora must hold"),
        ({"dims": []}, "dims must hold"),
        ({"seeds": 0}, "seeds must hold"),
        ({"corpora": {"a/b": []}}, "folders"),
    ],
)
def test_bad_choices_are_refused(changed, match, tmp_path):
    with pytest.raises(ConfigError, match=match):
        study(tmp_path, **changed)


def test_bad_calls_are_refused(tmp_path):
    made = study(tmp_path, models=["cbow"], seeds=1)
    with pytest.raises(DataError, match="call train first"):
        made.evaluate({"topics": by_topic})
    with pytest.raises(ConfigError, match="call evaluate first"):
        made.guidelines()
    with pytest.raises(ConfigError, match="at least 1"):
        made.train(epochs=0)
    made.train(epochs=1)
    for tasks in ({}, "some"):
        with pytest.raises(ConfigError, match="tasks must"):
            made.evaluate(tasks)
    with pytest.raises(ConfigError, match="'last' or 'all'"):
        made.evaluate({"topics": by_topic}, passes="best")
    with pytest.raises(ConfigError, match="other settings"):
        study(tmp_path, window=3)
    other = {"toy": list(texts(9, extra=["other"]))}
    with pytest.raises(ConfigError, match="other settings or texts"):
        study(tmp_path, other, models=["cbow"], seeds=1).train(epochs=2)
    (tmp_path / "toy" / "cbow-4-0" / "run.json").write_text("{}")
    with pytest.raises(StoreError, match="damaged"):
        made.runs()
