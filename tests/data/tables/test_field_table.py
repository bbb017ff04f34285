import gzip

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.data.samples import load_adult, load_movielens
from vecsmith.data.tables import (
    CLICK_LOGS,
    FieldTable,
    FieldVocabulary,
    encode_click_log,
    encode_columns,
    read_click_log,
)


@pytest.fixture(scope="module")
def movielens():
    return load_movielens()


@pytest.fixture(scope="module")
def adults():
    return load_adult()[:2]


def small():
    columns = {"city": ["b", "a", "b", "c"], "day": [1, 1, 2, 1]}
    return encode_columns(columns, [1, 0, 1, 0])


def test_frequent_values_come_first():
    table, vocabulary = small()
    assert table.ids.tolist() == [[0, 0], [1, 0], [0, 1], [2, 0]]
    assert table.sizes == (3, 2) and table.names == ("city", "day")
    assert [c.tolist() for c in table.counts()] == [[2, 1, 1], [3, 1]]
    again, _ = encode_columns({"city": ["c"], "day": ["2"]}, [0], vocabulary=vocabulary)
    assert again.ids.tolist() == [[2, 1]]


def test_unknown_and_rare_values_share_number_0(tmp_path):
    vocabulary = FieldVocabulary(["city"], min_count=2)
    vocabulary.add({"city": ["a", "b", "b"]})
    vocabulary.add({"city": ["a", "a", "c"]})
    vocabulary.close()
    assert vocabulary.encode({"city": ["a", "b", "c", "new"]})[:, 0].tolist() == [1, 2, 0, 0]
    vocabulary.save(tmp_path / "v.json")
    loaded = FieldVocabulary.load(tmp_path / "v.json")
    assert loaded.encode({"city": ["new", "a"]})[:, 0].tolist() == [0, 1]
    assert loaded.sizes == (3,)
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(StoreError, match="should hold a vocabulary"):
        FieldVocabulary.load(tmp_path / "v.json")


def test_vocabulary_refuses_what_it_cannot_number():
    _, vocabulary = small()
    with pytest.raises(DataError, match="unknown=True"):
        vocabulary.encode({"city": ["z"], "day": [1]})
    with pytest.raises(ConfigError, match="is missing from the columns"):
        vocabulary.encode({"city": ["a"]})
    with pytest.raises(ConfigError, match="closed"):
        vocabulary.add({"city": ["a"], "day": [1]})
    with pytest.raises(ConfigError, match="still counting"):
        FieldVocabulary(["a"]).encode({"a": [1]})
    with pytest.raises(DataError, match="no rows"):
        FieldVocabulary(["a"]).close()
    with pytest.raises(ConfigError, match="min_count"):
        FieldVocabulary(["a"], min_count=2, unknown=False)


def test_split_is_a_partition(movielens):
    whole, vocabulary = movielens
    assert len(whole) == 72_855 and sum(whole.sizes) == 3752
    assert whole.labels.mean() == pytest.approx(0.76007, abs=1e-5)
    assert vocabulary.names[:2] == ("user", "item")
    parts = whole.split(seed=1)
    assert [len(part) for part in parts] == [58284, 7285, 7286]
    keys = [set(map(tuple, part.ids[:, :2].tolist())) for part in parts]
    assert sum(map(len, keys)) == len(set.union(*keys)) == len(whole)
    again = whole.split(seed=1)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(whole.split(seed=2)[0].ids, parts[0].ids)
    with pytest.raises(ConfigError, match="add up to 1"):
        whole.split((0.5, 0.6))
    with pytest.raises(ConfigError, match="too few"):
        small()[0].split((0.9, 0.05, 0.05))


def test_batches_hold_every_row_once():
    table, _ = small()
    batches = list(table.batches(3, rng=np.random.default_rng(0)))
    assert [len(labels) for _, _, labels in batches] == [3, 1]
    rows = [
        (*ids.tolist(), y) for i, _, labels in batches for ids, y in zip(i, labels, strict=True)
    ]
    plain = [(*ids.tolist(), y) for ids, y in zip(table.ids, table.labels, strict=True)]
    assert sorted(rows) == sorted(plain) and rows != plain


