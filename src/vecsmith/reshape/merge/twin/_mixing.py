"""One forward pass in which every row of a batch has weights of its own.

For the input x the weights are ``theta_s + sum_t w_t(x) v_t``. A linear layer is linear in them, so
that no weight is ever built::

    y = W_s z + sum_t w_t(x) U_t (V_t^T z)

and an embedding table adds ``w_t`` times a row of low rank. Norms and convolutions are affine in
their weights, too: ``f(theta_s + sum w v) = f(theta_s) + sum w (f(v) - f(0))``. Hooks add these
terms to the output of the untouched shared model. Exact; where another kind of module differs
between the experts, rows are run one by one with built weights instead, which is exact as well.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vecsmith.core import ModelError

from ._compression import Part

Parts = Mapping[str, Part]
Term = Callable[[Tensor, Tensor], Tensor]

# affine in their weights, by the name of the class (transformers has many norms of its own)
_AFFINE = (nn.LayerNorm, nn.GroupNorm, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_AFFINE_NAMES = ("RMSNorm", "LayerNorm", "Conv1D")


class Mixer:
    """Adds what the experts know to a shared model, each by its weight.

    Args:
        model: The shared model; its weights stay as they are.
        parts: Expert -> name of a tensor -> difference to the shared one.
    """

    def __init__(self, model: nn.Module, parts: Mapping[str, Parts]) -> None:
        self.model, self.parts = model, parts
        names = sorted({name for of_task in parts.values() for name in of_task})
        self._owners = _owners(model, names)
        owned = {name for found in self._owners.values() for name in found[1].values()}
        # what no term can be written for: other modules, and parameters of composite ones
        self.by_row = tuple(name for name in names if name not in owned)

    @contextlib.contextmanager
    def mixed(self, weights: Tensor) -> Iterator[nn.Module]:
        """Let the model use mixed weights within a block.

        Args:
            weights: What each expert counts, shape (rows, experts), rows in the order of the batch.

        Yields:
            The model.

        Raises:
            ModelError: A tensor of `by_row` differs.
        """
        if self.by_row:
            raise ModelError(
                f"{self.by_row[0]!r} is of a kind that cannot be mixed within a batch; "
                "use `built` for one row at a time"
            )
        hooks = [module.register_forward_hook(_hook(term, weights)) for module, term in self._terms]
        try:
            yield self.model
        finally:
            for hook in hooks:
                hook.remove()

    @contextlib.contextmanager
    def built(self, weights: Tensor) -> Iterator[nn.Module]:
        """Let the model carry built weights of one row within a block.

        Args:
            weights: What each expert counts, shape (experts,).

        Yields:
            The model.
        """
        state = self.model.state_dict()
        kept = {name: state[name].clone() for name in self.names}
        try:
            with torch.no_grad():
                for name, value in self.state(weights).items():
                    state[name].copy_(value)
            yield self.model
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    state[name].copy_(value)

    @property
    def names(self) -> tuple[str, ...]:
        """Tensors in which an expert differs from the shared model."""
        return tuple(sorted({name for of_task in self.parts.values() for name in of_task}))

    def state(self, weights: Tensor) -> dict[str, Tensor]:
        """Build the weights of one input.

        Args:
            weights: What each expert counts, shape (experts,).

        Returns:
            Name -> ``theta_s + sum_t w_t v_t``.
        """
        start = self.model.state_dict()
        built = {}
        for name in self.names:
            value = start[name].clone()
            for weight, of_task in zip(weights, self.parts.values(), strict=True):
                if name in of_task:
                    value += weight.to(value) * of_task[name].dense().to(value)
            built[name] = value
        return built

    @functools.cached_property
    def _terms(self) -> list[tuple[nn.Module, Term]]:
        terms = []
        for module, names in self._owners.values():
            rows = [
                {key: of_task[name] for key, name in names.items() if name in of_task}
                for of_task in self.parts.values()
            ]
            for make in (_linear, _embedding, _affine):
                if (term := make(module, rows)) is not None:
                    terms.append((module, term))
                    break
        return terms


def _owners(model: nn.Module, names: list[str]) -> dict[str, tuple[nn.Module, dict[str, str]]]:
    """Path -> module that terms can be written for, and its parameters' names: key -> name.

    Tied tensors belong to all modules that use them.
    """
    state = model.state_dict(keep_vars=True)
    by_tensor = {id(state[name]): name for name in names}
    found: dict[str, tuple[nn.Module, dict[str, str]]] = {}
    for path, module in model.named_modules(remove_duplicate=True):
        if not _mixable(module):
            continue
        own = {
            key: by_tensor[id(value)]
            for key, value in module.named_parameters(recurse=False)
            if id(value) in by_tensor
        }
        if own:
            found[path] = (module, own)
    return found


def _mixable(module: nn.Module) -> bool:
    kind = type(module)
    if kind.forward in (nn.Linear.forward, nn.Embedding.forward):
        return getattr(module, "max_norm", None) is None
    return isinstance(module, _AFFINE) or kind.__name__.endswith(_AFFINE_NAMES)


def _hook(term: Term, weights: Tensor) -> Callable[..., Tensor]:
    def add(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        given = inputs[0]
        return output + term(given, _by_row(weights, len(given)).to(output))

    return add


def _by_row(weights: Tensor, size: int) -> Tensor:
    """Weights of the rows of a layer's input: repeated where a row of the batch became several."""
    rows = len(weights)
    if size in (rows, 1):  # one row that all share, such as positions, becomes a row each
        return weights
    if size % rows == 0:
        return weights.repeat_interleave(size // rows, 0)
    raise ModelError(
        f"a layer got {size} rows for a batch of {rows}: what belongs to which input cannot be "
        "told; run the inputs one by one"
    )


def _spread(weights: Tensor, dims: int) -> Tensor:
    """Shape (rows, …) -> (rows, 1, …, 1, …) with `dims` dimensions in all."""
    return weights.reshape(len(weights), *[1] * (dims - 2), weights.shape[-1])


def _factors(rows: list[dict[str, Part]]) -> tuple[Tensor | None, Tensor | None, list[int]]:
    """Left factors side by side, right factors one upon another, and the rank of each expert."""
    lefts, rights, ranks = [], [], []
    for of_task in rows:
        part = of_task.get("weight")
        if part is None or part.left is None or part.right is None:
            ranks.append(0)
            continue
        lefts.append(part.left)
        rights.append(part.right)
        ranks.append(part.right.shape[0])
    if not lefts:
        return None, None, ranks
    return torch.cat(lefts, 1), torch.cat(rights, 0), ranks


def _wholes(rows: list[dict[str, Part]]) -> list[tuple[int, Tensor]]:
    return [
        (task, part.dense())
        for task, of_task in enumerate(rows)
        if (part := of_task.get("weight")) is not None and part.left is None
    ]


def _biases(rows: list[dict[str, Part]]) -> Tensor | None:
    """Differences of the biases, shape (experts, outputs); None where none differs."""
    given = [of_task["bias"].dense() for of_task in rows if "bias" in of_task]
    if not given:
        return None
    none = torch.zeros_like(given[0])
    return torch.stack([r["bias"].dense() if "bias" in r else none for r in rows])


def _linear(module: nn.Module, rows: list[dict[str, Part]]) -> Term | None:
    if type(module).forward is not nn.Linear.forward:
        return None
    left, right, ranks = _factors(rows)
    wholes, bias = _wholes(rows), _biases(rows)
    each = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(ranks))

    def term(x: Tensor, weights: Tensor) -> Tensor:
        total = x.new_zeros(())
        if left is not None and right is not None:
            inner = (x @ right.to(x).T) * _spread(weights[:, each], x.ndim)
            total = inner @ left.to(x).T
        for task, whole in wholes:
            total = total + (x @ whole.to(x).T) * _spread(weights[:, [task]], x.ndim)
        if bias is not None:
            total = total + _spread(weights @ bias.to(weights), x.ndim)
        return total

    return term


