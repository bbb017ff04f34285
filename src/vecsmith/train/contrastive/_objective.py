"""What all losses of embeddings share: embedding a batch, gradient caching, gathering, progress.

A loss of the family is a few lines: `row_losses` gets a `Batch` (this process's embeddings, those
of all processes, which rows to score) and returns one number a row. All else lives here once::

    text columns -> embed -> transform -> gather -> prepare -> row_losses, in chunks of rows -> mean

With `cached_mini_batch` texts are embedded a few rows at a time and their activations thrown away;
the loss is computed on the embeddings alone, also a few rows at a time; then the rows are embedded
again, with the same dropout, and the stored gradients sent on. Loss and gradients are those of the
whole batch (L. Gao and others: Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup, 2021); memory grows with the mini-batch, and with the batch only by its embeddings. Cost: one
more forward pass. Over several processes every row is set against the rows of all of them, and the
gradients are those of one process with the whole batch; batches must be equally large.

Objectives compose: one that wraps another calls its `row_losses` on batches that `Batch.map` cuts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import (
    CachedLossMixin,
    RandContext,
    _create_minibatch,
    has_static_embedding_input,
)
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError

from ._core import BLOCKS, Columns, Rows, similarity_blocks
from ._loss_state import state_beside_model, state_callback

Features = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Embeddings of a batch, and which of its rows are to be scored.

    Attributes:
        columns: One tensor a text column, of this process's rows: shape (B, dims), or
            (B, views, dims) where an objective embeds each text in several ways.
        pool: The same for the rows of all processes, shape (C, ...); C = B on one process.
        offset: Place in the pool of this process's first row.
        rows: The rows of this process to be scored now.
        labels: What the trainer hands over as labels, shape (B, ...), or None.
        facts: What `Objective.prepare` found out for the whole batch, without gradients.
    """

    columns: tuple[Tensor, ...]
    pool: tuple[Tensor, ...]
    offset: int
    rows: slice
    labels: Tensor | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """Place in the pool of the first row to be scored."""
        return self.offset + int(self.rows.start)

    @property
    def local(self) -> tuple[Tensor, ...]:
        """Embeddings of the rows to be scored, one tensor a column."""
        return tuple(column[self.rows] for column in self.columns)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Change all embeddings alike, for instance cut them.

        Args:
            change: Embeddings -> embeddings of as many rows.

        Returns:
            The changed batch.
        """
        columns = tuple(change(column) for column in self.columns)
        same = self.pool is self.columns
        return replace(
            self,
            columns=columns,
            pool=columns if same else tuple(change(column) for column in self.pool),
        )

    def with_facts(self, **facts: Any) -> "Batch":
        """Add facts.

        Args:
            **facts: Name -> value.

        Returns:
            The batch with them.
        """
        return replace(self, facts={**self.facts, **facts})

    def blocks(self, names: Sequence[str] = BLOCKS) -> dict[str, Tensor]:
        """Compute the cosine blocks of the rows to be scored against the pool.

        Args:
            names: Which blocks.

        Returns:
            See `similarity_blocks`; the target of row i is column `start` + i.
        """
        query, positive = self.local[:2]
        others = Columns(self.pool[0], self.pool[1], self.pool[2:], self.start)
        return similarity_blocks(Rows(query, positive), others, names)


def distributed() -> bool:
    """Tell whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gather(tensor: Tensor) -> Tensor:
    """Collect a tensor from all processes, with gradients.

    Args:
        tensor: Shape (B, ...), equal on all processes.

    Returns:
        Shape (B x processes, ...); the tensor itself on one process.
    """
    return all_gather_with_grad(tensor) if distributed() else tensor


def gathered_batch(columns: Sequence[Tensor], labels: Tensor | None = None) -> Batch:
    """Make the batch of all rows of this process.

    Args:
        columns: Embeddings, one tensor a text column, shape (B, ...) each.
        labels: Labels, shape (B, ...), or None.

    Returns:
        The batch.
    """
    own = tuple(columns)
    rows = own[0].shape[0]
    pool = tuple(gather(column) for column in own) if distributed() else own
    offset = torch.distributed.get_rank() * rows if distributed() else 0
    return Batch(own, pool, offset, slice(0, rows), labels)


