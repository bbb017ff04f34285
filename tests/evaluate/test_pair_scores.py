"""F1 over all thresholds, and the area under the ROC curve, against naive loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import DataError
from vecsmith.evaluate import f1max, pair_auc

ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=20)


def naive_f1(scores, labels):
    best = 0.0
    for threshold in scores:
        called = [s >= threshold for s in scores]
        hits = sum(c and y for c, y in zip(called, labels, strict=True))
        best = max(best, 2 * hits / (sum(called) + sum(labels)))
    return best


def naive_auc(scores, labels):
    right = [s for s, y in zip(scores, labels, strict=True) if y]
    wrong = [s for s, y in zip(scores, labels, strict=True) if not y]
    won = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
    return won / (len(right) * len(wrong))


@given(ROWS)
def test_against_naive_loops(rows) -> None:
    scores, labels = zip(*rows, strict=True)
    if not any(labels):
        with pytest.raises(DataError, match="none does"):
            f1max(scores, labels)
        return
    found = f1max(scores, labels)
    assert found.f1 == pytest.approx(naive_f1(scores, labels))
    called = np.array(scores) >= found.threshold
    hits = (called & np.array(labels)).sum()
    assert found.precision == pytest.approx(hits / called.sum())
    assert found.recall == pytest.approx(hits / sum(labels))
    if all(labels):
        with pytest.raises(DataError, match="all of them do"):
            pair_auc(scores, labels)
    else:
        assert pair_auc(scores, labels) == pytest.approx(naive_auc(scores, labels))


def test_yes_to_all_has_two_thirds() -> None:
    assert f1max([0.0] * 10, [True, False] * 5).f1 == pytest.approx(2 / 3)
    assert pair_auc([0.0] * 10, [True, False] * 5) == 0.5


def test_bad_input_is_named() -> None:
    for scores in ([1.0], [1.0, float("nan")], [[1.0, 2.0]]):
        with pytest.raises(DataError, match="one a pair"):
            f1max(scores, [True, False])
