"""Retrieval scores by document, with intervals: nDCG@10, MRR@10, recall@10.

Passages are ranked; a document counts once, at its best passage. Relevance is binary. With r_i = 1
where the i-th document is relevant and R the number of relevant documents::

    nDCG@10   = sum_{i<=10} r_i / log2(i + 1)  /  sum_{i<=min(10, R)} 1 / log2(i + 1)
    MRR@10    = 1 / rank of the first relevant document, 0 beyond ten
    recall@10 = sum_{i<=10} r_i / R
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import mean_interval, paired_interval, permutation_p

from ._queries import HeldOut

if TYPE_CHECKING:
    from vecsmith.store import Store

METRICS = ("ndcg@10", "mrr@10", "recall@10")
_CUT = 10
_GIVEN = ("file", "pairs")
_SURE, _SAME = 0.05, "not distinguishable"


class Groups(NamedTuple):
    """Which passages count as one thing that can be found.

    Attributes:
        structure: For queries made from structure, group of each passage row: its document, or
            its section where there are few documents.
        document: For queries that people gave, document of each passage row.
    """

    structure: NDArray[np.int64]
    document: NDArray[np.int64]

    def of(self, query: HeldOut) -> NDArray[np.int64]:
        """Return the grouping in which a query's relevant ids are meant."""
        return self.document if query.origin in _GIVEN else self.structure


def document_ranks(groups: NDArray[np.int64], most: int = _CUT) -> list[int]:
    """Reduce ranked passages to ranked documents.

    Args:
        groups: Document id of each passage, best first, shape (n,).
        most: How many documents to keep.

    Returns:
        Distinct ids at the place of their best passage.
    """
    return list(dict.fromkeys(groups.tolist()))[:most]


def metric_values(
    ranked: Sequence[int], relevant: Collection[int], *, missing: int = 0
) -> dict[str, float]:
    """Score one ranked list of documents.

    Args:
        ranked: Document ids, best first.
        relevant: Ids that are right; at least one.
        missing: How many more are right that cannot be found; they count in R.

    Returns:
        Value of each metric of `METRICS`.
    """
    hits = np.array([item in relevant for item in ranked[:_CUT]], dtype=np.float64)
    discounts = 1.0 / np.log2(np.arange(2, _CUT + 2))
    right = len(relevant) + missing
    ideal = discounts[: min(_CUT, right)].sum()
    first = int(np.argmax(hits)) if hits.any() else -1
    return {
        "ndcg@10": float((hits * discounts[: len(hits)]).sum() / ideal),
        "mrr@10": 1.0 / (first + 1) if first >= 0 else 0.0,
        "recall@10": float(hits.sum() / right),
    }


def summarise(values: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Turn scores by query into means with intervals.

    Args:
        values: Ranking -> metric -> one score a query.

    Returns:
        Ranking -> metric -> {"mean", "ci95"}.
    """
    out: dict[str, Any] = {}
    for name, metrics in values.items():
        out[name] = {}
        for metric, scores in metrics.items():
            mean, low, high = mean_interval(scores)
            out[name][metric] = {"mean": mean, "ci95": [low, high]}
    return out


def compare(system: Sequence[float], baseline: Sequence[float]) -> dict[str, Any]:
    """Compare two rankings on the same queries.

    Args:
        system: One score a query.
        baseline: The same queries under the baseline.

    Returns:
        Mean difference, its 95% interval, p-value of the permutation test, and the verdict:
        "better", "worse" or "not distinguishable".
    """
    mean, low, high = paired_interval(system, baseline)
    p = permutation_p(system, baseline)
    # Of few queries the interval alone says "better" too often: the test must agree.
    sure = p < _SURE
    verdict = "better" if low > 0 and sure else "worse" if high < 0 and sure else _SAME
    return {"difference": mean, "ci95": [low, high], "p": p, "verdict": verdict}


def score_store(
    store: "Store", queries: Sequence[HeldOut], rankings: Sequence[str], groups: Groups
) -> dict[str, dict[str, list[float]]]:
    """Score rankings of an index by query.

    Args:
        store: The index.
        queries: Queries with the ids of their relevant groups.
        rankings: Names of rankings.
        groups: What counts as one thing.

    Returns:
        Ranking -> metric -> one score a query.
    """
    from vecsmith.store import model_of

    texts = [query.text for query in queries]
    vectors: dict[str, Any] = {}
    values: dict[str, dict[str, list[float]]] = {}
    for ranking in rankings:
        model = model_of(ranking)
        if model is not None and model not in vectors:
            vectors[model] = store.spaces[model].encoder.encode(texts, kind="query")
        found = store.rank(texts, ranking, vectors=vectors.get(model or ""))
        scored = [
            metric_values(
                document_ranks(groups.of(query)[ranked.rows]), query.relevant, missing=query.missing
            )
            for ranked, query in zip(found, queries, strict=True)
        ]
        values[ranking] = {metric: [row[metric] for row in scored] for metric in METRICS}
    return values


def evaluate_index(store: "Store", queries: Sequence[HeldOut]) -> dict[str, Any]:
    """Score every ranking of an index on labelled queries.

    Args:
        store: The index.
        queries: From `read_queries`.

    Returns:
        ``{"queries": n, "shipped": NAME, "rankings": {...}, "comparison": {...}}``, the last being
        the shipped ranking against the best untouched one (by nDCG@10).
    """
    rankings = store.rankings()
    documents = np.asarray(store.passages.column("document"), dtype=np.int64)
    values = score_store(store, queries, rankings, Groups(documents, documents))
    result = {
        "queries": len(queries),
        "shipped": store.shipped,
        "rankings": summarise(values),
    }
    untouched = [name for name in ("bm25", "base", "base_hybrid") if name in values]
    best = max(untouched, key=lambda name: float(np.mean(values[name]["ndcg@10"])))
    result["comparison"] = {
        "system": store.shipped,
        "baseline": best,
        "metric": "ndcg@10",
        **compare(values[store.shipped]["ndcg@10"], values[best]["ndcg@10"]),
    }
    return result