class Objective(CachedLossMixin, nn.Module):
    """Base of the losses of embeddings; `SentenceTransformerTrainer` trains with them as with any.

    Args:
        model: The student, a `SentenceTransformer`.
        cached_mini_batch: Rows a step of gradient caching, for batches larger than memory; None
            embeds the batch in one go.

    Raises:
        ConfigError: A mini-batch below 1, or gradient caching with a `StaticEmbedding`.
    """

    columns_needed = 2
    # whether a cut of the embeddings can be scored by itself: no, where a head mixes dimensions
    sliceable = True

    def __init__(self, model: Any, *, cached_mini_batch: int | None = None) -> None:
        super().__init__()
        if cached_mini_batch is not None and cached_mini_batch < 1:
            raise ConfigError(f"cached_mini_batch must be at least 1; got {cached_mini_batch}")
        if cached_mini_batch is not None and has_static_embedding_input(model):
            raise ConfigError(
                "cached_mini_batch cannot be used with a StaticEmbedding model, whose input has no "
                "batch axis to cut; leave it out: such a model fits in memory anyway"
            )
        self.model = model
        # read by the machinery of gradient caching, and by sentence-transformers' MatryoshkaLoss
        self.mini_batch_size = cached_mini_batch or 0
        self.uses_gradient_cache = cached_mini_batch is not None
        self._averaged: set[int] = set()
        self.step = 0
        self.max_steps: int | None = None

    # What a loss fills in, from here

    def inputs(self, features: list[Features]) -> list[Features]:
        """Choose what is embedded; the columns of the data set by default.

        Args:
            features: One dictionary of model inputs a text column.

        Returns:
            One dictionary a column of embeddings.
        """
        return features

    def embed(self, features: Features) -> Tensor:
        """Embed texts; the model's sentence embedding by default.

        Args:
            features: Model inputs of B texts.

        Returns:
            Shape (B, dims), or (B, views, dims).
        """
        embeddings: Tensor = self.model(features)["sentence_embedding"]
        return embeddings

    def transform(self, columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change the embeddings of the whole batch, with gradients; nothing by default.

        Args:
            columns: Embeddings of this process's rows.

        Returns:
            What is scored: as many columns of as many rows.
        """
        return columns

    def prepare(self, batch: Batch) -> Batch:
        """Find out once, without gradients, what scoring needs of the whole batch.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts; unchanged by default.
        """
        return batch

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            One loss a row, shape (rows,).
        """
        raise NotImplementedError(f"{type(self).__name__} must say how rows are scored")

    def after(self, features: list[Features]) -> None:
        """Do what follows the loss of a training step, for instance fill a queue; nothing here.

        Args:
            features: One dictionary of model inputs a text column, as the step began.
        """

    # What the family does for it, from here

    def forward(
        self, sentence_features: Iterable[Features], labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            sentence_features: One dictionary of model inputs a text column.
            labels: As the trainer hands them over.

        Returns:
            A scalar.

        Raises:
            DataError: Too few columns.
        """
        features = list(sentence_features)
        if len(features) < self.columns_needed:
            raise DataError(
                f"{type(self).__name__} needs {self.columns_needed} text columns in the data set "
                "(query, positive, and then any number of negatives, in this order); "
                f"{len(features)} came"
            )
        given = [dict(column) for column in features]
        features = self.inputs(features)
        self._average_own_gradients()
        if self.uses_gradient_cache:
            loss = self._forward_cached(features, labels)
        else:
            loss = self.score([self.embed(column) for column in features], labels)
        if self.training and self.max_steps is None:
            self.step += 1
        if self.training and torch.is_grad_enabled():
            self.after(given)
        return loss

    def own_parameters(self) -> list[nn.Parameter]:
        """List the trained parameters of the loss itself, a head's for instance."""
        model = self.model
        of_model = set() if model is None else {id(weight) for weight in model.parameters()}
        return [w for w in self.parameters() if w.requires_grad and id(w) not in of_model]

    def _average_own_gradients(self) -> None:
        """Average the gradients of the loss's own parameters over processes, as DDP does others."""
        if not distributed():
            return
        for weight in self.own_parameters():
            if id(weight) not in self._averaged:
                self._averaged.add(id(weight))
                weight.register_hook(_mean_over_processes)

    def _forward_cached(self, features: list[Features], labels: Tensor | None) -> Tensor:
        # own parameters get their gradients while the loss is computed: they are kept back until
        # the loss is sent back, which may be scaled
        own = self.own_parameters()
        before = [weight.grad for weight in own]
        for weight in own:
            weight.grad = None
        loss = CachedLossMixin.forward_cached(self, features, labels)
        found = [weight.grad for weight in own]
        for weight, gradient in zip(own, before, strict=True):
            weight.grad = gradient
        if loss.requires_grad and own:
            loss.register_hook(partial(_add_gradients, own, found))
        return loss

    def score(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Compute the loss from the embeddings of a whole batch.

        Args:
            embeddings: One tensor a column, shape (B, ...) each.
            labels: As in `forward`.

        Returns:
            A scalar.
        """
        batch = gathered_batch(self.transform(tuple(embeddings)), labels)
        with torch.no_grad():
            batch = self.prepare(batch)
        return self.row_losses(batch).mean()

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Compute the loss from embeddings in mini-batches (the step between the two passes).

        Args:
            reps: Column -> mini-batches of embeddings.
            labels: As in `forward`.
            with_backward: Send gradients back to the embeddings, and return the loss detached.

        Returns:
            A scalar.
        """
        columns = self.transform(tuple(torch.cat(column) for column in reps))
        if not with_backward:
            return self._score_chunks(gathered_batch(columns, labels))
        # each chunk's graph ends at these copies, so that it is freed with the chunk
        own = tuple(column.detach().requires_grad_() for column in columns)
        whole = gathered_batch(own, labels)
        pool = own
        if whole.pool is not own:
            pool = tuple(column.detach().requires_grad_() for column in whole.pool)
        loss = self._score_chunks(replace(whole, columns=own, pool=pool), with_backward=True)
        if whole.pool is not own:
            _send_on(whole.pool, pool)
        _send_on(columns, own)
        return loss

    def _score_chunks(self, batch: Batch, *, with_backward: bool = False) -> Tensor:
        with torch.no_grad():
            batch = self.prepare(batch)
        rows = int(batch.rows.stop)
        total = batch.columns[0].new_zeros((), dtype=torch.float32)
        for start in range(0, rows, self.mini_batch_size):
            part = slice(start, min(start + self.mini_batch_size, rows))
            loss = self.row_losses(replace(batch, rows=part)).sum() / rows
            if with_backward:
                loss.backward()
                loss = loss.detach()
            total = total + loss
        return total

    def embed_minibatch(
        self,
        sentence_feature: Features,
        begin: int,
        end: int,
        with_grad: bool,
        copy_random_state: bool,
        random_state: RandContext | None = None,
    ) -> tuple[Tensor, RandContext | None]:
        """Embed some rows of a column, with given or with recorded randomness.

        Args:
            sentence_feature: Model inputs of the column.
            begin: First row.
            end: Row after the last one.
            with_grad: Whether to keep the graph.
            copy_random_state: Whether to record the randomness.
            random_state: Randomness to replay.

        Returns:
            Embeddings, and the recorded randomness.
        """
        part = _create_minibatch(sentence_feature, begin, end)
        with (
            nullcontext() if random_state is None else random_state,
            nullcontext() if with_grad else torch.no_grad(),
        ):
            recorded = RandContext(*part.values()) if copy_random_state else None
            return self.embed(part), recorded

    # Progress of training

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1].

        Raises:
            ConfigError: Nobody says how long the training is.
        """
        if self.max_steps is None:
            raise ConfigError(
                f"{type(self).__name__} changes while training goes on and does not know how long "
                "that is: give the trainer callbacks=[loss.progress_callback()]"
            )
        return min(self.step / max(self.max_steps, 1), 1.0)

    def set_progress(self, step: int, max_steps: int) -> None:
        """Say where the training is; this objective and those inside it read it.

        Args:
            step: Steps done.
            max_steps: Steps in all.
        """
        for module in self.modules():
            if isinstance(module, Objective):
                module.step, module.max_steps = step, max_steps

    def own_state(self) -> dict[str, Tensor]:
        """Return what the loss has besides the model: a head, a queue, running means.

        Returns:
            Name -> tensor; empty for most losses.
        """
        return state_beside_model(self)

    def progress_callback(self, name: str = "") -> Any:
        """Make the `TrainerCallback` that keeps `step` and `progress`, also when resuming.

        A checkpoint of a trainer holds the model alone; this keeps the loss's own state beside it.

        Args:
            name: Tells the losses of one trainer apart; each needs another.

        Raises:
            ModelError: From the trainer, at a checkpoint that lacks the loss's state.
        """
        return state_callback(self, name)


def _mean_over_processes(gradient: Tensor) -> Tensor:
    total = gradient.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _add_gradients(
    weights: Sequence[nn.Parameter], gradients: Sequence[Tensor | None], scale: Tensor
) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            scaled = gradient * scale.to(gradient.dtype)
            weight.grad = scaled if weight.grad is None else weight.grad + scaled


def _send_on(tensors: Sequence[Tensor], leaves: Sequence[Tensor]) -> None:
    """Send the gradients that arrived at leaves on to the tensors they were copied from."""
    kept = [
        (tensor, leaf.grad)
        for tensor, leaf in zip(tensors, leaves, strict=True)
        if tensor.requires_grad and leaf.grad is not None
    ]
    torch.autograd.backward([tensor for tensor, _ in kept], [gradient for _, gradient in kept])
