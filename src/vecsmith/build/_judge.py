"""Steps 6 and 7: choose the fusion and what ships on validation, judge on test.

Everything is scored on the judge's copy of the index, in which the words that became queries are
taken out of their own documents (see `_heldout`).
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Stamp
from vecsmith.evaluate import (
    METRICS,
    HeldOut,
    compare,
    document_ranks,
    metric_values,
    score_store,
    summarise,
)
from vecsmith.store import (
    CosineAdapter,
    Fusion,
    PassageTable,
    Store,
    VectorSpace,
    fuse,
    fusion_grid,
    model_of,
)

from ._encode import index_shards, shards

UNTOUCHED = ("bm25", "base", "base_hybrid")
_LEAST_QUERIES = 20
_LISTED = 30
# Without a wanted precision the cut-off keeps this share of the right passages.
RECALL = 0.95


def judge_store(
    work: Path,
    table: Path,
    masked: dict[int, str],
    spaces: dict[str, tuple[Path, Path, Stamp]],
    *,
    int8: bool,
    seed: int,
) -> Store:
    """Make the judge's copy of the index.

    Args:
        work: Folder for it.
        table: Passage table of the index.
        masked: Row -> content without the words that became queries.
        spaces: Model name -> (folder with encoder/, folder of vector shards, stamp).
        int8: As the index.
        seed: As the index.

    Returns:
        An open store without fusions.
    """
    work.mkdir(parents=True, exist_ok=True)
    copy = work / "passages.sqlite"
    shutil.copyfile(table, copy)
    with PassageTable(copy, write=True) as changed:
        for row, content in masked.items():
            changed.replace_content(row, content)
        changed.finish()
        count = len(changed)
    rows = np.array(sorted(masked), dtype=np.int64)
    opened = {}
    for name, (folder, vectors, stamp) in spaces.items():
        space = VectorSpace(folder, stamp)
        if len(rows):
            changed_vectors = space.encoder.encode([masked[int(row)] for row in rows])
            index = _index_with(vectors, count, stamp.dims, rows, changed_vectors, int8, seed)
        else:
            index = index_shards(vectors, count, stamp.dims, int8=int8, seed=seed)
        space.__dict__["index"] = index
        opened[name] = space
    return Store.assemble(PassageTable(copy), opened)


def _index_with(
    folder: Path,
    count: int,
    dims: int,
    rows: NDArray[np.int64],
    vectors: NDArray[np.float32],
    int8: bool,
    seed: int,
) -> Any:
    """Index of the shards with some rows replaced."""
    from vecsmith.store import build_vectors

    def blocks() -> Any:
        start = 0
        for block in shards(folder):
            inside = (rows >= start) & (rows < start + len(block))
            block = block.copy()
            block[rows[inside] - start] = vectors[inside]
            start += len(block)
            yield block

    train = None
    if count > 50_000:
        rng = np.random.default_rng(seed)
        train = np.concatenate([b[rng.random(len(b)) < 100_000 / count] for b in blocks()])
    precision = "int8" if int8 else "float32"
    return build_vectors(blocks(), count, dims, precision=precision, train=train)


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


def choose_fusion(
    store: Store, model: str, queries: Sequence[HeldOut], groups: Sequence[int]
) -> tuple[Fusion, list[dict[str, Any]]]:
    """Choose method and weight by nDCG@10 on validation.

    Args:
        store: The judge's index.
        model: "base" or "adapted".
        queries: Validation queries.
        groups: Group of each row.

    Returns:
        The best fusion and the score of each; with fewer than 20 queries an even convex sum.
    """
    scale = lexical_scale(store, queries)
    if len(queries) < _LEAST_QUERIES:
        return Fusion("convex", 0.5, scale), []
    of_row = np.asarray(groups, dtype=np.int64)
    texts = [query.text for query in queries]
    vectors = store.spaces[model].encoder.encode(texts, kind="query")
    found = store.candidates(texts, model, vectors)
    scored = []
    for fusion in fusion_grid(scale):
        values = [
            metric_values(document_ranks(of_row[fuse(c, fusion, 100).rows]), q.relevant)["ndcg@10"]
            for c, q in zip(found, queries, strict=True)
        ]
        scored.append({**fusion.to_dict(), "ndcg@10": float(np.mean(values))})
    # Ties go to the even weight: the least extreme choice travels best.
    best = max(scored, key=lambda row: (round(row["ndcg@10"], 6), -abs(row["weight"] - 0.5)))
    return Fusion(best["method"], best["weight"], best["scale"]), scored


def choose_shipped(values: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Choose what ships, on validation: the adapted model only with a gain that is significant.

    Args:
        values: Ranking -> metric -> one score a validation query.

    Returns:
        "shipped", the candidates' means, and the comparison that decided.
    """
    if not values or len(next(iter(values.values()))["ndcg@10"]) < _LEAST_QUERIES:
        return {"shipped": "base_hybrid", "reason": "too few held-out queries to choose by"}
    means = {name: float(np.mean(metrics["ndcg@10"])) for name, metrics in values.items()}
    best_untouched = max((n for n in means if n in UNTOUCHED), key=lambda n: means[n])
    adapted = [name for name in means if name not in UNTOUCHED]
    if not adapted:
        return {"shipped": best_untouched, "means": means, "reason": "no adapted model"}
    best_adapted = max(adapted, key=lambda n: means[n])
    gain = compare(values[best_adapted]["ndcg@10"], values[best_untouched]["ndcg@10"])
    shipped = best_adapted if gain["verdict"] == "better" else best_untouched
    reason = (
        f"{best_adapted} is significantly ahead of {best_untouched} on validation"
        if shipped == best_adapted
        else f"adaptation gained nothing significant over {best_untouched} on validation"
    )
    return {
        "shipped": shipped,
        "means": means,
        "comparison": gain,
        "against": best_untouched,
        "candidate": best_adapted,
        "reason": reason,
    }


