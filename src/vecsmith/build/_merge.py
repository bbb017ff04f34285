"""Step 5: place the shipped model between the base and the tuned one (Self Positioning).

Probe: held-out pairs of the collection and general pairs in equal numbers, so that what the base
knew counts as much as what was learned.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vecsmith.core import require, seed_everything, write_json
from vecsmith.data import Pair
from vecsmith.encode import load_sentence_transformer, quiet_hosts

from ._heldout import general_pairs
from ._settings import BuildSettings
from ._train import TEMPERATURE, TRAIN_TOKENS, mixed_precision
from ._watch import pool_mrr

STEPS = 24
_BATCH = 16
_LEAST = 32
_COLUMNS = ("anchor", "positive", "negative")


def one_a_row(pairs: Sequence[Pair]) -> list[Pair]:
    """Keep the first pair of each passage: a second in one batch would be a false negative.

    Args:
        pairs: Held-out pairs.

    Returns:
        Pairs of distinct passages.
    """
    first: dict[int, Pair] = {}
    for pair in pairs:
        first.setdefault(pair.row, pair)
    return list(first.values())


def probe_rows(
    pairs: Sequence[Pair], negatives: Sequence[int], texts: Mapping[int, str]
) -> list[tuple[str, ...]]:
    """Lay the probe out as the tuned model was trained: with hard negatives, if enough have one.

    Args:
        pairs: Held-out pairs of distinct passages.
        negatives: Row of each pair's negative, -1 for none.
        texts: Content by row.

    Returns:
        (query, positive, negative) of the pairs with a negative; (query, positive) of all where
        fewer than 32 have one.
    """
    found = zip(pairs, negatives, strict=False)
    mined: list[tuple[str, ...]] = [
        (pair.query, pair.positive, texts[row]) for pair, row in found if row >= 0
    ]
    return mined if len(mined) >= _LEAST else [(pair.query, pair.positive) for pair in pairs]


def merge_models(
    settings: BuildSettings,
    tuned: Path,
    probe: Sequence[tuple[str, ...]],
    watch: Sequence[Pair],
    distractors: Sequence[str],
    out: Path,
) -> dict[str, Any]:
    """Merge and score base, tuned and merged model on the collection and on general pairs.

    Args:
        settings: Settings of the build.
        tuned: Folder of the tuned model.
        probe: Held-out rows for the search; below 32 the tuned model is taken as it is.
        watch: Other held-out pairs: they say whether the merged or the tuned model is kept.
        distractors: Passages near the watched queries that do not answer them.
        out: Where the merged model is saved, a sentence-transformers folder.

    Returns:
        Length found, probe loss by step, MRR@10 of the three models on both kinds of pairs.
    """
    seed_everything(settings.seed)
    base, expert = load_sentence_transformer(settings.model), load_sentence_transformer(tuned)
    whole_length = base.max_seq_length
    for model in (base, expert):
        model.max_seq_length = min(TRAIN_TOKENS, int(whole_length or TRAIN_TOKENS))
    general = general_pairs()
    fitted, judged = general[:300], general[300:]
    others = [Pair(q, d, i, i, "general") for i, (q, d) in enumerate(judged)]
    found: dict[str, Any] = {"lambda": 1.0, "trace": []}
    merged = expert
    if len(probe) >= _LEAST:
        merged, found = _positioned(
            base, expert, {"domain": probe, "general": fitted}, settings.seed
        )
    scores = {
        name: {
            "collection": pool_mrr(model, watch, distractors),
            "general": pool_mrr(model, others),
        }
        for name, model in (("base", base), ("tuned", expert), ("merged", merged))
    }
    # The probe's loss and what is found are not the same: what finds more is kept.
    kept = max(("merged", "tuned"), key=lambda name: sum(scores[name].values()))
    merged = merged if kept == "merged" else expert
    merged.max_seq_length = whole_length
    with quiet_hosts():
        merged.save_pretrained(str(out), create_model_card=False)
    result = {**found, "mrr@10": scores, "kept": kept}
    write_json(out / "merge_scores.json", result)
    return result


def _positioned(
    base: Any, expert: Any, probe: Mapping[str, Sequence[tuple[str, ...]]], seed: int
) -> tuple[Any, dict[str, Any]]:
    """Search the point between two models; returns the model there, its length and the way."""
    datasets = require("datasets", "train")
    from vecsmith.reshape import MergeSet, SelfPositioning
    from vecsmith.reshape.merge import PositionOptions
    from vecsmith.train import GuidedContrastiveLoss

    sets = {
        name: datasets.Dataset.from_dict(dict(zip(_COLUMNS, zip(*rows, strict=True), strict=False)))
        for name, rows in probe.items()
    }
    search = SelfPositioning(
        MergeSet(base, {"adapted": expert}),
        lambda model: GuidedContrastiveLoss(
            model, None, temperature=TEMPERATURE, blocks=("qp", "qn")
        ),
        sets,
        # Hard negatives make one loss the larger; both kinds shall count the same.
        options=PositionOptions(batch=_BATCH, seed=seed, normalise=True),
    )
    with mixed_precision(base):
        merged = search.fit(STEPS)
    trace = [
        {"step": row["step"], "loss": row["loss"], "lambda": row["lam"]} for row in search.trace
    ]
    return merged, {"lambda": search.lam, "trace": trace}
