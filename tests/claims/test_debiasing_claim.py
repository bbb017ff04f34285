"""What the claim of debiasing measures: halves that share no word, and the effect along each."""

import numpy as np
import pytest

from vecsmith.claims import run_claim
from vecsmith.claims.debiasing import halves, held_out, questions, unseen_hard, vectors
from vecsmith.data.samples import load_gender_lists
from vecsmith.evaluate.bias import direct_bias


def test_halves_share_no_pair_and_change_with_the_seed() -> None:
    removed, measured = halves(0)
    assert len(removed.sets) == len(measured.sets) == 5
    assert not removed.words & measured.words
    assert halves(1)[0].sets != removed.sets and halves(0)[0].sets == removed.sets


def test_measured_words_are_not_equalised() -> None:
    removed, measured = halves(0)
    made = unseen_hard(removed, measured)
    kept = sorted(measured.words & set(load_gender_lists().specific))
    assert len(kept) >= 8
    np.testing.assert_allclose(made[kept], vectors()[kept], atol=1e-6)
    assert direct_bias(made, removed, questions().neutral) < 1e-6


def test_removal_reaches_pairs_that_were_not_seen_and_a_random_one_does_not() -> None:
    before, after, extra = held_out(0, list(questions().neutral), True)
    assert before.shape == after.shape == (303,)
    assert after.mean() < 0.6 * before.mean()
    assert extra["held out, random direction removed"] == pytest.approx(before.mean(), rel=0.05)


@pytest.mark.slow
def test_quick_run() -> None:
    result = run_claim("debiasing", seeds=2, quick=True)
    assert result["quick"] and not result["holds"] and result["ci95"][1] < 0
    for row in result["extra_by_seed"]:
        assert row["direct bias, before"] == pytest.approx(0.0731, abs=1e-4)
        assert row["direct bias, hard"] < 1e-6
        assert row["gap of equalised pairs, hard"] < 1e-6
