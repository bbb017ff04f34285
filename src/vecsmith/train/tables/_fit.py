"""One training for all tables: the method's stages, each with the same early stopping.

Every stage is a `core.fit` of at most `epochs` (times the stage's share), validated once an epoch;
it ends when the validation AUC has not grown for `patience` epochs, and goes on with the weights of
the best one. Search stages read a validation batch beside each training batch.
"""

import functools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import Budget, ConfigError, EpochBatches, FitOptions, fit, numpy_generator
from vecsmith.data.tables import FieldTable
from vecsmith.encode.tables import METHODS, CompressedEmbedding, Stage, StagedTable

from ._auc import roc_auc
from ._ctr_model import CTRModel
from ._lazy_adam import LazyAdam


@dataclass(frozen=True)
class CTROptions:
    """How to train.

    Attributes:
        batch_size: Rows a step.
        lr: Rate of Adam.
        l2: Coupled L2 on all weights, the table too (dense gradients only).
        epochs: Passes over the data a stage, at most.
        patience: Epochs without a better validation AUC before a stage ends.
        seed: Seed of the order of rows.
        precision: "no", "bf16" or "fp16".
        cpu: Stay on the CPU even where there is a GPU.
    """

    batch_size: int = 512
    lr: float = 1e-3
    l2: float = 0.0
    epochs: int = 10
    patience: int = 2
    seed: int = 0
    precision: str = "no"
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")


@dataclass
class CTRFit:
    """How a training went.

    Attributes:
        model: The model, at its best weights.
        auc: Best validation AUC of the last stage.
        seconds: Wall-clock seconds of all stages.
        steps: Optimizer steps of all stages.
        stages: One dictionary a stage: name, steps, epochs, seconds, auc, stopped.
    """

    model: CTRModel
    auc: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    stages: list[dict[str, Any]] = field(default_factory=list)


