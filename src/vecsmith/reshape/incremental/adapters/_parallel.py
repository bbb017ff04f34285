"""Parallel adapters: a small bottleneck beside every feed-forward network.

Chen et al. (2022), *AdaptFormer*::

    x + FFN(LN x) + scale * Up(ReLU(Down(x))),   Down: d -> bottleneck, Up: bottleneck -> d

with Down drawn as Kaiming's and Up zero, so that training starts from the untouched model. In a
block that normalises after adding (BERT) the term is added before that norm. Use when a few
thousand updates are at hand; with a few dozen it does not move. Cost: 2 d * bottleneck numbers a
block.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ModelError


class Bottleneck(nn.Module):
    """scale * Up(ReLU(Down(x))).

    Args:
        dims: Of the states.
        width: Of the bottleneck.
        scale: Factor on the result.
        generator: Of the start.
    """

    def __init__(self, dims: int, width: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.down, self.up, self.scale = nn.Linear(dims, width), nn.Linear(width, dims), scale
        bound = 1.0 / math.sqrt(dims)
        with torch.no_grad():
            # Kaiming with a = sqrt(5), as nn.Linear itself has it, drawn from our generator
            for value in (self.down.weight, self.down.bias):
                value.copy_((2.0 * torch.rand(value.shape, generator=generator) - 1.0) * bound)
            self.up.weight.zero_()
            self.up.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added.

        Args:
            x: Shape (…, dims).
        """
        return self.scale * self.up(torch.relu(self.down(x)))


class BesideOutput(nn.Module):
    """The second half of a feed-forward network that is handed the block's own state too.

    Args:
        output: Module of (hidden, state) with a child `dense`, whose result is added to the state.
        adapter: What stands beside.
    """

    def __init__(self, output: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.output, self.adapter = output, adapter

    def forward(self, hidden: Tensor, state: Tensor) -> Tensor:
        """Return the block's result.

        Args:
            hidden: Of the inner layer, shape (…, inner).
            state: Shape (…, dims).
        """
        # the state is added before the norm, and so is what stands beside
        result: Tensor = self.output(hidden, state + self.adapter(state))
        return result


class BesideMLP(nn.Module):
    """A feed-forward network of (state) with a bottleneck beside it.

    Args:
        inner: The network.
        adapter: What stands beside.
        norm: The norm before the network; the bottleneck sees the state as it was before it.
    """

    def __init__(self, inner: nn.Module, adapter: Bottleneck, norm: nn.Module | None) -> None:
        super().__init__()
        self.inner, self.adapter = inner, adapter
        self._state: list[Tensor] = []
        if norm is not None:
            norm.register_forward_pre_hook(self._remember)

    def _remember(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._state[:] = [inputs[0]]

    def forward(self, x: Tensor) -> Tensor:
        """Return network and bottleneck together.

        Args:
            x: The normalised state, shape (…, dims).
        """
        state = self._state.pop() if self._state else x
        result: Tensor = self.inner(x) + self.adapter(state)
        return result


def add_parallel(
    model: nn.Module, generator: torch.Generator, *, width: int = 64, scale: float = 0.1
) -> list[nn.Parameter]:
    """Put a bottleneck beside every feed-forward network of a transformer.

    Args:
        model: Changed in place.
        generator: Of the start.
        width: Of the bottleneck.
        scale: Factor on what it adds.

    Returns:
        What is to be trained.

    Raises:
        ModelError: No feed-forward network is found.
    """
    trained: list[nn.Parameter] = []
    for parent in list(model.modules()):
        children = dict(parent.named_children())
        inner, output, mlp = (children.get(n) for n in ("intermediate", "output", "mlp"))
        if inner is not None and output is not None and hasattr(output, "dense"):
            last_layer: Any = output.dense
            adapter = Bottleneck(last_layer.out_features, width, scale, generator)
            parent.output = BesideOutput(output, adapter)
        elif mlp is not None:
            last = [m for m in mlp.modules() if isinstance(m, nn.Linear)][-1:]
            if not last:
                continue
            norms = [m for n, m in children.items() if n in _NORMS]
            adapter = Bottleneck(last[0].out_features, width, scale, generator)
            parent.mlp = BesideMLP(mlp, adapter, norms[-1] if norms else None)
        else:
            continue
        adapter.to(next(model.parameters()))
        trained += list(adapter.parameters())
    if not trained:
        raise ModelError(
            f"no feed-forward network is found in {type(model).__name__}; use 'ssf', 'lora' or "
            "'finetune'"
        )
    return trained


# names of the norm before the network, in the models of transformers
_NORMS = ("layernorm_after", "layer_norm2", "norm2", "ln_2", "post_attention_layernorm")
