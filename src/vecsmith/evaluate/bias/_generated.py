"""Analogies that vectors make by themselves: "she is to x as he is to y", for all words x and y.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016). Over unit vectors, for a seed pair (a, b):

    S(x, y) = cos(a - b, x - y)  if |x - y| <= delta, else 0

Pairs by falling score, each word at most once on each side. The paper asked crowd workers which of
150 such pairs are stereotypes: read the list; `specific_share` only counts the pairs of words that
hold the concept by definition. Exact: words are sorted along a - b, and each is compared with those
after it. Cost: half of a product of the table with itself; `device` puts it on an accelerator for
large tables.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from vecsmith.core import ConfigError, require
from vecsmith.encode.words import WordVectors

_ROWS = 2048


class GeneratedAnalogy(NamedTuple):
    """One pair.

    Attributes:
        first: Word on the side of the seed's first.
        second: Word on the side of the seed's second.
        score: Cosine of the two differences.
    """

    first: str
    second: str
    score: float


def generate_analogies(
    vectors: WordVectors,
    seed: tuple[str, str] = ("she", "he"),
    *,
    delta: float = 1.0,
    topn: int = 150,
    limit: int | None = None,
    device: str = "cpu",
) -> list[GeneratedAnalogy]:
    """List the pairs of words that differ most like the seed.

    Args:
        vectors: Word vectors.
        seed: Two words.
        delta: Largest distance of two unit vectors that counts as alike.
        topn: How many pairs.
        limit: Only the first so many words of the table; None takes all.
        device: Torch device of the products.

    Returns:
        Pairs by falling score, each word once a side; fewer where no more pass.

    Raises:
        DataError: A seed word has no vector.
        ConfigError: A number out of its range, or seeds with equal vectors.
    """
    torch = require("torch", "train")
    if not 0 < delta <= 2 or topn < 1 or (limit is not None and limit < 2):
        raise ConfigError(
            "delta must lie above 0 and up to 2, topn be at least 1, limit at least 2; "
            f"got {delta}, {topn} and {limit}"
        )
    table = torch.from_numpy(vectors.vectors[:limit]).to(device)
    table = torch.nn.functional.normalize(table, dim=1)
    ends = torch.from_numpy(vectors[list(seed)]).to(device)
    gap = torch.nn.functional.normalize(ends, dim=1).double()
    difference = gap[0] - gap[1]
    if difference.norm() < 1e-6:
        raise ConfigError(f"the words of the seed {seed} have equal vectors; take two that differ")
    direction = (difference / difference.norm()).float()
    order = torch.argsort(table @ direction, descending=True)
    table, names = table[order], [vectors.words[i] for i in order.tolist()]
    kept = 64 * topn
    while True:
        rows, columns, scores, whole = _candidates(table, direction, delta, kept)
        found = _once_a_side(rows, columns, scores, topn)
        # with all pairs at hand, or enough of the best, nothing that was cut can matter
        if len(found) == topn or whole:
            return [GeneratedAnalogy(names[i], names[j], s) for i, j, s in found]
        kept *= 8


def _candidates(table: Any, direction: Any, delta: float, kept: int) -> tuple[Any, Any, Any, bool]:
    """The best pairs: rows, columns, scores, and whether these are all that pass."""
    torch = require("torch", "train")
    side = table @ direction
    near = 1 - 0.5 * delta * delta
    best = (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    least, whole = 0.0, True
    for start in range(0, len(table), _ROWS):
        # words that lie further towards the first seed stand before: only those pairs score above 0
        for other in range(start, len(table), _ROWS):
            cosines = table[start : start + _ROWS] @ table[other : other + _ROWS].T
            gaps = side[start : start + _ROWS, None] - side[None, other : other + _ROWS]
            scores = gaps / (2 - 2 * cosines).clamp_min(1e-12).sqrt()
            # the same vector twice differs by rounding alone
            passes = (cosines >= near) & (gaps > 1e-6) & (scores > least)
            i, j = passes.nonzero(as_tuple=True)
            fresh = ((i + start).cpu(), (j + other).cpu(), scores[i, j].cpu())
            best = tuple(torch.cat(pair) for pair in zip(best, fresh, strict=True))
            if len(best[2]) > 2 * kept:
                top = best[2].topk(kept)
                best = tuple(part[top.indices] for part in best)
                least, whole = float(top.values[-1]), False
    return *best, whole


def _once_a_side(rows: Any, columns: Any, scores: Any, topn: int) -> list[tuple[int, int, float]]:
    left: set[int] = set()
    right: set[int] = set()
    found = []
    # equal scores by place, so that blocks do not matter
    for k in np.lexsort((columns.numpy(), rows.numpy(), -scores.numpy())):
        i, j = int(rows[k]), int(columns[k])
        if i in left or j in right:
            continue
        left.add(i)
        right.add(j)
        found.append((i, j, float(scores[k])))
        if len(found) == topn:
            break
    return found


def specific_share(analogies: list[GeneratedAnalogy], specific: Collection[str]) -> float:
    """Share of the pairs whose words both hold the concept by definition.

    Args:
        analogies: From `generate_analogies`.
        specific: Words that hold it.

    Returns:
        From 0 to 1; NaN without pairs.
    """
    if not analogies:
        return float("nan")
    known = set(specific)
    return float(np.mean([pair.first in known and pair.second in known for pair in analogies]))
