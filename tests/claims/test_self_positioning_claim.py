"""Sampling and split of the Self Positioning claim."""

import numpy as np
import pytest

from vecsmith.claims._gloss_tasks import GlossTasks, overlaps
from vecsmith.claims.self_positioning import row_weights


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [(1.0, (0.8, 0.2)), (2.0, (2 / 3, 1 / 3)), (float("inf"), (0.5, 0.5))],
)
def test_temperature_sets_how_often_a_task_is_drawn(temperature: float, shares) -> None:
    weights = np.array(row_weights([16, 4], temperature))
    assert weights.shape == (20,)
    drawn = np.array([weights[:16].sum(), weights[16:].sum()]) / weights.sum()
    assert drawn == pytest.approx(shares)


def test_overlaps_count_what_leaks() -> None:
    tasks = GlossTasks(
        glosses=["a bird", "a fish", "a bird", "a tree", "a stone"],
        pool=["crow", "carp", "rook", "oak", "flint", "animal", "plant", "thing"],
        answers={
            "lemma": np.array([0, 1, 2, 3, 4]),
            "hypernym": np.array([5, 5, 5, 6, 7]),
        },
        train={"lemma": np.array([3]), "hypernym": np.array([1])},
        probe=np.array([0]),
        test=np.array([2, 4]),
    )
    assert overlaps(tasks) == {
        "probe definitions": 1.0,
        # the same text defines two words
        "overlap of probe and test, definitions": 1.0,
        "overlap of probe and test, words": 0.0,
        "overlap of probe and test, kinds": 1.0,
        "overlap of train and test, definitions": 0.0,
        "overlap of train and test, words": 0.0,
        "overlap of train and test, kinds": 1.0,
    }
