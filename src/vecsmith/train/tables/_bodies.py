"""Networks of click models over the vectors of the fields: small, with the published wiring.

Each is a description (widths and the like); `build` makes the module, which turns vectors
(rows, fields, dim) and numeric columns (rows, columns) into one logit a row.

- `DCNv2`: x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, then dense layers (R. Wang and others, 2021).
- `DLRM`: numbers through an MLP to one more vector; all pairs' dot products and that vector into
  the top MLP (M. Naumov and others, 2019).
- `WideAndDeep`: a linear layer beside an MLP (H. Cheng and others, 2016).
- `FM`, `DeepFM`: all pairs' dot products and a linear layer (S. Rendle, 2010), and an MLP beside
  (H. Guo and others, 2017); `FNN`: the MLP alone (W. Zhang and others, 2016); `IPNN`: the MLP over
  vectors and dot products (Y. Qu and others, 2016).
- `SingleLayer`: sum_f <theta_f, e_f>, the model in which collisions are analysed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError


@dataclass(frozen=True)
class InputShape:
    """What a body reads.

    Attributes:
        widths: Width of each field's vector.
        numbers: Numeric columns.
    """

    widths: tuple[int, ...]
    numbers: int = 0

    @property
    def width(self) -> int:
        """Width of everything side by side."""
        return sum(self.widths) + self.numbers

    def equal_width(self, body: str) -> int:
        """Return the width that all fields share.

        Args:
            body: Who needs it.

        Raises:
            ConfigError: They differ.
        """
        if len(set(self.widths)) != 1:
            raise ConfigError(
                f"{body} multiplies the fields' vectors, which must have one width; "
                f"got {self.widths}: use DCNv2, WideAndDeep, FNN or SingleLayer"
            )
        return self.widths[0]


def mlp(width: int, dense: Sequence[int], *, norm: bool = False, out: int | None = 1) -> Any:
    """Stack linear layers with ReLU.

    Args:
        width: Of the input.
        dense: Widths of the hidden layers.
        norm: Batch norm before each ReLU.
        out: Width of a last linear layer; None ends with the last ReLU.
    """
    layers: list[nn.Module] = []
    for size in dense:
        layers.append(nn.Linear(width, size))
        if norm:
            layers.append(nn.BatchNorm1d(size))
        layers.append(nn.ReLU())
        width = size
    if out is not None:
        layers.append(nn.Linear(width, out))
    return nn.Sequential(*layers)


def side_by_side(vectors: Tensor, numbers: Tensor | None) -> Tensor:
    """Lay fields and numbers side by side.

    Args:
        vectors: Shape (rows, fields, dim) or (rows, width).
        numbers: Shape (rows, columns) or None.
    """
    flat = vectors.flatten(1)
    return flat if numbers is None else torch.cat([flat, numbers], 1)


def pair_sum(vectors: Tensor) -> Tensor:
    """Sum of all pairs' dot products, ((sum v)^2 - sum v^2) / 2.

    Args:
        vectors: Shape (rows, fields, dim).

    Returns:
        Shape (rows,).
    """
    return 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(-1)


def pair_products(vectors: Tensor) -> Tensor:
    """Dot products of all pairs of fields.

    Args:
        vectors: Shape (rows, fields, dim).

    Returns:
        Shape (rows, fields (fields - 1) / 2).
    """
    fields = vectors.shape[1]
    first, second = torch.triu_indices(fields, fields, 1, device=vectors.device)
    return (vectors @ vectors.transpose(1, 2))[:, first, second]


class CrossLayers(nn.Module):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l.

    Args:
        width: Of the input.
        layers: How many.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, start: Tensor) -> Tensor:
        """Cross.

        Args:
            start: Shape (rows, width).

        Returns:
            Same shape.
        """
        x = start
        for layer in self.layers:
            x = start * layer(x) + x
        return x


class _Stacked(nn.Module):
    """Any network over fields and numbers side by side."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(*parts)

    def forward(self, vectors: Tensor, numbers: Tensor | None) -> Tensor:
        return self.net(side_by_side(vectors, numbers)).squeeze(-1)


class _Summed(nn.Module):
    """Linear layer, all pairs' dot products and an MLP, as far as they are wanted."""

    def __init__(self, linear: nn.Module | None, deep: nn.Module | None, pairs: bool) -> None:
        super().__init__()
        self.linear, self.deep, self.pairs = linear, deep, pairs

    def forward(self, vectors: Tensor, numbers: Tensor | None) -> Tensor:
        flat = side_by_side(vectors, numbers)
        logits = flat.new_zeros(len(flat))
        for part in (self.linear, self.deep):
            if part is not None:
                logits = logits + part(flat).squeeze(-1)
        return logits + pair_sum(vectors) if self.pairs else logits


