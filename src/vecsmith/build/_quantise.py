"""Codes of an index that learn from the training queries, and what that gained.

An index above 50,000 passages finds candidates by short codes and orders them by the vectors
behind. The codes start as faiss makes them; those learned from the scores of the vectors
themselves (see `vecsmith.store.DistillVQ`) take their place if they find more of the exact search's
first ten for queries that were not learned from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Budget, numpy_generator, paired_interval, permutation_p
from vecsmith.store import EXACT_UP_TO, DistillVQ, DistilOptions, index_layout
from vecsmith.store.compressed import (
    CandidateSampling,
    IndexParts,
    dense_lists,
    overlaps,
    search_rows,
)

from ._encode import shards

# below this many passages, codes of 8 bits a part hold little more than the passages themselves
LEAST_PASSAGES = 2_000
LEAST_QUERIES = 200
MOST_QUERIES = 20_000
HELD_OUT = 0.2
MOST_HELD_OUT = 500
BUDGET = Budget(steps=400, epochs=20)
RATE = 3e-3
# of OPQ, as faiss has them
ROUNDS = 50


def wants_codes(wanted: str, count: int) -> bool:
    """Say whether an index gets learned codes.

    Args:
        wanted: "auto", "learned" or "none".
        count: Its passages.

    Returns:
        Whether it does.
    """
    return count >= LEAST_PASSAGES and (
        wanted == "learned" or (wanted == "auto" and count > EXACT_UP_TO)
    )


def some_queries(texts: Iterable[str], seed: int) -> list[str]:
    """Draw as many distinct queries as learning makes use of.

    Args:
        texts: Queries.
        seed: Seed of the draw.

    Returns:
        At most `MOST_QUERIES`.
    """
    known = list(dict.fromkeys(texts))
    rng = numpy_generator(seed, "build", "codes", "queries")
    return [known[place] for place in rng.permutation(len(known))[:MOST_QUERIES]]


def vectors_on_disk(folder: Path, file: Path, count: int, dims: int) -> NDArray[np.float32]:
    """Lay the vectors of the shards out in one file, mapped into memory.

    Args:
        folder: The shards.
        file: The file.
        count: Rows in all.
        dims: Dimensions.

    Returns:
        Shape (count, dims).
    """
    out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, dims))
    start = 0
    for block in shards(folder):
        out[start : start + len(block)] = block
        start += len(block)
    return out


def learn_codes(
    documents: NDArray[np.float32], queries: NDArray[np.float32], *, seed: int
) -> tuple[IndexParts, dict[str, Any]]:
    """Make codes for an index, learned if that helps.

    Args:
        documents: Unit vectors of the passages, shape (n, dims); a memory map will do.
        queries: Unit vectors of training queries, shape (queries, dims).
        seed: Seed of the start, the held-out queries and the order.

    Returns:
        Rotation, centroids, codebooks and the list of each passage; and what was measured.
    """
    lists, parts = index_layout(*documents.shape)
    options = DistilOptions(
        lr_codebooks=RATE,
        sampling=CandidateSampling(top_k=min(200, len(documents))),
        seed=seed,
    )
    vq = DistillVQ(
        "ivf_opq", lists=lists, subvectors=parts, probes=max(4, lists // 16), options=options
    ).init(documents, rotation_rounds=ROUNDS)
    assert vq.parts is not None
    start = replace(vq.parts)
    rng = numpy_generator(seed, "build", "codes", "held out")
    order = rng.permutation(len(queries))
    few = min(int(HELD_OUT * len(order)), MOST_HELD_OUT)
    held_out, train = queries[order[:few]], queries[order[few:]]
    told: dict[str, Any] = {"lists": lists, "bytes": parts, "queries": len(train)}
    if len(train) < LEAST_QUERIES:
        reason = f"{len(train)} queries are too few to learn from ({LEAST_QUERIES} are needed)"
        return start, {**told, "learned": False, "reason": reason}
    exact = dense_lists(held_out, documents, 10)[1]
    before = overlaps(search_rows(vq.to_faiss(), held_out, 10), exact)
    vq.fit(train, budget=BUDGET)
    after = overlaps(search_rows(vq.to_faiss(), held_out, 10), exact)
    better = bool(after.mean() >= before.mean())
    told |= {"learned": better, **_compared(before, after, seed)}
    return (vq.parts if better else start), told


def _compared(before: Any, after: Any, seed: int) -> dict[str, Any]:
    gain = paired_interval(after, before)
    return {
        "held_out": len(before),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "gain": gain.mean,
        "ci95": [gain.low, gain.high],
        "p": permutation_p(after, before, seed=seed),
    }


def carried_parts(
    parts: IndexParts, old_rows: Sequence[int], documents: NDArray[np.float32]
) -> IndexParts:
    """Keep codes when passages come and go: the old ones stay in their lists.

    Args:
        parts: Of the old index.
        old_rows: Row that each passage had in it, -1 for new ones.
        documents: Vectors of all passages, shape (n, dims).

    Returns:
        The parts, with the list of each passage.
    """
    assert parts.assignment is not None
    rows = np.asarray(old_rows, np.int64)
    lists = np.where(rows >= 0, parts.assignment[np.maximum(rows, 0)], -1)
    new = np.flatnonzero(lists < 0)
    lists[new] = parts.nearest_lists(documents[new])
    return replace(parts, assignment=lists)
