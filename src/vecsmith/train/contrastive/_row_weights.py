"""Weights of a batch's rows that follow difficulty and progress: easy rows first, hard rows last.

Paper: PEG: Towards Robust Text Retrieval with Progressive Learning (T. Wu and others, 2023), which
adjusts the weights of the samples of an extremely large batch while training goes on, by how hard
their negatives are. The paper's formula is not public in a form that could be checked; the one
here is a stated reading of it. With d_i = max over negatives s(q_i, c) - s(q_i, p_i), detached, and
progress u in [0, 1]::

    w = B softmax( beta (2u - 1) z(d) ),    z = standardised over the batch, cut at +-2

u = 0: easy rows count more; u = 1/2: all the same; u = 1: hard rows count more. Rows whose
difficulty lies above a high quantile (`guard`) are mostly mislabelled and get the median weight.
All weights have mean 1, so they are no learning-rate schedule in disguise.

Use with many, mixed, noisy pairs and a large pool of negatives. Cost: one more product of the
batch with its pool, without gradients.
"""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from vecsmith.core import ConfigError


class RowWeights(Protocol):
    """What weighs rows: a function of difficulty and progress."""

    def __call__(self, difficulty: Tensor, progress: float) -> Tensor:
        """Weigh rows.

        Args:
            difficulty: Cosine of the nearest negative less that of the positive, shape (B,).
            progress: Share of the training that is done.

        Returns:
            Weights, shape (B,), mean 1.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""


def progressive_weights(
    difficulty: Tensor, progress: float, *, beta: float = 1.0, guard: float = 0.98
) -> Tensor:
    """Compute PEG's weights.

    Args:
        difficulty: Shape (B,).
        progress: u, in [0, 1].
        beta: Strength; below 0 the order is reversed, hard to easy.
        guard: Quantile of the difficulty above which rows get the median weight; 1 switches it off.

    Returns:
        Weights, shape (B,), mean 1.
    """
    wide = difficulty.detach().double()
    spread = wide.std(correction=0)
    if wide.numel() < 2 or spread <= 1e-12:
        return torch.ones_like(difficulty)
    scaled = ((wide - wide.mean()) / spread).clamp(-2.0, 2.0)
    weights = (beta * (2.0 * progress - 1.0) * scaled).softmax(dim=0)
    if guard < 1.0:
        hardest = wide > torch.quantile(wide, guard)
        weights = torch.where(hardest, weights.median(), weights)
    return (weights / weights.mean()).to(difficulty.dtype)


@dataclass(frozen=True)
class ProgressiveWeights:
    """PEG's weights as an object.

    Attributes:
        beta: See `progressive_weights`.
        guard: See `progressive_weights`.
    """

    beta: float = 1.0
    guard: float = 0.98

    def __post_init__(self) -> None:
        if not 0.5 <= self.guard <= 1.0:
            raise ConfigError(f"guard must be a quantile in [0.5, 1]; got {self.guard}")

    def __call__(self, difficulty: Tensor, progress: float) -> Tensor:
        """Weigh rows.

        Args:
            difficulty: Shape (B,).
            progress: u, in [0, 1].

        Returns:
            Shape (B,), mean 1.
        """
        return progressive_weights(difficulty, progress, beta=self.beta, guard=self.guard)

    def settings(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {"name": "progressive", **asdict(self)}

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{wu2023peg,
    title={Towards Robust Text Retrieval with Progressive Learning},
    author={Tong Wu and Yulei Qin and Enwei Zhang and Zihan Xu and Yuting Gao and Ke Li and
        Xing Sun},
    year={2023}
}
"""


@dataclass(frozen=True)
class FocalWeights:
    """Weights that grow with how wrong a row is: (1 - p)^(gamma u).

    p is the positive's share against the nearest negative (T.-Y. Lin and others: Focal Loss for
    Dense Object Detection, 2017); the exponent grows from 0 with the progress u.

    Attributes:
        gamma: Exponent at the end of training.
        temperature: What the difference of the two cosines is divided by.
    """

    gamma: float = 2.0
    temperature: float = 0.05

    def __call__(self, difficulty: Tensor, progress: float) -> Tensor:
        """Weigh rows.

        Args:
            difficulty: Shape (B,).
            progress: u, in [0, 1].

        Returns:
            Shape (B,), mean 1.
        """
        wrong = (difficulty.detach().double() / self.temperature).sigmoid()
        weights = wrong.clamp_min(1e-6) ** (self.gamma * progress)
        return (weights / weights.mean()).to(difficulty.dtype)

    def settings(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {"name": "focal", **asdict(self)}