class _Pairs(nn.Module):
    """MLP over all pairs' dot products and what stands beside them."""

    def __init__(self, bottom: nn.Module | None, top: nn.Module, beside: bool) -> None:
        super().__init__()
        self.bottom, self.top, self.beside = bottom, top, beside

    def forward(self, vectors: Tensor, numbers: Tensor | None) -> Tensor:
        more = []
        if self.bottom is not None:
            low = self.bottom(numbers)
            vectors = torch.cat([low[:, None], vectors], 1)
            more = [low]
        if self.beside:
            more = [side_by_side(vectors, numbers)]
        return self.top(torch.cat([*more, pair_products(vectors)], 1)).squeeze(-1)


@dataclass(frozen=True)
class DCNv2:
    """Cross layers, then dense layers.

    Attributes:
        cross: How many full-matrix cross layers.
        dense: Widths of the dense layers.
    """

    cross: int = 3
    dense: tuple[int, ...] = (256, 256, 256)

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        return _Stacked(CrossLayers(shape.width, self.cross), mlp(shape.width, self.dense))


@dataclass(frozen=True)
class DLRM:
    """Dot products of all pairs under an MLP.

    Attributes:
        bottom: Hidden widths of the numbers' MLP, which ends at the vectors' width.
        top: Hidden widths of the MLP over the products.
    """

    bottom: tuple[int, ...] = (512, 256, 64)
    top: tuple[int, ...] = (512, 256)

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        dim, fields = shape.equal_width("DLRM"), len(shape.widths)
        if not shape.numbers:
            return _Pairs(None, mlp(fields * (fields - 1) // 2, self.top), beside=False)
        bottom = mlp(shape.numbers, (*self.bottom, dim), out=None)
        return _Pairs(bottom, mlp(dim + fields * (fields + 1) // 2, self.top), beside=False)


@dataclass(frozen=True)
class WideAndDeep:
    """A linear layer beside an MLP.

    Attributes:
        dense: Widths of the MLP.
    """

    dense: tuple[int, ...] = (256, 256)

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        return _Summed(nn.Linear(shape.width, 1), mlp(shape.width, self.dense), pairs=False)


@dataclass(frozen=True)
class FM:
    """Factorisation machine: pairs and a linear layer over the same vectors."""

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        shape.equal_width("FM")
        return _Summed(nn.Linear(shape.width, 1), None, pairs=True)


@dataclass(frozen=True)
class DeepFM:
    """Factorisation machine beside an MLP.

    Attributes:
        dense: Widths of the MLP.
        norm: Batch norm in it.
    """

    dense: tuple[int, ...] = (1024, 512, 256)
    norm: bool = True

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        shape.equal_width("DeepFM")
        deep = mlp(shape.width, self.dense, norm=self.norm)
        return _Summed(nn.Linear(shape.width, 1), deep, pairs=True)


@dataclass(frozen=True)
class FNN:
    """An MLP alone.

    Attributes:
        dense: Its widths.
        norm: Batch norm in it.
    """

    dense: tuple[int, ...] = (1024, 512, 256)
    norm: bool = True

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        return _Stacked(mlp(shape.width, self.dense, norm=self.norm))


@dataclass(frozen=True)
class IPNN:
    """An MLP over vectors and all pairs' dot products.

    Attributes:
        dense: Its widths.
        norm: Batch norm in it.
    """

    dense: tuple[int, ...] = (1024, 512, 256)
    norm: bool = True

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        shape.equal_width("IPNN")
        fields = len(shape.widths)
        width = shape.width + fields * (fields - 1) // 2
        return _Pairs(None, mlp(width, self.dense, norm=self.norm), beside=True)


@dataclass(frozen=True)
class SingleLayer:
    """sum_f <theta_f, e_f>.

    Attributes:
        equal_start: All fields start with the same theta, for the analysis of collisions.
    """

    equal_start: bool = False

    def build(self, shape: InputShape) -> nn.Module:
        """Make the module."""
        layer = nn.Linear(shape.width, 1)
        if self.equal_start:
            dim, fields = shape.equal_width("SingleLayer(equal_start=True)"), len(shape.widths)
            with torch.no_grad():
                layer.weight[:, : dim * fields] = layer.weight[:, :dim].repeat(1, fields)
        return _Stacked(layer)


Body = DCNv2 | DLRM | WideAndDeep | FM | DeepFM | FNN | IPNN | SingleLayer

BODIES: dict[str, type[Body]] = {
    "dcn": DCNv2,
    "deepfm": DeepFM,
    "dlrm": DLRM,
    "fm": FM,
    "fnn": FNN,
    "ipnn": IPNN,
    "single": SingleLayer,
    "wdl": WideAndDeep,
}
