"""Training data by column position, from any kind of file."""

import json

import pytest

from vecsmith.core import DataError
from vecsmith.recipe import DataSource
from vecsmith.recipe._data import by_place, hold_out, load_source, without_shared

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
    (train,), (held,) = hold_out([loaded], 500, seed=3)
    assert len(held) == 5  # a tenth
    texts = {t for r in held for t in (r["q"], r["p"])}
    assert not any(t in texts for r in train for t in (r["q"], r["p"]))
    assert hold_out([loaded], 500, seed=3)[1][0].to_dict() == held.to_dict()
    assert len(hold_out([loaded], 0, seed=3)[1][0]) == 0


def test_held_out_rows_are_not_trained_on_in_another_set(tmp_path):
    # the same texts in both sets, in other places
    other = [{"a": f"unlike {i}", "b": f"new {i}", "c": f"text {i}"} for i in range(40)]
    sets = [
        load_source(DataSource(write(tmp_path / f"{name}.jsonl", rows)))
        for name, rows in (("one", ROWS), ("two", other))
    ]
    train, held = hold_out(sets, 500, seed=3)
    assert [len(rows) for rows in held] == [4, 4]
    texts = {r[name] for rows in held for r in rows for name in rows.column_names[:2]}
    assert not any(t in texts for rows in train for r in rows for t in r.values())
    assert len(train[0]) == 36 and len(train[1]) == 40 - 4 - len(
        {r["p"] for r in held[0]} - {r["c"] for r in held[1]}
    )


def test_rows_whose_texts_cost_too_much_are_not_held_out(tmp_path):
    labels = [{"text": f"query {i}", "label": f"kind {i % 2}"} for i in range(40)]
    sets = [
        load_source(DataSource(write(tmp_path / f"{name}.jsonl", rows)))
        for name, rows in (("labels", labels), ("rows", ROWS))
    ]
    train, held = hold_out(sets, 500, seed=3)
    # any held-out row of the labels would cost half of the others or all
    assert len(held[0]) == 0 and len(held[1]) == 4
    queries = {r["q"] for r in held[1]}
    assert len(train[0]) == 36 and not queries & set(train[0]["text"])


def test_rows_that_share_a_text_are_left_out(tmp_path):
    loaded = load_source(DataSource(write(tmp_path / "data.jsonl", ROWS)))
    kept = without_shared(loaded.rows, {"query 3", "text 4", "other 5"})
    assert len(kept) == 37 and "query 5" not in kept["q"]


def test_columns_count_by_place(tmp_path):
    rows = [{"score": r["q"], "anchor": r["p"], "labels": r["n"], "id": r["n"]} for r in ROWS]
    loaded = load_source(DataSource(write(tmp_path / "data.jsonl", rows)))
    assert loaded.summary()["columns"] == ["score", "anchor", "labels", "id"]
    placed = by_place(loaded.rows)
    assert placed.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    assert list(placed[3].values()) == list(rows[3].values())


def test_kinds_of_texts_go_together(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import concatenate_datasets

    large = pa.schema([(name, pa.large_string()) for name in "qpn"])
    pq.write_table(pa.Table.from_pylist(ROWS, large), tmp_path / "large.parquet")
    one = load_source(DataSource(str(tmp_path / "large.parquet"))).rows
    two = load_source(DataSource(write(tmp_path / "data.jsonl", ROWS))).rows
    assert one.features == two.features
    assert len(concatenate_datasets([one, two])) == 80