def judge(
    store: Store, queries: Sequence[HeldOut], groups: Sequence[int], shipped: str
) -> dict[str, Any]:
    """Score all rankings on the test queries.

    Args:
        store: The judge's index, with fusions.
        queries: Test queries.
        groups: Group of each row.
        shipped: What ships.

    Returns:
        Means with intervals, the shipped ranking against the best untouched one, latency.
    """
    if not queries:
        return {"queries": 0, "shipped": shipped, "rankings": {}}
    rankings = store.rankings()
    values = score_store(store, queries, rankings, groups)
    means = {name: float(np.mean(values[name]["ndcg@10"])) for name in rankings}
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
        "latency_ms": {name: _latency(store, name, queries) for name in rankings},
    }


def _latency(store: Store, ranking: str, queries: Sequence[HeldOut]) -> dict[str, float]:
    seconds = []
    for query in queries[:50]:
        begin = time.perf_counter()
        store.rank([query.text], ranking, k=10)
        seconds.append(1e3 * (time.perf_counter() - begin))
    low, high = np.percentile(seconds, [50, 95])
    return {"median": float(low), "p95": float(high)}


def fit_cutoff(
    store: Store,
    ranking: str,
    queries: Sequence[HeldOut],
    groups: Sequence[int],
    *,
    precision: float | None,
    seed: int,
) -> tuple[CosineAdapter | None, dict[str, Any]]:
    """Calibrate the cut-off of the shipped ranking on validation queries.

    A query's list counts once as it is and, for one query in three, once more without its relevant
    documents, so that the cut-off also learns what a list without an answer looks like. Of a
    relevant document only the best passage is labelled; its others are neither right nor wrong.

    Args:
        store: The judge's index, with fusions.
        ranking: The shipped ranking.
        queries: Validation queries.
        groups: Group of each row.
        precision: Wanted precision, or None for a recall of 95%.
        seed: Seed of the fit.

    Returns:
        The adapter (None where it cannot be fitted) and what to report.
    """
    from vecsmith.core import VecsmithError

    model = model_of(ranking)
    if model is None or len(queries) < 2 * _LEAST_QUERIES:
        return None, {"reason": "too few held-out queries, or a ranking without vectors"}
    texts = [query.text for query in queries]
    vectors = store.spaces[model].encoder.encode(texts, kind="query")
    ranked = store.rank(texts, ranking, vectors=vectors, k=100)
    lists = _labelled(vectors, ranked, queries, np.asarray(groups, dtype=np.int64))
    adapter = CosineAdapter(vectors.shape[1], stamp=store.spaces[model].stamp)
    try:
        adapter.fit(*lists[:3], mask=lists[3], seed=seed)
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
        "lists": len(lists[0]),
        "curve": _curve(adapter, lists),
    }


def _labelled(
    vectors: NDArray[np.float32],
    ranked: Sequence[Any],
    queries: Sequence[HeldOut],
    of_row: NDArray[np.int64],
) -> tuple[Any, Any, Any, Any]:
    picked, cosines, labels, masks = [], [], [], []
    for place, (query, found) in enumerate(zip(queries, ranked, strict=True)):
        groups = of_row[found.rows]
        right = np.isin(groups, list(query.relevant))
        best = np.zeros(len(groups), bool)
        for group in query.relevant:
            best[np.flatnonzero(groups == group)[:1]] = True
        variants = [best | ~right] + ([~right] if place % 3 == 0 else [])
        for usable in variants:
            kept = np.flatnonzero(usable)[:_LISTED]
            scores, label = np.zeros(_LISTED), np.zeros(_LISTED)
            mask = np.zeros(_LISTED, bool)
            scores[: len(kept)] = found.scores[kept]
            label[: len(kept)] = best[kept]
            mask[: len(kept)] = True
            picked.append(vectors[place])
            cosines.append(scores)
            labels.append(label)
            masks.append(mask)
    return np.array(picked), np.array(cosines), np.array(labels), np.array(masks)


def _curve(adapter: CosineAdapter, lists: tuple[Any, Any, Any, Any]) -> list[dict[str, float]]:
    vectors, cosines, labels, mask = lists
    probabilities = adapter.scores(vectors, cosines)[mask]
    right = labels[mask] > 0
    curve = []
    grid = [*np.linspace(0.02, 0.98, 49), adapter.tau or 0.0]
    for tau in sorted(grid):
        kept = probabilities >= tau
        if kept.any():
            curve.append(
                {
                    "tau": float(tau),
                    "precision": float(right[kept].mean()),
                    "recall": float(right[kept].sum() / max(1, right.sum())),
                    "per_query": float(kept.sum() / len(vectors)),
                }
            )
    return curve
