import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.store.compressed import CandidateSampling, _index_parts, dense_lists, padded
from vecsmith.store.compressed._lists import among, batches_of_candidates, checked_vectors

RNG = np.random.default_rng(0)
DOCUMENTS = RNG.normal(size=(50, 4)).astype(np.float32)
QUERIES = RNG.normal(size=(9, 4)).astype(np.float32)


@pytest.mark.parametrize("block", [7, 50, 1000])
def test_lists_are_exact_in_blocks_of_any_size(block, monkeypatch):
    monkeypatch.setattr(_index_parts, "BLOCK", block)
    excluded = np.array([[row, -1, (3 * row) % 50] for row in range(9)])
    scores, rows = dense_lists(QUERIES, DOCUMENTS, 10, excluded=excluded)
    exact = QUERIES.astype(np.float64) @ DOCUMENTS.T.astype(np.float64)
    for query in range(9):
        order = [d for d in np.argsort(-exact[query]) if d not in excluded[query]][:10]
        np.testing.assert_array_equal(rows[query], order)
        np.testing.assert_allclose(scores[query], exact[query, order], rtol=1e-5)


def test_short_collections_leave_places_empty():
    _, rows = dense_lists(QUERIES, DOCUMENTS[:3], 5, excluded=np.full((9, 1), 1))
    assert rows.shape == (9, 3)
    assert (np.sort(rows, axis=1) == [-1, 0, 2]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5), st.booleans(), st.integers(0, 99))
def test_batches_hold_each_query_once_with_its_own_candidates(per, leaders, in_batch, seed):
    sampling = CandidateSampling(30, per, leaders, in_batch=in_batch)
    excluded = np.arange(9)[:, None]
    relevant = [[40 + row] for row in range(9)]
    _, near = dense_lists(QUERIES, DOCUMENTS, 30, excluded=excluded)
    rng = np.random.default_rng(seed)
    seen = []
    for queries, documents, mask in batches_of_candidates(
        near, sampling, rng, batch_size=4, relevant=relevant, excluded=excluded
    ):
        seen.extend(queries)
        assert (np.diff(documents) > 0).all()
        assert mask.shape == (len(queries), len(documents))
        for query, row in zip(queries, mask, strict=True):
            held = set(documents[row])
            assert 40 + query in held
            assert query not in held
            if leaders:
                assert held & set(near[query, :leaders])
            if not in_batch:
                assert held <= set(near[query]) | {40 + query}
                assert len(held - {40 + query}) in (per, per - 1)
            else:
                assert held == set(documents) - {query}
    assert sorted(seen) == list(range(9))


def test_a_draw_is_without_repetition_and_even():
    near = np.tile(np.arange(20), (4000, 1))
    drawn = CandidateSampling(20, 5, leaders=0).draw(near, np.random.default_rng(0))
    assert all(len(set(row)) == 5 for row in drawn)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 4000, 0.25, atol=0.03)


def test_marks_what_each_query_names():
    documents = np.array([2, 5, 9])
    rows = np.array([[5, -1, 7], [9, 2, 2]])
    assert among(documents, rows).tolist() == [[False, True, False], [True, False, True]]
    assert padded([[1], [], [2, 3]]).tolist() == [[1, -1], [-1, -1], [2, 3]]


def test_bad_vectors_are_named():
    bad = DOCUMENTS.copy()
    bad[17, 2] = np.nan
    with pytest.raises(DataError, match="documents must be finite; row 17"):
        checked_vectors(bad, "documents")
    with pytest.raises(DataError, match=r"queries must have shape \(n, 8\)"):
        checked_vectors(DOCUMENTS, "queries", 8)
    with pytest.raises(DataError, match="at least one row"):
        checked_vectors(DOCUMENTS[:0], "documents")


@pytest.mark.parametrize(
    ("settings_", "named"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": 5, "per_query": 6}, "per_query"),
        ({"top_k": 5, "per_query": 2, "leaders": 6}, "leaders"),
    ],
)
def test_bad_sampling_is_named(settings_, named):
    with pytest.raises(ConfigError, match=named):
        CandidateSampling(**settings_)
