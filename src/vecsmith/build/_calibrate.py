"""Step 6, second half: the cut-off of what ships, calibrated on validation and judged on test.

Lists come from both copies of the index (see `_judge`). Each counts once as it is and, for one
query in three, once more without its relevant documents, so that the cut-off also learns what a
list without an answer looks like. How often searches have no answer is not known: one list in four
without is an assumption, and probabilities hold under it. Of a relevant document only the best
passage is labelled; its others are neither right nor wrong. What nobody labelled counts as wrong.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import VecsmithError
from vecsmith.evaluate import Groups, HeldOut
from vecsmith.store import CosineAdapter, Ranked, Store, model_of

from ._judge import LEAST_QUERIES, Views

_LISTED = 30
_EVERY = 3
# Without a wanted precision the cut-off keeps this share of the right passages. The last few of
# them are worded unlike their queries: a threshold for those lets almost everything else pass too
# (Python manual, the corpus of development: 10 passages a query at a recall of 0.99, 4 at 0.91).
RECALL = 0.9


class Lists(NamedTuple):
    """Ranked lists with labels; row i belongs to query i of one copy of the index.

    Attributes:
        query_vecs: Shape (lists, dims).
        scores: Scores of the ranking, shape (lists, 30).
        labels: 1 for the best passage of something relevant, the same shape.
        mask: True where there is a passage, the same shape.
    """

    query_vecs: NDArray[np.float32]
    scores: NDArray[np.float64]
    labels: NDArray[np.float64]
    mask: NDArray[np.bool_]

    def every(self, step: int) -> "Lists":
        """Return one list in so many."""
        return Lists._make(column[::step] for column in self)


def fit_cutoff(
    views: Views,
    ranking: str,
    queries: Sequence[HeldOut],
    groups: Groups,
    *,
    precision: float | None,
    seed: int,
) -> tuple[CosineAdapter | None, dict[str, Any]]:
    """Calibrate the cut-off of the shipped ranking on validation queries.

    Args:
        views: Name -> copy of the index, with fusions.
        ranking: The shipped ranking.
        queries: Validation queries.
        groups: What counts as one thing.
        precision: Wanted precision, or None for a recall of 90%.
        seed: Seed of the fit.

    Returns:
        The adapter (None where it cannot be fitted) and what to report.
    """
    model = model_of(ranking)
    if model is None or len(queries) < 2 * LEAST_QUERIES:
        return None, {"reason": "too few held-out queries, or a ranking without vectors"}
    stamp = next(iter(views.values())).spaces[model].stamp
    answered, unanswered = labelled_lists(views, ranking, queries, groups)
    lists = joined(answered, unanswered.every(_EVERY))
    adapter = CosineAdapter(lists.query_vecs.shape[1], stamp=stamp)
    try:
        adapter.fit(*lists[:3], mask=lists.mask, seed=seed)
        if precision is not None:
            adapter.calibrate(precision=precision)
        else:
            adapter.calibrate(recall=RECALL)
    except VecsmithError as error:
        return None, {"reason": str(error)}
    return adapter, {
        "tau": adapter.tau,
        "target": adapter.target,
        "family": adapter.family,
        "lists": len(lists.scores),
    }


def judge_cutoff(
    adapter: CosineAdapter,
    views: Views,
    ranking: str,
    queries: Sequence[HeldOut],
    groups: Groups,
) -> dict[str, Any]:
    """Say what the cut-off does with the test queries.

    Args:
        adapter: The calibrated cut-off.
        views: Name -> copy of the index, with fusions.
        ranking: The shipped ranking.
        queries: Test queries.
        groups: What counts as one thing.

    Returns:
        "curve" over thresholds, and at the chosen one: "precision", "recall" of listed answers,
        "per_query" (passages kept), "silent" (share of queries with an answer in their list that
        get none) and "told" (share of queries whose answers were taken out of the list that are
        told that nothing is relevant).
    """
    answered, unanswered = labelled_lists(views, ranking, queries, groups)
    tau = adapter.tau or 0.0
    has_answer = answered.labels.any(axis=1)
    kept, empty = (_passing(adapter, lists, tau) for lists in (answered, unanswered))
    found = _figures(adapter, answered, tau)
    return {
        **found,
        "queries": len(queries),
        "silent": float((~kept[has_answer].any(axis=1)).mean()) if has_answer.any() else 0.0,
        "told": float((~empty.any(axis=1)).mean()),
        "curve": [_figures(adapter, answered, t) for t in sorted([*np.linspace(0, 0.98, 50), tau])],
    }


def _passing(adapter: CosineAdapter, lists: Lists, tau: float) -> NDArray[np.bool_]:
    passing: NDArray[np.bool_] = adapter.scores(lists.query_vecs, lists.scores) >= tau
    return passing & lists.mask


def _figures(adapter: CosineAdapter, lists: Lists, tau: float) -> dict[str, float]:
    kept = _passing(adapter, lists, float(tau))
    right = lists.labels > 0
    return {
        "tau": float(tau),
        "precision": float((kept & right).sum() / max(1, kept.sum())),
        "recall": float((kept & right).sum() / max(1, right.sum())),
        "per_query": float(kept.sum() / max(1, len(kept))),
    }


def labelled_lists(
    views: Views, ranking: str, queries: Sequence[HeldOut], groups: Groups
) -> tuple[Lists, Lists]:
    """Rank and label: one list a query and view with its answers, and one without them.

    Args:
        views: Name -> copy of the index, with fusions.
        ranking: Which ranking.
        queries: Queries with answers.
        groups: What counts as one thing.

    Returns:
        Both kinds of lists, at most 30 passages each.
    """
    parts = [_of_store(store, ranking, queries, groups) for store in views.values()]
    return joined(*(a for a, _ in parts)), joined(*(b for _, b in parts))


def joined(*parts: Lists) -> Lists:
    """Put lists of one width one below the other."""
    return Lists._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _of_store(
    store: Store, ranking: str, queries: Sequence[HeldOut], groups: Groups
) -> tuple[Lists, Lists]:
    texts = [query.text for query in queries]
    vectors = store.spaces[str(model_of(ranking))].encoder.encode(texts, kind="query")
    ranked = store.rank(texts, ranking, vectors=vectors, k=100)
    rows = [_labelled(r, groups.of(q), q.relevant) for r, q in zip(ranked, queries, strict=True)]
    answered, unanswered = (
        Lists._make([vectors, *(np.array(column) for column in zip(*side, strict=True))])
        for side in zip(*rows, strict=True)
    )
    return answered, unanswered


def _labelled(ranked: Ranked, of_row: NDArray[np.int64], relevant: frozenset[int]) -> Any:
    """Scores, labels and mask of a list with its answers, and of one without them."""
    groups = of_row[ranked.rows]
    right = np.isin(groups, list(relevant))
    best = np.zeros(len(groups), bool)
    for group in relevant:
        best[np.flatnonzero(groups == group)[:1]] = True
    sides = []
    for usable in (best | ~right, ~right):
        kept = np.flatnonzero(usable)[:_LISTED]
        scores, label, mask = np.zeros(_LISTED), np.zeros(_LISTED), np.zeros(_LISTED, bool)
        scores[: len(kept)] = ranked.scores[kept]
        label[: len(kept)] = best[kept]
        mask[: len(kept)] = True
        sides.append((scores, label, mask))
    return sides
