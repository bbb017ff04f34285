"""Claims about tables of vectors: the effect is there at the smallest size that shows it."""

import pytest

from vecsmith.claims import run_claim
from vecsmith.claims._click_task import click_parts
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
