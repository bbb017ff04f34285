"""SSF: scale and shift the output of every linear, norm and convolution layer.

Lian et al. (2022), *Scaling & Shifting Your Features*::

    y = layer(x) * gamma + beta,   gamma ~ N(1, 0.02), beta ~ N(0, 0.02),   the layer frozen

Afterwards it is folded into the layers, so that the result is an ordinary model of the same size.
Use as the lightest change that still reaches every layer. Cost: 2 numbers an output.
"""

from typing import Any

import torch
from torch import Tensor, nn

_LAYERS = (nn.Linear, nn.LayerNorm, nn.Conv1d, nn.Conv2d, nn.BatchNorm2d)
_STD = 0.02


class ScaleShift(nn.Module):
    """A frozen layer whose output is scaled and shifted.

    Args:
        layer: Linear, LayerNorm, BatchNorm or convolution.
        generator: Of the start.
    """

    def __init__(self, layer: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        weight: Any = layer.weight
        size = len(weight)
        start = torch.randn(2, size, generator=generator) * _STD
        self.gamma = nn.Parameter((1.0 + start[0]).to(weight))
        self.beta = nn.Parameter(start[1].to(weight))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted output.

        Args:
            x: As the layer takes it.
        """
        y: Tensor = self.layer(x)
        # channels are the second dimension of pictures, the last one of everything else
        channels = isinstance(self.layer, nn.Conv1d | nn.Conv2d | nn.BatchNorm2d)
        shape = (-1, *[1] * (y.ndim - 2)) if channels else (-1,)
        return y * self.gamma.view(shape) + self.beta.view(shape)

    def folded(self) -> nn.Module:
        """Return the layer with scale and shift in its weights."""
        layer: Any = self.layer
        with torch.no_grad():
            scale = self.gamma.view(-1, *[1] * (layer.weight.ndim - 1))
            layer.weight.copy_(layer.weight * scale)
            if layer.bias is None:
                layer.bias = nn.Parameter(self.beta.detach().clone())
            else:
                layer.bias.copy_(layer.bias * self.gamma + self.beta)
        return layer  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        # hosts look at the weight of their layers, for its type
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def add_scale_shift(model: nn.Module, generator: torch.Generator) -> list[nn.Parameter]:
    """Put scale and shift behind every layer of a model.

    Args:
        model: Changed in place.
        generator: Of the start.

    Returns:
        What is to be trained.
    """
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, _LAYERS) and child.weight is not None
    ]
    trained: list[nn.Parameter] = []
    for parent, name, child in found:
        wrapped = ScaleShift(child, generator)
        setattr(parent, name, wrapped)
        trained += [wrapped.gamma, wrapped.beta]
    return trained


def fold_scale_shift(model: nn.Module) -> None:
    """Fold every scale and shift into its layer.

    Args:
        model: Changed in place; computes the same afterwards.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ScaleShift):
                setattr(parent, name, child.folded())
