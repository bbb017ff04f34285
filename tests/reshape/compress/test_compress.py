"""Codecs of finished tables: budget, files, and each one's mathematics."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.tables import METHODS, CompressedEmbedding
from vecsmith.reshape.compress import CODECS, CompressedTable, compress_table, fit_vectors
from vecsmith.reshape.compress._norm_groups import find_groups, long_rows, store_groups

ALL = sorted(CODECS)
RATES = {"int": 0.26, "pq": 0.3, "pq_by_norm": 0.5, "tt_svd": 0.2}


@pytest.fixture(scope="module")
def vectors():
    """300 vectors with clusters, directions and lengths of their own."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 24)) * np.linspace(2, 0.2, 24)
    made = centres[rng.integers(0, 20, 300)] + 0.2 * rng.normal(size=(300, 24))
    return (made * rng.uniform(0.2, 2, (300, 1))).astype(np.float32)


@pytest.mark.parametrize("codec", ALL)
class TestEveryCodec:
    def test_budget_is_that_of_the_file(self, codec, vectors, tmp_path):
        for rate in (RATES.get(codec, 0.2), 0.6):
            table = compress_table(vectors, codec, rate=rate)
            assert 0 < table.nbytes() <= rate * vectors.nbytes
            table.save_pretrained(tmp_path / "t")
            held = (tmp_path / "t" / "table.safetensors").stat().st_size
            assert 0 < held - table.nbytes() < 1500
            assert table.rate == table.nbytes() / vectors.nbytes

    def test_reload_is_equal(self, codec, vectors, tmp_path):
        table = compress_table(vectors, codec, rate=RATES.get(codec, 0.2), seed=3)
        table.save_pretrained(tmp_path / "t")
        again = CompressedTable.from_pretrained(tmp_path / "t")
        np.testing.assert_array_equal(again.decode(), table.decode())
        rows = [299, 0, 0, 17]
        np.testing.assert_array_equal(table.decode(rows), table.decode()[rows])
        np.testing.assert_array_equal(table.decode(piece=7), table.decode())

    def test_more_bytes_lose_less(self, codec, vectors):
        least = RATES.get(codec, 0.1)
        queries = vectors[:20]
        few, many = (
            compress_table(vectors, codec, rate=rate).report(vectors, queries)
            for rate in (least, 0.8)
        )
        assert many["error"] <= few["error"] <= 2 and many["recall"] >= few["recall"] - 0.02
        assert many["error"] < few["error"] or many["bytes"] == few["bytes"]
        assert many["bytes"] == pytest.approx(many["rate"] * vectors.nbytes)

    def test_it_is_an_embedding(self, codec, vectors):
        table = compress_table(vectors, codec, rate=RATES.get(codec, 0.2))
        ids = torch.tensor([[1, 2], [299, 1]])
        assert table(ids).shape == (2, 2, 24)
        np.testing.assert_allclose(table(ids)[1, 0], table.decode([299])[0], rtol=1e-6)
        with pytest.raises(DataError, match="from 0 to 299; got 300"):
            table.decode([300])

    def test_rates_out_of_reach_are_named(self, codec, vectors):
        with pytest.raises(
            ConfigError, match=f"cannot be reached by '{codec}'.*reaches rates from"
        ):
            compress_table(vectors, codec, rate=1e-6)
        least = CODECS[codec].least_rate(300, 24)
        if codec != "pq_by_norm":
            table = compress_table(vectors, codec, rate=least)
            assert table.rate <= least

    def test_seed_repeats(self, codec, vectors):
        first, again = (
            compress_table(vectors, codec, rate=RATES.get(codec, 0.2), seed=1) for _ in range(2)
        )
        np.testing.assert_array_equal(first.decode(), again.decode())


def test_integers_are_rounded_to_nearest(vectors):
    table = compress_table(vectors, "int", rate=0.26)
    scale = np.abs(vectors).max(0) / 127
    np.testing.assert_allclose(table.decode(), np.round(vectors / scale) * scale, atol=1e-5)
    # no room for 24 scales: one
    whole = compress_table(vectors, "int", rate=0.25)
    assert set(whole.tensors) == {"codes"} and whole.nbytes() == 300 * 24
    assert np.abs(whole.decode() - vectors).max() <= np.abs(vectors).max() / 127 * 0.51
    assert compress_table(vectors, "int", rate=0.13).config["bits"] == 4


def test_rank_is_the_largest_and_the_factors_are_best(vectors):
    table = compress_table(vectors, "svd", rate=0.25)
    rank = int(0.25 * 300 * 24 / 324)
    assert table.tensors["left"].shape == (300, rank)
    u, s, v = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    best = (u[:, :rank] * s[:rank]) @ v[:rank]
    np.testing.assert_allclose(table.decode(), best, atol=1e-4)


def test_full_rank_tensor_train_is_exact():
    rng = np.random.default_rng(1)
    small = rng.normal(size=(27, 8)).astype(np.float32)
    # 3 x 3 x 3 rows, 2 x 2 x 2 columns: a rank of 6 loses nothing
    from vecsmith.reshape.compress._tensor_train_svd import TensorTrainSVD

    config, tensors = TensorTrainSVD.encode(
        torch.from_numpy(small), 4 * (6 + 6 * 6 + 6) * 6 * 1.01, seed=0
    )
    assert config["rank"] == 6
    found = TensorTrainSVD.decode(config, tensors, torch.arange(27))
    np.testing.assert_allclose(found, small, atol=1e-5)


def test_largest_entries_stay(vectors):
    table = compress_table(vectors, "magnitude", rate=0.3)
    found = table.decode()
    kept = found != 0
    np.testing.assert_array_equal(found[kept], vectors[kept])
    assert np.abs(vectors[kept]).min() >= np.abs(vectors[~kept]).max()


