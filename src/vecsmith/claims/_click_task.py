"""Clicks of MovieLens-100k, split once: what claims about tables of vectors train and test on."""

import functools
from typing import Any

import numpy as np

from vecsmith.data.tables import FieldTable


@functools.lru_cache(maxsize=2)
def click_parts(*, timestamp: bool = False) -> tuple[FieldTable, FieldTable, FieldTable]:
    """Split MovieLens-100k, 80/10/10.

    Args:
        timestamp: With the raw second of the rating as a ninth field.

    Returns:
        Rows to train on, for early stopping, and to test on; the same for all seeds.
    """
    from vecsmith.data.samples import load_movielens

    train, validation, test = load_movielens(timestamp=timestamp)[0].split(seed=0)
    return train, validation, test


def quick_parts(rows: int = 6000) -> tuple[FieldTable, FieldTable, FieldTable]:
    """Take a few rows of each part, for quick runs.

    Args:
        rows: Rows to train on; a quarter of it for each of the others.
    """
    train, validation, test = click_parts()
    few = np.arange(rows // 4)
    return train.take(np.arange(rows)), validation.take(few), test.take(few)


def test_auc(model: Any, parts: tuple[FieldTable, FieldTable, FieldTable], **options: Any) -> float:
    """Train a click model and score it on the test rows.

    Args:
        model: A `CTRModel`, trained in place.
        parts: From `click_parts`.
        **options: Of `CTROptions`.

    Returns:
        Test AUC at the epoch of the best validation AUC.
    """
    from vecsmith.train.tables import CTROptions, fit_ctr, predict, roc_auc

    train, validation, test = parts
    fit_ctr(model, train, validation, options=CTROptions(**{"cpu": True, **options}))
    return roc_auc(test.labels, predict(model, test))
