"""A compressed table that learns to give the vectors of a finished one.

The table starts at the vectors where its method can (`start_at`), and then minimises the squared
distance to them, row by row, through the stages of the method.

Use for methods that have no closed form (tensor trains, hashing, codes that learn). Cost: `epochs`
passes over the rows.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import Budget, ConfigError, EpochBatches, FitOptions, fit, torch_generator
from vecsmith.encode.tables import CompressedEmbedding, Stage, StagedTable, TableBase


class _Rows(nn.Module):
    def __init__(self, table: CompressedEmbedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids)


def fit_vectors(
    table: CompressedEmbedding,
    vectors: Tensor,
    *,
    epochs: int = 30,
    batch_size: int = 1024,
    lr: float = 0.02,
    seed: int = 0,
) -> float:
    """Fit a table to vectors, in place.

    Args:
        table: A table with one field, as many values and as wide as the vectors.
        vectors: Shape (values, dim).
        epochs: Passes over the rows a stage.
        batch_size: Rows a step.
        lr: Rate of Adam, in units of the vectors' root mean square.
        seed: Seed of the order.

    Returns:
        Squared distance that is left, as part of the vectors' squared length.

    Raises:
        ConfigError: The shapes differ.
    """
    wanted = (table.shape.total, table.shape.dim)
    if table.shape.fields != 1 or tuple(vectors.shape) != wanted:
        raise ConfigError(
            f"vectors must have the shape of a table with one field, {wanted}; "
            f"got {tuple(vectors.shape)} for {table.shape.fields} field(s)"
        )
    target = vectors.detach().float()
    # distances in units of the mean squared length, so that one rate suits all tables
    unit = target.square().mean().clamp(min=1e-20)
    lr *= float(unit) ** 0.5
    steps = -(-len(target) // batch_size)
    table.start_at(target)
    model = _Rows(table)

    def distance(ids: Tensor) -> Tensor:
        return (model(ids) - target[ids]).square().mean() / unit

    def step(stage: Stage, _: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        ids, other = batch
        if stage.search:
            _search(table, functools.partial(distance, other), lr)
        loss = distance(ids)
        table.second_pass = lambda: distance(ids)
        extra = table.penalty()
        return loss if extra is None else loss + extra / unit

    def batches(epoch: int) -> EpochBatches:
        order = torch.randperm(len(target), generator=torch_generator(seed, "rows", str(epoch)))
        parts = order.split(batch_size)
        pairs = ((part, parts[(place + 1) % steps]) for place, part in enumerate(parts))
        return EpochBatches(steps, pairs)

    for stage in table.stages():
        table.begin(stage, steps * epochs)
        if stage.select:
            table.select(lambda: -lost_part(table, target))
        else:
            learn = functools.partial(step, stage)
            _fit_stage(model, table, learn, batches, epochs=epochs, lr=lr, seed=seed)
        table.second_pass = None
        table.end(stage)
    return lost_part(table.freeze(), target)


def lost_part(table: TableBase, vectors: Tensor) -> float:
    """Squared distance of a table to vectors, as part of their squared length.

    Args:
        table: A table with one field.
        vectors: Shape (values, dim).
    """
    lost = 0.0
    with torch.no_grad():
        for piece, part in zip(table.pieces(), vectors.split(65536), strict=True):
            lost += float((piece - part).square().sum())
    return lost / float(vectors.square().sum().clamp(min=1e-20))


def _search(table: StagedTable, loss: Callable[[], Tensor], lr: float) -> None:
    """Move what is searched along the gradient of another batch."""
    searched = table.architecture()
    gradients = torch.autograd.grad(loss(), searched)
    for parameter, gradient in zip(searched, gradients, strict=True):
        parameter.grad = gradient
    table.search_step(lr)
    for parameter in searched:
        parameter.grad = None


def _fit_stage(
    model: nn.Module,
    table: StagedTable,
    step: Any,
    batches: Any,
    *,
    epochs: int,
    lr: float,
    seed: int,
) -> None:
    left_out = {id(p) for p in table.architecture()}
    weights = [p for p in model.parameters() if p.requires_grad and id(p) not in left_out]
    # tables of integers have no parameters; their rows follow the optimizer's steps
    weights = weights or [nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.Adam(weights, lr=lr)
    handle = table.attach(optimizer)
    fit(
        model,
        step,
        batches,
        budget=Budget(epochs=epochs),
        options=FitOptions(schedule="cosine", warmup=0.0, max_norm=None, seed=seed, cpu=True),
        optimizer=optimizer,
    )
    handle.remove()
