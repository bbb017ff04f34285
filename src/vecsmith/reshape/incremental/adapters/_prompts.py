"""VPT: learned tokens before the others.

Jia et al. (2022), *Visual Prompt Tuning*::

    shallow: tokens = layer_1([P ; tokens]) …, the prompts run along through all layers
    deep:    tokens = layer_i([P_i ; tokens]), fresh prompts before every layer; those of the layer
             before are taken away

What a prompt token becomes is taken away behind the last layer. Works on any encoder of
transformers whose layers lie in one list and take states first. Use when weights must not change at
all. Cost: prompts * dims numbers (a layer); attention over that many tokens more.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ModelError


class Prompted(nn.Module):
    """A layer that sees prompts before the tokens.

    Args:
        layer: The layer.
        prompts: Shape (prompts, dims); None where those from before run on.
        come: Prompts that arrive with the states.
        leave: Take the prompts away behind the layer.
        count: How many prompts there are.
    """

    def __init__(
        self, layer: nn.Module, prompts: Tensor | None, *, come: int, leave: bool, count: int
    ) -> None:
        super().__init__()
        self.layer, self.come, self.leave, self.count = layer, come, leave, count
        self.prompts = None if prompts is None else nn.Parameter(prompts)

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the layer with prompts.

        Args:
            states: Shape (rows, tokens, dims).
            *args: Further arguments; a mask among them is widened.
            **kwargs: The same.
        """
        if self.prompts is not None:
            fresh = self.prompts.to(states).expand(len(states), -1, -1)
            states = torch.cat([fresh, states[:, self.come :]], 1)
        args = tuple(
            _widened(value, self.count) if place == 0 else value for place, value in enumerate(args)
        )
        if "attention_mask" in kwargs:
            kwargs["attention_mask"] = _widened(kwargs["attention_mask"], self.count)
        output = self.layer(states, *args, **kwargs)
        if not self.leave:
            return output
        if isinstance(output, tuple):
            return (output[0][:, self.count :], *output[1:])
        return output[:, self.count :]

    def __getattr__(self, name: str) -> Any:
        # hosts read settings of their layers, such as the kind of attention
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def _widened(mask: Any, count: int) -> Any:
    """A mask that lets the prompts be seen: kept where it is True, or 0 is added."""
    if not isinstance(mask, Tensor):
        return mask
    open_ = 1 if mask.dtype == torch.bool or mask.ndim == 2 else 0
    shape = (*mask.shape[:-1], count)
    wide = torch.cat([torch.full(shape, open_, dtype=mask.dtype, device=mask.device), mask], -1)
    if mask.ndim == 4 and mask.shape[-2] > 1:
        # rows of the prompts: they see what the last token sees
        more = wide[..., -1:, :].expand(*wide.shape[:-2], count, wide.shape[-1])
        wide = torch.cat([more, wide], -2)
    return wide


def layers_of(model: nn.Module) -> nn.ModuleList:
    """Find the list of a transformer's layers.

    Args:
        model: An encoder.

    Returns:
        The longest list of modules of one kind that have attention in them.

    Raises:
        ModelError: There is none.
    """
    found = [
        m
        for m in model.modules()
        if isinstance(m, nn.ModuleList)
        and len({type(child) for child in m}) == 1
        and any("attention" in n.lower() or "attn" in n.lower() for n, _ in m[0].named_modules())
    ]
    if not found:
        raise ModelError(
            f"no list of transformer layers is found in {type(model).__name__}; prompts need one: "
            "use 'ssf' or 'finetune'"
        )
    return max(found, key=len)


def add_prompts(
    model: nn.Module, generator: torch.Generator, *, count: int = 5, deep: bool = True
) -> list[nn.Parameter]:
    """Let a transformer see learned tokens before the others.

    Args:
        model: Changed in place.
        generator: Of the start.
        count: How many tokens (a layer).
        deep: Fresh ones before every layer, or some before the first that run along.

    Returns:
        What is to be trained.

    Raises:
        ModelError: No list of layers is found.
    """
    layers = layers_of(model)
    like = next(model.parameters())
    dims = _width(layers[0])
    # the start of Jia et al.: even, by the size of the patch embedding; here by that of the states
    bound = (6.0 / (2 * dims)) ** 0.5
    trained: list[nn.Parameter] = []
    last = len(layers) - 1
    for place, layer in enumerate(layers):
        drawn = None
        if deep or place == 0:
            drawn = ((2.0 * torch.rand(count, dims, generator=generator) - 1.0) * bound).to(like)
        come = count if place and deep else 0
        layers[place] = Prompted(layer, drawn, come=come, leave=place == last, count=count)
        if (prompts := layers[place].prompts) is not None:
            trained.append(prompts)  # type: ignore[arg-type]
    return trained


def _width(layer: nn.Module) -> int:
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            return module.in_features
    raise ModelError(f"the width of {type(layer).__name__} is not found; use 'ssf' or 'finetune'")
