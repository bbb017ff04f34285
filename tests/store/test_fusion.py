import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.store import Candidates, Fusion, fuse, fusion_grid

COSINES = np.array([0.9, 0.5, -0.2, 0.7])
LEXICAL = np.array([0.0, 10.0, 30.0, 2.5])


def test_the_convex_sum_by_hand():
    got = Fusion("convex", 0.25, 10.0).scores(COSINES, LEXICAL)
    want = [0.225, 0.125 + 0.75 * 0.5, -0.05 + 0.75 * 0.75, 0.175 + 0.75 * 0.2]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_reciprocal_ranks_by_hand():
    got = Fusion("rrf", 0.25).scores(COSINES, LEXICAL)
    # Ranks by cosine 1 3 4 2; by word - 2 1 3, the first found by no word.
    want = [
        61 * 0.25 / 61,
        61 * (0.25 / 63 + 0.75 / 62),
        61 * (0.25 / 64 + 0.75 / 61),
        61 * (0.25 / 62 + 0.75 / 63),
    ]
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("method", ["convex", "rrf"])
def test_the_ends_of_the_weight_are_single_lists(method):
    rows = np.array([10, 11, 12, 13])
    found = Candidates(rows, COSINES, LEXICAL)
    assert fuse(found, Fusion(method, 1.0), 4).rows.tolist() == [10, 13, 11, 12]
    assert fuse(found, Fusion(method, 0.0), 3).rows.tolist() == [12, 11, 13]


def test_equal_scores_come_in_the_order_of_rows():
    found = Candidates(np.array([9, 3, 5]), np.array([0.5, 0.5, 0.9]), np.zeros(3))
    assert fuse(found, Fusion("convex", 1.0), 3).rows.tolist() == [5, 3, 9]
    assert len(fuse(found, Fusion(), 2).rows) == 2


def test_no_candidates_give_no_scores():
    for method in ("convex", "rrf"):
        assert len(Fusion(method).scores(np.empty(0), np.empty(0))) == 0


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 200)), max_size=20),
    st.sampled_from(["convex", "rrf"]),
    st.floats(0, 1),
    st.floats(0.1, 100),
)
def test_scores_are_bounded_and_better_in_both_is_better(pairs, method, weight, scale):
    cosines, lexical = np.array(pairs).reshape(-1, 2).T
    scores = Fusion(method, weight, scale).scores(cosines, lexical)
    assert scores.shape == cosines.shape
    assert ((scores >= -1 - 1e-9) & (scores <= 1 + 1e-9)).all()
    ahead = (cosines[:, None] > cosines) & (lexical[:, None] > lexical)
    assert (scores[:, None] >= scores - 1e-9)[ahead].all()


@pytest.mark.parametrize(
    "wrong", [{"method": "sum"}, {"weight": 1.1}, {"weight": float("nan")}, {"scale": 0.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="fusion needs"):
        Fusion(**wrong)


def test_the_grid_holds_both_methods_and_both_ends():
    grid = fusion_grid(7.0)
    assert {f.method for f in grid} == {"convex", "rrf"} and {f.scale for f in grid} == {7.0}
    assert Fusion("convex", 0.0, 7.0) in grid and Fusion("convex", 1.0, 7.0) in grid
    assert len(set(grid)) == len(grid) == 20
    assert all(Fusion(**f.to_dict()) == f for f in grid)
