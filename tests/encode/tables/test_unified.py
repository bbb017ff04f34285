import json

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.tables import (
    UnifiedEmbedding,
    UnifiedSpec,
    hash_integers,
    hash_texts,
    salt_of,
)


def spec(**changes):
    made = UnifiedSpec(**{"rows": 50, "dim": 4, **changes})
    made.add("user", chunks=3, size=90)
    made.add("city", size=20)
    return made.add("tags", chunks=2, pooling="mean", size=30)


BATCH = {"user": [7, -3, 10**15], "city": ["Rome", "Paris", ""], "tags": [[1, 2, 2], [], [9]]}


def by_hand(table, name, keys, dim=4):
    """Vectors of keys, chunk by chunk, by loops."""
    chunks = list(table.spec.features).index(name)
    first = sum(f.chunks for f in list(table.spec.features.values())[:chunks])
    out = []
    for key in keys:
        parts = []
        for chunk in range(table.spec.features[name].chunks):
            row = int(hash_integers(np.array([key]), salt_of(5, name, chunk))[0])
            store = table.stores[(first + chunk) % len(table.stores)]
            parts.append(store.weight[row % table.spec.table_rows])
        out.append(torch.cat(parts))
    return torch.stack(out)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_lookups_are_those_of_a_loop(tables):
    table = UnifiedEmbedding(spec(tables=tables), seed=5)
    found = table(BATCH)
    assert {name: tuple(v.shape) for name, v in found.items()} == {
        "user": (3, 12),
        "city": (3, 4),
        "tags": (3, 8),
    }
    torch.testing.assert_close(found["user"], by_hand(table, "user", BATCH["user"]))
    torch.testing.assert_close(found["city"], by_hand(table, "city", hash_texts(BATCH["city"])))
    one, two, nine = by_hand(table, "tags", [1, 2, 9])
    torch.testing.assert_close(found["tags"][0], (one + 2 * two) / 3)
    assert not found["tags"][1].any()
    torch.testing.assert_close(found["tags"][2], nine)
    assert torch.equal(table.flat(BATCH), torch.cat(list(found.values()), 1))
    assert [tuple(p.shape) for p in table.parameters()] == [(50 // tables, 4)] * tables
    assert table.field_widths == (12, 4, 8)


def test_sums_and_offsets():
    made = UnifiedSpec(rows=50, dim=4).add("a", pooling="sum")
    table = UnifiedEmbedding(made, seed=5)
    lists = table({"a": [[1, 2], [], [3]]})["a"]
    pair = (torch.tensor([1, 2, 3]), torch.tensor([0, 2, 2]))
    torch.testing.assert_close(table({"a": pair})["a"], lists)
    torch.testing.assert_close(lists[0], by_hand(table, "a", [1, 2]).sum(0))
    assert torch.equal(table({"a": torch.tensor([[1, 2]])})["a"], lists[:1])


def test_tensors_and_mappings_agree():
    made = UnifiedSpec(rows=50, dim=4, tables=2).add("a", chunks=2).add("b").add("c", chunks=2)
    table = UnifiedEmbedding(made)
    ids = torch.randint(0, 10**9, (6, 3))
    columns = dict(zip("abc", ids.T, strict=True))
    assert torch.equal(table.flat(ids), table.flat(columns))
    alone = torch.cat([table.flat(row[None]) for row in ids])
    assert torch.equal(table.flat(ids), alone)


def test_every_feature_and_chunk_has_a_salt_of_its_own():
    table = UnifiedEmbedding(spec(rows=1000))
    salts = [salt for row in table.salts.values() for salt in row]
    assert len(set(salts)) == 6
    keys = torch.arange(200)[:, None].expand(200, 6)
    rows = table.rows(keys)
    for i in range(6):
        for j in range(i):
            assert int((rows[:, i] == rows[:, j]).sum()) < 5
    # another feature beside it changes nothing for this one
    more = UnifiedSpec(rows=1000, dim=4).add("new").add("city")
    assert UnifiedEmbedding(more).salts["city"] == table.salts["city"]


def test_hashing_trick_has_as_many_bytes_and_rows_apart():
    shared, apart = UnifiedEmbedding(spec()), UnifiedEmbedding(spec(multiplexed=False))
    assert shared.nbytes() == apart.nbytes() == 50 * 4 * 4
    windows = apart.spec.windows()
    assert [count for _, count in windows.values()] == [32, 7, 11]
    keys = torch.arange(500)[:, None].expand(500, 6)
    rows = apart.rows(keys)
    owners = apart._column
    for column, (start, count) in enumerate(windows.values()):
        own = rows[:, owners == column]
        assert int(own.min()) == start and int(own.max()) == start + count - 1


def test_gradient_of_a_row_is_the_sum_over_its_values():
    """sum_t theta_t * sum of errors of the examples whose value of t lies there."""
    torch.manual_seed(0)
    made = UnifiedSpec(rows=5, dim=3).add("a").add("b")
    table = UnifiedEmbedding(made, seed=1)
    theta, errors = torch.randn(2, 3), torch.randn(40)
    ids = torch.randint(0, 9, (40, 2))
    (table.flat(ids) @ theta.flatten() * errors).sum().backward()
    expected = torch.zeros(5, 3)
    rows = table.rows(ids)
    for example in range(40):
        for t in range(2):
            expected[rows[example, t]] += theta[t] * errors[example]
    torch.testing.assert_close(table.stores[0].table.grad, expected)


def test_reload_in_a_fresh_process_is_equal(tmp_path, fresh_process):
    table = UnifiedEmbedding(spec(tables=2), seed=3)
    table.save_pretrained(tmp_path / "u")
    (tmp_path / "batch.json").write_text(json.dumps(BATCH))
    code = """
import json, sys, numpy as np
from pathlib import Path
from vecsmith.encode.tables import UnifiedEmbedding
folder = Path(sys.argv[1])
batch = json.loads((folder / "batch.json").read_text())
table = UnifiedEmbedding.from_pretrained(folder / "u")
np.save(folder / "out.npy", table.flat(batch).detach().numpy())
"""
    fresh_process(code, tmp_path)
    expected = table.flat(BATCH).detach().numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    held = sum(path.stat().st_size for path in (tmp_path / "u").rglob("*") if path.is_file())
    assert table.nbytes() == 50 * 16 <= held < table.nbytes() + 5000


def test_reloaded_tables_learn_on(tmp_path):
    table = UnifiedEmbedding(spec(), seed=3)
    table.save_pretrained(tmp_path / "u")
    again = UnifiedEmbedding.from_pretrained(tmp_path / "u")
    again.flat(BATCH).sum().backward()
    assert [p.grad.any() for p in again.parameters()] == [True]
    kept = json.loads((tmp_path / "u" / "config.json").read_text())
    (tmp_path / "u" / "config.json").write_text(json.dumps({"salts": kept["salts"]}))
    with pytest.raises(StoreError, match="should hold a unified embedding"):
        UnifiedEmbedding.from_pretrained(tmp_path / "u")


def test_seed_decides_salts_and_start():
    tables = [UnifiedEmbedding(spec(), seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(tables[0].flat(BATCH), tables[1].flat(BATCH))
    assert tables[0].salts != tables[2].salts
    weight = tables[0].stores[0].table.detach()
    assert float(weight.abs().max()) <= 0.05
    assert float(weight.std()) == pytest.approx(0.029, abs=4e-3)


def test_angles_by_hand():
    made = UnifiedSpec(rows=8, dim=2).add("a", chunks=2).add("b")
    table = UnifiedEmbedding(made)
    readers = torch.tensor([1.0, 0.0, 0.0, 2.0, 1.0, 1.0, 9.0])  # the last reads something else
    report = table.diagnostics(readers)
    assert report.angles == {("a", "b"): pytest.approx(45.0)}
    several = torch.stack([readers, readers * 3])
    assert table.diagnostics(several).mean_angle == pytest.approx(45.0)
    opposite = torch.tensor([[1.0, 0, 1, 0, -1, 0]])
    assert table.diagnostics(opposite).mean_angle == pytest.approx(180.0)
    torch.testing.assert_close(report.row_norms, table.stores[0].table.detach().square().sum(1))
    with pytest.raises(DataError, match="a column for each of the 6 numbers"):
        table.diagnostics(torch.ones(5))


def test_collisions_are_those_of_a_loop():
    made = UnifiedSpec(rows=12, dim=2, tables=2).add("a", chunks=2).add("b")
    table = UnifiedEmbedding(made, seed=2)
    values = {"a": list(range(9)), "b": ["x", "y", "x", "z"]}
    report = table.diagnostics(values=values)
    places = {}
    for name, keys in (("a", range(9)), ("b", hash_texts(["x", "y", "z"]))):
        first = 0 if name == "a" else 2
        places[name] = [
            tuple(
                int(hash_integers(np.array([key]), salt)[0]) % 6 + 6 * ((first + c) % 2)
                for c, salt in enumerate(table.salts[name])
            )
            for key in keys
        ]
    load = np.zeros(12)
    for rows in places.values():
        for row in rows:
            np.add.at(load, list(row), 1)
    assert report.load.tolist() == load.tolist()
    for name, other in (("a", "b"), ("b", "a")):
        own = places[name]
        within = np.mean([own.count(row) > 1 for row in own])
        taken = {place for row in places[other] for place in row}
        across = np.mean([bool(taken & set(row)) for row in own])
        assert report.within[name] == pytest.approx(within)
        assert report.across[name] == pytest.approx(across)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"user": [1.5, 2, 3]}, "feature 'user': values must be whole numbers"),
        ({"user": [[1], [2], [3]]}, "feature 'user': one value a row"),
        ({"user": [1, 2]}, "same number of rows"),
        ({"user": [1, "a", 2]}, "feature 'user'"),
        ({"tags": [1, 2, 3]}, "each row must be a list"),
        ({"tags": ([1, 2], [1, 0, 2])}, "offsets must start with 0"),
        ({"tags": ([1, 2], [])}, "offsets must start with 0"),
        ({"more": [1, 2, 3]}, r"unknown: \['more'\]"),
    ],
)
def test_bad_batches_are_named(changes, named):
    table = UnifiedEmbedding(spec())
    with pytest.raises(DataError, match=named):
        table({**BATCH, **changes})


