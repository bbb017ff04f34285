"""The model card of a training run: data with hashes, objective, settings, scores, citations."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vecsmith.core import hardware, shown

from ._config import TrainingConfig

if TYPE_CHECKING:
    from ._run import TrainingReport

PACKAGES = ("vecsmith", "sentence-transformers", "transformers", "torch")

_CARD = """---
base_model: {base}
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- vecsmith
---
# Sentence encoder of {dims} dimensions

Trained from {base} with the objective `{objective}`. It loads in sentence-transformers; vecsmith is
not needed.

## Data

{data}

## Settings

{settings}

## Scores

{scores}

## Contamination

{contamination}

## Training

{training}

## Built with

{versions}; {hardware}.

## Citations

{citations}
"""


def training_card(
    config: TrainingConfig,
    data: Sequence[Mapping[str, Any]],
    report: "TrainingReport",
    citations: Sequence[str],
    *,
    dims: int,
) -> str:
    """Write the card.

    Args:
        config: Settings.
        data: Summaries of the data sets.
        report: What the run gave.
        citations: BibTeX of the methods that were used.
        dims: Dimensions of the model.

    Returns:
        Markdown, with the header that model hubs read.
    """
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return _CARD.format(
        base=_line(config.model),
        dims=dims,
        objective=_line(config.objective),
        data=_data(data),
        settings=_settings(config),
        scores=_scores(report),
        contamination=_contamination(report),
        training=_training(report),
        versions=versions,
        hardware=hardware(),
        citations=_citations(citations),
    )


def _line(text: object) -> str:
    return " ".join(shown(str(text)).split())


def _data(data: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        "| data | rows | trained on | columns | weight | left out | hash |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in data:
        out = f"{part['left_out_empty']} empty, {part['left_out_equal']} equal"
        columns = ", ".join(_line(name) for name in part["columns"])
        rows.append(
            f"| {_line(part['path'])} | {part['rows']:,} | {part['trained_on']:,} | {columns} "
            f"| {part['weight']:g} | {out} | `{part['hash'][:16]}` |"
        )
    return "\n".join(rows)


_SHOWN = (
    "batch_size",
    "mini_batch",
    "temperature",
    "margin",
    "guide",
    "learning_rate",
    "warmup",
    "weight_decay",
    "epochs",
    "steps",
    "max_tokens",
    "lora",
    "dims",
    "menu",
    "keep",
    "seed",
)


def _settings(config: TrainingConfig) -> str:
    plain = config.as_dict()
    return "\n".join(
        f"- {name}: {_line(plain[name])}"
        for name in _SHOWN
        if plain[name] not in (None, [], 0) or name == "seed"
    )


def _scores(report: "TrainingReport") -> str:
    if not report.scores:
        return "No evaluation was asked for."
    rows = [
        "| evaluation | metric | base | this model | difference (95%) | p | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in report.scores:
        row = score.as_dict()
        low, high = row["difference_ci95"]
        cells = [
            _line(score.name),
            score.metric,
            f"{row['base']:.4f}",
            f"{row['score']:.4f} ({row['ci95'][0]:.4f} to {row['ci95'][1]:.4f})",
            f"{row['difference']:+.4f} ({low:+.4f} to {high:+.4f})",
            f"{row['p']:.3g}",
            row["verdict"],
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _contamination(report: "TrainingReport") -> str:
    if not report.overlaps:
        return "No evaluation was asked for, so there was nothing to compare with."
    rows = ["| evaluation | texts | trained on as they are | nearly |", "|---|---|---|---|"]
    rows += [
        f"| {_line(found.evaluation)} | {found.texts:,} | {found.exact:,} | {found.near:,} |"
        for found in report.overlaps
    ]
    return "\n".join(rows)


def _training(report: "TrainingReport") -> str:
    curve = report.log["curve"]
    found = [f"- {report.steps} steps at {report.log['pairs_per_second']:.0f} rows a second"]
    if curve and report.log["best"] > 0:
        found.append(
            f"- validation MRR {curve[0]['mrr']:.4f} before, {report.log['best']:.4f} at step "
            f"{report.log['best_step']}"
        )
    found += [
        f"- doctor, {finding.level}: {finding.name}: {_line(finding.text)}"
        for finding in (*report.examined, *report.findings)
        if finding.level != "fine"
    ]
    return "\n".join(found)


def _citations(found: Sequence[str]) -> str:
    own = "N. Reimers, I. Gurevych: Sentence-BERT (2019), by whose library it loads."
    return "\n".join([own, *(f"\n```bibtex\n{text.strip()}\n```" for text in found)])
