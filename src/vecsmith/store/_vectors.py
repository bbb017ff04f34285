"""Vector index on faiss: exact up to 50,000 passages, then OPQ + IVF-PQ with refinement.

All indexes hold unit vectors under the inner product, which is the cosine.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, StoreError, atomic_path

from .compressed._index_parts import IndexParts, put_together, take_apart

EXACT_UP_TO = 50_000
PRECISIONS = ("float32", "int8")
_TRAIN_ROWS = 100_000
_WANTED_RECALL = 0.97
_FEW_ROWS = 20_000


def index_recipe(count: int, dims: int, precision: str = "float32") -> str:
    """Choose the faiss factory string for a number of vectors.

    Args:
        count: Vectors to hold.
        dims: Their dimensions.
        precision: "float32" or "int8" (a quarter of the memory).

    Returns:
        A string for `faiss.index_factory`.

    Raises:
        ConfigError: Another precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {PRECISIONS}; got {precision!r}")
    exact = "Flat" if precision == "float32" else "SQ8"
    if count <= EXACT_UP_TO:
        return exact
    lists, parts = index_layout(count, dims)
    # "np": no search for a numbering of codewords whose bits could be compared; nothing uses it,
    # and it takes two seconds a part
    return f"OPQ{parts},IVF{lists},PQ{parts}np,Refine({'SQfp16' if exact == 'Flat' else exact})"