def predict(model: nn.Module, table: FieldTable, *, batch_size: int = 8192) -> NDArray[np.float32]:
    """Score rows.

    Args:
        model: A `CTRModel`.
        table: The rows.
        batch_size: Rows a step.

    Returns:
        Logits, shape (rows,).
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    training = model.training
    model.eval()
    with torch.no_grad():
        found = [
            model(*_on(device, ids, numbers)).float().cpu().numpy()
            for ids, numbers, _ in table.batches(batch_size)
        ]
    model.train(training)
    return np.concatenate(found)


def _on(device: torch.device, *arrays: NDArray[Any] | None) -> tuple[Tensor | None, ...]:
    return tuple(None if a is None else torch.from_numpy(a).to(device) for a in arrays)


def fit_ctr(
    model: CTRModel,
    train: FieldTable,
    validation: FieldTable,
    *,
    options: CTROptions | None = None,
    stages: Sequence[Stage] | None = None,
    checkpoint: str | Path | None = None,
) -> CTRFit:
    """Train a click model through the stages of its table.

    Args:
        model: Changed in place.
        train: Rows to learn from.
        validation: Rows for early stopping and for search stages.
        options: How; the defaults of `CTROptions`.
        stages: Some of the table's stages; None: all.
        checkpoint: Folder for checkpoints, one a stage; a killed run is taken up from there.

    Returns:
        How it went.

    Raises:
        ConfigError: There are several processes, and the table cannot be trained in them.
        DataError: Validation rows all have one label.
    """
    options = options or CTROptions()
    table = model.embedding
    _check_processes(table)
    if stages is None:
        stages = table.stages() if isinstance(table, StagedTable) else (Stage("train"),)
    result = CTRFit(model)
    for place, stage in enumerate(stages):
        folder = None if checkpoint is None else Path(checkpoint) / f"{place}-{stage.name}"
        _fit_stage(result, (train, validation), stage, options, folder)
    return result


def _check_processes(table: nn.Module) -> None:
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    parts = [m for m in table.modules() if isinstance(m, CompressedEmbedding)]
    alone = sorted({part.name for part in parts if not part.several_processes})
    if several and alone:
        able = [name for name, kind in METHODS.items() if kind.several_processes]
        raise ConfigError(
            f"tables of {', '.join(map(repr, alone))} are trained in one process, and WORLD_SIZE "
            f"is {os.environ['WORLD_SIZE']}; start one, or take one of {', '.join(able)}"
        )


def _fit_stage(
    result: CTRFit,
    tables: tuple[FieldTable, FieldTable],
    stage: Stage,
    options: CTROptions,
    folder: Path | None,
) -> None:
    model, (train, validation) = result.model, tables
    table = model.embedding
    epoch_steps = -(-len(train) // options.batch_size)
    steps = epoch_steps * max(1, round(options.epochs * stage.share))
    staged = isinstance(table, StagedTable)
    if stage.fresh:
        model.restart_body()
    if staged:
        table.begin(stage, steps)
    if stage.select:
        _select(result, validation, stage)
        return
    optimizer = LazyAdam(_weights(model), lr=options.lr, weight_decay=options.l2)
    handle = table.attach(optimizer) if staged else None
    labels = np.asarray(validation.labels)

    def validate(given: nn.Module) -> float:
        ready = table.readiness() if staged else 1.0
        # scores above the budget must not be kept, nor count as no progress
        return roc_auc(labels, predict(given, validation)) if ready >= 1.0 else ready - 2.0

    found = fit(
        model,
        _search_step(table, options.lr) if stage.search else _train_step,
        _Source(train, validation if stage.search else None, options),
        budget=Budget(steps=steps),
        options=_fit_options(stage, options, epoch_steps),
        optimizer=optimizer,
        validate=validate,
        checkpoint=folder,
    )
    if handle is not None:
        handle.remove()
    if staged:
        table.second_pass = None
        table.end(stage)
    result.auc = float(found.best or 0.0)
    result.seconds += found.seconds
    result.steps += found.steps
    result.stages.append(
        {
            "name": stage.name,
            "steps": found.steps,
            "epochs": found.epochs,
            "seconds": found.seconds,
            "auc": found.best,
            "stopped": found.stopped,
        }
    )


def _fit_options(stage: Stage, options: CTROptions, epoch_steps: int) -> FitOptions:
    return FitOptions(
        schedule="constant",
        warmup=0.0,
        max_norm=None,
        precision=options.precision,
        validate_every=epoch_steps,
        patience=options.patience if stage.early_stop else None,
        higher_is_better=True,
        checkpoint_every=epoch_steps,
        log_every=epoch_steps,
        seed=options.seed,
        cpu=options.cpu,
        description=stage.name,
    )


def _select(result: CTRFit, validation: FieldTable, stage: Stage) -> None:
    """A stage that trains nothing."""
    model, started = result.model, time.perf_counter()
    labels, found = np.asarray(validation.labels), [0.0]

    def score() -> float:
        found.append(roc_auc(labels, predict(model, validation)))
        return found[-1]

    model.embedding.select(score)
    model.embedding.end(stage)
    seconds = time.perf_counter() - started
    result.seconds += seconds
    result.stages.append(
        {
            "name": stage.name,
            "steps": 0,
            "epochs": 0.0,
            "seconds": seconds,
            "auc": max(found),
            "stopped": "select",
        }
    )


def _weights(model: CTRModel) -> list[nn.Parameter]:
    table = model.embedding
    searched = table.architecture() if isinstance(table, StagedTable) else []
    left_out = {id(p) for p in searched}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in left_out]


class _Source:
    """Batches of an epoch, for `core.fit`."""

    def __init__(
        self, train: FieldTable, validation: FieldTable | None, options: CTROptions
    ) -> None:
        self.train, self.validation, self.options = train, validation, options

    def __call__(self, epoch: int) -> EpochBatches:
        size = self.options.batch_size
        return EpochBatches(-(-len(self.train) // size), self._epoch(epoch))

    def _epoch(self, epoch: int) -> Iterator[Any]:
        size, seed = self.options.batch_size, self.options.seed
        rng = numpy_generator(seed, "ctr", "order", str(epoch))
        batches = (_tensors(batch) for batch in self.train.batches(size, rng=rng))
        if self.validation is None:
            yield from batches
            return
        other = numpy_generator(seed, "ctr", "search", str(epoch))
        searched = _endless(self.validation, size, other)
        for batch in batches:
            yield batch, next(searched)


def _endless(table: FieldTable, size: int, rng: np.random.Generator) -> Iterator[Any]:
    while True:
        yield from map(_tensors, table.batches(size, rng=rng))


def _tensors(batch: tuple[NDArray[Any] | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if part is None else torch.from_numpy(part) for part in batch)


def _loss(model: Any, batch: Any) -> Tensor:
    ids, numbers, labels = batch
    logits = model(ids, numbers)
    return nn.functional.binary_cross_entropy_with_logits(logits, labels)


def _train_step(model: Any, batch: Any) -> Tensor:
    loss = _loss(model, batch)
    table = getattr(model, "module", model).embedding
    if not isinstance(table, StagedTable):
        return loss
    table.second_pass = functools.partial(_loss, model, batch)
    extra = table.penalty()
    return loss if extra is None else loss + extra


def _search_step(table: StagedTable, lr: float) -> Any:
    """One step of the architecture on a validation batch, then one of the weights."""

    def step(model: Any, batch: Any) -> Tensor:
        train, validation = batch
        searched = table.architecture()
        gradients = torch.autograd.grad(_loss(model, validation), searched)
        for parameter, gradient in zip(searched, gradients, strict=True):
            parameter.grad = gradient
        table.search_step(lr)
        for parameter in searched:
            parameter.grad = None
        return _train_step(model, train)

    return step