def _embedding(module: nn.Module, rows: list[dict[str, Part]]) -> Term | None:
    if type(module).forward is not nn.Embedding.forward:
        return None
    left, right, ranks = _factors(rows)
    wholes = _wholes(rows)
    each = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(ranks))

    def term(ids: Tensor, weights: Tensor) -> Tensor:
        total = weights.new_zeros(())
        if left is not None and right is not None:
            inner = left.to(weights)[ids] * _spread(weights[:, each], ids.ndim + 1)
            total = inner @ right.to(weights)
        for task, whole in wholes:
            total = total + whole.to(weights)[ids] * _spread(weights[:, [task]], ids.ndim + 1)
        return total

    return term


def _affine(module: nn.Module, rows: list[dict[str, Part]]) -> Term:
    bare = copy.deepcopy(module).to("meta")
    shapes = {key: value.shape for key, value in module.named_parameters(recurse=False)}

    def run(x: Tensor, of_task: Mapping[str, Part]) -> Tensor:
        values = {
            key: of_task[key].dense().to(x) if key in of_task else x.new_zeros(shape)
            for key, shape in shapes.items()
        }
        return functional_call(bare, values, (x,))

    def term(x: Tensor, weights: Tensor) -> Tensor:
        zero = run(x, {})
        total = zero.new_zeros(())
        for task, of_task in enumerate(rows):
            if of_task:
                # channels may come last (norms) or second (convolutions): weights go by row only
                scale = weights[:, task].reshape(-1, *[1] * (zero.ndim - 1))
                total = total + scale * (run(x, of_task) - zero)
        return total

    return term
