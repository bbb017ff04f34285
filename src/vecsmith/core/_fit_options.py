"""How long and how `fit` trains, and what it gives back."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ._errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import torch

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda part: 1.0,
    "cosine": lambda part: 0.5 * (1.0 + math.cos(math.pi * part)),
    "linear": lambda part: 1.0 - part,
}
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Budget:
    """How long to train; the limit that is reached first counts.

    Attributes:
        steps: Optimizer steps.
        seconds: Wall-clock seconds, over all resumed parts of a run.
        epochs: Passes over the data; parts of one, and a rate that changes, need data that know
            their length.
    """

    steps: int | None = None
    seconds: float | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not given:
            raise ConfigError(
                "a Budget needs at least one of steps, seconds and epochs; got none of them"
            )
        for name, value in given.items():
            if not value > 0:
                raise ConfigError(f"Budget.{name} must be above 0; got {value!r}")

    def used(self, *, steps: float, seconds: float, epochs: float) -> tuple[float, str]:
        """Return the used part of the tightest limit (1.0: used up) and that limit's name.

        Args:
            steps: Optimizer steps done.
            seconds: Seconds gone by.
            epochs: Epochs gone through.
        """
        done = {"steps": steps, "seconds": seconds, "epochs": epochs}
        parts = [
            (done[name] / value, name) for name, value in asdict(self).items() if value is not None
        ]
        return max(parts)


@dataclass(frozen=True)
class FitOptions:
    """How to train.

    Attributes:
        lr: Learning rate of the default AdamW (a given optimizer keeps its own as the peak).
        weight_decay: Of the default AdamW, on matrices only.
        schedule: "linear" or "cosine" to 0 at the end of the budget, or "constant".
        warmup: Part of the budget over which the rate rises from 0.
        accumulate: Batches an optimizer step.
        max_norm: Gradients are clipped to this norm; None leaves them.
        precision: "no", "bf16" or "fp16".
        validate_every: Optimizer steps between validations.
        patience: Validations without a better score before the run stops; None never stops.
        higher_is_better: Direction of the validation's score.
        checkpoint_every: Optimizer steps between checkpoints.
        log_every: Optimizer steps between records.
        seed: Seed of shuffling, augmentation and dropout.
        cpu: Stay on the CPU even where there is a GPU.
        description: Words before the progress bar.
    """

    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "linear"
    warmup: float = 0.1
    accumulate: int = 1
    max_norm: float | None = 1.0
    precision: str = "no"
    validate_every: int = 100
    patience: int | None = None
    higher_is_better: bool = False
    checkpoint_every: int = 100
    log_every: int = 10
    seed: int = 0
    cpu: bool = False
    description: str = "training"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            hint = did_you_mean(self.schedule, SCHEDULES)
            raise ConfigError(f"schedule {self.schedule!r} is unknown; {hint}")
        if self.precision not in PRECISIONS:
            hint = did_you_mean(self.precision, PRECISIONS)
            raise ConfigError(f"precision {self.precision!r} is unknown; {hint}")
        if not 0.0 <= self.warmup < 1.0:
            raise ConfigError(f"warmup must be from 0 to below 1; got {self.warmup!r}")
        for name in ("accumulate", "validate_every", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")

    def rate(self, used: float) -> float:
        """Return the factor on the learning rate.

        Args:
            used: Used part of the budget, 0 to 1.
        """
        used = min(max(used, 0.0), 1.0)
        if used < self.warmup:
            return used / self.warmup
        return SCHEDULES[self.schedule]((used - self.warmup) / (1.0 - self.warmup))


@dataclass
class FitResult:
    """What a training gave.

    Attributes:
        model: The module that was given, trained; with validation, at its best weights.
        steps: Optimizer steps done.
        epochs: Epochs gone through.
        seconds: Wall-clock seconds, over all parts of the run.
        stopped: "steps", "seconds", "epochs" or "patience".
        loss: Mean loss of the last record; NaN before any.
        best: Best validation score; None without validation.
        best_step: Its step.
        records: One dictionary a log interval or validation: step, loss, lr, seconds, score.
    """

    model: "torch.nn.Module"
    steps: int
    epochs: float
    seconds: float
    stopped: str
    loss: float = math.nan
    best: float | None = None
    best_step: int = 0
    records: list[dict[str, float]] = field(default_factory=list)
