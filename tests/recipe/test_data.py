"""Training data by column position, from any kind of file."""

import json

import pytest

from vecsmith.core import DataError
from vecsmith.recipe import DataSource
from vecsmith.recipe._data import hold_out, load_source

ROWS = [{"q": f"query {i}", "p": f"text {i}", "n": f"other {i}"} for i in range(40)]


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        sep = "\t" if path.suffix == ".tsv" else ","
        lines = [sep.join(rows[0]), *(sep.join(map(str, r.values())) for r in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".parquet", ".csv", ".tsv"])
def test_all_kinds_give_the_same_rows(tmp_path, kind):
    loaded = load_source(DataSource(write(tmp_path / f"data{kind}", ROWS)))
    assert loaded.rows.column_names == ["q", "p", "n"] and loaded.rows[3] == ROWS[3]
    assert loaded.summary()["rows"] == 40 and len(loaded.hash) == 64


def test_columns_are_chosen_and_ordered(tmp_path):
    rows = [{**r, "id": i} for i, r in enumerate(ROWS)]
    path = write(tmp_path / "data.jsonl", rows)
    assert load_source(DataSource(path, columns=("p", "q"))).rows.column_names == ["p", "q"]
    with pytest.raises(DataError, match="'id'"):
        load_source(DataSource(path))
    with pytest.raises(DataError, match=r"no column 'x'.*q, p, n, id"):
        load_source(DataSource(path, columns=("q", "x")))
    with pytest.raises(DataError, match="3 columns"):
        load_source(DataSource(path, columns=("q", "p")), columns_needed=3)


def test_what_teaches_nothing_is_left_out_and_counted(tmp_path):
    rows = [
        *ROWS,
        {"q": "a", "p": " ", "n": "b"},
        {"q": "a", "p": "b", "n": None},
        {"q": "same", "p": "same ", "n": "c"},
    ]
    loaded = load_source(DataSource(write(tmp_path / "data.jsonl", rows)))
    assert (len(loaded.rows), loaded.empty, loaded.equal) == (40, 2, 1)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"q": "x", "p": "y"}\n', "2 usable rows"),
        ("b.jsonl", '{"q": "x", "p": "x"}\n' * 9, "anchor and positive are the same"),
        ("c.jsonl", '{"q": "x"', "cannot be read as json"),
        ("d.jsonl", "", "is empty"),
        ("h.jsonl", "\n", "h.jsonl"),
        ("e.txt", "x", "one of .jsonl"),
        ("f.parquet", "x", "cannot be read as parquet"),
        ("g.jsonl", '{"q": "x"}\n{"q": "y"}\n', "2 columns"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        load_source(DataSource(str(tmp_path / name)))


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="no file"):
        load_source(DataSource(str(tmp_path / "none.jsonl")))
    with pytest.raises(DataError, match="give a file"):
        load_source(DataSource(str(tmp_path)))


def test_held_out_rows_share_no_text_with_the_rest(tmp_path):
    rows = [*ROWS, *({"q": f"again {i}", "p": f"text {i}", "n": "x"} for i in range(10))]
    loaded = load_source(DataSource(write(tmp_path / "data.jsonl", rows)))
    train, held = hold_out(loaded, 500, seed=3)
    assert len(held) == 5  # a tenth
    texts = {t for r in held for t in (r["q"], r["p"])}
    assert not any(t in texts for r in train for t in (r["q"], r["p"]))
    assert hold_out(loaded, 500, seed=3)[1].to_dict() == held.to_dict()
    assert len(hold_out(loaded, 0, seed=3)[1]) == 0
