"""Take a faiss index for compressed vectors apart, and put one together from its parts.

Kinds (inner product): "pq", "opq", "ivf", "ivf_opq_flat", "ivf_pq", "ivf_opq". A rotation turns all
vectors first (OPQ: T. Ge and others, 2013); centroids cut them into lists (IVF); codebooks hold
what is left, or the vectors themselves where there are no lists (PQ: H. Jegou and others, 2011).
The lists of the documents are a part of their own, so that learned centroids do not move documents
into other lists.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, StoreError

Vectors = NDArray[np.float32]
BLOCK = 65_536
# kind -> (rotation, lists, codes)
KINDS: dict[str, tuple[bool, bool, bool]] = {
    "pq": (False, False, True),
    "opq": (True, False, True),
    "ivf": (False, True, False),
    "ivf_opq_flat": (True, True, False),
    "ivf_pq": (False, True, True),
    "ivf_opq": (True, True, True),
}


@dataclass
class IndexParts:
    """What a compressed index consists of, without the documents' codes.

    Attributes:
        dims: Dimensions of the vectors.
        rotation: Orthogonal matrix (dims, dims), rotated = x @ rotation.T; None: none.
        centroids: Shape (lists, dims), rotated; None: no lists.
        codebooks: Shape (parts, codewords, dims / parts), rotated; None: vectors are kept whole.
        assignment: List of each document, int64, shape (n,); None where there are no lists.
        probes: Lists that a search visits.
    """

    dims: int
    rotation: Vectors | None = None
    centroids: Vectors | None = None
    codebooks: Vectors | None = None
    assignment: NDArray[np.int64] | None = None
    probes: int = 1

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        has = (self.rotation is not None, self.centroids is not None, self.codebooks is not None)
        return next(name for name, parts in KINDS.items() if parts == has)

    def rotate(self, vectors: Vectors) -> Vectors:
        """Turn vectors.

        Args:
            vectors: Shape (n, dims).

        Returns:
            Same shape.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        if self.rotation is None:
            return vectors
        return np.ascontiguousarray(vectors @ self.rotation.T)

    def nearest_lists(self, vectors: Vectors) -> NDArray[np.int64]:
        """Find the nearest centroid (Euclidean) of each vector.

        Args:
            vectors: Shape (n, dims), not rotated.

        Returns:
            Lists, shape (n,).
        """
        import faiss

        assert self.centroids is not None
        nearest = faiss.IndexFlatL2(self.dims)
        nearest.add(np.ascontiguousarray(self.centroids))
        rows = [nearest.search(self.rotate(block), 1)[1][:, 0] for _, block in blocks_of(vectors)]
        return np.concatenate(rows) if rows else np.empty(0, np.int64)


