"""Deep hash embedding (DHE): no table at all, a network turns hashes of the id into its vector.

W. Kang and others, 2021, *Learning to Embed Categorical Features without Embedding Tables for
Recommendation*. k hashes of the id,

    h_j(i) = ((a_j i + b_j) mod p_j) mod 10**6,   p_j primes above 10**6, in 64 bits,

mapped to [-1, 1] (or to normals, by pairs), pass five layers (linear, batch norm, Mish) of width w
and a linear layer to D. Every field has a network whose bytes are its part of the budget; fields
that a network would not make smaller keep their rows. When frozen, batch norms are folded into the
linear layers. k is 1024, or less where the network would then be thinner than k / 4.

Use for huge vocabularies at tiny budgets when lookups may be slow. Avoid for small fields, and
where latency counts: it is the slowest of all. Cost: k w + 4 w^2 + w D multiplications a value.
"""

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from .._budget import largest
from .._columns import gather, join, whole_rows
from .._embedding import CompressedEmbedding, TablePlan
from .._hashing import hash_integers, salt_of
from .._shape import FLOAT_BYTES, TableShape

SPREAD = 1_000_000
LAYERS = 5
MOST_HASHES, LEAST_HASHES = 1024, 8
TRANSFORMS = ("uniform", "normal")
STEPS = 100_000
# mean square of mish(z) for normal z
MISH_SQUARE = 0.62


def hash_functions(number: int, seed: int, field: int) -> Tensor:
    """Draw the hashes of a field; the same on every machine.

    Args:
        number: How many, k.
        seed: Seed.
        field: Which field.

    Returns:
        a, b and p, int64, shape (3, k).
    """
    span = 64 * number
    candidates = np.arange(SPREAD + 1, SPREAD + 1 + span * 2, 2)
    composite = np.zeros(len(candidates), bool)
    for divisor in range(3, int(candidates[-1] ** 0.5) + 1, 2):
        first = -candidates[0] % divisor
        # candidates are odd: step to an odd multiple
        first += divisor if first % 2 else 0
        composite[first // 2 :: divisor] = True
    primes = candidates[~composite]
    draws = hash_integers(
        np.arange(3 * number).reshape(3, number), salt_of(seed, f"deep hash {field}", 0)
    )
    p = primes[draws[0] % len(primes)]
    return torch.from_numpy(np.stack([1 + draws[1] % (p - 1), draws[2] % p, p]))


def hash_codes(ids: Tensor, functions: Tensor, transform: str = "uniform") -> Tensor:
    """Turn ids into the network's input.

    Args:
        ids: int64, shape (rows,).
        functions: From `hash_functions`.
        transform: "uniform" in [-1, 1], or "normal" (Box and Muller, by pairs).

    Returns:
        float32, shape (rows, k).
    """
    a, b, p = functions
    hashed = (a * ids[:, None] + b) % p % SPREAD
    if transform == "uniform":
        return (hashed.double() / (SPREAD - 1) * 2 - 1).float()
    part = (hashed.double() + 0.5) / SPREAD
    half = part.shape[1] // 2
    radius, angle = (-2 * part[:, :half].log()).sqrt(), 2 * torch.pi * part[:, half : 2 * half]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1).float()


def network_numbers(hashes: int, width: int, dim: int) -> int:
    """Numbers in a frozen network.

    Args:
        hashes: k.
        width: w.
        dim: D.
    """
    return (hashes + 1) * width + (LAYERS - 1) * (width + 1) * width + (width + 1) * dim


