"""Training of mapper and decoder on a frozen numeric encoder, by cross-entropy of the tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import Budget, ConfigError, FitOptions, FitResult, fit
from vecsmith.data.formulas import ExpressionGenerator, Sample
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import PairBatch, PairSource

from ._decoder import EquationDecoder


@dataclass(frozen=True)
class DecoderTraining:
    """How to train.

    Attributes:
        batch: Formulas a step; the paper's is 64 to 128.
        steps: Optimizer steps.
        lr: Peak rate; the paper's is 4e-5 over days.
        epoch: Steps of an epoch of generated data.
        workers: Processes that generate data.
        seed: Seed of data and order.
        cpu: Stay on the CPU even where there is a GPU.
    """

    batch: int = 128
    steps: int = 1000
    lr: float = 1e-3
    epoch: int = 1000
    workers: int = 0
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        if self.batch < 2 or self.steps < 1 or not self.lr > 0:
            raise ConfigError(
                "batch must be at least 2, steps at least 1 and lr above 0; got "
                f"{self.batch}, {self.steps} and {self.lr}"
            )


class _Written(nn.Module):
    """Encoder and decoder as `fit` wants them: called with a batch, they give the loss."""

    def __init__(self, snip: Snip, decoder: EquationDecoder) -> None:
        super().__init__()
        # in a list, so that the encoders are no part of what is trained and stored
        self.frozen, self.decoder = [snip], decoder

    def forward(self, batch: PairBatch) -> Tensor:
        with torch.no_grad():
            (snip,) = self.frozen
            latents = snip.normalised(snip.numeric(batch.points, batch.mask))
        logits = self.decoder(latents, batch.formulas[:, :-1])
        return F.cross_entropy(
            logits.flatten(0, 1), batch.formulas[:, 1:].flatten(), ignore_index=0
        )


def train_decoder(
    snip: Snip,
    decoder: EquationDecoder,
    source: ExpressionGenerator | Sequence[Sample],
    *,
    options: DecoderTraining | None = None,
    seconds: float | None = None,
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Train a decoder, in place; the encoders stay as they are.

    Args:
        snip: The encoders.
        decoder: Mapper and decoder of a fitting shape.
        source: A generator, or samples (formula, X, y).
        options: How.
        seconds: Limit of the time; None has none.
        checkpoint: Folder for a checkpoint, from which a killed run goes on.

    Returns:
        The decoder as `model`, in evaluation mode, and how the training went.

    Raises:
        ConfigError: The decoder does not fit, or an option is out of range.
        DataError: Samples that the model cannot read.
    """
    decoder.check(snip)
    o = options or DecoderTraining()
    pairs = PairSource(snip, source, batch=o.batch, epoch=o.epoch, seed=o.seed, workers=o.workers)
    device = snip.log_temperature.device
    use_gpu = torch.cuda.is_available() and not o.cpu
    snip.eval().to("cuda" if use_gpu else device)
    decoder.train()
    try:
        result = fit(
            _Written(snip, decoder),
            lambda net, batch: net(batch),
            pairs,
            budget=Budget(steps=o.steps, seconds=seconds),
            options=FitOptions(lr=o.lr, seed=o.seed, cpu=o.cpu, description="decoder"),
            checkpoint=checkpoint,
        )
    finally:
        snip.to(device)
        decoder.eval()
    result.model = decoder
    return result
