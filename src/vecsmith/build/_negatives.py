"""Hard negatives for the training pairs, mined with the base model's own vectors.

For each query the nearest passages of other groups are candidates. A candidate that the judge of
relevance (the guide, where it proved better than the student; the base model otherwise) finds about
as near as the positive is taken for an unlabelled positive and left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecsmith.core import progress
from vecsmith.data import Pair
from vecsmith.encode import Encoder
from vecsmith.store import PassageTable, search_vectors

# A candidate above this share of the positive's similarity may well be right itself.
RELATIVE_MARGIN = 0.95
_DEPTH = 30
_BLOCK = 1024


def mine_negatives(
    pairs: Sequence[Pair],
    encoder: Encoder,
    index: Any,
    groups: Sequence[int],
    *,
    enough: int,
) -> list[int]:
    """Find one hard negative for each pair, until there are enough.

    Args:
        pairs: Training pairs.
        encoder: Encoder of the index's vectors.
        index: faiss index of all passages.
        groups: Group of each passage row.
        enough: Negatives after which no more pairs are looked at.

    Returns:
        For each pair that was looked at the row of its negative, or -1 where none is safe.
    """
    of_row = np.asarray(groups, dtype=np.int64)
    chosen: list[int] = []
    for start in progress(range(0, len(pairs), _BLOCK), "mining negatives", unit="block"):
        if sum(row >= 0 for row in chosen) >= enough:
            break
        block = pairs[start : start + _BLOCK]
        queries = encoder.encode([pair.query for pair in block], kind="query")
        positives = encoder.encode([pair.positive for pair in block])
        own = (queries * positives).sum(axis=1)
        cosines, rows = search_vectors(index, queries, _DEPTH)
        for pair, limit, near, scores in zip(block, own, rows, cosines, strict=True):
            fine = (near >= 0) & (of_row[near] != pair.group) & (scores < RELATIVE_MARGIN * limit)
            places = np.flatnonzero(fine)
            chosen.append(int(near[places[0]]) if len(places) else -1)
    return chosen


def near_others(
    pairs: Sequence[Pair],
    encoder: Encoder,
    index: Any,
    groups: Sequence[int],
    *,
    each: int = 3,
) -> list[int]:
    """Find the passages of other groups that lie nearest to the queries of held-out pairs.

    Args:
        pairs: Held-out pairs.
        encoder: Encoder of the index's vectors.
        index: faiss index of all passages.
        groups: Group of each passage row.
        each: Passages a query.

    Returns:
        Distinct rows, those of the pairs left out.
    """
    if not pairs:
        return []
    of_row = np.asarray(groups, dtype=np.int64)
    _, rows = search_vectors(
        index, encoder.encode([pair.query for pair in pairs], kind="query"), _DEPTH
    )
    found: set[int] = set()
    for pair, near in zip(pairs, rows, strict=True):
        fine = near[(near >= 0) & (of_row[near] != pair.group)]
        found.update(int(row) for row in fine[:each])
    return sorted(found - {pair.row for pair in pairs})


def negative_texts(rows: Sequence[int], table: PassageTable) -> dict[int, str]:
    """Read the contents of mined negatives.

    Args:
        rows: Rows; -1 is left out.
        table: The passages.

    Returns:
        Row -> content.
    """
    wanted = sorted({row for row in rows if row >= 0})
    return {stored.row: stored.passage.content for stored in table.take(wanted)}
