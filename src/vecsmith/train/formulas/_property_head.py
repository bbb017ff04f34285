"""Numbers from formulas, or from points: a head on one encoder of SNIP.

Meidani et al. 2024 predict what a curve is like from its formula alone (`PROPERTIES`), with an MLP
latent -> 128 -> 1 under squared error, in three regimes: the encoder as it was trained ("frozen"),
trained on ("finetuned"), or started anew ("scratch"). The other direction, from points to a fact of
the formula, is ``side="points"``. "ridge" as head is linear, with its strength chosen by
leave-one-out, and needs the frozen encoder: an MLP on a few hundred labels over-fits.

Use ridge below some thousand labels. Cost: one pass of the encoder, or `epochs` of them with
gradients.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    FitResult,
    fit,
    numpy_generator,
    require,
    torch_generator,
)
from vecsmith.encode.formulas import Snip

REGIMES = ("scratch", "frozen", "finetuned")
SIDES = ("formula", "points")
HEADS = ("mlp", "ridge")
ALPHAS = tuple(10.0**power for power in range(-3, 5))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadTraining:
    """How a head is trained, ridge apart.

    Attributes:
        steps: Optimizer steps.
        batch: Rows a step.
        lr: Peak rate; the paper's is 1e-5 over many more steps.
        hidden: Units of the MLP.
        seed: Seed of the head, of a fresh encoder and of the order.
        cpu: Stay on the CPU even where there is a GPU.
    """

    steps: int = 500
    batch: int = 64
    lr: float = 1e-3
    hidden: int = 128
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ConfigError(f"lr must be above 0; got {self.lr!r}")


class _Head(nn.Module):
    """Encoder and MLP; the loss of a batch."""

    def __init__(self, encoder: nn.Module, normalised: Any, sizes: tuple[int, int]) -> None:
        super().__init__()
        self.encoder, self.normalised = encoder, normalised
        self.mlp = nn.Sequential(nn.Linear(*sizes), nn.ReLU(), nn.Linear(sizes[1], 1))

    def forward(self, inputs: Sequence[Tensor], scale: float) -> Tensor:
        vectors = self.normalised(self.encoder(*inputs)) * scale
        return self.mlp(vectors).squeeze(-1)


class PropertyHead:
    """Predicts a number from formulas or from points.

    Args:
        model: SNIP; it is not changed.
        regime: "frozen", "finetuned" or "scratch".
        head: "mlp" or "ridge" (frozen only).
        side: "formula" or "points": what is read.
        options: How an MLP is trained.

    Attributes:
        alpha_: Strength that ridge chose.
        training_: How the training of an MLP went.

    Raises:
        ConfigError: An argument is unknown, or ridge is asked for with a trained encoder.
    """

    def __init__(
        self,
        model: Snip,
        *,
        regime: str = "frozen",
        head: str = "ridge",
        side: str = "formula",
        options: HeadTraining | None = None,
    ) -> None:
        given = (("regime", regime, REGIMES), ("head", head, HEADS), ("side", side, SIDES))
        for name, value, known in given:
            if value not in known:
                raise ConfigError(f"{name} must be one of {known}; got {value!r}")
        if head == "ridge" and regime != "frozen":
            raise ConfigError(
                f"head 'ridge' needs regime 'frozen'; got {regime!r}: take head='mlp'"
            )
        self.regime, self.head, self.side = regime, head, side
        self.options = options or HeadTraining()
        self.model = model
        self.alpha_: float | None = None
        self.training_: FitResult | None = None
        self._ridge: Any = None
        self._net: _Head | None = None
        self._shift, self._spread = 0.0, 1.0

    def fit(self, inputs: Sequence[Any], values: ArrayLike) -> "PropertyHead":
        """Learn from labelled formulas, or point sets.

        Args:
            inputs: Formulas; or pairs (X, y) where `side` is "points".
            values: Labels, shape (inputs,).

        Returns:
            Itself.

        Raises:
            DataError: Labels that are not finite or not as many, or inputs that cannot be read.
        """
        labels = np.asarray(values, np.float64)
        if labels.shape != (len(inputs),) or len(labels) < 2 or not np.isfinite(labels).all():
            raise DataError(
                "values must be finite numbers, one for each of at least two inputs; got shape "
                f"{labels.shape} for {len(inputs)} inputs, {int((~np.isfinite(labels)).sum())} of "
                "them not finite"
            )
        if self.head == "ridge":
            return self._fit_ridge(inputs, labels)
        return self._fit_mlp(inputs, labels)

    def _fit_ridge(self, inputs: Sequence[Any], labels: Floats) -> "PropertyHead":
        linear = require("sklearn.linear_model", "train")
        pipeline = require("sklearn.pipeline", "train")
        scaler = require("sklearn.preprocessing", "train")
        self._ridge = pipeline.make_pipeline(scaler.StandardScaler(), linear.RidgeCV(alphas=ALPHAS))
        self._ridge.fit(self._vectors(inputs), labels)
        self.alpha_ = float(self._ridge[-1].alpha_)
        return self

    def _vectors(self, inputs: Sequence[Any]) -> NDArray[np.float32]:
        if self.side == "formula":
            return self.model.encode_formula(inputs)
        return self.model.encode_points([X for X, _ in inputs], [y for _, y in inputs])

    def _inputs(self, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
        if self.side == "formula":
            return (torch.from_numpy(self.model.formula_inputs(inputs)),)
        ids, mask = self.model.point_inputs(inputs)
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def _fresh(self) -> _Head:
        o, model = self.options, self.model
        with torch.random.fork_rng():
            # other weights than a model made with this seed has
            torch.manual_seed(torch_generator(o.seed, "head").initial_seed())
            source = Snip(model.config) if self.regime == "scratch" else copy.deepcopy(model)
            tower = source.symbolic if self.side == "formula" else source.numeric
            net = _Head(tower, model.normalised, (model.config.latent, o.hidden))
        for weight in tower.parameters():
            weight.requires_grad_(self.regime != "frozen")
        return net

    def _fit_mlp(self, inputs: Sequence[Any], labels: Floats) -> "PropertyHead":
        o, tensors, net = self.options, self._inputs(inputs), self._fresh()
        self._shift, self._spread = float(labels.mean()), float(labels.std()) or 1.0
        wanted = torch.from_numpy((labels - self._shift) / self._spread).float()
        size, scale = min(o.batch, len(labels)), self.model.latent_scale

        def batches(epoch: int) -> EpochBatches:
            order = numpy_generator(o.seed, "head", str(epoch)).permutation(len(labels))
            count = len(labels) // size
            parts = (order[i * size : (i + 1) * size] for i in range(count))
            return EpochBatches(count, ([*(t[p] for t in tensors), wanted[p]] for p in parts))

        def step(model: nn.Module, batch: list[Tensor]) -> Tensor:
            return F.mse_loss(model(batch[:-1], scale), batch[-1])

        self.training_ = fit(
            net,
            step,
            batches,
            budget=Budget(steps=o.steps),
            options=FitOptions(lr=o.lr, seed=o.seed, cpu=o.cpu, description=f"head {self.regime}"),
        )
        self._net = net.eval()
        return self

    @torch.inference_mode()
    def predict(self, inputs: Sequence[Any], *, batch_size: int = 256) -> Floats:
        """Predict.

        Args:
            inputs: As in `fit`.
            batch_size: Rows a step.

        Returns:
            Numbers, shape (inputs,).

        Raises:
            ConfigError: `fit` was not called.
        """
        if self._ridge is not None:
            return np.asarray(self._ridge.predict(self._vectors(inputs)), np.float64)
        if self._net is None:
            raise ConfigError("predict needs a head that was fitted; call fit first")
        tensors = self._inputs(inputs)
        device = next(self._net.parameters()).device
        parts = [
            self._net(
                [part[i : i + batch_size].to(device) for part in tensors], self.model.latent_scale
            )
            for i in range(0, len(tensors[0]), batch_size)
        ]
        return torch.cat(parts).cpu().double().numpy() * self._spread + self._shift
