"""Two-dimensional Matryoshka: one encoder that can be cut at any layer and at any dimension.

Paper: 2D Matryoshka Sentence Embeddings (X. Li, Z. Li, J. Li, H. Xie, Q. Li, 2024); its later
version is called Espresso (ESE).

Formula. X_n is pooled from the output of block n of N, X^d its leading d dimensions; all come from
one forward pass. Each step draws one layer n below N and one size d (8, 16, 32, ...)::

    loss = l1 base(X_N) + l2 base(X_n) + l3 base(X_N^d) + l4 base(X_n^d)
         + l5 t^2 KL( softmax(X_N / t) || softmax(X_n / t) )          softmax over the D entries

Presets, after the authors' own versions: "paper" as above; "authors_improved" divides the terms of
the inner layer by n and weighs the KL by t ln(2 + n); "ese" draws nothing::

    loss = l1 base(X_N) + l3 base(X_N^k) + mean over n < N of l4 base(X_n^k) / (1 + ln n)
         + l5 mean over all n of [ MSE + KL ]( X_n^k , X_n U S )

where U S is a rank-k principal basis of softmax(X_n^T X_n / sqrt(D)) over the batch, without
gradients.

Use when the same model must serve phones, cheap processors and a large server, at sizes not yet
known. Avoid when the sizes are known (`StarbucksLoss` is better at each of them), or when only the
index is to shrink (`MatryoshkaLoss` leaves the whole model untouched). Cost: one forward pass with
all layers kept, four base losses on embeddings; the whole size loses a point or two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, did_you_mean, numpy_generator
from vecsmith.encode.text._layers import backbone_of, check_layers, layer_embeddings, unwrapped
from vecsmith.train.contrastive._objective import Batch, Features

from ._grid import Size, check_dims, compression, geometric_dims, principal_basis
from ._sliced import LayeredObjective, alignment

PRESETS = ("paper", "authors_improved", "ese")


@dataclass(frozen=True)
class Grid2D:
    """Which sizes are trained, and how.

    Attributes:
        layers: Inner layers to draw from, numbers from 1; "all" takes 1 to N - 1.
        dims: Sizes to draw from; "geometric" takes 8, 16, 32, ... below the whole size.
        preset: "paper", "authors_improved" or "ese".
        weights: l1 to l5 of the formula.
        temperature: t of the KL divergence.
        detach_teacher: Keep the gradient of the KL from the last layer, as sentence-transformers
            does; the authors let it through.
        rank: k of "ese".
        seed: Seed of the draw, which depends on it and on the step alone.
    """

    layers: str | Sequence[int] = "all"
    dims: str | Sequence[int] = "geometric"
    preset: str = "paper"
    weights: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    temperature: float = 1.0
    detach_teacher: bool = True
    rank: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(
                f"preset cannot be {self.preset!r}; {did_you_mean(self.preset, PRESETS)}"
            )
        if len(self.weights) != 5 or min(self.weights) < 0 or not self.temperature > 0:
            raise ConfigError(
                "weights must be five numbers from 0 and temperature above 0; "
                f"got {self.weights} and {self.temperature}"
            )
        for name, word in (("layers", "all"), ("dims", "geometric")):
            value = getattr(self, name)
            if isinstance(value, str) and value != word:
                raise ConfigError(f"{name} must be {word!r} or a list of numbers; got {value!r}")

    def inner_layers(self, depth: int) -> tuple[int, ...]:
        """List the layers to draw from, for a model of `depth` blocks."""
        if isinstance(self.layers, str):
            return tuple(range(1, depth))
        return tuple(sorted({*check_layers(self.layers, depth)}))

    def inner_dims(self, width: int) -> tuple[int, ...]:
        """List the sizes to draw from, for embeddings of `width` dimensions."""
        return geometric_dims(width) if isinstance(self.dims, str) else check_dims(self.dims, width)


class TwoDMatryoshkaLoss(LayeredObjective):
    """Train every layer and every leading slice to be an embedding.

    Args:
        base: The loss to be wrapped: an `Objective`, or a loss of sentence-transformers.
        grid: Which sizes are trained, and how.
        teacher: A frozen `SentenceTransformer` with the same tokenizer and size, which takes the
            last layer's place as teacher of the KL.
        cached_mini_batch: See `Objective`; by default that of `base`.

    Raises:
        ConfigError: The grid leaves nothing to draw from, or the teacher does not fit.
        ModelError: The backbone's blocks are not known.
    """

    def __init__(
        self,
        base: nn.Module,
        grid: Grid2D | None = None,
        *,
        teacher: Any = None,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(base, cached_mini_batch=cached_mini_batch)
        self.grid = grid or Grid2D()
        self.depth = backbone_of(self.model).depth
        self.layers = self.grid.inner_layers(self.depth)
        self.dims = self.grid.inner_dims(self.width)
        if not self.layers or self.layers[-1] >= self.depth or not self.dims:
            raise ConfigError(
                f"the grid needs layers below the last one ({self.depth}) and dims up to "
                f"{self.width}; got layers {self.layers} and dims {self.dims}"
            )
        if teacher is not None:
            self._check_teacher(teacher)
        # in a tuple, so that its weights are not taken for the loss's own
        self._teacher = () if teacher is None else (teacher.eval().requires_grad_(False),)

    def _check_teacher(self, teacher: Any) -> None:
        width = teacher.get_embedding_dimension()
        if self.grid.preset == "ese" or width != self.width:
            raise ConfigError(
                "teacher must give embeddings of the student's size, and the preset must have a KL "
                f"(not 'ese'); got {width} dimensions for {self.width} and {self.grid.preset!r}"
            )
        if teacher.tokenizer.get_vocab() != unwrapped(self.model).tokenizer.get_vocab():
            raise ConfigError("teacher must have the student's tokenizer: it reads the same ids")

    def drawn(self) -> Size:
        """Return layer and size of this step, the same on all processes and after a resume."""
        rng = numpy_generator(self.grid.seed, "two-d-matryoshka", str(self.step))
        return Size(int(rng.choice(self.layers)), int(rng.choice(self.dims)))

    def step_layers(self) -> tuple[int, ...]:
        """Return the layers that are embedded in this step; the last one is the whole model."""
        inner = self.layers if self.grid.preset == "ese" else (self.drawn().layers,)
        return (*inner, self.depth)

    def embed(self, features: Features) -> Tensor:
        """Embed texts at the layers of the step.

        Args:
            features: Model inputs of B texts, from `inputs`.

        Returns:
            Shape (B, layers, dims); the external teacher, if any, stands before the last layer.
        """
        views = super().embed(features)
        for teacher in self._teacher:
            plain = {name: value for name, value in features.items() if name != self.LAYERS}
            teacher.to(views.device)
            with torch.no_grad():
                frozen = layer_embeddings(teacher, plain, [backbone_of(teacher).depth])
            views = torch.cat([views[:, :-1], frozen.to(views.dtype), views[:, -1:]], dim=1)
        return views

    def prepare(self, batch: Batch) -> Batch:
        """Find the principal bases of the layers ("ese"), and what the base needs.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts.
        """
        batch = super().prepare(batch)
        if self.grid.preset != "ese":
            return batch
        texts = torch.cat(batch.pool)
        rank = min(self.grid.rank, self.width)
        return batch.with_facts(bases=[principal_basis(view, rank) for view in texts.unbind(dim=1)])

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows at the sizes of this step.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,).
        """
        return self._espresso(batch) if self.grid.preset == "ese" else self._sampled(batch)

    def _sampled(self, batch: Batch) -> Tensor:
        (layer, dim), grid = self.drawn(), self.grid
        improved = grid.preset == "authors_improved"
        inner = 1.0 / layer if improved else 1.0
        pull = grid.temperature * (math.log(2 + layer) if improved else grid.temperature)
        first, second, third, fourth, fifth = grid.weights
        kl = alignment(
            batch.local,
            (1 if self._teacher else -1, 0),
            temperature=grid.temperature,
            detach=grid.detach_teacher,
        )
        return (
            first * self.cut_losses(batch, dim=self.width)
            + second * inner * self.cut_losses(batch, 0, dim=self.width)
            + third * self.cut_losses(batch, dim=dim)
            + fourth * inner * self.cut_losses(batch, 0, dim=dim)
            + fifth * pull * kl
        )

    def _espresso(self, batch: Batch) -> Tensor:
        first, _, third, fourth, fifth = self.grid.weights
        rank = min(self.grid.rank, self.width)
        loss = first * self.cut_losses(batch, dim=self.width)
        loss = loss + third * self.cut_losses(batch, dim=rank)
        for view, layer in enumerate(self.layers):
            weight = fourth / (1.0 + math.log(layer)) / len(self.layers)
            loss = loss + weight * self.cut_losses(batch, view, dim=rank)
        bases = batch.facts["bases"]
        for view, basis in enumerate(bases):
            terms = [compression(column[:, view], basis) for column in batch.local]
            loss = loss + fifth * torch.stack(terms).mean(dim=0) / len(bases)
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "base": type(self.base).__name__,
            "preset": self.grid.preset,
            "layers": list(self.layers),
            "dims": list(self.dims),
            "weights": list(self.grid.weights),
            "temperature": self.grid.temperature,
            "detach_teacher": self.grid.detach_teacher,
            "seed": self.grid.seed,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{li20242d,
    title={2D Matryoshka Sentence Embeddings},
    author={Xianming Li and Zongxi Li and Jing Li and Haoran Xie and Qing Li},
    year={2024}
}
"""
