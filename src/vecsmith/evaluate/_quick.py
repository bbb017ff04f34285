"""Evaluations at hand: one's own queries, word and term similarity, Lee's documents, MTEB by name.

Each evaluation gives a score with its interval, and against another model the paired difference
with a test; "not distinguishable" is a verdict. Nothing is downloaded but what is named.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    DataError,
    Interval,
    mean_interval,
    numpy_generator,
    paired_interval,
    permutation_p,
)

from ._retrieval import metric_values

Floats = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Evaluation:
    """Something to score a model on.

    Attributes:
        name: Name.
        metric: What the score is.
        texts: Its texts, for the contamination check.
        measure: Model -> what the score is made of: one number an item, whose mean is the score;
            or for a correlation the model's cosines.
        gold: For a correlation the human scores; None otherwise.
        groups: For a correlation: items that chance draws together, one id an item.
    """

    name: str
    metric: str
    texts: Sequence[str]
    measure: Callable[[Any], Floats]
    gold: Floats | None = None
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Score:
    """A score, alone or against another model.

    Attributes:
        name: Name of the evaluation.
        metric: What the score is.
        items: Number of items.
        value: The score with its 95% interval.
        against: The other model's score with its interval; None without one.
        difference: Score minus the other's, paired, with its 95% interval.
        p: Of a paired test; None without another model.
    """

    name: str
    metric: str
    items: int
    value: Interval
    against: Interval | None = None
    difference: Interval | None = None
    p: float | None = None

    @property
    def verdict(self) -> str:
        """What the test says: better, worse or not distinguishable; nothing without a rival."""
        if self.difference is None or self.p is None:
            return ""
        if self.p >= 0.05 or self.difference.low <= 0.0 <= self.difference.high:
            return "not distinguishable"
        return "better" if self.difference.mean > 0 else "worse"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        row: dict[str, Any] = {
            "name": self.name,
            "metric": self.metric,
            "items": self.items,
            "score": self.value.mean,
            "ci95": [self.value.low, self.value.high],
        }
        if self.against is not None and self.difference is not None:
            row |= {
                "base": self.against.mean,
                "base_ci95": [self.against.low, self.against.high],
                "difference": self.difference.mean,
                "difference_ci95": [self.difference.low, self.difference.high],
                "p": self.p,
                "verdict": self.verdict,
            }
        return row


def own_queries(
    queries: Sequence[str],
    documents: Sequence[str],
    relevant: Sequence[int | Sequence[int]],
    *,
    name: str = "queries",
    metric: str = "ndcg@10",
) -> Evaluation:
    """Score retrieval on one's own queries.

    Args:
        queries: Queries.
        documents: All documents.
        relevant: For each query the place of its document, or the places.
        name: Name of the evaluation.
        metric: One of `METRICS`.

    Returns:
        The evaluation; an item is a query.

    Raises:
        DataError: Numbers do not fit, or a place is outside.
    """
    answers = [{one} if isinstance(one, int) else set(one) for one in relevant]
    if len(answers) != len(queries) or not queries:
        raise DataError(
            f"relevant must hold one entry a query, at least one; got {len(answers)} for "
            f"{len(queries)} queries"
        )
    if any(not found or not all(0 <= i < len(documents) for i in found) for found in answers):
        raise DataError(f"relevant must hold places among the {len(documents)} documents")

    def measure(model: Any) -> Floats:
        options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
        scores = (
            model.encode_query(list(queries), **options)
            @ np.asarray(model.encode_document(list(documents), **options)).T
        )
        near = np.argsort(-scores, axis=1, kind="stable")[:, :100]
        return np.array(
            [metric_values(row.tolist(), answers[i])[metric] for i, row in enumerate(near)]
        )

    return Evaluation(name, metric, [*queries, *documents], measure)


def text_similarity(
    pairs: Sequence[tuple[str, str]], gold: Sequence[float], *, name: str = "similarity"
) -> Evaluation:
    """Score similarity of texts, words or terms against human scores.

    Args:
        pairs: Pairs of texts.
        gold: Their scores.
        name: Name of the evaluation.

    Returns:
        The evaluation: Spearman's correlation of cosine and score.

    Raises:
        DataError: Fewer than three pairs, or scores that are all alike.
    """
    if len(pairs) != len(gold) or len(pairs) < 3 or len(set(gold)) < 2:
        raise DataError(
            f"needs 3 or more pairs with scores that differ; got {len(pairs)} pairs, {len(gold)} "
            f"scores, {len(set(gold))} of them distinct"
        )
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    place = {text: row for row, text in enumerate(texts)}
    left, right = (np.array([place[pair[side]] for pair in pairs]) for side in (0, 1))

    def measure(model: Any) -> Floats:
        vectors = np.asarray(
            model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float64
        )
        return np.asarray((vectors[left] * vectors[right]).sum(axis=1))

    return Evaluation(name, "spearman", texts, measure, np.asarray(gold, np.float64), left)


def score_model(evaluation: Evaluation, model: Any, base: Any = None, *, seed: int = 0) -> Score:
    """Score a model, and compare it with another on the same items.

    Args:
        evaluation: What to score on.
        model: A `SentenceTransformer`, or anything with its `encode`.
        base: The model to compare with, or what `evaluation.measure` gave for it.
        seed: Seed of the resampling.

    Returns:
        The score.
    """
    found = evaluation.measure(model)
    other = base if base is None or isinstance(base, np.ndarray) else evaluation.measure(base)
    if evaluation.gold is not None:
        return _correlations(evaluation, found, other, seed)
    value = mean_interval(found, seed=seed)
    if other is None:
        return Score(evaluation.name, evaluation.metric, len(found), value)
    return Score(
        evaluation.name,
        evaluation.metric,
        len(found),
        value,
        mean_interval(other, seed=seed),
        paired_interval(found, other, seed=seed),
        permutation_p(found, other, seed=seed),
    )


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation; 0 where one side is constant.

    Args:
        x: Values.
        y: As many.

    Returns:
        In [-1, 1].
    """
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _correlations(evaluation: Evaluation, found: Floats, other: Floats | None, seed: int) -> Score:
    """Bootstrap over pairs (all pairs of a text together), the same draws for both models."""
    gold = evaluation.gold
    assert gold is not None
    rng = numpy_generator(seed, "correlation")
    groups = np.arange(len(gold)) if evaluation.groups is None else evaluation.groups
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    draws: list[tuple[float, float]] = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        ours = spearman(found[rows], gold[rows])
        draws.append((ours, spearman(other[rows], gold[rows]) if other is not None else 0.0))
    table = np.array(draws)
    value = _interval(spearman(found, gold), table[:, 0])
    if other is None:
        return Score(evaluation.name, evaluation.metric, len(gold), value)
    theirs = spearman(other, gold)
    gaps = table[:, 0] - table[:, 1]
    beyond = min(float((gaps <= 0).mean()), float((gaps >= 0).mean()))
    return Score(
        evaluation.name,
        evaluation.metric,
        len(gold),
        value,
        _interval(theirs, table[:, 1]),
        _interval(value.mean - theirs, gaps),
        min(1.0, 2.0 * max(beyond, 1.0 / RESAMPLES)),
    )


def _interval(mean: float, draws: Floats) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def scores_table(scores: Sequence[Score]) -> list[Mapping[str, Any]]:
    """Return scores as rows of plain values."""
    return [score.as_dict() for score in scores]
