"""Small sets of examples, one a task, and their loss under a model: what merges are fitted to.

Batches hold equal numbers of every task, so that the user and not the size of the data sets decides
the balance.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError, hash_text, numpy_generator

# columns that sentence-transformers takes for labels
LABELS = ("label", "labels", "score", "scores")


def is_encoder(model: nn.Module) -> bool:
    """Tell whether a module is a sentence-transformers model (of any kind).

    Args:
        model: Any module.
    """
    return hasattr(model, "encode") and (hasattr(model, "preprocess") or hasattr(model, "tokenize"))


class Probe:
    """Batches and losses of several tasks for one model.

    Args:
        model: The model whose loss is asked for.
        loss: For a SentenceTransformer: a loss of sentence-transformers, or anything else that
            makes a loss module from the model. For other modules: a function of the model and a
            batch that returns a scalar. Or a dictionary task -> one of these.
        data: Task -> rows: a `datasets.Dataset`, or a list of dictionaries or tuples.
        batch: Rows a batch; fewer where a task has fewer.
        seed: Seed of the order.
        collate: Function of a list of rows that returns a batch, for other modules; by default that
            of torch.

    Raises:
        DataError: A task has no rows.
        ConfigError: `batch` is below 1, or the losses name other tasks than the data.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        data: Mapping[str, Any],
        *,
        batch: int = 16,
        seed: int = 0,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1; got {batch}")
        if not data:
            raise DataError("the probe must name at least one task; got none")
        for task, rows in data.items():
            if len(rows) == 0:
                raise DataError(f"the probe of task {task!r} has no rows; give it some examples")
        losses = loss if isinstance(loss, Mapping) else dict.fromkeys(data, loss)
        if set(losses) != set(data):
            raise ConfigError(
                f"the losses must name exactly the probe's tasks {sorted(data)}; "
                f"got {sorted(losses)}"
            )
        self.model: Any = model
        self.data, self.size = dict(data), batch
        self._encoder, self._collate = is_encoder(model), collate
        self._losses = {
            task: make(model) if self._encoder else make for task, make in losses.items()
        }
        self._generators = {task: numpy_generator(seed, "probe", task) for task in data}
        self._order: dict[str, list[int]] = {task: [] for task in data}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self.data)

    def draw(self, task: str) -> Any:
        """Return the next batch of a task, in an order shuffled anew on each pass.

        Args:
            task: One of `tasks`.
        """
        count = len(self.data[task])
        size = min(self.size, count)
        if len(self._order[task]) < size:
            self._order[task] = self._generators[task].permutation(count).tolist()
        taken, self._order[task] = self._order[task][:size], self._order[task][size:]
        return self.collate([self.data[task][index] for index in taken])

    def walk(self, task: str) -> Iterator[Any]:
        """Go through all whole batches of a task, in the order of its rows.

        Args:
            task: One of `tasks`.

        Yields:
            Batches.
        """
        rows = self.data[task]
        size = min(self.size, len(rows))
        for start in range(0, len(rows) - size + 1, size):
            yield self.collate([rows[index] for index in range(start, start + size)])

    def collate(self, rows: list[Any]) -> Any:
        """Make a batch of rows.

        Args:
            rows: Rows of one task.

        Returns:
            For a sentence-transformers model its tokenised columns and the labels (or None);
            otherwise what the collate function makes.
        """
        if not self._encoder:
            make = self._collate or torch.utils.data.default_collate
            return make(rows)
        if not isinstance(rows[0], Mapping):
            rows = [dict(enumerate(row)) for row in rows]
        prepare = getattr(self.model, "preprocess", None) or self.model.tokenize
        device = next(self.model.parameters()).device
        columns, labels = [], None
        for name in rows[0]:
            values = [row[name] for row in rows]
            if name in LABELS:
                labels = torch.as_tensor(values, device=device)
            else:
                columns.append(_to(prepare(values), device))
        return columns, labels

    def loss(self, task: str, batch: Any) -> Tensor:
        """Return the loss of a batch.

        Args:
            task: One of `tasks`.
            batch: What `draw`, `walk` or `collate` gave.

        Returns:
            A scalar.
        """
        compute = self._losses[task]
        if not self._encoder:
            return compute(self.model, batch)
        columns, labels = batch
        value = compute([dict(column) for column in columns], labels)
        if isinstance(value, Mapping):  # a loss may name its parts
            return torch.stack(list(value.values())).sum()
        return value

    def mean_loss(self, task: str) -> float:
        """Return the mean loss over the whole batches of a task.

        Args:
            task: One of `tasks`.
        """
        with torch.no_grad():
            values = [float(self.loss(task, batch)) for batch in self.walk(task)]
        return sum(values) / len(values)

    def gradient(self, task: str, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the gradient of the mean loss of a task; the model's own `grad` is left alone.

        Args:
            task: One of `tasks`.
            names: Parameters to take it of.

        Returns:
            Name -> gradient, zeros where the loss does not depend on it.
        """
        found = dict(self.model.named_parameters(remove_duplicate=False))
        wanted = {n: found[n] for n in names if n in found and found[n].requires_grad}
        total = {name: torch.zeros_like(value) for name, value in wanted.items()}
        batches = list(self.walk(task))
        for batch in batches:
            parts = torch.autograd.grad(
                self.loss(task, batch), list(wanted.values()), allow_unused=True
            )
            for name, part in zip(wanted, parts, strict=True):
                if part is not None:
                    total[name] += part / len(batches)
        return total


def _to(features: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in features.items()
    }


def rows_hash(rows: Any) -> str:
    """Return a content hash of rows.

    Args:
        rows: A `datasets.Dataset`, or a list of dictionaries or tuples.
    """
    return hash_text(*(json.dumps(_plain(rows[index])) for index in range(len(rows))))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)
