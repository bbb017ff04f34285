"""The bias command: tables, files, refusals."""

import json

import numpy as np
import pytest

from vecsmith.cli import _words, main
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.bias import _examine


@pytest.fixture
def files(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    words = ["north", "south", "up", "down", *(f"n{i}" for i in range(60))]
    rows = rng.normal(size=(len(words), 8))
    rows[0:4:2, 0], rows[1:4:2, 0] = 4, -4
    WordVectors(words, rows).save(tmp_path / "words.bin")
    (tmp_path / "sets").write_text("north south\nup down\nleft right\n")
    (tmp_path / "neutral").write_text(" ".join(words[4:34]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORDS = ("bias", "words.bin", "--sets", "sets", "--neutral", "neutral")


def test_it_prints_a_table_and_writes_vectors(files, capsys):
    assert main([*WORDS, "--method", "hard", "--out", "after.bin"]) == 0
    shown = capsys.readouterr()
    assert "| direct bias | 0." in shown.out and "written: after.bin" in shown.out
    assert shown.err == "sets without vectors: left right\n"
    assert len(WordVectors.load("after.bin")) == 64


def test_json_is_the_report(files, capsys):
    assert main([*WORDS, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["columns"] == ["before"]
    assert {"direct bias"} <= {row["measure"] for row in report["rows"]}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bias", "words.bin", "--sets", "sets"), "--sets and --neutral go together"),
        ((*WORDS, "--method", "hard"), "--out and --method hard or soft go together"),
        ((*WORDS, "--out", "x.bin"), "--out and --method hard or soft go together"),
        (("bias", "none.bin"), "no file or folder 'none.bin'"),
        ((*WORDS, "--directions", "5"), "lower k"),
    ],
)
def test_mistakes_are_one_sentence(files, capsys, words, told):
    assert main(list(words)) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_methods_are_those_of_the_room():
    assert _words.METHODS == _examine.METHODS
