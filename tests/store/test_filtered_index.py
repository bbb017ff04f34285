import faiss
import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.store import CosineAdapter, FilteredIndex, filter_hits


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    docs = rng.normal(size=(300, 6)).astype(np.float32)
    docs /= np.linalg.norm(docs, axis=1, keepdims=True)
    queries = docs[:20]
    adapter = CosineAdapter(6, family="power", hidden=8)
    adapter.weights = {
        "inner": rng.normal(size=(8, 6)).astype(np.float32),
        "inner_bias": np.zeros(8, np.float32),
        "outer": rng.normal(size=(3, 8)).astype(np.float32),
        "offsets": np.array([9.0, -5.0, 0.0], np.float32),
    }
    adapter.tau = 0.5
    cosines = queries @ docs.T
    want = [
        [
            int(d)
            for d in np.argsort(-row, kind="stable")
            if adapter.scores(q[None], row[None])[0, d] >= 0.5
        ]
        for q, row in zip(queries, cosines, strict=True)
    ]
    assert min(map(len, want)) == 0 < max(map(len, want)) < 250
    return docs, queries, adapter, want


def indexes(docs):
    inner, l2 = faiss.IndexFlatIP(6), faiss.IndexFlatL2(6)
    inner.add(docs)
    l2.add(docs)
    return {"numpy": docs, "inner": inner, "l2": l2}


@pytest.mark.parametrize("kind", ["numpy", "inner", "l2"])
def test_search_and_range_search_return_exactly_what_passes(scene, kind):
    docs, queries, adapter, want = scene
    index = FilteredIndex(indexes(docs)[kind], adapter)
    ranged, topped = index.range_search(queries), index.search(queries, k=300)
    assert [row.tolist() for row in ranged.ids] == want
    assert [row.tolist() for row in topped.ids] == want
    assert topped.lengths.tolist() == [len(row) for row in want]
    assert topped.null_rate == np.mean([not row for row in want])
    short = index.search(queries, k=5)
    assert [row.tolist() for row in short.ids] == [row[:5] for row in want]
    for row, probabilities in enumerate(topped.probabilities):
        assert (probabilities >= adapter.tau - 1e-6).all()
        assert (topped.cosines[row] >= topped.cutoffs[row]).all()


def test_more_wanted_than_there_is(scene):
    docs, queries, adapter, want = scene
    for index in indexes(docs[:3]).values():
        hits = FilteredIndex(index, adapter).search(queries, k=10)
        assert all((row >= 0).all() for row in hits.ids)
        assert [sorted(r.tolist()) for r in hits.ids] == [
            sorted(d for d in w if d < 3) for w in want
        ]


def test_padding_of_short_lists_is_no_hit(scene):
    docs, queries, adapter, _ = scene
    everything = CosineAdapter(6, family="power", hidden=8)
    everything.weights, everything.tau = adapter.weights, 1e-30
    assert (everything.cutoff(queries) == -np.inf).all()
    for index in indexes(docs[:3]).values():
        hits = FilteredIndex(index, everything).search(queries, k=10)
        assert [sorted(row.tolist()) for row in hits.ids] == [[0, 1, 2]] * 20


def test_semantic_search_lists(scene):
    util = pytest.importorskip("sentence_transformers.util")
    docs, queries, adapter, want = scene
    hits = filter_hits(util.semantic_search(queries, docs, top_k=300), queries, adapter)
    assert [[hit["corpus_id"] for hit in row] for row in hits] == want
    assert all(0.5 - 1e-6 <= hit["probability"] <= 1 for row in hits for hit in row)


def test_errors(scene):
    docs, queries, adapter, _ = scene
    with pytest.raises(ConfigError, match="faiss index"):
        FilteredIndex([1, 2], adapter)
    with pytest.raises(ConfigError, match="metric"):
        FilteredIndex(faiss.IndexFlat(6, faiss.METRIC_L1), adapter)
    with pytest.raises(DataError, match="unit"):
        FilteredIndex(docs, adapter).search(2 * queries)
    with pytest.raises(DataError, match="together"):
        filter_hits([[]], queries, adapter)
