"""Shape of the two encoders of SNIP, and what they expect of their data."""

import math
from typing import Any

from transformers import PreTrainedConfig

from vecsmith.core import ConfigError, did_you_mean

NORMS = ("pre", "post")
SCALES = ("none", "minmax")
# the paper's, and one that trains in minutes on two cores
SIZES: dict[str, dict[str, Any]] = {
    "base": {
        "width": 512,
        "layers": 8,
        "heads": 16,
        "feedforward": 2048,
        "latent": 512,
        "number_dims": 64,
        "norm": "post",
        "max_tokens": 200,
        "max_points": 200,
    },
    "tiny": {
        "width": 96,
        "layers": 2,
        "heads": 4,
        "feedforward": 192,
        "latent": 64,
        "number_dims": 16,
        "norm": "pre",
        "max_tokens": 48,
        "max_points": 32,
    },
}


class SnipConfig(PreTrainedConfig):
    """Shape of the encoders.

    Args:
        max_dim: Most inputs of a formula.
        digits: Digits of a mantissa.
        operators: Operators of the vocabulary; None takes all.
        width: Of the Transformers.
        layers: Of each encoder.
        heads: Of each layer.
        feedforward: Hidden units of a layer.
        latent: Dimensions of the vectors.
        number_dims: Dimensions of the embedding of a coordinate's token.
        norm: "pre" or "post" (the paper's), where layers normalise.
        max_tokens: Longest formula in tokens, beginning and end included.
        max_points: Points of a bag; larger sets are drawn from.
        point_positions: Learned positions of points (the public code's); off, points are a set.
        normalise: Vectors of unit length; the public code leaves them.
        tau: Start of the temperature, or its value where it is fixed.
        learned_tau: Whether it is learned; the public code fixes it at 1.
        scale_y: "minmax" scales the values of each point set to [0, 1] before they are read;
            "none" leaves them.
        **kwargs: Of `PreTrainedConfig`.

    Raises:
        ConfigError: A value is out of range.
    """

    model_type = "vecsmith-snip"

    def __init__(
        self,
        max_dim: int = 1,
        digits: int = 4,
        *,
        operators: list[str] | None = None,
        width: int = 96,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 192,
        latent: int = 64,
        number_dims: int = 16,
        norm: str = "pre",
        max_tokens: int = 48,
        max_points: int = 32,
        point_positions: bool = False,
        normalise: bool = True,
        tau: float = 0.1,
        learned_tau: bool = True,
        scale_y: str = "none",
        **kwargs: Any,
    ) -> None:
        self.max_dim, self.digits, self.operators = max_dim, digits, operators
        self.width, self.layers, self.heads = width, layers, heads
        self.feedforward, self.latent, self.number_dims = feedforward, latent, number_dims
        self.norm, self.max_tokens, self.max_points = norm, max_tokens, max_points
        self.point_positions, self.normalise = point_positions, normalise
        self.tau, self.learned_tau = tau, learned_tau
        self.scale_y = scale_y
        _check(self)
        super().__init__(**kwargs)

    @classmethod
    def of_size(cls, size: str, **changes: Any) -> "SnipConfig":
        """Take a size by name.

        Args:
            size: "tiny" or "base".
            **changes: What differs from it.

        Returns:
            The configuration.

        Raises:
            ConfigError: Unknown size.
        """
        if size not in SIZES:
            raise ConfigError(f"size {size!r} is unknown; {did_you_mean(size, SIZES)}")
        return cls(**{**SIZES[size], **changes})


def _check(config: SnipConfig) -> None:
    least = {"max_tokens": 3, "max_points": 2}
    names = "max_dim digits width layers heads feedforward latent number_dims max_tokens max_points"
    for name in names.split():
        value, low = getattr(config, name), least.get(name, 1)
        if not isinstance(value, int) or value < low:
            raise ConfigError(f"{name} must be a whole number of at least {low}; got {value!r}")
    if config.width % config.heads:
        raise ConfigError(
            f"width must be a multiple of heads; got {config.width} and {config.heads}"
        )
    if config.norm not in NORMS:
        raise ConfigError(f"norm must be one of {NORMS}; got {config.norm!r}")
    if config.scale_y not in SCALES:
        raise ConfigError(f"scale_y must be one of {SCALES}; got {config.scale_y!r}")
    if not 0 < config.tau < math.inf:
        raise ConfigError(f"tau must be above 0; got {config.tau!r}")
