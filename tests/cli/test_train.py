"""`vecsmith train`: flags and file, what it prints, mistakes told in a sentence."""

import dataclasses
import json

import pytest

from vecsmith.cli import main
from vecsmith.recipe import TrainingConfig


@pytest.fixture
def pairs(tmp_path):
    rows = [{"q": f"open valve {i}", "p": f"document {i} valve"} for i in range(40)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_help_shows_every_setting_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0
    for field in dataclasses.fields(TrainingConfig):
        assert "--" + field.name.replace("_", "-") in told
    assert "default: 5e-05" in told and "default: contrastive+matryoshka" in told


def test_objectives_are_listed(capsys):
    assert main(["train", "--list-objectives"]) == 0
    told = capsys.readouterr().out
    for name in ("gist", "peg", "starbucks", "esimcse", "own-negatives"):
        assert name in told


def test_flags_win_over_the_file(pairs, tiny_model, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {pairs}\nmodel: {tiny_model}\nout: {tmp_path / 'a'}\nsteps: 500\nbatch_size: 8\n"
        "checks: 1\nobjective: contrastive\n"
    )
    out = tmp_path / "b"
    assert main(["train", str(config), "--steps", "2", "--out", str(out), "--json"]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert report["steps"] == 2 and report["model"] == str(out / "model")
    assert "the doctor on the data" in told.err and not (tmp_path / "a").exists()


def test_what_is_told(pairs, tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VECSMITH_STEPS", "2")
    queries = tmp_path / "mine.jsonl"
    queries.write_text('{"query": "open valve 3", "document": "document 3 valve"}\n' * 3)
    words = [
        "train",
        "--data",
        str(pairs),
        "--model",
        str(tiny_model),
        "--out",
        str(tmp_path / "r"),
    ]
    words += ["--checks", "1", "--batch-size", "8", "--evaluate", f"queries:{queries}"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "2 steps at" in told and "validation MRR" in told and "model:" in told
    assert "queries:mine.jsonl" in told and "not distinguishable" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs data"),
        (["--data", "none.jsonl"], "no file"),
        (["none.yaml"], "cannot be read"),
        (["--data", "x.jsonl", "--objective", "gisst"], "gist"),
        (["--data", "x.jsonl", "--steps", "ten"], "steps must be int"),
        (["--data", "x.jsonl", "--bf16", "maybe"], "true or false"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
