"""The model card of an adapted model: what it is, what it was trained on, what it scores."""

import json
from collections.abc import Mapping
from typing import Any

from vecsmith.core import shown

_CARD = """---
base_model: {base}
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- vecsmith
---
# {title}

A sentence encoder of {dims} dimensions, adapted by `vecsmith build` to a collection of \
{documents:,} documents ({passages:,} passages). It loads in sentence-transformers:
`SentenceTransformer("adapted/model")`.

## Data

Training pairs from the collection's own structure: {pairs}. They hold its words: keep the model \
as private as the collection.

## Settings

- start: {base}, {amount}; batches of {batch} pairs, {method}, seed {seed}
- merged back towards the start: {merged}
- prompts: query {query_prompt}, document {document_prompt}
- at most {max_tokens} tokens; pooling {pooling}

## Scores

{queries} held-out queries that nothing was chosen by, nDCG@10 with 95% intervals:

{scores}

{verdict}

## Licence

That of the base model, for the weights; the collection's own terms hold for what was learnt from
it.

## Built with

{versions}; {date}. Method: A. V. Solatorio, GISTEmbed (2024); A. Kusupati et al., Matryoshka \
Representation Learning (2022); self positioning of merged models (2024).
"""


def model_card(report: Mapping[str, Any], stamp: Mapping[str, Any]) -> str:
    """Write the card.

    Args:
        report: Content of ``report.json``.
        stamp: The adapted model's stamp.

    Returns:
        Markdown, with the header that model hubs read.
    """
    settings, train, test = report["settings"], report["train"], report["judge"]["test"]
    kept = report["merge"]["kept"]
    merged = "kept as tuned, which found more on held-out pairs"
    if kept != "tuned":
        merged = f"{report['merge']['lambda']:.2f} of the way from the start to the tuned model"
    pairs = report["pairs"]["pairs"]
    chosen = report["judge"]["chosen"]
    return _CARD.format(
        base=_line(settings["model"]),
        title=_line(stamp["model"]),
        dims=stamp["dims"],
        documents=report["read"]["documents"],
        passages=report["read"]["passages"],
        pairs=", ".join(f"{count:,} {_line(name)}" for name, count in pairs.items()) or "none",
        amount=f"{train['steps']} steps, weights of step {train['best_step']}",
        batch=settings["batch_size"],
        method="low-rank adapters" if settings["lora"] else "all weights",
        seed=settings["seed"],
        merged=merged,
        query_prompt=json.dumps(stamp["query_prompt"]),
        document_prompt=json.dumps(stamp["document_prompt"]),
        max_tokens=stamp["max_tokens"],
        pooling=stamp["pooling"],
        queries=test.get("queries", 0),
        scores=_scores(test.get("rankings", {})),
        verdict=f"The index ships {chosen['shipped']}: {_line(chosen['reason'])}.",
        versions=", ".join(f"{name} {version}" for name, version in report["versions"].items()),
        date=report["date"][:10],
    )


def _scores(rankings: Mapping[str, Any]) -> str:
    if not rankings:
        return "There were too few documents to hold queries out."
    rows = ["| ranking | nDCG@10 | 95% interval |", "|---|---|---|"]
    for name, scores in rankings.items():
        found = scores["ndcg@10"]
        low, high = found["ci95"]
        rows.append(f"| {name} | {found['mean']:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(rows)


def _line(text: str) -> str:
    return " ".join(shown(str(text)).split())
