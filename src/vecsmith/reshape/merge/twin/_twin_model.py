"""Twin-Merging: one shared model, a little that is special of each expert, and a router.

Lu et al. (2024), *Twin-Merging: Dynamic Integration of Modular Expertise in Model Merging*::

    theta_s  = a static merge of the experts (task arithmetic)
    v_t      = theta_t - theta_s, compressed (the strongest directions of each matrix)
    theta(x) = theta_s + sum_t w_t(x) v_t,    w(x) = softmax(MLP(h(x)))

The differences are taken against the shared model, not against the base. All of them are merged,
biases and norms too, which are small and kept whole. One batch may hold inputs of many tasks.

Use when a static merge loses too much and serving every expert costs too much. Avoid when one task
is all that is asked: its expert is better and cheaper. Cost: two passes an input (the first for the
router), and r (m + n) multiplications a matrix and expert in the second.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, ModelError, did_you_mean, progress

from ..._body import Reading, body_of
from .._set import MergeSet, check_settings, check_structure
from ._compression import SVD, Compression, Part, compress
from ._mixing import Mixer
from ._router import Router, RouterOptions, RouterReport, train_router

Parts = dict[str, dict[str, Part]]


@dataclass(frozen=True)
class TwinOutput:
    """What a batch gave.

    Attributes:
        weights: What each expert counted, shape (rows, experts).
        vectors: Under the mixed weights, shape (rows, dims).
        tasks: Whose head read each row.
        logits: Of that head, one tensor a row; empty without heads.
    """

    weights: Tensor
    vectors: Tensor
    tasks: tuple[str, ...]
    logits: tuple[Tensor, ...] = ()


class TwinModel:
    """A shared model that turns into the right expert, input by input.

    Args:
        shared: The shared model, in eval mode from now on.
        parts: Expert -> name of a tensor -> compressed difference to the shared model.
        heads: Expert -> module on the vector; empty for models that need none.
        compression: How the differences were compressed; None: not at all.
        tokenizer: Of a transformers model.
        represent: For modules of other kinds: function of the output that returns vectors.
    """

    def __init__(
        self,
        shared: nn.Module,
        parts: Parts,
        *,
        heads: Mapping[str, nn.Module] | None = None,
        compression: Compression | None = None,
        tokenizer: Any = None,
        represent: Callable[..., Tensor] | None = None,
    ) -> None:
        if not parts:
            raise ConfigError("parts must name at least one expert; got none")
        self.shared: Any = shared.eval()
        self.parts, self.compression = dict(parts), compression
        self.heads = {name: head.eval() for name, head in (heads or {}).items()}
        if self.heads and set(self.heads) != set(self.parts):
            raise ConfigError(
                f"heads must name exactly the experts {sorted(self.parts)}; "
                f"got {sorted(self.heads)}"
            )
        self.body = body_of(shared, tokenizer, represent)
        self.router: Router | None = None
        self._place()

    @classmethod
    def build(
        cls,
        ms: MergeSet,
        *,
        shared: str | nn.Module = "task_arithmetic",
        compression: Compression | None = SVD(),  # noqa: B008 (frozen)
        heads: Mapping[str, nn.Module] | None = None,
        tokenizer: Any = None,
        represent: Callable[..., Tensor] | None = None,
        **settings: Any,
    ) -> "TwinModel":
        """Split experts into what they share and what is special of each.

        Args:
            ms: Base and experts.
            shared: Rule of the static merge (see `vecsmith.reshape.merge.RULES`), or a model that
                was merged already.
            compression: How the differences are stored: `SVD`, `Prune`, `Drop`, or None.
            heads: Expert -> module on the vector.
            tokenizer: Of a transformers model.
            represent: For modules of other kinds: function of the output that returns vectors.
            **settings: Of the rule, such as ``scale=0.3``.

        Returns:
            A model without a router; `fit_router` comes next.

        Raises:
            ConfigError: Settings that the rule does not take.
            ModelError: A given shared model is of another architecture.
        """
        model = ms.merge(shared, **settings) if isinstance(shared, str) else shared
        check_structure(ms.base, model, "shared")
        state = model.state_dict()
        parts = {
            task: {
                name: compress(
                    (ms.start(name) + ms.delta(task, name)) - state[name].to(ms.start(name)),
                    compression,
                    f"{task}/{name}",
                )
                for name in progress(ms.names, f"compress {task}", unit="tensor")
            }
            for task in ms.tasks
        }
        return cls(
            model,
            parts,
            heads=heads,
            compression=compression,
            tokenizer=tokenizer,
            represent=represent,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the experts, in their order."""
        return tuple(self.parts)

    def add_expert(self, name: str, model: nn.Module, head: nn.Module | None = None) -> None:
        """Take in another expert; the shared model stays as it is, the router is to be fitted anew.

        Args:
            name: Its name.
            model: Fine-tuned from the same base.
            head: Its head, where the others have one.

        Raises:
            ConfigError: The name is taken, or the head is missing or not wanted.
            ModelError: It is of another architecture.
        """
        if name in self.parts:
            raise ConfigError(f"an expert {name!r} is there already; choose another name")
        if bool(self.heads) != (head is not None):
            wanted = "a head, as the others have" if self.heads else "no head, as no other has one"
            raise ConfigError(f"expert {name!r} needs {wanted}")
        check_structure(self.shared, model, name)
        check_settings(self.shared, model, name)
        ours, theirs = self.shared.state_dict(), model.state_dict()
        self.parts[name] = {
            key: compress(theirs[key].to(ours[key]) - ours[key], self.compression, f"{name}/{key}")
            for key in self.mixer.names
        }
        if head is not None:
            self.heads[name] = head.eval()
        self.router = None
        self._place()

    def fit_router(
        self, inputs: Mapping[str, Any], options: RouterOptions | None = None, *, batch: int = 32
    ) -> RouterReport:
        """Train the router to tell the tasks' inputs apart.

        Args:
            inputs: Expert -> inputs of its task, some hundreds; never those it is judged on.
            options: How.
            batch: Inputs a forward pass.

        Returns:
            Its accuracy on inputs held out of these.

        Raises:
            ConfigError: The inputs name other tasks than the experts.
        """
        if set(inputs) != set(self.parts):
            raise ConfigError(
                f"inputs must name exactly the experts {sorted(self.parts)}; got {sorted(inputs)}"
            )
        vectors = {task: self._hidden(inputs[task], batch) for task in self.tasks}
        self.router, report = train_router(vectors, options)
        return report

    def route(self, inputs: Any) -> Tensor:
        """Return what each expert counts for some inputs.

        Args:
            inputs: Texts, or a batch as the model takes it.

        Returns:
            Shape (rows, experts), rows summing to 1.

        Raises:
            ConfigError: There is no router yet.
        """
        return self._weights(self._read(inputs))

    def __call__(
        self,
        inputs: Any,
        *,
        weights: Tensor | None = None,
        tasks: str | Sequence[str] | None = None,
    ) -> TwinOutput:
        """Run inputs, each under its own weights.

        Args:
            inputs: Texts, or a batch as the model takes it.
            weights: What each expert counts, shape (rows, experts) or (experts,); None asks the
                router.
            tasks: Whose head reads the rows, one name or one a row; None takes the heaviest expert.

        Returns:
            Weights, vectors and logits.

        Raises:
            ConfigError: There is no router, weights of another shape, or an unknown task.
        """
        batch = self.body.prepare(inputs)
        rows = self.body.rows(batch)
        if weights is None:
            weights = self._weights(self._read(batch))
        weights = self._checked(weights, rows)
        vectors = self._mixed(batch, weights)
        names = self._named(tasks, weights)
        logits = ()
        if self.heads:
            with torch.no_grad():
                logits = tuple(
                    self.heads[name](row[None])[0] for name, row in zip(names, vectors, strict=True)
                )
        return TwinOutput(weights, vectors, names, logits)

    def encode(self, inputs: Sequence[Any], *, batch: int = 32) -> Tensor:
        """Return vectors under each input's own weights.

        Args:
            inputs: Texts, or rows as the model takes them.
            batch: Inputs a forward pass.

        Returns:
            Shape (rows, dims), in the order of the inputs.
        """
        order = sorted(range(len(inputs)), key=lambda row: _length(inputs[row]))
        found: list[Any] = [None] * len(order)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            output = self([inputs[row] for row in rows])
            for row, vector in zip(rows, output.vectors, strict=True):
                found[row] = vector
        if not found:
            raise ConfigError("inputs must hold at least one; got none")
        return torch.stack(found)

    def generate(self, prompts: Sequence[str], **options: Any) -> Tensor:
        """Continue prompts; the weights of a prompt are found once and kept while it is written.

        Args:
            prompts: Texts. Of a decoder the tokenizer must pad on the left.
            **options: Of the host's ``generate``.

        Returns:
            Token ids, as the host returns them.
        """
        device = next(self.shared.parameters()).device
        batch = {name: value.to(device) for name, value in self.body.prepare(prompts).items()}
        weights = self._weights(self._read(batch))
        with torch.no_grad(), self.mixer.mixed(weights):
            found: Tensor = self.shared.generate(**batch, **options)
        return found

    def merged(self, weights: Tensor | Mapping[str, float]) -> nn.Module:
        """Build an ordinary model of fixed weights, such as for one task alone.

        Args:
            weights: What each expert counts, shape (experts,), or by name (others count 0).

        Returns:
            A copy of the shared model with built weights.
        """
        if isinstance(weights, Mapping):
            for name in weights:
                self._known(name)
            weights = torch.tensor([float(weights.get(task, 0.0)) for task in self.tasks])
        row = self._checked(weights, 1)[0]
        model = copy.deepcopy(self.shared)
        target = model.state_dict()
        with torch.no_grad():
            for name, value in self.mixer.state(row).items():
                target[name].copy_(value)
        return model

    def sizes(self) -> dict[str, int]:
        """Return how many numbers the shared model, each expert and the router hold."""
        found = {"shared": sum(p.numel() for p in self.shared.parameters())}
        for task, of_task in self.parts.items():
            found[task] = sum(part.size for part in of_task.values())
        if self.router is not None:
            found["router"] = sum(p.numel() for p in self.router.parameters())
        return found

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model, whole or not at all; ``shared/`` in it is an ordinary model folder.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ConfigError: A head is no Linear layer, or the shared model cannot save itself.
        """
        from ._files import save_twin

        save_twin(self, folder)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, shared: nn.Module | None = None, tokenizer: Any = None
    ) -> "TwinModel":
        """Read what `save_pretrained` wrote.

        Args:
            folder: Where it lies.
            shared: The shared model, where it is loaded already.
            tokenizer: Of a transformers model; None reads the one that was saved.

        Returns:
            The model.

        Raises:
            StoreError: Missing or damaged.
            ModelError: The parts do not fit the shared model.
        """
        from ._files import load_twin

        return load_twin(folder, shared=shared, tokenizer=tokenizer)

    def _place(self) -> None:
        like = next(p for p in self.shared.parameters() if p.is_floating_point())
        self.parts = {
            task: {name: part.to(like) for name, part in of_task.items()}
            for task, of_task in self.parts.items()
        }
        self.mixer = Mixer(self.shared, self.parts)

    def _read(self, inputs: Any) -> Reading:
        with torch.no_grad():
            return self.body.read(self.shared, self.body.prepare(inputs))

    def _hidden(self, inputs: Any, batch: int) -> Tensor:
        rows = [
            self._read(inputs[start : start + batch]).hidden
            for start in range(0, len(inputs), batch)
        ]
        return torch.cat(rows) if rows else torch.empty(0, 1)

    def _weights(self, reading: Reading) -> Tensor:
        if self.router is None:
            raise ConfigError("the model has no router yet; call fit_router, or give weights=")
        with torch.no_grad():
            return self.router(reading.hidden.float()).softmax(-1).to(reading.hidden)

    def _mixed(self, batch: Any, weights: Tensor) -> Tensor:
        with torch.no_grad():
            if not self.mixer.by_row:
                with self.mixer.mixed(weights) as model:
                    return self.body.read(model, batch).vector
            found = []
            for row, weight in enumerate(weights):
                with self.mixer.built(weight) as model:
                    found.append(self.body.read(model, self.body.one(batch, row)).vector)
            return torch.cat(found)

    def _checked(self, weights: Tensor, rows: int) -> Tensor:
        like = next(self.shared.parameters())
        weights = torch.as_tensor(weights).to(like)
        wide = weights.expand(rows, -1) if weights.ndim == 1 else weights
        if wide.shape != (rows, len(self.parts)) or not bool(wide.isfinite().all()):
            raise ConfigError(
                f"weights must be finite, of shape ({rows}, {len(self.parts)}) or "
                f"({len(self.parts)},): rows and experts; got {tuple(weights.shape)}"
            )
        return wide

    def _known(self, name: str) -> str:
        if name not in self.parts:
            raise ConfigError(f"no expert is called {name!r}; {did_you_mean(name, self.parts)}")
        return name

    def _named(self, tasks: str | Sequence[str] | None, weights: Tensor) -> tuple[str, ...]:
        if tasks is None:
            return tuple(self.tasks[number] for number in weights.argmax(1).tolist())
        names = (tasks,) * len(weights) if isinstance(tasks, str) else tuple(tasks)
        if len(names) != len(weights):
            raise ConfigError(
                f"tasks must name one expert a row: {len(weights)} rows, {len(names)} names"
            )
        return tuple(self._known(name) for name in names)


def _length(row: Any) -> int:
    return len(row) if isinstance(row, str) else 0


def check_loaded(parts: Parts, shared: nn.Module) -> None:
    """Refuse parts that do not fit a shared model.

    Args:
        parts: Expert -> name -> part.
        shared: The shared model.

    Raises:
        ModelError: A tensor is missing there, or of another shape.
    """
    state = shared.state_dict()
    for task, of_task in parts.items():
        for name, part in of_task.items():
            if name not in state or tuple(state[name].shape) != part.shape:
                there = tuple(state[name].shape) if name in state else "none"
                raise ModelError(
                    f"expert {task!r} holds {name!r} of shape {part.shape} where the shared model "
                    f"has {there}; give the shared model that it was split from"
                )
