"""While training: loss that is zero, flat or not a number, gradients, and collapse of the space."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import TrainerCallback

from vecsmith.core import VecsmithError

from ._findings import Finding, graded
from ._space import SpaceHealth, space_findings, space_health

logger = logging.getLogger(__name__)
# losses looked at together
WINDOW = 20


class TrainingError(VecsmithError):
    """The run cannot go on; checkpoints written before are whole."""


def loss_findings(losses: Sequence[float], chance: float | None = None) -> list[Finding]:
    """Judge a row of losses.

    Args:
        losses: Losses, one a logged step, oldest first.
        chance: Loss of a model that knows nothing, ln(candidates), where it is known.

    Returns:
        Findings; none before there are two windows of losses.
    """
    if losses and not math.isfinite(losses[-1]):
        return [
            Finding(
                "loss",
                "error",
                float("nan"),
                f"the loss became {losses[-1]} at the {len(losses)}. logged step",
                "lower the learning rate, switch bf16 or fp16 off, and look at the rows of that "
                "step; the last checkpoint is from before",
            )
        ]
    if len(losses) < 2 * WINDOW:
        return []
    first, last = np.asarray(losses[:WINDOW]), np.asarray(losses[-WINDOW:])
    now = float(last.mean())
    if now < 1e-3:
        return [
            Finding(
                "loss",
                "warning",
                now,
                f"the loss is {now:.4f}: nothing is left to learn",
                "take harder negatives (MinedNegatives) or a larger batch; stop here otherwise",
            )
        ]
    noise = math.sqrt(first.var() / WINDOW + last.var() / WINDOW)
    fallen = float(first.mean()) - now
    stuck = chance is not None and now > 0.95 * chance
    if fallen <= 2.0 * noise and stuck:
        text = f"the loss stays at {now:.3f}, which is chance"
        advice = (
            "nothing is learnt: check that column 2 really answers column 1, lower the "
            "temperature, raise the learning rate"
        )
        return [Finding("loss", "error", now, text, advice)]
    if fallen <= 0.0 and now - float(first.mean()) > 2.0 * noise:
        text = f"the loss rose from {first.mean():.3f} to {now:.3f}"
        return [Finding("loss", "warning", now, text, "lower the learning rate")]
    return [Finding("loss", "fine", now, f"the loss went from {first.mean():.3f} to {now:.3f}")]


def gradient_findings(norms: Sequence[float]) -> list[Finding]:
    """Judge a row of gradient norms.

    Args:
        norms: Norms before clipping, one a logged step.

    Returns:
        Findings.
    """
    known = [norm for norm in norms if math.isfinite(norm)]
    if not known:
        return []
    middle = float(np.median(known))
    if middle == 0.0:
        return [
            Finding(
                "gradients",
                "error",
                0.0,
                "all gradients are zero",
                "nothing is trained: check that weights are not frozen, that texts differ, and "
                "that the temperature is not far too low",
            )
        ]
    peak = max(known) / middle
    return [
        graded(
            "gradients",
            peak,
            (20.0, 200.0),
            f"gradient norm {middle:.3g} in the middle, the greatest {peak:.0f} times that",
            "lower the learning rate or lengthen the warm-up; max_grad_norm clips",
        )
    ]


class DoctorCallback(TrainerCallback):  # type: ignore[misc]
    """Watches a run of any Hugging Face trainer; `report()` tells.

    Args:
        model: The model in training, with `encode`.
        texts: A sample of distinct texts that is encoded at each check.
        chance: ln(candidates of a row), to tell a loss that is stuck there.

    Raises:
        TrainingError: From the trainer, at a loss that is not finite.
    """

    def __init__(self, model: Any, texts: Sequence[str], *, chance: float | None = None) -> None:
        self.model, self.texts, self.chance = model, list(dict.fromkeys(texts)), chance
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.start: SpaceHealth | None = None
        self.now: SpaceHealth | None = None
        self.told: set[tuple[str, str]] = set()

    def check_space(self) -> None:
        """Encode the sample and measure the space."""
        if len(self.texts) < 2:
            return
        training = self.model.training
        self.model.eval()
        vectors = np.asarray(self.model.encode(self.texts, show_progress_bar=False))
        self.model.train(training)
        if not np.isfinite(vectors).all():
            raise TrainingError(
                "the model's vectors are no longer finite: its weights are spoilt; lower the "
                "learning rate and go on from an earlier checkpoint"
            )
        self.now = space_health(vectors)
        self.start = self.start or self.now

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the space as it is before the first step."""
        self.check_space()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Read loss and gradient norm; a loss that is not finite ends the run."""
        if not logs or "loss" not in logs:
            return
        self.losses.append(float(logs["loss"]))
        if "grad_norm" in logs:
            self.norms.append(float(logs["grad_norm"]))
        found = loss_findings(self.losses, self.chance)
        if found and not math.isfinite(self.losses[-1]):
            raise TrainingError(f"{found[0].text}; {found[0].advice}")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the space, and say what is new."""
        self.check_space()
        for found in self.report():
            if found.level in ("warning", "error") and (found.name, found.level) not in self.told:
                self.told.add((found.name, found.level))
                logger.warning("%s: %s; next: %s", found.name, found.text, found.advice)

    def report(self) -> list[Finding]:
        """Tell what was found so far.

        Returns:
            Findings on loss, gradients and space.
        """
        found = [*loss_findings(self.losses, self.chance), *gradient_findings(self.norms)]
        if self.now is not None:
            found += space_findings(self.now, self.start)
        return found