class _Network(nn.Module):
    """Five layers and one, with batch norms that a single row does not break."""

    def __init__(self, sizes: tuple[int, int, int], std: float, generator: torch.Generator) -> None:
        super().__init__()
        hashes, width, dim = sizes
        widths = [hashes] + [width] * LAYERS
        self.layers = nn.ModuleList(
            nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(LAYERS))
        self.out = nn.Linear(width, dim)
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                scale = (2 / (layer.in_features + layer.out_features)) ** 0.5
                layer.weight.normal_(0, scale, generator=generator)
            self.out.weight.normal_(0, std / (width * MISH_SQUARE) ** 0.5, generator=generator)
            self.out.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            assert isinstance(norm, nn.BatchNorm1d)
            y = layer(x)
            if norm.training and len(y) < 2:
                # one row has no variance
                y = nn.functional.batch_norm(
                    y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
                )
            else:
                y = norm(y)
            x = nn.functional.mish(y)
        return self.out(x)

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases with the batch norms in them."""
        found = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            assert isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            found.append((layer.weight * scale[:, None], norm.bias - norm.running_mean * scale))
        return [*found, (self.out.weight, self.out.bias)]


class DeepHash(CompressedEmbedding):
    """A network a field."""

    @dataclass(frozen=True)
    class Settings:
        """Settings.

        Attributes:
            hashes: k; None: 1024, or fewer where the budget is small.
            transform: "uniform" or "normal".
        """

        hashes: int | None = None
        transform: str = "uniform"

        def __post_init__(self) -> None:
            if self.hashes is not None and (self.hashes < 2 or self.hashes % 2):
                raise ConfigError(f"hashes must be an even number from 2; got {self.hashes}")
            if self.transform not in TRANSFORMS:
                raise ConfigError(f"transform must be one of {TRANSFORMS}; got {self.transform!r}")

    name: ClassVar[str] = "dhe"
    family: ClassVar[str] = "sharing"

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan)
        shape = plan.shape
        allowed = shape.budget(plan.rate) / FLOAT_BYTES
        step = largest(0, STEPS, lambda s: _numbers(plan, s / STEPS) <= allowed + 1e-6)
        assert step is not None
        sizes = [_network(plan, size, step / STEPS) for size in shape.sizes]
        self.columns = [c for c, s in enumerate(sizes) if s is not None]
        self.kept = [c for c, s in enumerate(sizes) if s is None]
        self.sizes = [s for s in sizes if s is not None]
        self.networks = nn.ModuleList()
        for column, (hashes, width) in zip(self.columns, self.sizes, strict=True):
            generator = plan.generator(f"network {column}")
            self.networks.append(_Network((hashes, width, shape.dim), plan.std, generator))
            functions = hash_functions(hashes, plan.seed, column)
            self.register_buffer(f"functions_{column}", functions, persistent=False)
        whole = sum(shape.sizes[c] for c in self.kept)
        self.whole = plan.normal(whole, shape.dim, name="whole") if whole else None

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached."""
        return _numbers(plan, 0.0) / (plan.shape.total * plan.shape.dim)

    def vectors(self, ids: Tensor) -> Tensor:
        """Look checked ids up."""
        transform, found = self.plan.settings.transform, []
        for column, network in zip(self.columns, self.networks, strict=True):
            functions = getattr(self, f"functions_{column}")
            codes = hash_codes(ids[:, column], functions, transform).to(_kind(network))
            found.append(([column], network(codes)[:, None]))
        if self.whole is not None:
            found.append((self.kept, gather(self.whole, whole_rows(ids, self.shape, self.kept))))
        return join(found)

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs."""
        config = {
            "columns": self.columns,
            "kept": self.kept,
            "sizes": [list(s) for s in self.sizes],
            "transform": self.plan.settings.transform,
            "seed": self.plan.seed,
        }
        tensors = {}
        for column, network in zip(self.columns, self.networks, strict=True):
            assert isinstance(network, _Network)
            for place, (weight, bias) in enumerate(network.folded()):
                tensors[f"weight{column}_{place}"] = weight
                tensors[f"bias{column}_{place}"] = bias
        if self.whole is not None:
            tensors["whole"] = self.whole
        return config, tensors

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together."""
        found = []
        for column, (hashes, _) in zip(config["columns"], config["sizes"], strict=True):
            functions = hash_functions(hashes, config["seed"], column).to(ids.device)
            x = hash_codes(ids[:, column], functions, config["transform"])
            for place in range(LAYERS + 1):
                weight, bias = (tensors[f"{name}{column}_{place}"] for name in ("weight", "bias"))
                x = nn.functional.linear(x, weight, bias)
                if place < LAYERS:
                    x = nn.functional.mish(x)
            found.append(([column], x[:, None]))
        if config["kept"]:
            places = whole_rows(ids, shape, config["kept"])
            found.append((config["kept"], gather(tensors["whole"], places)))
        return join(found)


def _kind(network: nn.Module) -> torch.dtype:
    return next(network.parameters()).dtype


def _width(hashes: int, dim: int, allowed: float) -> int:
    """The widest network that fits, 0 for none."""
    top = 2 + int((allowed / (LAYERS - 1)) ** 0.5)
    return largest(1, top, lambda w: network_numbers(hashes, w, dim) <= allowed) or 0


def _network(plan: TablePlan, size: int, part: float) -> tuple[int, int] | None:
    """Hashes and width of a field's network; None where it keeps its rows."""
    dim, allowed = plan.shape.dim, part * size * plan.shape.dim
    hashes = plan.settings.hashes
    if hashes is None:
        hashes = MOST_HASHES
        while hashes > LEAST_HASHES and _width(hashes, dim, allowed) < hashes // 4:
            hashes //= 2
    width = max(1, _width(hashes, dim, allowed))
    return (hashes, width) if network_numbers(hashes, width, dim) < size * dim else None


def _numbers(plan: TablePlan, part: float) -> int:
    found = 0
    dim = plan.shape.dim
    for size in plan.shape.sizes:
        network = _network(plan, size, part)
        found += size * dim if network is None else network_numbers(*network, dim)
    return found
