import numpy as np
import pytest

from vecsmith.core import ConfigError, StoreError
from vecsmith.store import (
    _vectors,
    build_vectors,
    index_parts,
    index_recipe,
    load_vectors,
    reconstruct,
    save_vectors,
    search_vectors,
)
from vecsmith.store._vectors import EXACT_UP_TO
from vecsmith.store.compressed import train_parts


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(count, dims, seed=0, clusters=300):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dims))
    return unit(centres[rng.integers(0, clusters, count)] + 0.4 * rng.normal(size=(count, dims)))


def exact(vectors, queries, k):
    cosines = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return cosines, np.argsort(-cosines, axis=1)[:, :k]


@pytest.fixture(scope="module")
def vectors():
    return clustered(500, 24)


@pytest.fixture(scope="module")
def queries():
    return clustered(20, 24, seed=1)


def test_recipes_by_count_and_precision():
    assert index_recipe(0, 32) == index_recipe(EXACT_UP_TO, 32) == "Flat"
    assert index_recipe(EXACT_UP_TO, 32, "int8") == "SQ8"
    # 4 sqrt(n) lists, rounded down to a power of two; at least four dimensions a part.
    assert index_recipe(EXACT_UP_TO + 1, 384) == "OPQ64,IVF512,PQ64np,Refine(SQfp16)"
    assert index_recipe(1_000_000, 32, "int8") == "OPQ8,IVF2048,PQ8np,Refine(SQ8)"
    assert index_recipe(60_000, 7).startswith("OPQ1,")
    with pytest.raises(ConfigError, match="float16"):
        index_recipe(10, 32, "float16")


@pytest.mark.parametrize("dims", [1, 2, 3, 5, 300, 384, 768, 1023])
def test_every_width_has_a_recipe(dims):
    parts = int(index_recipe(60_000, dims).split(",")[0].removeprefix("OPQ"))
    assert dims % parts == 0


def test_the_flat_index_is_exact(vectors, queries):
    index = build_vectors(np.array_split(vectors, 3), 500, 24)
    cosines, rows = search_vectors(index, queries, 10)
    want, order = exact(vectors, queries, 10)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(cosines, np.take_along_axis(want, order, 1), atol=1e-6)
    np.testing.assert_array_equal(reconstruct(index, np.array([499, 0])), vectors[[499, 0]])


def test_eight_bits_keep_the_neighbours(vectors, queries):
    index = build_vectors([vectors], 500, 24, precision="int8")
    cosines, rows = search_vectors(index, queries, 10)
    want, order = exact(vectors, queries, 10)
    shared = [len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, order, strict=True)]
    assert np.mean(shared) > 0.9
    np.testing.assert_allclose(cosines, np.take_along_axis(want, rows, 1), atol=0.02)
    np.testing.assert_allclose(reconstruct(index, np.arange(9)), vectors[:9], atol=0.01)


def test_few_and_no_rows(vectors, queries):
    cosines, rows = search_vectors(build_vectors([vectors[:3]], 3, 24), queries, 10)
    assert rows.shape == cosines.shape == (20, 3)
    cosines, rows = search_vectors(build_vectors([], 0, 24), queries, 10)
    assert rows.shape == (20, 0) and rows.dtype == np.int64
    with pytest.raises(StoreError, match="hold 500 rows, the table 501"):
        build_vectors([vectors], 501, 24)


@pytest.fixture(scope="module")
def large():
    """The recipe of many rows on few, so that its training takes a moment."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    vectors = clustered(1600, 8, clusters=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_vectors, "EXACT_UP_TO", 1000)
        index = build_vectors(np.array_split(vectors, 4), 1600, 8, train=vectors[::2])
    faiss.omp_set_num_threads(threads)
    return vectors, index


def test_many_rows_are_found_without_looking_at_all(large):
    vectors, index = large
    queries = clustered(100, 8, seed=1, clusters=100)
    cosines, rows = search_vectors(index, queries, 10)
    want, order = exact(vectors, queries, 10)
    shared = [len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, order, strict=True)]
    assert np.mean(shared) > 0.9
    # Refinement gives the cosines of the vectors in half precision, not of their codes.
    np.testing.assert_allclose(cosines, np.take_along_axis(want, rows, 1), atol=2e-3)
    np.testing.assert_allclose(reconstruct(index, np.arange(50)), vectors[:50], atol=1e-3)


@pytest.mark.parametrize("which", ["flat", "int8", "large"])
def test_an_index_survives_its_file(which, vectors, queries, large, tmp_path):
    if which == "large":
        index, queries = large[1], unit(queries[:, :8])
    else:
        index = build_vectors([vectors], 500, 24, precision="float32" if which == "flat" else which)
    path = tmp_path / "vectors.faiss"
    save_vectors(index, path)
    for one, two in zip(
        search_vectors(index, queries, 10),
        search_vectors(load_vectors(path), queries, 10),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)
    some = np.array([3, 1])
    np.testing.assert_array_equal(reconstruct(load_vectors(path), some), reconstruct(index, some))
    assert [file.name for file in tmp_path.iterdir()] == ["vectors.faiss"]


@pytest.mark.parametrize("kept", [0, 3, 200, -7])
def test_a_damaged_file_is_named(vectors, tmp_path, kept):
    path = tmp_path / "vectors.faiss"
    save_vectors(build_vectors([vectors], 500, 24), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StoreError, match=r"vectors\.faiss' is damaged"):
        load_vectors(path)


def test_a_foreign_or_missing_file_is_named(tmp_path):
    with pytest.raises(StoreError, match="is missing"):
        load_vectors(tmp_path / "vectors.faiss")
    (tmp_path / "vectors.faiss").write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(StoreError, match="is damaged"):
        load_vectors(tmp_path / "vectors.faiss")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_given_parts_are_used_and_read_back(precision, tmp_path):
    vectors = clustered(3000, 32)
    parts = train_parts(vectors, "ivf_opq", lists=16, parts=8, bits=6, rounds=3)
    parts.assignment = parts.nearest_lists(vectors)
    blocks = np.array_split(vectors, 4)
    index = build_vectors(blocks, 3000, 32, precision=precision, train=vectors, parts=parts)
    save_vectors(index, tmp_path / "vectors.faiss")
    index = load_vectors(tmp_path / "vectors.faiss")
    again = index_parts(index)
    for name in ("rotation", "centroids", "codebooks", "assignment"):
        np.testing.assert_array_equal(getattr(again, name), getattr(parts, name))
    atol = 1e-3 if precision == "float32" else 2e-2
    np.testing.assert_allclose(reconstruct(index, np.arange(3000)), vectors, atol=atol)
    queries = clustered(50, 32, seed=1)
    cosines, rows = search_vectors(index, queries, 10)
    _, wanted = exact(vectors, queries, 10)
    assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows, wanted, strict=True)]) > 7
    np.testing.assert_allclose(
        cosines, np.take_along_axis(queries @ vectors.T, rows, 1), atol=10 * atol
    )
    # with most rows hidden, searched through the codes all the same
    shown = np.arange(0, 3000, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_vectors, "_FEW_ROWS", 10)
        _, rows = search_vectors(index, queries, 10, rows=shown)
    assert np.isin(rows, shown).all()


def test_an_index_without_codes_has_no_parts():
    assert index_parts(build_vectors([clustered(10, 4)], 10, 4)) is None
