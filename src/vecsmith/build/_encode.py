"""Step 3: passages -> vectors in shards that survive a kill, and the choice of the backend."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import atomic_path, progress
from vecsmith.data import Pair
from vecsmith.encode import Encoder, OpenVinoEncoder, fast_precisions, load_encoder, set_precision
from vecsmith.evaluate import metric_values
from vecsmith.store import EXACT_UP_TO, PassageTable, build_vectors, reconstruct
from vecsmith.store.compressed import IndexParts

SHARD = 1024
ALLOWED_LOSS = 0.005


def choose_backend(folder: Path, pairs: Sequence[Pair], wanted: str) -> dict[str, Any]:
    """Measure the precisions of an exported encoder; keep the fastest that loses next to nothing.

    Args:
        folder: Exported encoder.
        pairs: Some hundred pairs: queries with the passages that answer them.
        wanted: "auto", or a precision that is taken as it is.

    Returns:
        The precision, with texts per second and nDCG@10 of each.
    """
    encoder = load_encoder(folder)
    if not isinstance(encoder, OpenVinoEncoder):
        return {"precision": "torch"}
    names = [wanted] if wanted != "auto" else fast_precisions()
    measured: dict[str, dict[str, float]] = {}
    if len(names) > 1 and len(pairs) >= 20:
        for name in names:
            measured[name] = _measure(OpenVinoEncoder(folder, precision=name), pairs)
        floor = measured["f32"]["ndcg@10"] * (1 - ALLOWED_LOSS)
        fine = [name for name in names if measured[name]["ndcg@10"] >= floor]
        names = sorted(fine, key=lambda name: -measured[name]["texts_per_second"])
    set_precision(folder, names[0])
    return {"precision": names[0], "measured": measured}


def _measure(encoder: OpenVinoEncoder, pairs: Sequence[Pair]) -> dict[str, float]:
    texts = [pair.positive for pair in pairs]
    encoder.encode(texts[:8])
    started = time.perf_counter()
    documents = encoder.encode(texts)
    seconds = time.perf_counter() - started
    queries = encoder.encode([pair.query for pair in pairs], kind="query")
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    scores = [metric_values(row.tolist(), {i})["ndcg@10"] for i, row in enumerate(order)]
    return {"texts_per_second": len(texts) / seconds, "ndcg@10": float(np.mean(scores))}


def encode_passages(
    table: PassageTable,
    encoder: Encoder,
    folder: Path,
    *,
    label: str,
    known: dict[str, tuple[Any, int]] | None = None,
    after: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Encode all passages into shards of 1,024; finished shards are not made again.

    Args:
        table: The passages.
        encoder: The encoder.
        folder: Where the shards go.
        label: Words for the progress bar.
        known: Passage hash -> (index, row) of vectors that are at hand.
        after: Called after each new shard with the number of passages that are done.

    Returns:
        How many passages were encoded and how many vectors were taken over.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    count, encoded = len(table), 0
    bar = progress(None, f"encoding ({label})", total=count, unit="passage")
    for start in range(0, count, SHARD):
        path = folder / f"{start:09d}.safetensors"
        stop = min(start + SHARD, count)
        if not path.exists():
            passages = [stored.passage for stored in table.passages(start, stop)]
            vectors, fresh = _vectors_of(passages, encoder, known or {})
            encoded += fresh
            with atomic_path(path) as temporary:
                save_file({"vectors": vectors}, temporary)
            if after is not None:
                after(stop)
        bar.update(stop - start)
    bar.close()
    return {"encoded": encoded, "reused": count - encoded}


def _vectors_of(
    passages: Sequence[Any], encoder: Encoder, known: dict[str, tuple[Any, int]]
) -> tuple[NDArray[np.float32], int]:
    vectors = np.empty((len(passages), encoder.stamp.dims), dtype=np.float32)
    hashes = [passage.hash if known else "" for passage in passages]
    old = [place for place, name in enumerate(hashes) if name in known]
    new = [place for place, name in enumerate(hashes) if name not in known]
    if old:
        index = known[hashes[old[0]]][0]
        rows = np.array([known[hashes[place]][1] for place in old], dtype=np.int64)
        vectors[old] = reconstruct(index, rows)
    if new:
        vectors[new] = encoder.encode([passages[place].content for place in new])
    return vectors, len(new)


Changed = tuple[NDArray[np.int64], NDArray[np.float32]]


def shards(folder: Path, changed: Changed | None = None) -> Iterator[NDArray[np.float32]]:
    """Stream the vectors of `encode_passages`, in the order of rows.

    Args:
        folder: The shards.
        changed: Rows and the vectors that stand in for theirs.

    Yields:
        Arrays (rows, dims).
    """
    from safetensors.numpy import load_file

    start = 0
    for path in sorted(folder.glob("*.safetensors")):
        block = load_file(path)["vectors"]
        if changed is not None:
            rows, vectors = changed
            inside = (rows >= start) & (rows < start + len(block))
            block[rows[inside] - start] = vectors[inside]
        start += len(block)
        yield block


def index_shards(
    folder: Path,
    count: int,
    dims: int,
    *,
    int8: bool,
    seed: int,
    changed: Changed | None = None,
    parts: IndexParts | None = None,
) -> Any:
    """Build the faiss index of the shards.

    Args:
        folder: The shards.
        count: Rows in all.
        dims: Dimensions.
        int8: Keep 8 bits a number.
        seed: Seed of the training sample.
        changed: Rows and the vectors that stand in for theirs.
        parts: Codes that are to be used; None makes new ones where the index needs some.

    Returns:
        A faiss index.
    """
    rng = np.random.default_rng(seed)
    # The ranges of 8-bit numbers need fewer rows than the centres of a large index, but from all
    # over: the first shard holds the first few documents alone.
    share = min(1.0, (100_000 if count > EXACT_UP_TO else 16_384) / max(count, 1))
    train = None
    if int8 or count > EXACT_UP_TO:
        picked = [block[rng.random(len(block)) < share] for block in shards(folder, changed)]
        train = np.concatenate(picked)
    precision = "int8" if int8 else "float32"
    blocks = shards(folder, changed)
    return build_vectors(blocks, count, dims, precision=precision, train=train, parts=parts)
