import csv

import numpy as np
import pytest

from vecsmith.cli import main
from vecsmith.data.taxonomy import Taxonomy
from vecsmith.encode.words import WordVectors
from vecsmith.train.graphs import Node2Vec
from vecsmith.train.taxonomy import Text2Node, Text2NodeOptions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    names = {"r": "body", "a": "heart", "b": "lung", "c": "liver", "d": "skin", "e": "kidney"}
    synonyms = {node: [f"{name} disease", f"bad {name}"] for node, name in names.items()}
    tax = Taxonomy.from_edges([(node, "r") for node in "abcde"], names, synonyms)
    nodes = Node2Vec(8, walk_length=10, window=2, random_state=0).fit(tax.graph)
    words = ["body", "heart", "lung", "liver", "skin", "kidney", "disease", "bad"]
    vectors = WordVectors(words, np.random.default_rng(0).normal(size=(8, 12)))
    options = Text2NodeOptions(epochs=30, lr=1e-2, share=0.6, batch_size=4)
    made = Text2Node(vectors, nodes, mapper="linear", options=options).fit(tax.pairs())
    folder = tmp_path_factory.mktemp("map") / "model"
    made.save_pretrained(folder)
    return folder


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def run(model, table, out, *flags):
    return main(
        ["map", table, "--column", "text", "--model", str(model), "--out", str(out), *flags]
    )


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_comes_back(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vecsmith.cli._map.BLOCK", 2)
    table = write(tmp_path / "t.csv", '\ufeffid,text\n1,bad heart\n2,\n\n3,"сердце, 心"\n4,lung\n')
    assert run(model, table, tmp_path / "o.csv", "-k", "2") == 0
    rows = read(tmp_path / "o.csv")
    assert [row["id"] for row in rows] == ["1", "2", "", "3", "4"]
    wanted = Text2Node.from_pretrained(model).predict(["bad heart"], 2)[0]
    assert tuple(rows[0][name] for name in ("concept_1", "concept_2")) == wanted.ids
    assert tuple(rows[0][name] for name in ("name_1", "name_2")) == wanted.names
    assert rows[0]["score_2"] == f"{wanted.scores[1]:.4f}"
    assert rows[0]["confidence"] == f"{wanted.confidence:.4f}"
    assert rows[3]["text"] == "сердце, 心" and rows[3]["concept_1"] == ""
    assert "2 of 5 rows mapped" in capsys.readouterr().out


def test_no_such_concept(model, tmp_path):
    table = write(tmp_path / "t.csv", "text\nbad heart\n")
    assert run(model, table, tmp_path / "o.csv", "--min-confidence", "1") == 0
    (row,) = read(tmp_path / "o.csv")
    assert row["concept_1"] == "" and 0 < float(row["confidence"]) < 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("phrase\nx\n", "column 'text'"),
        ("", "column 'text'"),
        ("text,text\nx,y\n", "has 2"),
        ("text,confidence\nx,y\n", "'confidence' already"),
        ("text,id\nx\n", "row 1 should have 2 cells"),
    ],
)
def test_bad_tables_leave_nothing_behind(model, tmp_path, capsys, text, match):
    table = write(tmp_path / "t.csv", text)
    assert run(model, table, tmp_path / "o.csv") == 2
    assert match in capsys.readouterr().err and sorted(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_bad_files(model, tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_bytes("text\nnaïve\n".encode("latin-1"))
    assert run(model, str(path), tmp_path / "o.csv") == 2
    assert "UTF-8" in capsys.readouterr().err and not (tmp_path / "o.csv").exists()
    (tmp_path / "link.csv").symlink_to(path)
    for same in (path, tmp_path / "link.csv", tmp_path / ".." / tmp_path.name / "t.csv"):
        assert run(model, str(path), same) == 2
        assert "another file" in capsys.readouterr().err
    assert run(model, str(tmp_path / "none"), tmp_path / "o.csv") == 2
    assert run(tmp_path / "none", write(path, "text\nx\n"), tmp_path / "o.csv") == 2
    with pytest.raises(SystemExit):
        run(model, str(path), tmp_path / "o.csv", "--min-confidence", "2")
