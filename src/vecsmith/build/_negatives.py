"""Hard negatives for the training pairs, mined with the base model's own vectors.

For each query the nearest passages of other groups are candidates. A candidate that the judge of
relevance (the guide, where it proved better than the student; the base model otherwise) finds about
as near as the positive is taken for an unlabelled positive and left out.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import progress
from vecsmith.data import Pair
from vecsmith.encode import Encoder
from vecsmith.store import PassageTable, search_vectors

if TYPE_CHECKING:
    from vecsmith.train import GuideCache

# A candidate less than this share below the positive's similarity may well be right itself.
MARGIN = 0.05
_DEPTH = 30
# A guide reads the nearest few of the candidates, each of which it has to encode.
_JUDGED = 8
_BLOCK = 1024


def mine_negatives(
    pairs: Sequence[Pair],
    encoder: Encoder,
    index: Any,
    table: PassageTable,
    groups: Sequence[int],
    *,
    enough: int,
    allowed: Collection[int],
    guide: "GuideCache | None" = None,
) -> list[int]:
    """Find one hard negative for each pair, until there are enough.

    Args:
        pairs: Training pairs.
        encoder: Encoder of the index's vectors.
        index: faiss index of all passages.
        table: The passages.
        groups: Group of each passage row.
        enough: Negatives after which no more pairs are looked at.
        allowed: Groups that negatives may come from: training on the passages of held-out groups,
            even as wrong answers, would teach the model not to find them.
        guide: Judges the candidates in place of the base model.

    Returns:
        For each pair that was looked at the row of its negative, or -1 where none is safe.
    """
    from vecsmith.train import NegativeFilter

    rule = NegativeFilter(MARGIN, "relative")
    of_row = np.asarray(groups, dtype=np.int64)
    usable = np.isin(of_row, np.fromiter(allowed, np.int64))
    chosen: list[int] = []
    for start in progress(range(0, len(pairs), _BLOCK), "mining negatives", unit="block"):
        if sum(row >= 0 for row in chosen) >= enough:
            break
        block = pairs[start : start + _BLOCK]
        queries = encoder.encode([pair.query for pair in block], kind="query")
        cosines, rows = search_vectors(index, queries, _DEPTH)
        own_group = np.array([[pair.group] for pair in block])
        safe = (rows >= 0) & usable[rows] & (of_row[rows] != own_group)
        if guide is None:
            positives = encoder.encode([pair.positive for pair in block])
            own = (queries * positives).sum(axis=1)
            safe &= ~rule.dropped(cosines, own)
        else:
            safe &= safe.cumsum(axis=1) <= _JUDGED
            safe &= _safe_for(guide, block, rows, safe, table)
        first = safe.argmax(axis=1)
        nearest = np.where(safe.any(axis=1), rows[np.arange(len(block)), first], -1)
        chosen.extend(int(row) for row in nearest)
    return chosen


def _safe_for(
    guide: "GuideCache",
    pairs: Sequence[Pair],
    rows: NDArray[np.int64],
    asked: NDArray[np.bool_],
    table: PassageTable,
) -> NDArray[np.bool_]:
    """Tell which of the candidates asked for the guide finds clearly farther than the positive."""
    from vecsmith.train import guided_filter

    queries = guide.vectors([p.query for p in pairs], prompt=guide.prompt_of("anchor"))
    positives = guide.vectors([p.positive for p in pairs], prompt=guide.prompt_of("positive"))
    texts = negative_texts(rows[asked].tolist(), table)
    known = list(texts)
    passages = guide.vectors(list(texts.values()), prompt=guide.prompt_of("negative"))
    candidates = np.zeros((*rows.shape, queries.shape[1]), np.float16)
    candidates[asked] = passages[np.searchsorted(known, rows[asked])]
    safe = guided_filter(queries, positives, candidates, MARGIN, "relative")
    return np.asarray(safe & asked, dtype=np.bool_)


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
