"""Several data sets, columns of any name, data sets too small, and what a checkpoint holds."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vecsmith.core import DataError, ModelError, read_json
from vecsmith.recipe import config_from, read_config, train

ROOT = Path(__file__).parents[2]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def stop_at(monkeypatch, step):
    """Make runs end as if they were killed just after a checkpoint."""
    from vecsmith.recipe._watch import Watcher

    real = Watcher.on_save

    def stop(self, args, state, control, **kwargs):
        real(self, args, state, control, **kwargs)
        if state.global_step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "on_save", stop)


@pytest.fixture
def two(settings, data, tmp_path):
    """Settings of a run on two data sets whose losses have heads of their own."""
    lines = (data / "texts.jsonl").read_text().splitlines(keepends=True)
    for name, part in (("one", lines[:50]), ("two", lines[50:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(part))

    def make(out):
        sources = [str(tmp_path / f"{name}.jsonl") for name in ("one", "two")]
        changed = {"objective": "simcse", "keep": "last", "steps": 8, "checks": 2}
        return settings(data=sources, out=str(tmp_path / out), **changed)

    return make


def test_stopped_and_resumed_with_losses_that_have_a_state(two, monkeypatch):
    whole = train(two("whole"))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stop_at(patched, 4)
        train(two("stopped"))
    resumed = train(two("stopped"))
    for name, value in load_file(whole.model / "model.safetensors").items():
        again = load_file(resumed.model / "model.safetensors")[name]
        torch.testing.assert_close(value, again, rtol=1e-6, atol=1e-7, msg=name)
    ends = [
        Path(report.model).parent / "checkpoints" / "checkpoint-8" for report in (whole, resumed)
    ]
    heads = [
        [load_file(end / f"objective-{n}.safetensors") for n in ("one", "two")] for end in ends
    ]
    for one, other in zip(*heads, strict=True):
        assert one and one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-6, atol=1e-7, msg=name)
    assert any((heads[0][0][name] != heads[0][1][name]).any() for name in heads[0][0])


def test_a_checkpoint_without_the_state_of_a_loss_is_told(two, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stop_at(patched, 4)
        train(two("run"))
    place = Path(two("run").out) / "checkpoints" / "checkpoint-4"
    (place / "objective-two.safetensors").unlink()
    with pytest.raises(ModelError, match="objective-two"):
        train(two("run"))


def test_a_checkpoint_is_marked_as_whole_last(two, monkeypatch):
    seen = []
    real = Path.touch

    def touch(self, *given, **named):
        if self.name == "whole":
            seen.append({path.name for path in self.parent.iterdir()})
        return real(self, *given, **named)

    monkeypatch.setattr(Path, "touch", touch)
    train(two("run"))
    assert len(seen) == 2
    for names in seen:
        assert {f"objective-{n}.safetensors" for n in ("one", "two")} <= names
        assert {"model.safetensors", "optimizer.pt", "trainer_state.json"} <= names


@pytest.mark.parametrize("objective", ["contrastive", "gte+duplicates"])
def test_columns_may_be_called_label_and_score(settings, tmp_path, objective):
    rows = [{"label": f"open {i}", "score": f"close {i}", "scores": f"run {i}"} for i in range(40)]
    path = write(tmp_path / "named.jsonl", rows)
    report = train(settings(data=path, objective=objective, steps=2, checks=1))
    assert "label, score, scores" in (report.model / "README.md").read_text()


def test_the_settings_of_the_documentation(data, tiny_model, tmp_path, monkeypatch):
    from vecsmith.train import ContrastiveLoss

    seen = []
    real = ContrastiveLoss.prepare
    monkeypatch.setattr(
        ContrastiveLoss, "prepare", lambda self, b: (seen.append(self.in_batch), real(self, b))[1]
    )
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "train.md").read_text(), re.S)
    (tmp_path / "run.yaml").write_text(block)
    values = read_config(tmp_path / "run.yaml")
    pairs, labels = values["data"]
    assert set(labels["columns"]) & {"label", "labels", "score", "scores"}
    pairs["path"] = str(data / "pairs.jsonl")
    # three classes, far fewer than rows of a batch
    rows = [f"open valve {i},kind {i % 3},kind {(i + 1) % 3},{i}" for i in range(64)]
    labels["path"] = str(tmp_path / "labels.csv")
    Path(labels["path"]).write_text("\n".join(["text,label,other,number", *rows]) + "\n")
    queries = f"queries:{data / 'queries.jsonl'}"
    small = {"batch_size": 16, "mini_batch": 8, "model": str(tiny_model), "guide": str(tiny_model)}
    small |= {"evaluate": [queries], "out": str(tmp_path / "run"), "checks": 1}
    config = config_from({**values, **small})
    report = train(config)
    assert report.steps == 20  # 2 x (90 + 64) / 16, rounded up
    assert report.scores[0].name == "queries:queries.jsonl"
    # pairs by size times weight: 5 batches x 2 to 4
    assert seen.count(False) in range(5, 9)


@pytest.mark.parametrize("several", [False, True])
def test_fewer_rows_than_a_batch(settings, data, tmp_path, several):
    path = write(tmp_path / "few.jsonl", [{"q": f"a {i}", "p": f"b {i}"} for i in range(30)])
    sources = [str(data / "pairs.jsonl"), path] if several else path
    with pytest.raises(DataError, match=r"'few' has 27 rows.*3 of 30.*lower batch_size"):
        train(settings(data=sources, batch_size=28))
    assert not (tmp_path / "run").exists()


def test_texts_too_alike_for_a_batch(settings, tmp_path):
    rows = [{"q": f"open {i}", "p": f"kind {i % 3}"} for i in range(40)]
    with pytest.raises(DataError, match="nothing was trained"):
        train(settings(data=write(tmp_path / "alike.jsonl", rows), validation_rows=0))
    assert not (tmp_path / "run" / "model").exists()


def test_rows_of_a_validation_file_are_not_trained_on(settings, data, tmp_path):
    held = [json.loads(line) for line in (data / "pairs.jsonl").read_text().splitlines()[:9]]
    path = write(tmp_path / "held.jsonl", held)
    report = train(settings(validation=path, steps=2, checks=1))
    (row,) = read_json(report.model.parent / "report.json")["data"]
    assert (row["rows"], row["trained_on"]) == (100, 91)


def test_kinds_of_files_are_mixed(settings, data, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"a": f"unlike {i}", "b": f"new {i}"} for i in range(40)]
    schema = pa.schema([(name, pa.large_string()) for name in "ab"])
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "large.parquet")
    sources = [str(data / "pairs.jsonl"), str(tmp_path / "large.parquet")]
    assert train(settings(data=sources, steps=2, checks=1)).steps == 2
