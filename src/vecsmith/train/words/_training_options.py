"""How word models are trained, and what is told about each pass."""

import os
from dataclasses import dataclass

import numpy as np

from vecsmith.core import ConfigError, did_you_mean

ENGINES = ("auto", "numba", "torch")


@dataclass(frozen=True)
class WordTraining:
    """How a word model is trained.

    Attributes:
        epochs: Passes of `fit`.
        rate: Learning rate of AdaGrad, constant.
        subsample: t; frequent tokens are left out at random; 0 keeps all.
        min_count: Words that were seen less often are left out.
        max_words: At most so many words are kept.
        hidden: m, units of a hidden layer; None takes the dimensions of the vectors.
        validation: Share of the texts that is held out, for the loss.
        batch: Targets of a step, where torch makes the steps.
        workers: Threads of the compiled loops; None takes all cores. With 1 a run can be repeated.
        engine: "numba" (compiled loops, one window after the other, on CPUs), "torch" (batches), or
            "auto": numba where it is installed and the device is a CPU, else torch.
        device: Where torch computes.
        seed: Seed of all draws.
    """

    epochs: int = 5
    rate: float = 0.05
    subsample: float = 1e-3
    min_count: int = 5
    max_words: int | None = None
    hidden: int | None = None
    validation: float = 0.05
    batch: int = 256
    workers: int | None = 1
    engine: str = "auto"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "min_count", "max_words", "hidden", "batch", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value!r}")
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(f"rate must be above 0; got {self.rate!r}")
        if not 0 <= self.validation < 1 or not 0 <= self.subsample < np.inf:
            raise ConfigError(
                "validation must be from 0 to below 1, and subsample 0 or above; got "
                f"{self.validation!r} and {self.subsample!r}"
            )
        if self.engine not in ENGINES:
            hint = did_you_mean(self.engine, ENGINES)
            raise ConfigError(f"engine {self.engine!r} is unknown; {hint}")
        if self.engine == "numba" and self.device != "cpu":
            raise ConfigError(
                f"engine 'numba' computes on the device 'cpu'; got {self.device!r}: give 'torch'"
            )
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or above; got {self.seed}")

    @property
    def threads(self) -> int:
        """Threads of the compiled loops."""
        return self.workers or os.cpu_count() or 1


@dataclass(frozen=True)
class Pass:
    """One pass over the corpus.

    Attributes:
        epoch: Number of passes so far, this one too.
        tokens: Tokens gone through in it; for GloVe, pairs.
        seconds: How long it took.
        loss: Mean loss on what is held out; None without.
    """

    epoch: int
    tokens: int
    seconds: float
    loss: float | None
