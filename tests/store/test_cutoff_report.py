import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.store import choose_threshold, filter_report, pr_auc
from vecsmith.store._cutoff_report import calibration_error


def naive_pr_auc(scores, labels):
    area, recall = 0.0, 0.0
    for t in sorted(set(scores), reverse=True):
        kept = [y for s, y in zip(scores, labels, strict=True) if s >= t]
        now = sum(kept) / sum(labels)
        area += (now - recall) * sum(kept) / len(kept)
        recall = now
    return area


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=40
    )
)
def test_pr_auc_matches_a_plain_loop_with_ties(pairs):
    scores, labels = zip(*pairs, strict=True)
    if not any(labels):
        return
    assert pr_auc(scores, labels) == pytest.approx(naive_pr_auc(scores, labels), abs=1e-12)


def test_pr_auc_matches_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=500).round(1), rng.integers(0, 2, 500)
    want = metrics.average_precision_score(labels, scores)
    assert pr_auc(scores, labels) == pytest.approx(want, abs=1e-12)


def test_pr_auc_is_pooled():
    """A shift of one query's scores changes it, though no ranking within a query does."""
    labels = np.array([[1, 0], [1, 0]])
    scores = np.array([[0.9, 0.8], [0.5, 0.4]])
    assert pr_auc(scores, labels) == pytest.approx((1 + 2 / 3) / 2)
    assert pr_auc(scores + np.array([[0.0], [0.45]]), labels) == pytest.approx(1.0)


def test_thresholds():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 1, 0]
    assert choose_threshold(scores, labels, recall=1.0) == 0.6
    assert choose_threshold(scores, labels, recall=0.6) == 0.7
    assert choose_threshold(scores, labels, precision=0.75) == 0.6
    assert choose_threshold(scores, labels, precision=1.0) == 0.9
    with pytest.raises(ConfigError, match="out of reach"):
        choose_threshold(scores, [0, 0, 1, 1, 0], precision=0.9)
    with pytest.raises(ConfigError, match="exactly one"):
        choose_threshold(scores, labels)
    with pytest.raises(ConfigError, match="exactly one"):
        choose_threshold(scores, labels, recall=1.5)


def test_report_by_hand():
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    scores = np.array([[0.9, 0.6, 0.5, 0.1], [0.4, 0.3, 0.2, 0.1], [0.7, 0.2, 0.1, 0.05]])
    row = filter_report(labels, {"s": scores}, thresholds={"s": 0.55}, probabilities=["s"])["s"]
    assert (row.recall, row.precision) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert row.filtered == pytest.approx(9 / 12)
    assert row.mean_length == pytest.approx(1.0)
    assert row.null_rate == pytest.approx(1 / 3) and row.null_rate_answerable == pytest.approx(0.5)
    assert row.precision_at[0.5] == pytest.approx(2 / 3)
    assert row.precision_at[0.99] == pytest.approx(3 / 5)
    assert row.filtered_at[0.99] == pytest.approx(7 / 12)
    assert row.ece is not None and sum(n for *_, n in row.buckets) == 12
    assert filter_report(labels, {"s": scores})["s"].ece is None


def test_report_leaves_out_masked_pairs():
    rng = np.random.default_rng(0)
    scores, labels = rng.uniform(size=(6, 9)), rng.integers(0, 2, (6, 9))
    mask = np.ones((6, 9), bool)
    mask[:, 7:] = False
    whole = filter_report(labels, {"s": np.where(mask, scores, 99.0)}, mask=mask)["s"]
    short = filter_report(labels[:, :7], {"s": scores[:, :7]})["s"]
    assert whole == short


def test_calibration_error_by_hand():
    p, y = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    error, buckets = calibration_error(p, y, buckets=2)
    assert error == pytest.approx((abs(0.2 - 1) + abs(1.8 - 2)) / 4)
    assert buckets == [(0.1, 0.5, 2), (0.9, 1.0, 2)]


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([0.1, np.nan], [0, 1]),
        ([0.1, 0.2], [0, 0]),
        ([0.1, 0.2], [0, 3]),
        ([0.1], [0, 1]),
        ([], []),
    ],
)
def test_bad_pairs(scores, labels):
    with pytest.raises(DataError):
        pr_auc(scores, labels)