def test_bad_tensors_are_named():
    table = UnifiedEmbedding(spec())
    with pytest.raises(DataError, match=r"missing: \['city'\]"):
        table({name: value for name, value in BATCH.items() if name != "city"})
    with pytest.raises(DataError, match="need a mapping"):
        table.flat(torch.zeros(2, 3, dtype=torch.int64))
    plain = UnifiedEmbedding(UnifiedSpec(rows=9, dim=2).add("a").add("b"))
    with pytest.raises(DataError, match="one column a feature"):
        plain.flat(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(DataError, match="whole numbers"):
        plain.flat(torch.zeros(2, 2))


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (UnifiedSpec(rows=5, dim=2), "needs features"),
        (spec(rows=0), "rows must be at least 1"),
        (spec(rows=2, tables=3), "too few for 3 tables"),
        (UnifiedSpec(5, 2, multiplexed=False).add("a"), "size=...* lacks it for a"),
        (spec(rows=2, multiplexed=False), "a row for each of the 3 features"),
        (spec(multiplexed=False, tables=2), "tables=1"),
        (spec(storage="ful"), "did you mean 'full'"),
    ],
)
def test_specs_that_cannot_be_built_are_named(made, named):
    with pytest.raises(ConfigError, match=named):
        UnifiedEmbedding(made)


def test_features_out_of_range_are_named():
    with pytest.raises(ConfigError, match="there already"):
        spec().add("city")
    with pytest.raises(ConfigError, match="chunks of 'x'"):
        spec().add("x", chunks=0)
    with pytest.raises(ConfigError, match="pooling of 'x'"):
        spec().add("x", pooling="max")
