"""A base model and the experts that were fine-tuned from it, checked to fit together.

Every merge starts here. A `MergeSet` compares structure, keys, shapes, settings and vocabulary
once, names what differs, and hands out task vectors (expert minus base) tensor by tensor, so that
a rule never needs more than one stacked tensor at a time.
"""

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, ModelError

from .._records import attach_record
from ._load import load_model

State = dict[str, Tensor]
Merged = Iterator[tuple[str, Tensor]]
RECIPE = "merge.json"
# settings of a module that do not change what its weights mean
_FREE_SETTINGS = {"max_seq_length"}
# below this, the matrices of two models share no common start
_RELATED = 0.3


class Mergeable(Protocol):
    """What a rule needs to know of a base and its experts, wherever their tensors lie."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of experts."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the experts, in their order."""

    def start(self, name: str) -> Tensor:
        """Return a tensor of the base."""

    def delta(self, task: str, name: str) -> Tensor:
        """Return a tensor of an expert minus the base's."""

    def tensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Go through the tensors: name, base, and all experts' deltas stacked."""


class MergeSet:
    """A base and its experts.

    Args:
        base: The common start: a SentenceTransformer, a transformers model, any other module, or
            the id or folder of one of the first two.
        experts: Name -> model fine-tuned from it, of the same kind; or the folder of a peft adapter
            (LoRA) of it.
        include: Regular expression; only tensors whose name it finds are merged, the others stay
            the base's.
        exclude: Regular expression; tensors whose name it finds stay the base's.
        same_base: Check that each expert's matrices still point the base's way.

    Raises:
        ModelError: An expert differs in structure, keys, shapes, pooling, prompts or vocabulary, or
            does not come from this base; the text names what differs.
        ConfigError: There is no expert, or nothing is left to merge.
    """

    def __init__(
        self,
        base: nn.Module | str | Path,
        experts: Mapping[str, nn.Module | str | Path],
        *,
        include: str = "",
        exclude: str | None = None,
        same_base: bool = True,
    ) -> None:
        if not experts:
            raise ConfigError("experts must name at least one model; got none")
        self.base = load_model(base)
        self.experts = {name: load_model(model, self.base) for name, model in experts.items()}
        for name, model in self.experts.items():
            check_structure(self.base, model, name)
            check_settings(self.base, model, name)
        self.names = tuple(
            name
            for name in _float_names(self.base)
            if re.search(include, name) and not (exclude and re.search(exclude, name))
        )
        if not self.names:
            raise ConfigError(
                f"include {include!r} and exclude {exclude!r} leave no tensor to merge; the names "
                f"look like {next(iter(self.base.state_dict()), '(none)')!r}"
            )
        self._states = {name: model.state_dict() for name, model in self.experts.items()}
        self._base_state = self.base.state_dict()
        self._identity: dict[str, Any] = {}
        if same_base:
            for name in self.experts:
                self._check_related(name)

    def __len__(self) -> int:
        """Number of experts."""
        return len(self.experts)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the experts, in their order."""
        return tuple(self.experts)

    def start(self, name: str) -> Tensor:
        """Return a tensor of the base, in float32 or the wider type it has.

        Args:
            name: One of `names`.
        """
        value = self._base_state[name].detach()
        return value.to(torch.promote_types(value.dtype, torch.float32))

    def delta(self, task: str, name: str) -> Tensor:
        """Return one tensor of a task vector: the expert's minus the base's.

        Args:
            task: Name of the expert.
            name: One of `names`.
        """
        start = self.start(name)
        return self._states[task][name].detach().to(start) - start

    def task_vector(self, task: str) -> State:
        """Return a whole task vector.

        Args:
            task: Name of the expert.
        """
        return {name: self.delta(task, name) for name in self.names}

    def tensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Go through the merged tensors: name, base, and all experts' deltas stacked.

        Yields:
            Name; base tensor, shape (…); deltas, shape (experts, …).
        """
        for name in self.names:
            yield name, self.start(name), torch.stack([self.delta(t, name) for t in self.tasks])

    def build(self, state: State, recipe: dict[str, Any] | None = None) -> Any:
        """Return a copy of the base that carries merged tensors.

        Args:
            state: Name -> merged tensor; names left out stay the base's.
            recipe: How it was made; a SentenceTransformer writes it as ``merge.json`` whenever it
                is saved, other modules carry it as ``merge_recipe``.

        Returns:
            A model of the base's kind, in eval mode.
        """
        model = copy.deepcopy(self.base)
        target = model.state_dict()
        with torch.no_grad():
            for name, value in state.items():
                target[name].copy_(value)
        model.eval()
        attach_recipe(model, {**(recipe or {}), **self.identity()})
        return model

    def identity(self) -> dict[str, Any]:
        """Return ids and content hashes of the base and the experts, as the recipe keeps them.

        Hashed once: a search over settings builds many models of the same parts.
        """
        self._identity = self._identity or {
            "base": {"model": model_name(self.base), "weights": state_hash(self.base)},
            "experts": {
                name: {"model": model_name(model), "weights": state_hash(model)}
                for name, model in self.experts.items()
            },
        }
        return copy.deepcopy(self._identity)

    def merge(self, method: str, **settings: Any) -> Any:
        """Merge by a rule; see `vecsmith.reshape.merge.RULES`.

        Args:
            method: Name of the rule: "average", "task_arithmetic", "slerp", "ties", "dare", …
            **settings: The rule's settings.

        Returns:
            A model of the base's kind.
        """
        from ._rules import merge

        return merge(self, method, **settings)

    def _check_related(self, task: str) -> None:
        found = []
        for name in self.names:
            start = self.start(name)
            if start.ndim >= 2 and start.numel() > 1:
                tuned = (start + self.delta(task, name)).flatten()
                found.append(torch.cosine_similarity(start.flatten(), tuned, dim=0).item())
        if found and sorted(found)[len(found) // 2] < _RELATED:
            raise ModelError(
                f"expert {task!r} does not come from this base: the median cosine of its matrices "
                f"with the base's is {sorted(found)[len(found) // 2]:.3f}; give the model that it "
                "was fine-tuned from, or same_base=False if you are sure"
            )


def _float_names(model: nn.Module) -> list[str]:
    """Names of the floating-point tensors; of tied ones, the first."""
    seen: set[tuple[int, torch.Size]] = set()
    names = []
    for name, value in model.state_dict().items():
        key = (value.data_ptr(), value.shape)
        if value.is_floating_point() and (value.numel() == 0 or key not in seen):
            seen.add(key)
            names.append(name)
    return names


def _differences(ours: set[str], theirs: set[str]) -> str:
    missing, extra = sorted(ours - theirs), sorted(theirs - ours)
    parts = [f"it lacks {missing[:3]}"] if missing else []
    return " and ".join([*parts, f"has {extra[:3]} besides"] if extra else parts)


def check_structure(base: nn.Module, expert: nn.Module, name: str) -> None:
    """Refuse an expert whose modules, keys, shapes or integer buffers are not the base's.

    Args:
        base: The common start.
        expert: What was fine-tuned.
        name: Its name, for the text.

    Raises:
        ModelError: They differ; the text says in what.
    """
    ours, theirs = base.state_dict(), expert.state_dict()
    if ours.keys() != theirs.keys():
        raise ModelError(
            f"expert {name!r} has other tensors than the base: "
            f"{_differences(set(ours), set(theirs))}; merge models of one architecture"
        )
    for key, value in ours.items():
        if value.shape != theirs[key].shape:
            raise ModelError(
                f"expert {name!r} has shape {tuple(theirs[key].shape)} for {key!r} where the base "
                f"has {tuple(value.shape)}; merge models of one size and vocabulary"
            )
        same = value.is_floating_point() or torch.equal(value.cpu(), theirs[key].cpu())
        if not same:
            raise ModelError(
                f"expert {name!r} has another value of {key!r}, which cannot be averaged; "
                "merge models of one architecture"
            )
    for (path, ours_module), theirs_module in zip(
        base.named_modules(), expert.modules(), strict=True
    ):
        if type(ours_module).__name__ != type(theirs_module).__name__:
            raise ModelError(
                f"expert {name!r} has {type(theirs_module).__name__} at {path!r} where the base "
                f"has {type(ours_module).__name__}; merge models of one architecture"
            )


def check_settings(base: nn.Module, expert: nn.Module, name: str) -> None:
    """Refuse an expert whose pooling, prompts or vocabulary are not the base's.

    Args:
        base: The common start.
        expert: What was fine-tuned.
        name: Its name, for the text.

    Raises:
        ModelError: They differ; the text says in what.
    """
    for (path, ours), theirs in zip(base.named_modules(), expert.modules(), strict=True):
        for key, mine in _settings(ours).items():
            if mine != _settings(theirs).get(key):
                raise ModelError(
                    f"expert {name!r} has {key} = {_settings(theirs).get(key)!r} in module "
                    f"{path!r} where the base has {mine!r}; merge models that embed in the same way"
                )
    for key in ("prompts", "default_prompt_name"):
        mine, other = getattr(base, key, None), getattr(expert, key, None)
        if mine != other:
            raise ModelError(
                f"expert {name!r} has {key} {other!r} where the base has {mine!r}; "
                "set them alike before merging"
            )
    vocabularies = [_vocabulary(model) for model in (base, expert)]
    if vocabularies[0] != vocabularies[1]:
        raise ModelError(
            f"expert {name!r} has another vocabulary than the base; merge models of one tokenizer"
        )


def _settings(module: nn.Module) -> dict[str, Any]:
    read: Callable[[], dict[str, Any]] | None = getattr(module, "get_config_dict", None)
    settings = read() if callable(read) else {}
    return {key: value for key, value in settings.items() if key not in _FREE_SETTINGS}


def _vocabulary(model: nn.Module) -> Any:
    try:
        tokenizer = getattr(model, "tokenizer", None)
    except Exception:  # a module without one may raise anything from its property
        return None
    read = getattr(tokenizer, "get_vocab", None)
    return read() if callable(read) else None


def model_name(model: nn.Module) -> str:
    """Return the id or folder that a model was loaded from, or its class.

    Args:
        model: Any module.
    """
    card = getattr(model, "model_card_data", None)
    name = getattr(card, "base_model", None) or getattr(
        getattr(model, "config", None), "_name_or_path", None
    )
    return str(name or type(model).__name__)


def state_hash(model: nn.Module) -> str:
    """Return the SHA-256 of a model's tensors, names and shapes.

    Args:
        model: Any module.
    """
    state = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        state.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        state.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return state.hexdigest()


def attach_recipe(model: nn.Module, recipe: dict[str, Any]) -> None:
    """Let a model carry how it was merged, and write it whenever it is saved.

    Args:
        model: The merged model.
        recipe: JSON-ready values.
    """
    model.merge_recipe = recipe  # type: ignore[assignment]
    attach_record(model, RECIPE, recipe)