def test_saved_tables_are_mapped(tmp_path, adults):
    adult, _ = adults
    adult.save(tmp_path / "adult")
    loaded = FieldTable.load(tmp_path / "adult")
    assert isinstance(loaded.ids, np.memmap)
    for name in ("ids", "labels", "numbers"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(adult, name))
    assert loaded.sizes == adult.sizes and loaded.names == adult.names
    path = tmp_path / "adult" / "labels.npy"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="labels"):
        FieldTable.load(tmp_path / "adult")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ids": np.zeros((2, 1))}, "ids must be whole numbers"),
        ({"names": ("a", "b")}, "one entry a field"),
        ({"labels": np.zeros(3)}, "labels must have shape"),
        ({"numbers": np.zeros((3, 1))}, "numbers must have 2 rows"),
    ],
)
def test_tables_that_do_not_fit_are_refused(changes, named):
    given = {
        "ids": np.zeros((2, 1), int),
        "labels": np.zeros(2),
        "names": ("a",),
        "sizes": (1,),
        **changes,
    }
    with pytest.raises(DataError, match=named):
        FieldTable(**given)


def test_adult_and_timestamps_are_whole(adults):
    assert load_movielens(timestamp=True)[0].sizes[-1] == 40_503
    train, test = adults
    assert (len(train), len(test)) == (32_561, 16_281)
    assert train.labels.mean() == pytest.approx(0.24081, abs=1e-5)
    assert train.numbers.shape == (32_561, 5) and np.isfinite(train.numbers).all()


def criteo(rows):
    return "".join(
        "\t".join([str(y), *numbers, *categories]) + "\n" for y, numbers, categories in rows
    )


def test_criteo_is_encoded_in_pieces(tmp_path):
    rows = [
        (1, ["3"] + [""] * 12, ["aa"] * 26),
        (0, ["-2"] + ["7"] * 12, ["aa"] * 25 + ["zz"]),
        (1, ["0"] * 13, ["bb"] * 26),
    ]
    path = tmp_path / "train.txt.gz"
    path.write_bytes(gzip.compress(criteo(rows).encode()))
    pieces = list(read_click_log(path, "criteo", piece=2))
    assert [len(p.labels) for p in pieces] == [2, 1]
    np.testing.assert_allclose(pieces[0].numbers[0], [np.log(4)] + [0] * 12, rtol=1e-6)
    np.testing.assert_allclose(pieces[0].numbers[1], [0] + [np.log(8)] * 12, rtol=1e-6)
    table = encode_click_log(path, "criteo", tmp_path / "out")
    assert table.sizes == (2,) * 25 + (1,) and table.labels.tolist() == [1, 0, 1]
    # "bb", "zz" and the last field's "aa" occur once: number 0
    assert table.ids[:, 0].tolist() == [1, 1, 0] and not table.ids[:, 25].any()
    every = encode_click_log(path, "criteo", tmp_path / "all", min_count=1, limit=2)
    assert len(every) == 2 and every.sizes[25] == 3
    # only the first row makes the vocabulary
    first = encode_click_log(path, "criteo", tmp_path / "first", min_count=1, count_rows=1)
    assert first.ids[:, 25].tolist() == [1, 0, 0]


def test_avazu_has_a_heading(tmp_path):
    names = [name for name, _ in CLICK_LOGS["avazu"].fields]
    path = tmp_path / "train.csv"
    lines = [",".join(["id", "click", *names]), ",".join(["9", "1", *["x"] * 22])]
    path.write_text("\n".join(lines * 1) + "\n")
    table = encode_click_log(path, "avazu", tmp_path / "out", min_count=1)
    assert len(table) == 1 and table.numbers is None and table.names == tuple(names)


def test_broken_logs_are_named(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("1\t2\n")
    with pytest.raises(DataError, match=r"line 1 .* should have 40 columns"):
        list(read_click_log(path, "criteo"))
    path.write_text(criteo([(1, ["x"] * 13, ["a"] * 26)]))
    with pytest.raises(DataError, match="numbers in columns 2 to 14"):
        list(read_click_log(path, "criteo"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_click_log(tmp_path / "none.txt", "criteo"))
    packed = tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress(criteo([(1, ["1"] * 13, ["a"] * 26)] * 50).encode())[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        list(read_click_log(packed, "criteo"))
    with pytest.raises(ConfigError, match="did you mean 'criteo'"):
        list(read_click_log(path, "criteoo"))
