"""Scores of a study of word embeddings: gain ratios, means over seeds, and what follows."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ._protocol import performance_gain_ratio

# dimensions that reach this part of the best gain are as good
ENOUGH = 0.95


@dataclass(frozen=True)
class StudyScore:
    """What one run scored on one task after one pass.

    Attributes:
        corpus: Name of the corpus.
        model: Name of the model.
        dim: Dimensions.
        seed: Seed.
        epoch: Passes so far.
        loss: Held-out loss then; None without.
        task: Name of the task.
        score: The task's figure.
        random: The figure of random vectors of as many dimensions.
        gain: Performance gain ratio; NaN where no run beats random vectors.
    """

    corpus: str
    model: str
    dim: int
    seed: int
    epoch: int
    loss: float | None
    task: str
    score: float
    random: float
    gain: float = math.nan

    @property
    def setup(self) -> tuple[str, str, int]:
        """Corpus, model and dimensions."""
        return self.corpus, self.model, self.dim


@dataclass(frozen=True)
class StudyTable:
    """Scores of a study.

    Attributes:
        rows: One a run, pass and task.
        words: Words on which all were judged.
    """

    rows: tuple[StudyScore, ...]
    words: int

    @classmethod
    def from_scores(cls, scores: Sequence[StudyScore], words: int) -> "StudyTable":
        """Work out the gain ratios: the best of a task is the best of all runs and passes.

        Args:
            scores: Scores without gains.
            words: Words on which all were judged.

        Returns:
            The table.
        """
        best: dict[str, float] = {}
        for row in scores:
            best[row.task] = max(row.score, best.get(row.task, -math.inf))
        rows = []
        for row in scores:
            gain = performance_gain_ratio({"run": row.score}, row.random, best[row.task])["run"]
            rows.append(replace(row, gain=gain))
        return cls(tuple(rows), words)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return list(dict.fromkeys(row.task for row in self.rows))

    @property
    def setups(self) -> list[tuple[str, str, int]]:
        """Corpora, models and dimensions, in order."""
        return list(dict.fromkeys(row.setup for row in self.rows))

    def curve(
        self, setup: tuple[str, str, int], task: str, *, field: str = "gain"
    ) -> dict[int, float]:
        """Follow a set-up over its passes.

        Args:
            setup: Corpus, model and dimensions.
            task: Name of a task.
            field: "gain", "score" or "loss".

        Returns:
            Passes -> mean over seeds; without those where a seed has no such number.
        """
        found: defaultdict[int, list[float]] = defaultdict(list)
        for row in self.rows:
            if row.setup == setup and row.task == task:
                value = getattr(row, field)
                found[row.epoch].append(math.nan if value is None else value)
        means = {epoch: fmean(values) for epoch, values in sorted(found.items())}
        return {epoch: mean for epoch, mean in means.items() if not math.isnan(mean)}

    def gains(self) -> dict[tuple[str, str, int], dict[str, float]]:
        """Give the gain ratios of all set-ups, each at the pass that is best for the task.

        Returns:
            Corpus, model and dimensions -> task -> mean over seeds; NaN where no run is better than
            random vectors.
        """
        return {
            setup: {
                task: max(self.curve(setup, task).values(), default=math.nan) for task in self.tasks
            }
            for setup in self.setups
        }

    def table(self) -> str:
        """Write mean scores, with gain ratios in brackets, as a Markdown table."""
        lines = [
            f"| corpus | model | dims | {' | '.join(self.tasks)} |",
            "|---" * (len(self.tasks) + 3) + "|",
        ]
        gains = self.gains()
        for setup in self.setups:
            cells = []
            for task in self.tasks:
                gain, scores = gains[setup][task], self.curve(setup, task, field="score")
                cells.append(f"{max(scores.values()):.3f} ({gain:.2f})")
            lines.append(f"| {' | '.join(map(str, setup))} | {' | '.join(cells)} |")
        return "\n".join([*lines, "", f"{self.words} shared words; gain ratio in brackets."])

    def guidelines(self) -> str:
        """Say for each task which set-up is best, how few dimensions do, and when to stop."""
        gains = self.gains()
        return "\n".join(self._guideline(task, gains) for task in self.tasks)

    def _guideline(self, task: str, gains: dict[tuple[str, str, int], dict[str, float]]) -> str:
        fair = {setup: row[task] for setup, row in gains.items() if not math.isnan(row[task])}
        if not fair:
            return f"- {task}: no run is better than random vectors; train on more text, or longer."
        best = max(fair, key=lambda setup: fair[setup])
        corpus, model, dim = best
        parts = [
            f"- {task}: take {model} with {dim} dimensions on {corpus} (gain {fair[best]:.2f})"
        ]
        fewer = [
            s[2]
            for s in fair
            if s[:2] == best[:2] and fair[s] >= ENOUGH * fair[best] and s[2] < dim
        ]
        if fewer:
            parts.append(f"{min(fewer)} dimensions reach {ENOUGH:.0%} of it")
        curve, losses = self.curve(best, task), self.curve(best, task, field="loss")
        if len(curve) > 1:
            stop = max(curve, key=lambda epoch: curve[epoch])
            parts.append(f"stop after pass {stop} of {max(curve)}")
            lowest = min(losses, key=lambda epoch: losses[epoch], default=stop)
            if lowest != stop:
                parts.append(
                    f"the loss is lowest after pass {lowest}, where the gain is {curve[lowest]:.2f}"
                )
        return "; ".join(parts) + "."
