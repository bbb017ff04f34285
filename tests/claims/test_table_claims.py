"""Claims about tables of vectors: the effect is there at the smallest size that shows it."""

import numpy as np
import pytest

from vecsmith.claims import run_claim
from vecsmith.claims._click_task import click_parts
from vecsmith.claims.optembed import random_rows
from vecsmith.claims.unified_embedding import score, unified


@pytest.mark.slow
def test_one_table_beats_one_a_feature():
    parts = click_parts()
    options = {"batch_size": 512, "epochs": 3, "lr": 3e-3}
    found = [
        score(unified(parts, 0.05, multiplexed=shared, seed=0), parts, 0, **options)
        for shared in (False, True)
    ]
    assert found[1] > found[0] + 0.02
    tables = [unified(parts, 0.05, multiplexed=shared, seed=0) for shared in (False, True)]
    assert tables[0].nbytes() == tables[1].nbytes()


@pytest.mark.slow
def test_unified_embedding_claim():
    result = run_claim("unified-embedding", seeds=2, quick=True)
    assert result["quick"] and not result["holds"] and result["seconds"] < 60
    for row in result["extra_by_seed"]:
        assert row["bytes hashing trick 0.1"] == row["bytes multiplexed 0.1"] == 24_000
        assert 0.5 < row["auc hashing trick 0.1"] < 1 and "gap 0.1" in row


@pytest.mark.slow
def test_embedding_compression_claim():
    result = run_claim("embedding-compression", seeds=2, quick=True)
    assert result["quick"] and not result["holds"] and result["seconds"] < 60
    for row in result["extra_by_seed"]:
        assert row["rate full 1.0"] == 1 and row["rate int 0.25"] <= 0.25
        assert row["rate hash 0.05"] <= 0.05 and 0.5 < row["auc robe 0.05"] < 1


@pytest.mark.slow
def test_optembed_claim():
    result = run_claim("optembed", seeds=2, quick=True)
    assert result["quick"] and not result["holds"] and result["seconds"] < 60
    for row in result["extra_by_seed"]:
        names = ("learned rows, alpha 0.003", *(f"random rows, draw {i}" for i in range(3)))
        assert len({row[f"part of the numbers {name}"] for name in names}) == 1
        assert len({row[f"auc {name}"] for name in names}) > 1
        assert row["evolution: best"] >= row["evolution: best of the random ones"]


def test_random_rows_are_as_many_of_each_field():
    keep = np.zeros(30, bool)
    keep[[0, 1, 2, 3, 12, 29]] = True
    drawn = random_rows(keep, (10, 10, 10), 0, 0)
    assert drawn.reshape(3, 10).sum(1).tolist() == [4, 1, 1]
    for other in ((1, 0), (0, 1)):
        assert not np.array_equal(drawn, random_rows(keep, (10, 10, 10), *other))