def index_layout(count: int, dims: int) -> tuple[int, int]:
    """Choose lists and parts of a code.

    Args:
        count: Vectors to hold, at least one.
        dims: Their dimensions.

    Returns:
        Lists (about 4 sqrt(count)), and parts of 8 bits, at least four dimensions each.
    """
    fit = (m for m in (64, 48, 32, 24, 16, 8, 4, 2) if dims % m == 0 and dims // m >= 4)
    return 2 ** int(np.log2(4 * np.sqrt(count))), next(fit, 1)


def build_vectors(
    blocks: Iterable[NDArray[np.float32]],
    count: int,
    dims: int,
    *,
    precision: str = "float32",
    train: NDArray[np.float32] | None = None,
    parts: IndexParts | None = None,
) -> Any:
    """Build an index from blocks of unit vectors.

    Args:
        blocks: Arrays (rows, dims) in the order of rows.
        count: Rows in all blocks together.
        dims: Dimensions.
        precision: "float32" or "int8".
        train: Sample for what must be trained; needed above `EXACT_UP_TO`, else made from the first
            block.
        parts: Rotation, centroids and codebooks that are to be used, with the list of each vector
            (see `index_parts`); the vectors themselves lie behind the codes, as they do in every
            index above `EXACT_UP_TO`.

    Returns:
        A faiss index with `count` rows.

    Raises:
        StoreError: The blocks do not hold `count` rows.
    """
    import faiss

    if parts is not None:
        behind = "SQfp16" if precision == "float32" else "SQ8"
        whole = faiss.index_factory(dims, behind, faiss.METRIC_INNER_PRODUCT)
        return _refined(blocks, parts, whole, train)
    recipe = index_recipe(count, dims, precision)
    index = faiss.index_factory(dims, recipe, faiss.METRIC_INNER_PRODUCT)
    if count == 0:
        return index
    for block in blocks:
        if not index.is_trained:
            sample = block if train is None else train[:_TRAIN_ROWS]
            index.train(np.ascontiguousarray(sample, dtype=np.float32))
        index.add(np.ascontiguousarray(block, dtype=np.float32))
    if index.ntotal != count:
        raise StoreError(f"the vector blocks hold {index.ntotal} rows, the table {count}")
    if count > EXACT_UP_TO:
        _tune(index, min(count, 200))
    return index


def _refined(
    blocks: Iterable[NDArray[np.float32]], parts: IndexParts, whole: Any, train: Any
) -> Any:
    """Codes made with given parts, and the vectors behind them."""
    import faiss

    def into_both() -> Iterable[NDArray[np.float32]]:
        for block in blocks:
            rows = np.ascontiguousarray(block, np.float32)
            if not whole.is_trained:
                whole.train(rows if train is None else train)
            whole.add(rows)
            yield rows

    coded: Any = put_together(parts, into_both())
    index = faiss.IndexRefine(coded, whole)
    index.own_fields = index.own_refine_index = True
    for held in (coded, whole):
        held.this.disown()
    _tune(index, min(index.ntotal, 200))
    return index


def index_parts(index: Any) -> IndexParts | None:
    """Read the parts of a coded index that has the vectors themselves behind the codes.

    Args:
        index: A faiss index of `build_vectors`.

    Returns:
        Rotation, centroids, codebooks and the list of each vector; None for an index without codes.
    """
    if getattr(index, "refine_index", None) is None:
        return None
    return take_apart(index.base_index)


def _tune(index: Any, samples: int) -> None:
    """Double the visited lists until the sample's neighbours are found at the wanted recall."""
    import faiss

    rows = np.linspace(0, index.ntotal - 1, samples).astype(np.int64)
    queries = reconstruct(index, rows)
    index.k_factor = 4
    inner = faiss.extract_index_ivf(index)
    inner.nprobe = inner.nlist
    _, exact = index.search(queries, 10)
    probes = 4
    while probes < inner.nlist:
        inner.nprobe = probes
        _, found = index.search(queries, 10)
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
        if np.mean(hits) / 10 >= _WANTED_RECALL:
            return
        probes *= 2
    inner.nprobe = inner.nlist


def reconstruct(index: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read vectors back from an index (exact for float32, rounded for int8 and fp16).

    Args:
        index: A faiss index of `build_vectors`.
        rows: Row numbers.

    Returns:
        Shape (rows, dims).
    """
    held, store = index, getattr(index, "refine_index", None)
    if store is not None:
        import faiss

        # A view into `index`, which must stay referenced until the vectors are out.
        held = faiss.downcast_index(store)
    return np.asarray(held.reconstruct_batch(np.ascontiguousarray(rows, np.int64)), np.float32)


def search_vectors(
    index: Any,
    queries: NDArray[np.float32],
    k: int,
    *,
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the nearest passages.

    Args:
        index: A faiss index.
        queries: Unit vectors (queries, dims).
        k: How many.
        rows: Rows to look among, ascending; by default all. A few are compared exactly, many go
            through the index with the others hidden from it.

    Returns:
        Cosines and rows, both (queries, min(k, rows)), best first; a place that the index could not
        fill has the row -1.
    """
    k = min(k, index.ntotal if rows is None else len(rows))
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    queries = np.ascontiguousarray(queries, np.float32)
    if rows is not None and len(rows) <= _FEW_ROWS:
        return _search_few(index, queries, k, rows)
    cosines, found = index.search(queries, k, params=_only(index, rows))
    return cosines, found


def _search_few(
    index: Any, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    cosines = queries @ reconstruct(index, rows).T
    order = np.lexsort((np.broadcast_to(rows, cosines.shape), -cosines))[:, :k]
    return np.take_along_axis(cosines, order, axis=1), rows[order]


def _only(index: Any, rows: NDArray[np.int64] | None) -> Any:
    """Return search parameters that keep an index's own and hide all other rows."""
    # Its type stubs do not know the keywords.
    faiss: Any = importlib.import_module("faiss")

    if rows is None:
        return None
    shown = np.zeros(index.ntotal, bool)
    shown[rows] = True
    selector = faiss.IDSelectorBitmap(np.packbits(shown, bitorder="little"))
    if getattr(index, "refine_index", None) is None:
        return faiss.SearchParameters(sel=selector)
    inner = faiss.SearchParametersIVF(sel=selector, nprobe=faiss.extract_index_ivf(index).nprobe)
    turned = faiss.SearchParametersPreTransform(index_params=inner)
    return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=turned)


def save_vectors(index: Any, path: str | Path) -> None:
    """Write an index atomically; plain faiss reads it.

    Args:
        index: A faiss index.
        path: The file.

    Raises:
        StoreError: The file cannot be written.
    """
    import faiss

    with atomic_path(path) as temporary:
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError as error:
            raise StoreError(f"cannot write {str(path)!r}: {error}; free space") from error


def load_vectors(path: str | Path) -> Any:
    """Read an index.

    Args:
        path: File of `save_vectors`.

    Returns:
        The faiss index.

    Raises:
        StoreError: Missing or damaged.
    """
    import faiss

    if not Path(path).is_file():
        raise StoreError(f"{str(path)!r} is missing from the index; build it again")
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise StoreError(
            f"{str(path)!r} is damaged and cannot be read as a faiss index; build it again"
        ) from error
    return index
