"""Merge sentence encoders by name, and show on one's own examples what that did to each task.

The examples of every task are split in two by their first text: one half may choose (settings,
coefficients, router), the other half judges. Where nothing is chosen, all of them judge.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import ConfigError, fresh_dir
from vecsmith.encode import load_sentence_transformer
from vecsmith.evaluate import Evaluation, Score, score_model, spearman
from vecsmith.reshape import MergeSet, SelfPositioning, TwinModel
from vecsmith.reshape.merge import RULES, STREAMED, merge_folders, tuned_merge

from ._merge_probe import (
    Rows,
    check_counts,
    evaluations,
    first_texts,
    halves,
    read_probe,
    task_losses,
    training_rows,
)

METHODS = (*sorted(RULES), "self_positioning", "twin")
# what these learn needs examples of every expert's own task
_BY_EXPERT = ("fisher", "regmean", "twin")


@dataclass(frozen=True)
class MergeSettings:
    """What to merge, and how.

    Attributes:
        experts: Name -> hub id or folder.
        out: Folder of the merged model.
        base: Hub id or folder of their common start; None is possible for "average" and "slerp".
        method: One of `METHODS`.
        settings: Setting of the method -> values to choose from on the first half of the examples.
        probe: JSON Lines file: ``{"task", "query", "positive"}`` or
            ``{"task", "first", "second", "score"}`` a line.
        include: Regular expression; only tensors whose name it finds are merged.
        exclude: Regular expression; tensors whose name it finds stay the base's.
        steps: Of "self_positioning".
        seed: Seed of what is drawn.
    """

    experts: Mapping[str, str]
    out: str
    base: str | None = None
    method: str = "task_arithmetic"
    settings: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    probe: str | None = None
    include: str = ""
    exclude: str | None = None
    steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.base is None and self.method not in ("average", "slerp"):
            raise ConfigError(
                f"the method {self.method!r} needs the common start of the experts: give the base"
            )
        if self.base is None and self.method == "slerp" and "around" in self.settings:
            raise ConfigError("slerp around the base needs the base; give it")
        learns = self.method in (*_BY_EXPERT, "self_positioning") or self.choices > 1
        if learns and self.probe is None:
            raise ConfigError(
                f"{self.method!r} with {self.choices} settings to choose from needs examples to "
                "choose by: give a probe"
            )

    @property
    def choices(self) -> int:
        """How many combinations of settings there are."""
        return len(list(itertools.product(*self.settings.values())))

    @property
    def learns(self) -> bool:
        """Whether examples are used to choose, so that others must judge."""
        return self.probe is not None and (
            self.choices > 1 or self.method in (*_BY_EXPERT, "self_positioning")
        )


@dataclass(frozen=True)
class MergeTable:
    """What a merge did.

    Attributes:
        method: Name of the method.
        chosen: Its settings, chosen ones among them.
        out: Folder of the result.
        judged: Task -> examples that judged; empty without a probe.
        scores: Of the merged model against the base (without one: against the first expert).
        others: Model -> task -> score, for the base and the experts.
    """

    method: str
    chosen: dict[str, Any]
    out: str
    judged: dict[str, int]
    scores: tuple[Score, ...] = ()
    others: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        rows = [score.as_dict() for score in self.scores]
        return {**asdict(self), "scores": rows}

    def to_markdown(self) -> str:
        """Return a table, one row a task: before, each expert, after, the difference."""
        names = list(self.others)
        first = names[0] if names else "base"
        head = [
            "task",
            "metric",
            "examples",
            *names,
            "merged",
            f"merged - {first} (95%)",
            "verdict",
        ]
        lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for score in self.scores:
            gap = score.difference
            assert gap is not None
            cells = [
                score.name,
                score.metric,
                str(score.items),
                *(f"{self.others[name][score.name]:.3f}" for name in names),
                f"{score.value.mean:.3f}",
                f"{gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})",
                score.verdict,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def merge_models(settings: MergeSettings) -> MergeTable:
    """Merge, write the result, and score it.

    Args:
        settings: What and how.

    Returns:
        The table of scores.

    Raises:
        ConfigError: Settings do not fit together, or the method does not take one.
        DataError: The probe is malformed, or has too few examples of a task.
        ModelError: The models do not fit together; the text names what differs.
        StoreError: The place cannot be written.
    """
    rows = {} if settings.probe is None else read_probe(settings.probe)
    choose, judge = halves(rows) if settings.learns else ({}, rows)
    check_counts(judge)
    if settings.method in _BY_EXPERT and set(rows) != set(settings.experts):
        raise ConfigError(
            f"the method {settings.method!r} needs examples of each expert's task: the probe has "
            f"{sorted(rows)}, the experts are {sorted(settings.experts)}; name them alike"
        )
    merged, chosen = _merged(settings, choose)
    return _table(settings, merged, chosen, judge)


def _merged(settings: MergeSettings, choose: Mapping[str, Rows]) -> tuple[Any, dict[str, Any]]:
    first = next(iter(settings.experts.values()))
    base = settings.base or first
    grid = [
        dict(zip(settings.settings, values, strict=True))
        for values in itertools.product(*settings.settings.values())
    ]
    if settings.base is None and settings.method == "slerp":
        grid = [{**row, "around": "zero"} for row in grid]
    narrow: dict[str, Any] = {"include": settings.include, "exclude": settings.exclude}
    if settings.method in STREAMED and len(grid) == 1:
        out = merge_folders(
            base, settings.experts, settings.out, settings.method, **narrow, **grid[0]
        )
        return out, grid[0]
    ms = MergeSet(base, settings.experts, **narrow, same_base=settings.base is not None)
    if settings.method == "self_positioning":
        search = SelfPositioning(ms, task_losses(choose), training_rows(choose))
        model = search.fit(steps=settings.steps)
        return model, {"alpha": search.alpha, "lambda": search.lam}
    if settings.method == "twin":
        twin = TwinModel.build(ms, **grid[0])
        report = twin.fit_router({task: first_texts(found) for task, found in choose.items()})
        return twin, {**grid[0], "router accuracy": report.accuracy}
    if settings.method in ("fisher", "regmean"):
        given = {"data": training_rows(choose), "loss": task_losses(choose)}
        grid = [{**row, **given} for row in grid]
    tasks = evaluations(choose)
    if len(grid) == 1:
        return ms.merge(settings.method, **grid[0]), _without_data(grid[0])
    model, best, _ = tuned_merge(
        ms, settings.method, grid, lambda m: float(np.mean([_mean(t, t.measure(m)) for t in tasks]))
    )
    return model, _without_data(best)


def _without_data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("data", "loss")}


def _table(
    settings: MergeSettings, merged: Any, chosen: dict[str, Any], judge: Mapping[str, Rows]
) -> MergeTable:
    if isinstance(merged, TwinModel):
        merged.save_pretrained(settings.out)
    elif not isinstance(merged, Path):
        with fresh_dir(settings.out) as fresh:
            merged.save_pretrained(str(fresh), create_model_card=False)
    tasks = evaluations(judge)
    found = {task.name: len(judge[task.name]) for task in tasks}
    if not tasks:
        return MergeTable(settings.method, chosen, settings.out, found)
    names = {} if settings.base is None else {"base": settings.base}
    others: dict[str, dict[str, float]] = {}
    first: dict[str, Any] = {}
    for name, place in {**names, **settings.experts}.items():
        model = load_sentence_transformer(place)
        measured = {task.name: task.measure(model) for task in tasks}
        first = first or measured
        others[name] = {task.name: _mean(task, measured[task.name]) for task in tasks}
    model = _Encoder(merged) if isinstance(merged, TwinModel) else merged
    model = load_sentence_transformer(model) if isinstance(model, Path) else model
    scores = tuple(score_model(t, model, first[t.name], seed=settings.seed) for t in tasks)
    return MergeTable(settings.method, chosen, settings.out, found, scores, others)


def _mean(task: Evaluation, measured: Any) -> float:
    return spearman(measured, task.gold) if task.gold is not None else float(np.mean(measured))


class _Encoder:
    """A Twin model as evaluations call encoders."""

    def __init__(self, twin: TwinModel) -> None:
        self.twin = twin

    def encode(self, texts: Sequence[str], **options: Any) -> Any:
        import torch

        vectors = torch.nn.functional.normalize(self.twin.encode(list(texts)), dim=-1)
        return vectors.cpu().numpy()

    encode_query = encode_document = encode
