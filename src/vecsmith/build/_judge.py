"""Steps 6 and 7: choose the fusion and what ships on validation, judge on test.

A query made from a document's own heading or docstring is asked twice: of the index as it ships,
where its words stand in the document to the letter, and of the judge's copy, in which they are
taken out (see `_heldout`). People ask both ways, and either alone would mislead: the first favours
what compares letters, the second what has learned to do without. A query's score is the mean.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.evaluate import (
    METRICS,
    Groups,
    HeldOut,
    compare,
    document_ranks,
    metric_values,
    score_store,
    summarise,
)
from vecsmith.store import (
    Fusion,
    PassageTable,
    Store,
    VectorSpace,
    fuse,
    fusion_grid,
    index_parts,
)

from ._encode import index_shards

UNTOUCHED = ("bm25", "base", "base_hybrid")
LEAST_QUERIES = 20
# What the two copies of the index are called in the report.
AS_SHIPPED, WITHOUT = "as shipped", "without the query's own words"

Values = dict[str, dict[str, list[float]]]
Views = Mapping[str, Store]


def judge_store(
    work: Path,
    table: Path,
    masked: dict[int, str],
    spaces: Mapping[str, VectorSpace],
    shards_of: Mapping[str, Path],
    *,
    int8: bool,
    seed: int,
) -> Store:
    """Make the judge's copy of the index.

    Args:
        work: Folder for it.
        table: Passage table of the index.
        masked: Row -> content without the words that became queries.
        spaces: Model name -> vectors of the index, whose encoders are shared.
        shards_of: Model name -> folder of its vector shards.
        int8: As the index.
        seed: As the index.

    Returns:
        An open store without fusions.
    """
    # A copy that was killed while it was changed leaves a journal that would undo the new one.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    copy = work / "passages.sqlite"
    shutil.copyfile(table, copy)
    with PassageTable(copy, write=True) as changed:
        changed.replace_contents(masked)
        changed.finish()
        count = len(changed)
    rows = np.array(sorted(masked), dtype=np.int64)
    opened = {}
    for name, space in spaces.items():
        opened[name] = VectorSpace(space.folder, space.stamp)
        opened[name].encoder = space.encoder
        if len(rows):
            changed_vectors = space.encoder.encode([masked[int(row)] for row in rows])
            opened[name].index = index_shards(
                shards_of[name],
                count,
                space.stamp.dims,
                int8=int8,
                seed=seed,
                changed=(rows, changed_vectors),
                parts=index_parts(space.index),
            )
        else:
            opened[name].index = space.index
    return Store.assemble(PassageTable(copy), opened)


def lexical_scale(store: Store, queries: Sequence[HeldOut]) -> float:
    """Return the median of the best BM25 scores: the score that counts half in a fusion.

    Args:
        store: The index.
        queries: Validation queries.

    Returns:
        A number above 0; 10 without queries.
    """
    best = [float(s[0]) for q in queries if len(s := store.passages.search(q.text, 1)[1])]
    return float(np.median(best)) if best else 10.0


def score_views(
    views: Views, queries: Sequence[HeldOut], rankings: Sequence[str], groups: Groups
) -> tuple[Values, dict[str, Values]]:
    """Score rankings on both copies of the index.

    Args:
        views: Name -> copy of the index.
        queries: Held-out queries.
        rankings: Names of rankings.
        groups: What counts as one thing.

    Returns:
        Ranking -> metric -> one score a query, the mean of the views; and the same by view.
    """
    by_view = {name: score_store(s, queries, rankings, groups) for name, s in views.items()}
    mean = {
        ranking: {
            metric: np.mean([v[ranking][metric] for v in by_view.values()], axis=0).tolist()
            for metric in METRICS
        }
        for ranking in rankings
    }
    return mean, by_view


def choose_fusion(
    views: Views, model: str, queries: Sequence[HeldOut], groups: Groups
) -> tuple[Fusion, list[dict[str, Any]]]:
    """Choose method and weight by nDCG@10 on validation.

    Args:
        views: Name -> copy of the index.
        model: "base" or "adapted".
        queries: Validation queries.
        groups: What counts as one thing.

    Returns:
        The best fusion and the score of each; with fewer than 20 queries an even convex sum.
    """
    scale = lexical_scale(next(iter(views.values())), queries)
    if len(queries) < LEAST_QUERIES:
        return Fusion("convex", 0.5, scale), []
    texts = [query.text for query in queries]
    vectors = next(iter(views.values())).spaces[model].encoder.encode(texts, kind="query")
    asked = [
        (candidates, groups.of(query), query.relevant)
        for store in views.values()
        for candidates, query in zip(store.candidates(texts, model, vectors), queries, strict=True)
    ]
    scored = []
    for fusion in fusion_grid(scale):
        values = [
            metric_values(document_ranks(group[fuse(found, fusion, 100).rows]), right)["ndcg@10"]
            for found, group, right in asked
        ]
        scored.append({**fusion.to_dict(), "ndcg@10": float(np.mean(values))})
    # Ties go to the even weight: the least extreme choice travels best.
    best = max(scored, key=lambda row: (round(row["ndcg@10"], 6), -abs(row["weight"] - 0.5)))
    return Fusion(best["method"], best["weight"], best["scale"]), scored


def choose_shipped(values: Values, by_view: Mapping[str, Values]) -> dict[str, Any]:
    """Choose what ships, on validation: the adapted model only with a gain that is significant.

    Args:
        values: Ranking -> metric -> one score a validation query, mean of the views.
        by_view: The same in each view: in none may the adapted model be behind.

    Returns:
        "shipped", the candidates' means, and the comparison that decided.
    """
    if not values or len(next(iter(values.values()))["ndcg@10"]) < LEAST_QUERIES:
        return {"shipped": "base_hybrid", "reason": "too few held-out queries to choose by"}
    means = _means(values)
    best_untouched = max((n for n in means if n in UNTOUCHED), key=lambda n: means[n])
    adapted = [name for name in means if name not in UNTOUCHED]
    if not adapted:
        return {"shipped": best_untouched, "means": means, "reason": "no adapted model"}
    best_adapted = max(adapted, key=lambda n: means[n])
    gain = compare(values[best_adapted]["ndcg@10"], values[best_untouched]["ndcg@10"])
    view_means = {name: _means(view) for name, view in by_view.items()}
    behind = [n for n, m in view_means.items() if m[best_adapted] < m[best_untouched]]
    shipped = best_untouched
    if gain["verdict"] != "better":
        reason = f"adaptation gained nothing significant over {best_untouched} on validation"
    elif behind:
        reason = f"{best_adapted} is behind {best_untouched} on validation {behind[0]}"
    else:
        shipped = best_adapted
        reason = f"{best_adapted} is significantly ahead of {best_untouched} on validation"
    return {
        "shipped": shipped,
        "means": means,
        "by_view": view_means,
        "comparison": gain,
        "against": best_untouched,
        "candidate": best_adapted,
        "reason": reason,
    }


def _means(values: Values) -> dict[str, float]:
    return {name: float(np.mean(metrics["ndcg@10"])) for name, metrics in values.items()}


def judge(views: Views, queries: Sequence[HeldOut], groups: Groups, shipped: str) -> dict[str, Any]:
    """Score all rankings on the test queries.

    Args:
        views: Name -> copy of the index, with fusions; the one that ships first.
        queries: Test queries.
        groups: What counts as one thing.
        shipped: What ships.

    Returns:
        Means with intervals, the shipped ranking against the best untouched one, nDCG@10 by view
        and by origin of the queries, latency.
    """
    if not queries:
        return {"queries": 0, "shipped": shipped, "rankings": {}}
    store = next(iter(views.values()))
    rankings = store.rankings()
    values, by_view = score_views(views, queries, rankings, groups)
    means = _means(values)
    best = max((name for name in rankings if name in UNTOUCHED), key=lambda name: means[name])
    comparisons = {
        name: {metric: compare(values[name][metric], values[best][metric]) for metric in METRICS}
        for name in rankings
        if name != best
    }
    return {
        "queries": len(queries),
        "shipped": shipped,
        "rankings": summarise(values),
        "best_untouched": best,
        "against_best_untouched": comparisons,
        "by_view": {name: _means(view) for name, view in by_view.items()},
        "by_origin": _by_origin(values, queries),
        "latency_ms": {name: _latency(store, name, queries) for name in rankings},
    }


def _by_origin(values: Values, queries: Sequence[HeldOut]) -> dict[str, dict[str, Any]]:
    origins: dict[str, list[int]] = {}
    for place, query in enumerate(queries):
        origins.setdefault(query.origin, []).append(place)
    return {
        origin: {
            "queries": len(places),
            **{n: float(np.mean(np.array(m["ndcg@10"])[places])) for n, m in values.items()},
        }
        for origin, places in origins.items()
    }


def _latency(store: Store, ranking: str, queries: Sequence[HeldOut]) -> dict[str, float]:
    seconds = []
    for query in queries[:50]:
        begin = time.perf_counter()
        store.rank([query.text], ranking, k=10)
        seconds.append(1e3 * (time.perf_counter() - begin))
    low, high = np.percentile(seconds, [50, 95])
    return {"median": float(low), "p95": float(high)}
