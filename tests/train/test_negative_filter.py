import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.train import NegativeFilter, guided_filter


def naive(q, p, c, margin, kind):
    def cos(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    keep = np.zeros((len(q), c.shape[-2]), bool)
    for i in range(len(q)):
        t = cos(q[i], p[i])
        limit = t - margin if kind == "absolute" else t - margin * abs(t)
        for j in range(c.shape[-2]):
            keep[i, j] = not cos(q[i], c[i, j] if c.ndim == 3 else c[j]) > limit
    return keep


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 999),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from(["absolute", "relative"]),
    st.booleans(),
)
def test_matches_a_plain_loop_on_numpy_and_torch(seed, margin, kind, own):
    rng = np.random.default_rng(seed)
    q, p = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    c = rng.normal(size=(5, 7, 4) if own else (7, 4))
    want = naive(q, p, c, margin, kind)
    got = guided_filter(*(a.astype(np.float32) for a in (q, p, c)), margin, kind)
    assert isinstance(got, np.ndarray) and (got == want).all()
    torched = guided_filter(*(torch.from_numpy(a) for a in (q, p, c)), margin, kind)
    assert isinstance(torched, torch.Tensor) and (torched.numpy() == want).all()


def test_half_precision_rows_do_not_overflow():
    big = np.full((2, 8), 200.0, np.float16)
    # an equal candidate is not nearer than the positive; with a margin it is too near
    assert guided_filter(big, big, big).all()
    assert not guided_filter(big, big, big, 0.1).any()


def test_the_threshold_is_the_rows_own():
    scores, thresholds = np.array([[0.5, 0.7], [0.5, 0.7]]), np.array([0.6, 0.8])
    assert NegativeFilter().dropped(scores, thresholds).tolist() == [[False, True], [False, False]]


def test_relative_margin_of_a_negative_threshold_drops_more():
    rule = NegativeFilter(0.5, "relative")
    assert rule.limits(np.array([-0.4, 0.4])).tolist() == pytest.approx([-0.6, 0.2])


def test_errors():
    with pytest.raises(ConfigError, match="margin_kind"):
        NegativeFilter(0.1, "both")
    with pytest.raises(DataError, match="shape"):
        guided_filter(np.ones((3, 4)), np.ones((2, 4)), np.ones((5, 4)))
    with pytest.raises(DataError, match="shape"):
        guided_filter(np.ones((3, 4)), np.ones((3, 4)), np.ones((2, 5, 4)))
