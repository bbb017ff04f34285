import faiss
import numpy as np
import pytest

from vecsmith.core import ConfigError, StoreError
from vecsmith.store.compressed import KINDS, put_together, take_apart, train_parts


def unit(rows, dims, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, dims)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


DOCUMENTS = unit(400, 16)


def made(kind):
    parts = train_parts(DOCUMENTS, kind, lists=6, parts=4, bits=4, rounds=3)
    if parts.centroids is not None:
        parts.assignment = parts.nearest_lists(DOCUMENTS)
        parts.probes = 6
    return parts


def naive_scores(parts, query):
    """Score every document as the index should, by loops in double precision."""
    rotation = np.eye(16) if parts.rotation is None else parts.rotation.astype(np.float64)
    query = rotation @ query
    scores = []
    for row, document in enumerate(DOCUMENTS.astype(np.float64)):
        document = rotation @ document
        base = np.zeros(16)
        if parts.centroids is not None:
            base = parts.centroids[parts.assignment[row]].astype(np.float64)
        read = document - base
        if parts.codebooks is not None:
            width = 16 // len(parts.codebooks)
            for place, book in enumerate(parts.codebooks.astype(np.float64)):
                cut = slice(place * width, (place + 1) * width)
                read[cut] = min(book, key=lambda word: ((word - read[cut]) ** 2).sum())
        scores.append(query @ (base + read))
    return np.array(scores)


@pytest.mark.parametrize("kind", KINDS)
def test_faiss_scores_as_the_parts_say(kind):
    parts = made(kind)
    rng = np.random.default_rng(1)
    # learned parts, whose centroids are no longer nearest to the documents of their lists
    for name in ("centroids", "codebooks"):
        held = getattr(parts, name)
        if held is not None:
            setattr(parts, name, held + rng.normal(scale=0.05, size=held.shape).astype(np.float32))
    index = put_together(parts, DOCUMENTS)
    assert parts.kind == kind
    for query in unit(3, 16, seed=2):
        found, rows = index.search(query[None], 400)
        scores = naive_scores(parts, query.astype(np.float64))
        np.testing.assert_allclose(found[0], scores[rows[0]], atol=1e-4)
        np.testing.assert_allclose(np.sort(found[0]), np.sort(scores), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_those_of_the_saved_index(kind):
    parts = made(kind)
    index = put_together(parts, DOCUMENTS)
    again = take_apart(faiss.deserialize_index(faiss.serialize_index(index)))
    assert again.kind == kind
    assert again.probes == parts.probes
    for name in ("rotation", "centroids", "codebooks", "assignment"):
        np.testing.assert_array_equal(getattr(again, name), getattr(parts, name))


def test_a_stock_index_taken_apart_and_put_together_searches_alike():
    stock = faiss.index_factory(16, "OPQ4,IVF6,PQ4x4", faiss.METRIC_INNER_PRODUCT)
    faiss.downcast_VectorTransform(stock.chain.at(0)).niter = 2
    stock.train(np.concatenate([unit(10_000, 16, seed=3), DOCUMENTS]))
    stock.add(DOCUMENTS)
    faiss.extract_index_ivf(stock).nprobe = 3
    again = put_together(take_apart(stock), DOCUMENTS)
    queries = unit(5, 16, seed=4)
    for mine, theirs in zip(again.search(queries, 20), stock.search(queries, 20), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "named"),
    [
        (faiss.IndexFlatIP(16), "got IndexFlatIP"),
        (faiss.IndexPQ(16, 4, 4), "with metric 1"),
        (faiss.index_factory(16, "PCA8,PQ4x4", faiss.METRIC_INNER_PRODUCT), "rotation"),
        (faiss.index_factory(16, "L2norm,PQ4x4", faiss.METRIC_INNER_PRODUCT), "rotation"),
    ],
)
def test_other_indexes_are_refused(index, named):
    with pytest.raises(StoreError, match=named):
        take_apart(index)


def test_documents_and_lists_must_fit():
    parts = made("ivf_pq")
    with pytest.raises(StoreError, match="lists are known of 400 documents, but 3 came"):
        put_together(parts, DOCUMENTS[:3])
    with pytest.raises(StoreError, match="lists are known of 400 documents, but more came"):
        put_together(parts, [DOCUMENTS, DOCUMENTS[:1]])
    with pytest.raises(ConfigError, match="16 lists or codewords need at least as many"):
        train_parts(DOCUMENTS[:10], "pq", lists=1, parts=4, bits=4)
