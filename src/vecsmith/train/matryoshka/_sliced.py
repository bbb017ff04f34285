"""What the losses that wrap another loss share: cutting batches, and taking in foreign losses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError
from vecsmith.encode.text._layers import layer_embeddings, normalises, unwrapped
from vecsmith.train.contrastive._core import unit
from vecsmith.train.contrastive._objective import Batch, Features, Objective

from ._grid import entry_kl


class HostLoss(Objective):
    """A loss of sentence-transformers behind the interface of `Objective`.

    Such a loss gives one number for a batch, not one a row: it is computed on the whole batch at
    once, also where rows are scored in parts.

    Args:
        loss: A loss with `compute_loss_from_embeddings`, as most of sentence-transformers have it.

    Raises:
        ConfigError: The loss does not compute from embeddings.
    """

    columns_needed = 1

    def __init__(self, loss: Any) -> None:
        compute = getattr(loss, "compute_loss_from_embeddings", None)
        if compute is None or not hasattr(loss, "model"):
            raise ConfigError(
                "the wrapped loss must be an Objective of vecsmith, or a loss of "
                "sentence-transformers with compute_loss_from_embeddings; "
                f"{type(loss).__name__} is neither (of a Cached... loss take the plain one, and "
                "set cached_mini_batch here)"
            )
        super().__init__(loss.model)
        self.loss = loss

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,): the whole batch's loss on the first part, zeros on the others.
        """
        first = batch.local[0]
        if batch.rows.start:
            return first.flatten(1).sum(dim=1) * 0.0
        compute: Any = self.loss.compute_loss_from_embeddings
        loss: Tensor = compute(list(batch.columns), batch.labels)
        return (loss * (batch.columns[0].shape[0] / first.shape[0])).expand(first.shape[0])


def as_objective(loss: Any) -> Objective:
    """Return a loss as an `Objective`.

    Args:
        loss: An `Objective`, or a loss of sentence-transformers.

    Returns:
        The objective.

    Raises:
        ConfigError: It is neither.
    """
    return loss if isinstance(loss, Objective) else HostLoss(loss)


class SlicedObjective(Objective):
    """Base of the losses that score cut embeddings with another loss.

    Args:
        base: The loss to be wrapped: an `Objective`, or a loss of sentence-transformers.
        cached_mini_batch: See `Objective`; by default that of `base`.

    Raises:
        ConfigError: The base mixes dimensions before it scores, so that cutting says nothing.
    """

    def __init__(self, base: nn.Module, *, cached_mini_batch: int | None = None) -> None:
        inner = as_objective(base)
        if not inner.sliceable:
            raise ConfigError(
                f"{type(self).__name__} cuts embeddings to their leading dimensions, and "
                f"{type(inner).__name__} scores something else: what its head or router makes of "
                "them; give it head=None or router_loss='none', or train without cutting"
            )
        super().__init__(
            inner.model, cached_mini_batch=cached_mini_batch or inner.mini_batch_size or None
        )
        self.base = inner
        self.columns_needed = inner.columns_needed
        self.width = int(unwrapped(inner.model).get_embedding_dimension())

    def inputs(self, features: list[Features]) -> list[Features]:
        """Choose what is embedded: what the base chooses.

        Args:
            features: One dictionary of model inputs a text column.

        Returns:
            One dictionary a column of embeddings.
        """
        return self.base.inputs(features)

    def embed(self, features: Features) -> Tensor:
        """Embed texts as the base does.

        Args:
            features: Model inputs of B texts.

        Returns:
            Shape (B, dims).
        """
        return self.base.embed(features)

    def transform(self, columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change the embeddings as the base does, view by view.

        Args:
            columns: Embeddings, shape (B, dims) or (B, views, dims) each.

        Returns:
            As many columns.
        """
        if columns[0].ndim == 2:
            return self.base.transform(columns)
        views = zip(*(column.unbind(dim=1) for column in columns), strict=True)
        changed = [self.base.transform(view) for view in views]
        return tuple(torch.stack(column, dim=1) for column in zip(*changed, strict=True))

    def prepare(self, batch: Batch) -> Batch:
        """Let the base find out what it needs, from the whole embeddings.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with the base's facts under "base".
        """
        self.base.step, self.base.max_steps = self.step, self.max_steps
        whole = self.base.prepare(self.cut(batch, dim=self.width))
        return batch.with_facts(base=whole.facts)

    def after(self, features: list[Features]) -> None:
        """Do what the base does after a step.

        Args:
            features: Model inputs as the step began.
        """
        self.base.after(features)

    def cut(self, batch: Batch, view: int = -1, *, dim: int) -> Batch:
        """Cut the embeddings of a batch.

        Args:
            batch: Embeddings, shape (B, dims) or (B, views, dims).
            view: Which view, where there are several; the last one is the whole model.
            dim: How many leading dimensions.

        Returns:
            A batch as the model cut to this size would give it, with the base's facts.
        """
        scaled = normalises(self.model)

        def change(vectors: Tensor) -> Tensor:
            piece = (vectors if vectors.ndim == 2 else vectors[:, view])[:, :dim]
            return unit(piece) if scaled else piece

        return replace(batch.map(change), facts=batch.facts.get("base", {}))

    def cut_losses(self, batch: Batch, view: int = -1, *, dim: int) -> Tensor:
        """Score rows with the base, on cut embeddings.

        Args:
            batch: Embeddings, and the rows to be scored.
            view: As in `cut`.
            dim: As in `cut`.

        Returns:
            Shape (rows,).
        """
        return self.base.row_losses(self.cut(batch, view, dim=dim))


class LayeredObjective(SlicedObjective):
    """Base of the losses that embed each text at several layers, in one forward pass.

    The layers of a step travel with the model's inputs, so that gradient caching, which embeds once
    more during the backward pass, takes the same ones.
    """

    LAYERS = "grid_layers"

    def step_layers(self) -> tuple[int, ...]:
        """Return the layers that are embedded in this step; the last one is the whole model."""
        raise NotImplementedError(f"{type(self).__name__} must say which layers it embeds")

    def inputs(self, features: list[Features]) -> list[Features]:
        """Choose what is embedded, and at which layers.

        Args:
            features: One dictionary of model inputs a text column.

        Returns:
            One dictionary a column of embeddings.
        """
        layers: Any = self.step_layers()
        return [{**column, self.LAYERS: layers} for column in self.base.inputs(features)]

    def embed(self, features: Features) -> Tensor:
        """Embed texts at several layers.

        Args:
            features: Model inputs of B texts, from `inputs`.

        Returns:
            Shape (B, layers, dims).
        """
        plain: dict[str, Any] = dict(features)
        layers = plain.pop(self.LAYERS, None) or self.step_layers()
        return layer_embeddings(self.model, plain, layers)


def alignment(
    columns: Sequence[Tensor],
    views: tuple[int, int],
    *,
    dim: int | None = None,
    temperature: float = 1.0,
    detach: bool = True,
) -> Tensor:
    """KL divergence of a small size's embedding entries from the whole model's.

    Args:
        columns: Embeddings, shape (rows, views, dims) each.
        views: View of the teacher, view of the student.
        dim: How many leading dimensions of both; None takes all.
        temperature: What entries are divided by.
        detach: Whether to keep gradients from the teacher.

    Returns:
        Mean over the columns, shape (rows,).
    """
    teacher, student = views
    terms = []
    for column in columns:
        target = column[:, teacher, :dim]
        target = target.detach() if detach else target
        terms.append(entry_kl(target, column[:, student, :dim], temperature))
    return torch.stack(terms).mean(dim=0)
