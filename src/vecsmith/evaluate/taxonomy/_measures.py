"""How far mapped concepts lie from the right ones.

accuracy@k is the part of the phrases with a right concept among the first k; a parent of the right
one is no hit. Distances are steps in the taxonomy from the first concept to the nearest right one,
since a near miss is worth more than a far one.
"""

import unicodedata
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError
from vecsmith.data.taxonomy import Taxonomy


@dataclass(frozen=True)
class MappingReport:
    """Measures of mapped phrases.

    Attributes:
        accuracy: k -> part of the phrases with a right concept among the first k.
        mean_distance: Mean steps from the first concept to the nearest right one, over the phrases
            that have both in one part of the graph; NaN without any.
        within_1: Part of all phrases at most one step off.
        within_2: At most two steps off.
        unmapped: Phrases without a concept, which count as wrong everywhere.
        unreached: Phrases whose concept lies in another part of the graph than the right ones.
        count: Number of phrases.
        distances: Steps of each phrase, infinite where there are none, shape (count,).
    """

    accuracy: dict[int, float]
    mean_distance: float
    within_1: float
    within_2: float
    unmapped: int
    unreached: int
    count: int
    distances: NDArray[np.float64] = field(repr=False)


def evaluate_mapping(
    found: Sequence[Sequence[Hashable]],
    gold: Sequence[Collection[Hashable]],
    taxonomy: Taxonomy,
    *,
    ks: Sequence[int] = (1, 5, 10),
) -> MappingReport:
    """Measure mapped phrases.

    Args:
        found: Ids of each phrase, best first; as many as the largest k, or fewer where there are.
        gold: Right ids of each phrase, at least one.
        taxonomy: Graph that distances are counted in.
        ks: Places that count as found.

    Returns:
        The measures.

    Raises:
        DataError: No phrase, other lengths, a phrase without a right id, a k below 1, or an
            unknown id.
    """
    if not len(found) or len(found) != len(gold):
        raise DataError(
            f"found and gold must be as many, at least one; got {len(found)} and {len(gold)}"
        )
    if not ks or min(ks) < 1:
        raise DataError(f"ks must be whole numbers from 1; got {ks}")
    bare = next((row for row, right in enumerate(gold) if isinstance(right, str) or not right), -1)
    if bare >= 0:
        raise DataError(
            f"phrase {bare} needs a list of right concepts, one at least; got {gold[bare]!r}: "
            "leave out phrases that have no target"
        )
    hits = {k: [bool(set(f[:k]) & set(g)) for f, g in zip(found, gold, strict=True)] for k in ks}
    distances = _nearest(found, gold, taxonomy)
    mapped = np.array([bool(len(ids)) for ids in found])
    reached = np.isfinite(distances)
    return MappingReport(
        {k: float(np.mean(of)) for k, of in hits.items()},
        float(distances[reached].mean()) if reached.any() else float("nan"),
        float(np.mean(distances <= 1)),
        float(np.mean(distances <= 2)),
        int((~mapped).sum()),
        int((mapped & ~reached).sum()),
        len(found),
        distances,
    )


def _nearest(
    found: Sequence[Sequence[Hashable]],
    gold: Sequence[Collection[Hashable]],
    taxonomy: Taxonomy,
) -> NDArray[np.float64]:
    rows, pairs = [], []
    for row, (ids, right) in enumerate(zip(found, gold, strict=True)):
        if len(ids):
            rows += [row] * len(right)
            pairs += [(ids[0], node) for node in right]
    made = np.full(len(found), np.inf)
    if pairs:
        np.minimum.at(made, rows, taxonomy.distances(pairs))
    return made


def exact_phrases(phrases: Sequence[str], known: Iterable[str]) -> NDArray[np.bool_]:
    """Tell phrases that are known word for word from reworded ones, to report both apart.

    Args:
        phrases: Any texts.
        known: Phrases of the taxonomy.

    Returns:
        Whether each is known, letters' case and white space aside, shape (phrases,).
    """
    seen = {_plain(phrase) for phrase in known}
    return np.array([_plain(phrase) in seen for phrase in phrases], np.bool_)


def _plain(phrase: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().split())
