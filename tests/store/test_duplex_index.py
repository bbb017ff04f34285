"""The exact index of two halves against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import DataError, Stamp, StoreError
from vecsmith.store import DuplexIndex


def drawn(seed, count, dims, kept, vocabulary=11):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(vocabulary)[:kept] for _ in range(count)]).astype(np.int32)
    values = rng.normal(size=(count, kept)).astype(np.float16)
    dense = rng.normal(size=(count, dims)).astype(np.float32)
    queries = rng.normal(size=(5, dims)).astype(np.float32)
    return dense, ids, values, queries, rng.normal(size=(5, vocabulary)).astype(np.float32)


@given(
    seed=st.integers(0, 99),
    count=st.integers(1, 30),
    dims=st.integers(0, 4),
    kept=st.integers(0, 6),
    k=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_search_equals_brute_force(seed, count, dims, kept, k):
    dense, ids, values, queries, lexical = drawn(seed, count, dims, kept)
    index = DuplexIndex(dense, ids, values, vocabulary=11)
    scores, found = index.search(queries, lexical, k)
    assert found.shape == (5, min(k, count))
    for row in range(5):
        want = [
            sum(float(queries[row, j]) * float(dense[i, j]) for j in range(dims))
            + sum(float(lexical[row, v]) * float(x) for v, x in zip(ids[i], values[i], strict=True))
            for i in range(count)
        ]
        best = sorted(want, reverse=True)[: min(k, count)]
        np.testing.assert_allclose(scores[row], best, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose([want[i] for i in found[row]], best, rtol=1e-4, atol=1e-4)


def test_more_queries_than_a_block():
    dense, ids, values, *_ = drawn(0, 20, 3, 4)
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(150, 3)).astype(np.float32)
    lexical = rng.normal(size=(150, 11)).astype(np.float32)
    index = DuplexIndex(dense, ids, values, vocabulary=11)
    _, found = index.search(queries, lexical, 3)
    want = np.argsort(-index.scores(queries, lexical), axis=1)[:, :3]
    np.testing.assert_array_equal(found, want)
    assert index.search(queries[:0], lexical[:0], 3)[0].shape == (0, 3)


def test_saved_and_loaded_is_the_same(tmp_path):
    dense, ids, values, queries, lexical = drawn(0, 20, 3, 4)
    index = DuplexIndex(dense, ids, values, vocabulary=11)
    index.save(tmp_path / "i.safetensors")
    again = DuplexIndex.load(tmp_path / "i.safetensors")
    assert len(again) == 20
    for a, b in zip(index.search(queries, lexical), again.search(queries, lexical), strict=True):
        np.testing.assert_array_equal(a, b)
    (tmp_path / "i.safetensors").write_bytes(b"broken")
    with pytest.raises(StoreError, match="build it again"):
        DuplexIndex.load(tmp_path / "i.safetensors")


def test_an_index_of_another_retriever_is_refused(tmp_path):
    dense, ids, values, *_ = drawn(0, 20, 3, 4)
    mine, other = (Stamp("duplex retriever", weights, 3) for weights in ("aa", "bb"))
    DuplexIndex(dense, ids, values, vocabulary=11, stamp=mine).save(tmp_path / "i.safetensors")
    assert DuplexIndex.load(tmp_path / "i.safetensors").stamp == mine
    assert DuplexIndex.load(tmp_path / "i.safetensors", stamp=mine).stamp == mine
    with pytest.raises(StoreError, match="weights 'aa' here, 'bb' there"):
        DuplexIndex.load(tmp_path / "i.safetensors", stamp=other)


def test_bad_input_is_refused():
    dense, ids, values, queries, lexical = drawn(0, 20, 3, 4)
    with pytest.raises(DataError, match="shape"):
        DuplexIndex(dense[:5], ids, values, vocabulary=11)
    with pytest.raises(DataError, match="vocabulary"):
        DuplexIndex(dense, ids, values, vocabulary=3)
    index = DuplexIndex(dense, ids, values, vocabulary=11)
    with pytest.raises(DataError, match="retriever"):
        index.search(queries[:, :2], lexical)
    with pytest.raises(DataError, match="retriever"):
        index.search(queries, lexical[:, :9])
    with pytest.raises(DataError, match="k must"):
        index.search(queries, lexical, 0)
