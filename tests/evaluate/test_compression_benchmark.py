"""The benchmark of compressed tables: rows, gaps, recommendations."""

import dataclasses
import math

import numpy as np
import pytest

from vecsmith.core import ConfigError
from vecsmith.data.samples import load_movielens
from vecsmith.encode.tables import METHODS
from vecsmith.evaluate import CompressionBenchmark, CompressionResult, CompressionRow
from vecsmith.train.tables import CTROptions, SingleLayer


@pytest.fixture(scope="module")
def parts():
    whole, _ = load_movielens()
    rows = np.random.default_rng(0).permutation(len(whole))[:2500]
    return whole.take(rows).split((0.6, 0.2, 0.2))


@pytest.fixture(scope="module")
def result(parts):
    bench = CompressionBenchmark(
        parts,
        bodies=[SingleLayer()],
        methods=["full", "hash", "int", "robe", "auto_dim"],
        rates=(0.25, 0.05),
        dim=8,
        options=CTROptions(batch_size=256, epochs=2, lr=1e-2),
    )
    return bench.run()


def test_every_training_is_a_row(result):
    seen = [(row.method, row.asked, row.reached) for row in result.rows]
    assert seen == [
        ("full", 1.0, True),
        ("hash", 0.25, True),
        ("hash", 0.05, True),
        ("int", 0.25, True),
        ("int", 0.05, False),
        ("robe", 0.25, True),
        ("robe", 0.05, True),
        ("auto_dim", 1.0, True),
    ]
    for row in result.rows:
        figures = list(dataclasses.astuple(row)[5:])
        if not row.reached:
            assert all(math.isnan(v) for v in figures)
            continue
        assert all(math.isfinite(v) and v > 0 for v in figures)
        assert row.body == "SingleLayer" and 0 < row.auc <= 1
        if row.method not in ("full", "auto_dim"):
            assert row.rate <= row.asked


def test_training_memory_counts_gradients_and_moments(result, parts):
    total = sum(parts[0].sizes)
    by_method = {row.method: row for row in result.rows if row.reached}
    assert by_method["full"].train_bytes == pytest.approx(16 * total * 8, rel=1e-3)
    # a search holds a table of 2 + 4 + 8 columns and its layers
    assert by_method["auto_dim"].train_bytes > 16 * total * 14
    # codes of a byte, and two moments
    assert by_method["int"].train_bytes == pytest.approx(9 * total * 8, rel=1e-3)


def test_frame_has_gaps_to_the_whole_table(result):
    frame = result.to_frame()
    assert len(frame) == 8 and frame.auc_gap[0] == 0
    full = frame.auc[0]
    np.testing.assert_allclose(frame.auc_gap[1], frame.auc[1] - full)
    assert math.isnan(frame.auc_gap[4])


def test_results_are_saved(result, tmp_path):
    result.save(tmp_path / "r.json")
    again = CompressionResult.load(tmp_path / "r.json")
    assert str(again) == str(result)


def row(method, asked, auc, *, ms=1.0, memory=1.0, rate=None, seed=0):
    made = CompressionRow(method, "dlrm", asked, seed, True)
    return dataclasses.replace(
        made,
        rate=asked if rate is None else rate,
        nbytes=1.0,
        auc=auc,
        log_loss=0.5,
        train_ms=1.0,
        lookup_ms=ms,
        small_lookup_ms=ms,
        reload_ms=1.0,
        train_bytes=memory,
    )


MADE = CompressionResult(
    (
        row("full", 1.0, 0.9),
        row("robe", 0.25, 0.85, ms=3.0, memory=2.0),
        row("robe", 0.05, 0.83, ms=3.0, memory=1.0),
        row("hash", 0.25, 0.845, ms=1.0, memory=3.0),
        row("hash", 0.05, 0.75, ms=1.0, memory=0.5),
        row("tt_rec", 0.05, 0.826, ms=2.0, memory=4.0, seed=0),
        row("tt_rec", 0.05, 0.828, ms=2.0, memory=4.0, seed=1),
        CompressionRow("int", "dlrm", 0.05, 0, False),
        row("int", 0.25, 0.86, ms=0.5, memory=9.0, rate=0.2501),
    )
)


def test_recommendations_follow_the_priority():
    best = MADE.recommend(rate=0.05)
    assert best.method == "robe" and "best AUC, 0.8300" in best.reason
    assert [m for m, _, _ in best.ranking] == ["robe", "tt_rec", "hash"]
    # hashing is faster, but too far from the best
    fast = MADE.recommend(rate=0.05, priority="latency")
    assert fast.method == "tt_rec" and "fastest" in fast.reason and "of robe" in fast.reason
    loose = MADE.recommend(rate=0.05, priority="latency", tolerance=0.2)
    assert loose.method == "hash"
    small = MADE.recommend(rate=0.25, priority="train_memory", tolerance=0.015)
    assert small.method == "robe" and small.ranking[0][2] == 2.0
    # within a hundredth of the budget, and at the better of two rates
    assert MADE.recommend(rate=0.25).method == "int"
    assert MADE.recommend(rate=1.0).method == "full"


def test_what_cannot_be_recommended_is_named():
    with pytest.raises(ConfigError, match="did you mean 'latency'"):
        MADE.recommend(rate=0.05, priority="latenzy")
    with pytest.raises(ConfigError, match=r"the smallest has 0\.05"):
        MADE.recommend(rate=0.01)


def test_unknown_names_are_refused(parts):
    with pytest.raises(ConfigError, match="did you mean 'robe'"):
        CompressionBenchmark(parts, methods=["robee"])
    with pytest.raises(ConfigError, match="did you mean 'dlrm'"):
        CompressionBenchmark(parts, bodies=["dlrn"])
    assert CompressionBenchmark(parts).methods == sorted(METHODS)