def blocks_of(vectors: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Go through vectors a block at a time; a memory map is never read whole.

    Args:
        vectors: Shape (n, dims).

    Yields:
        Start of the block, and the block as float32.
    """
    for start in range(0, len(vectors), BLOCK):
        yield start, np.ascontiguousarray(vectors[start : start + BLOCK], np.float32)


def train_parts(
    sample: Vectors, kind: str, *, lists: int, parts: int, bits: int, rounds: int = 50
) -> IndexParts:
    """Train the parts as faiss does: k-means for lists and codebooks, OPQ for the rotation.

    Args:
        sample: Vectors, shape (n, dims).
        kind: One of `KINDS`.
        lists: Number of lists.
        parts: Parts of a code.
        bits: Bits a part.
        rounds: Rounds of OPQ.

    Returns:
        The parts; no document is assigned.

    Raises:
        ConfigError: faiss cannot train so many lists or codewords on this sample.
    """
    import faiss

    rotated, listed, coded = KINDS[kind]
    needed = max(lists if listed else 1, 2**bits if coded or rotated else 1)
    if len(sample) < needed:
        raise ConfigError(
            f"{needed} lists or codewords need at least as many training vectors; got "
            f"{len(sample)}: lower lists or bits"
        )
    dims = sample.shape[1]
    # "np": no search for a numbering of codewords whose bits could be compared, which nothing uses
    codes = f"PQ{parts}x{bits}np" if coded else "Flat"
    recipe = f"IVF{lists},{codes}" if listed else codes
    index: Any = faiss.index_factory(dims, recipe, faiss.METRIC_INNER_PRODUCT)
    # faiss warns on stderr below 39 vectors a centroid; a small collection is no mistake
    if listed:
        index.cp.min_points_per_centroid = 1
    if coded:
        index.pq.cp.min_points_per_centroid = 1
    if rotated:
        # lists without codes have no parts of their own: OPQ then balances these
        matrix, books = faiss.OPQMatrix(dims, parts), faiss.ProductQuantizer(dims, parts, bits)
        books.cp.min_points_per_centroid = 1
        matrix.niter, matrix.pq = rounds, books
        index = faiss.IndexPreTransform(matrix, index)
    index.train(np.ascontiguousarray(sample, np.float32))
    return take_apart(index)


def take_apart(index: Any) -> IndexParts:
    """Read the parts of a faiss index.

    Args:
        index: IndexPQ, IndexIVFFlat or IndexIVFPQ, by itself or behind an orthogonal rotation; with
            the inner product.

    Returns:
        Its parts, with the lists of the documents that it holds.

    Raises:
        StoreError: Another kind of index.
    """
    import faiss

    inner, rotation = faiss.downcast_index(index), None
    if isinstance(inner, faiss.IndexPreTransform):
        rotation = _rotation_of(inner)
        inner = faiss.downcast_index(inner.index)
    known = (faiss.IndexPQ, faiss.IndexIVFPQ, faiss.IndexIVFFlat)
    if not isinstance(inner, known) or inner.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise StoreError(
            "a learned index starts from a faiss PQ, IVF-PQ or IVF-Flat index (OPQ before it or "
            "not) with the inner product; "
            f"got {type(inner).__name__} with metric {inner.metric_type}"
        )
    parts = IndexParts(inner.d, rotation)
    if isinstance(inner, (faiss.IndexPQ, faiss.IndexIVFPQ)):
        shape = (inner.pq.M, inner.pq.ksub, inner.pq.dsub)
        parts.codebooks = faiss.vector_to_array(inner.pq.centroids).reshape(shape).copy()
    if isinstance(inner, faiss.IndexIVF):
        if isinstance(inner, faiss.IndexIVFPQ) and not inner.by_residual:
            raise StoreError("the IVF-PQ index must code residuals; got one with by_residual=False")
        parts.centroids = inner.quantizer.reconstruct_n(0, inner.nlist)
        parts.assignment = _assignment_of(inner)
        parts.probes = inner.nprobe
    return parts


def _rotation_of(index: Any) -> Vectors:
    import faiss

    chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
    matrix = chain[0] if len(chain) == 1 else None
    if not isinstance(matrix, faiss.LinearTransform) or matrix.d_in != matrix.d_out:
        names = [type(step).__name__ for step in chain]
        raise StoreError(f"only one rotation may stand before the index; got the chain {names}")
    found = faiss.vector_to_array(matrix.A).reshape(matrix.d_out, matrix.d_in).copy()
    # scores are compared before and after the rotation, so it may not change them
    if not np.allclose(found @ found.T, np.eye(len(found)), atol=1e-3) or matrix.have_bias:
        raise StoreError("the transform before the index must be orthogonal; it is not")
    return np.asarray(found, np.float32)


def _assignment_of(index: Any) -> NDArray[np.int64]:
    import faiss

    out = np.full(index.ntotal, -1, np.int64)
    for place in range(index.nlist):
        size = index.invlists.list_size(place)
        if size:
            ids = faiss.rev_swig_ptr(index.invlists.get_ids(place), size)
            if ids.max() >= len(out) or ids.min() < 0:
                raise StoreError("the documents of the index must be numbered from 0 without gaps")
            out[ids] = place
    return out


def put_together(parts: IndexParts, vectors: Vectors | Iterable[Vectors]) -> Any:
    """Make a plain faiss index of the parts and fill it with documents.

    Args:
        parts: The parts; where there are lists, `assignment` says the list of each vector.
        vectors: Documents, not rotated, shape (n, dims), or blocks of them in the order of rows.

    Returns:
        A faiss index with the inner product, which any faiss loads and searches.

    Raises:
        StoreError: The assignment is not that of these vectors.
    """
    inner, start = _empty_index(parts), 0
    if parts.centroids is not None:
        inner.nprobe = parts.probes
    blocks = (b for _, b in blocks_of(vectors)) if isinstance(vectors, np.ndarray) else vectors
    held = None if parts.centroids is None else np.asarray(parts.assignment)
    for block in blocks:
        _add(inner, held, start, parts.rotate(block))
        start += len(block)
    if held is not None and held.size != start:
        raise StoreError(f"lists are known of {held.size} documents, but {start} came")
    return inner if parts.rotation is None else _behind_rotation(parts.rotation, inner)


def _empty_index(parts: IndexParts) -> Any:
    import faiss

    index: Any
    quantizer: Any = None
    metric = faiss.METRIC_INNER_PRODUCT
    if parts.centroids is not None:
        quantizer = faiss.IndexFlatIP(parts.dims)
        quantizer.add(np.ascontiguousarray(parts.centroids, np.float32))
    lists = 0 if parts.centroids is None else len(parts.centroids)
    if parts.codebooks is None:
        index = faiss.IndexIVFFlat(quantizer, parts.dims, lists, metric)
    else:
        count, words = parts.codebooks.shape[:2]
        bits = words.bit_length() - 1
        if words != 2**bits:
            raise ConfigError(f"a codebook must hold a power of two of codewords; got {words}")
        if quantizer is None:
            index = faiss.IndexPQ(parts.dims, count, bits, metric)
        else:
            index = faiss.IndexIVFPQ(quantizer, parts.dims, lists, count, bits, metric)
        books = np.ascontiguousarray(parts.codebooks, np.float32).ravel()
        faiss.copy_array_to_vector(books, index.pq.centroids)
    if quantizer is not None:
        # the index outlives this function, and with it its quantizer
        quantizer.this.disown()
        index.own_fields = True
    index.is_trained = True
    return index


def _add(index: Any, lists: NDArray[np.int64] | None, start: int, rotated: Vectors) -> None:
    import faiss

    if lists is None:
        index.add(rotated)
        return
    count = len(rotated)
    places = np.ascontiguousarray(lists[start : start + count], np.int64)
    if len(places) < count:
        raise StoreError(f"lists are known of {len(lists)} documents, but more came")
    numbers = np.arange(start, start + count, dtype=np.int64)
    pointer = faiss.swig_ptr
    if isinstance(index, faiss.IndexIVFPQ):
        held: Any = index
        held.add_core_o(count, pointer(rotated), pointer(numbers), None, pointer(places))
    else:
        index.add_core(count, pointer(rotated), pointer(numbers), pointer(places))


def _behind_rotation(rotation: Vectors, inner: Any) -> Any:
    import faiss

    dims = len(rotation)
    matrix = faiss.LinearTransform(dims, dims, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(rotation, np.float32).ravel(), matrix.A)
    matrix.is_trained = matrix.is_orthonormal = True
    index = faiss.IndexPreTransform(matrix, inner)
    index.own_fields = True
    held: Any
    for held in (matrix, inner):
        held.this.disown()
    return index
