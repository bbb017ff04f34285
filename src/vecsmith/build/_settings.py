"""The settings of a build: one dataclass, as the command line and JSON know it."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from vecsmith.core import ConfigError

from ._target import check_apart

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
QUANTISE = ("auto", "learned", "none")
BACKENDS = ("auto", "f32", "bf16", "int8")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Read a duration such as "90", "90s", "5m" or "1.5h".

    Args:
        text: The duration.

    Returns:
        Seconds.

    Raises:
        ConfigError: Another form.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if match is None:
        raise ConfigError(f"a duration such as 90s, 5m or 1h was expected; got {text!r}")
    return float(match.group(1)) * _UNITS[match.group(2)]


@dataclass(frozen=True)
class BuildSettings:
    """What to build from what.

    Attributes:
        source: Folder or file to read.
        out: Folder of the index.
        model: Hub id or folder of the model to start from.
        pairs: JSONL file with the user's own ``query`` and ``document`` or ``documents``.
        guide: Hub id or folder of a stronger model that filters negatives, if it proves better.
        budget_s: Seconds for training.
        steps: Fixed number of training steps instead of a time; 0 trains nothing.
        dims: Leading dimensions that the index keeps; None keeps all.
        precision: Share of shown passages that should be relevant; None keeps 90% of the
            right ones.
        int8: Keep vectors in 8 bits.
        quantise: "learned" finds candidates by codes that learn from the training queries; "auto"
            does so above 50,000 passages, "none" never.
        lora: Train low-rank adapters instead of all weights.
        backend: "auto" (measured), "f32", "bf16" or "int8".
        max_tokens: Tokens of a passage.
        batch_size: Pairs of a training step.
        seed: Seed of everything random.
    """

    source: str
    out: str
    model: str = DEFAULT_MODEL
    pairs: str | None = None
    guide: str | None = None
    budget_s: float = 300.0
    steps: int | None = None
    dims: int | None = None
    precision: float | None = None
    int8: bool = False
    quantise: str = "auto"
    lora: bool = False
    backend: str = "auto"
    max_tokens: int = 200
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "budget_s must be at least 0": self.budget_s >= 0,
            "steps must be at least 0": self.steps is None or self.steps >= 0,
            "dims must be at least 8": self.dims is None or self.dims >= 8,
            "precision must lie between 0 and 1": self.precision is None or 0 < self.precision < 1,
            "backend must be auto, f32, bf16 or int8": self.backend in BACKENDS,
            "quantise must be auto, learned or none": self.quantise in QUANTISE,
            "max_tokens must be at least 32": self.max_tokens >= 32,
            "batch_size must be at least 2": self.batch_size >= 2,
            "seed must be at least 0": self.seed >= 0,
        }
        for text, fine in checks.items():
            if not fine:
                name = text.split(" ", 1)[0]
                raise ConfigError(f"{text}; got {getattr(self, name)!r}")
        check_apart(self.source, self.out)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return asdict(self)