def test_random_rows_are_means(vectors):
    table = compress_table(vectors, "random_rows", rate=0.1, seed=2)
    owner = table.tensors["owner"].numpy()
    found = table.decode()
    for row in (0, 7, 299):
        mean = vectors[owner == owner[row]].mean(0)
        np.testing.assert_allclose(found[row], mean, rtol=1e-4, atol=1e-5)


def test_blocks_are_put_back_in_their_places():
    rng = np.random.default_rng(0)
    made = rng.normal(size=(40, 48)).astype(np.float32)
    made[20:] = made[:20]
    table = compress_table(made, "dedup", rate=0.55)
    np.testing.assert_array_equal(table.decode(), made)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(0, 999))
def test_groups_are_counted(rows, seed):
    vectors = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, 3)))
    mask = long_rows(vectors)
    norms = vectors.norm(dim=1)
    assert mask.any()
    if rows > 1 and not mask.all():
        assert norms[mask].min() >= norms[~mask].max()
    long, place = find_groups(store_groups(mask), torch.arange(rows))
    assert torch.equal(long, mask)
    for group in (True, False):
        assert place[mask == group].tolist() == list(range(int((mask == group).sum())))


def test_long_vectors_have_longer_codes(vectors):
    table = compress_table(vectors, "pq_by_norm", rate=0.5)
    long, short = (table.tensors[f"{name}_codes"] for name in ("long", "short"))
    assert len(long) + len(short) == 300 and len(long) < len(short)
    long, short = (table.tensors[f"{name}_books"] for name in ("long", "short"))
    assert len(long) == 2 * len(short)
    gap = np.square(table.decode() - vectors).sum(1) / np.square(vectors).sum(1)
    mask = long_rows(torch.from_numpy(vectors)).numpy()
    assert gap[mask].mean() < gap[~mask].mean()


def test_recall_is_that_of_exact_neighbours(vectors):
    whole = compress_table(vectors, "int", rate=0.6)
    assert whole.report(vectors, vectors[:30])["recall"] == 1.0
    table = compress_table(vectors, "svd", rate=0.1)
    found, hits = table.decode(), []
    for query in vectors[:30]:
        tops = [
            np.argsort(-(t @ query) / np.linalg.norm(t, axis=1), kind="stable")[:5]
            for t in (vectors, found)
        ]
        hits.append(len(set(tops[0]) & set(tops[1])) / 5)
    report = table.report(vectors, vectors[:30], top_k=5)
    assert report["recall"] == pytest.approx(np.mean(hits), abs=0.02)
    with pytest.raises(DataError, match="must have the table's shape"):
        table.report(vectors[:10], vectors[:3])


@pytest.mark.parametrize(
    ("given_vectors", "named"),
    [
        (np.zeros((0, 3)), "none of them 0"),
        (np.zeros(3), "must have shape"),
        (np.array([[1.0, np.nan]]), "1 rows hold NaN"),
    ],
)
def test_bad_vectors_are_named(given_vectors, named):
    with pytest.raises(DataError, match=named):
        compress_table(given_vectors, "int", rate=0.5)


def test_bad_arguments_are_named(vectors):
    with pytest.raises(ConfigError, match="did you mean 'pq'"):
        compress_table(vectors, "pqq", rate=0.5)
    with pytest.raises(ConfigError, match="rate must be above 0"):
        compress_table(vectors, "pq", rate=1.1)


def test_damaged_folders_are_refused(vectors, tmp_path):
    compress_table(vectors, "int", rate=0.5).save_pretrained(tmp_path / "t")
    config = tmp_path / "t" / "config.json"
    kept = json.loads(config.read_text())
    config.write_text(json.dumps({**kept, "codec": "zip"}))
    with pytest.raises(StoreError, match="cannot be read"):
        CompressedTable.from_pretrained(tmp_path / "t")
    config.write_text(json.dumps(kept))
    path = tmp_path / "t" / "table.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StoreError, match="cannot be read"):
        CompressedTable.from_pretrained(tmp_path / "t")


@pytest.mark.parametrize(
    ("method", "rate", "most"),
    [("mde", 0.5, 0.4), ("dpq", 0.3, 0.3), ("int", 0.25, 0.01)],
)
def test_methods_are_fitted_to_vectors(vectors, method, rate, most):
    table = CompressedEmbedding.build(method, [300], dim=24, rate=rate, start=float(vectors.std()))
    error = fit_vectors(table, torch.from_numpy(vectors), epochs=20, batch_size=100)
    assert error < most
    found = table.freeze().weight
    lost = (found - torch.from_numpy(vectors)).square().sum() / np.square(vectors).sum()
    assert float(lost) == pytest.approx(error, rel=1e-3)
    with pytest.raises(ConfigError, match="must have the shape"):
        fit_vectors(table, torch.zeros(3, 24))


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"hash", "adapt_emb", "auto_srh"}))
def test_every_method_can_be_fitted(method):
    rng = np.random.default_rng(0)
    made = torch.from_numpy((rng.normal(size=(300, 3)) @ rng.normal(size=(3, 8))).astype("f4"))
    rate = 0.6 if METHODS[method].exact_budget and method != "full" else 1.0
    more = {"evolution": {"generations": 1}} if method == "opt_embed" else {}
    table = CompressedEmbedding.build(method, [300], dim=8, rate=rate, start=1.0, **more)
    start = float((table.eval().weight.detach() - made).square().sum() / made.square().sum())
    assert fit_vectors(table.train(), made, epochs=40, batch_size=50) < min(1.0, start)


def test_light_import():
    code = "import sys, vecsmith.reshape; print('torch' in sys.modules, 'faiss' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
