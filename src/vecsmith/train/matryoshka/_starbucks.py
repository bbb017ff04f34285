"""Starbucks: train a short fixed menu of sizes together, every size in every step.

Paper: Starbucks: Improved Training for 2D Matryoshka Embeddings (S. Zhuang, S. Wang, B. Koopman,
G. Zuccon, 2024). This is its fine-tuning half (structured representation learning); the other half
practises the same menu in masked auto-encoding beforehand.

Formula. The menu is (n_1, d_1), ..., (n_k, d_k), growing in both; the last entry is the whole model
(N, D). X_n^d is pooled from the output of block n and cut to d; all come from one forward pass::

    loss = base(X_N^D) + sum over i < k of [ base(X_{n_i}^{d_i}) + w KL_i ]

    kl="scores":      KL_i = KL( softmax(Q P^T / T) || softmax(Q_i P_i^T / T) )
    kl="embeddings":  KL_i = KL( softmax(X_N[:, :d_i] / T) || softmax(X_i / T) )

with the whole model as teacher, without gradients: one list of scores a query, or one entry a
dimension. The authors' w is 1 for scores (dot product, T = 1) and 0.3 for embeddings.

Use when the sizes to be served are known and each is to be as good as a model trained for it alone.
Avoid when any size may be asked for (`TwoDMatryoshkaLoss`). Cost: one forward pass with the menu's
layers kept, k base losses on embeddings.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, did_you_mean
from vecsmith.encode.text._layers import backbone_of, unwrapped
from vecsmith.train.contrastive._core import unit
from vecsmith.train.contrastive._objective import Batch

from ._grid import Size, score_kl
from ._sliced import LayeredObjective, alignment

NAMES = ("demi", "short", "tall", "grande", "venti", "trenta")
KINDS = {"scores": 1.0, "embeddings": 0.3}
SIMILARITIES = ("dot", "cosine")


class Menu(Sequence[Size]):
    """A list of sizes that grow in layers and in dimensions.

    Args:
        sizes: Pairs (layers, dim), small to large; the last one is the whole model.

    A size is asked for by place or by name: "demi", "short", "tall", "grande", "venti", "trenta"
    are the first to the sixth.

    Raises:
        ConfigError: Empty, or not growing in both.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self._sizes = tuple(Size(int(layers), int(dim)) for layers, dim in sizes)
        pairs = zip(self._sizes, self._sizes[1:], strict=False)
        if not self._sizes or min(self._sizes[0]) < 1:
            raise ConfigError(f"a menu needs sizes (layers, dim) from 1; got {list(sizes)}")
        if any(a.layers >= b.layers or a.dim >= b.dim for a, b in pairs):
            raise ConfigError(
                "the sizes of a menu must grow in layers and in dimensions, as in "
                f"[(1, 24), (2, 48), (6, 384)]; got {list(sizes)}"
            )

    @classmethod
    def halving(cls, model: Any) -> "Menu":
        """Make the usual menu of a model: up to six sizes, dimensions halved from size to size.

        Args:
            model: A `SentenceTransformer`.

        Returns:
            For 12 layers and 768 dimensions (2, 32), (4, 64), (6, 128), (8, 256), (10, 512), (12,
            768).

        Raises:
            ModelError: The backbone's blocks are not known.
        """
        depth = backbone_of(model).depth
        width = int(unwrapped(model).get_embedding_dimension())
        below = 1 << (width - 1).bit_length() - 1
        count = min(len(NAMES), depth, below.bit_length())
        sizes = [
            (round(depth * place / count), below >> (count - 1 - place))
            for place in range(1, count)
        ]
        return cls([*sizes, (depth, width)])

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[Size]:
        return iter(self._sizes)

    @overload
    def __getitem__(self, key: int | str) -> Size: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Size]: ...
    def __getitem__(self, key: int | str | slice) -> Size | Sequence[Size]:
        if not isinstance(key, str):
            return self._sizes[key]
        names = NAMES[: len(self)]
        if key not in names:
            raise ConfigError(f"no size of this menu is called {key!r}; {did_you_mean(key, names)}")
        return self._sizes[names.index(key)]

    def __repr__(self) -> str:
        return f"Menu({[tuple(size) for size in self._sizes]})"


class StarbucksLoss(LayeredObjective):
    """Train the sizes of a menu together.

    Args:
        base: The loss to be wrapped: an `Objective`, or a loss of sentence-transformers.
        menu: The sizes; by default `Menu.halving`.
        kl: "scores" pulls the list of scores of each query towards the whole model's, "embeddings"
            the entries of each embedding.
        kl_weight: w of the formula; by default 1 for scores and 0.3 for embeddings.
        similarity: "dot" or "cosine", for "scores"; take what the base scores by.
        temperature: T of the formula; take the base's, for "scores".
        detach_teacher: Keep the gradient of the KL from the whole model.
        cached_mini_batch: See `Objective`; by default that of `base`.

    Raises:
        ConfigError: The menu does not end with the whole model, or a setting is unknown.
        ModelError: The backbone's blocks are not known.
    """

    def __init__(
        self,
        base: nn.Module,
        menu: Sequence[tuple[int, int]] | None = None,
        *,
        kl: str = "scores",
        kl_weight: float | None = None,
        similarity: str = "dot",
        temperature: float = 1.0,
        detach_teacher: bool = True,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(base, cached_mini_batch=cached_mini_batch)
        for name, value, known in (("kl", kl, KINDS), ("similarity", similarity, SIMILARITIES)):
            if value not in known:
                raise ConfigError(f"{name} cannot be {value!r}; {did_you_mean(value, known)}")
        weight = KINDS[kl] if kl_weight is None else kl_weight
        if not temperature > 0 or weight < 0:
            raise ConfigError(
                f"temperature must be above 0 and kl_weight from 0; got {temperature} and {weight}"
            )
        self.menu = Menu.halving(self.model) if menu is None else Menu(menu)
        whole = Size(backbone_of(self.model).depth, self.width)
        if self.menu[-1] != whole:
            raise ConfigError(
                f"the menu must end with the whole model, {tuple(whole)}; {self.menu}"
            )
        self.kl, self.kl_weight = kl, weight
        self.similarity, self.temperature = similarity, temperature
        self.detach_teacher = detach_teacher

    def step_layers(self) -> tuple[int, ...]:
        """Return the layers that are embedded in this step; the last one is the whole model."""
        return tuple(size.layers for size in self.menu)

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows at every size of the menu.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,).
        """
        loss = self.cut_losses(batch, dim=self.width)
        for view, size in enumerate(self.menu[:-1]):
            loss = loss + self.cut_losses(batch, view, dim=size.dim)
            if self.kl_weight:
                loss = loss + self.kl_weight * self._pull(batch, view, size.dim)
        return loss

    def _pull(self, batch: Batch, view: int, dim: int) -> Tensor:
        if self.kl == "embeddings":
            return alignment(
                batch.local,
                (-1, view),
                dim=dim,
                temperature=self.temperature,
                detach=self.detach_teacher,
            )
        teacher = self._scores(batch, -1, self.width)
        teacher = teacher.detach() if self.detach_teacher else teacher
        return score_kl(teacher, self._scores(batch, view, dim), self.temperature)

    def _scores(self, batch: Batch, view: int, dim: int) -> Tensor:
        """Scores of the rows' queries against all texts of the other columns."""
        sized = self.cut(batch, view, dim=dim)
        query, texts = sized.local[0], torch.cat(sized.pool[1:])
        if self.similarity == "cosine":
            query, texts = unit(query), unit(texts)
        with torch.autocast(query.device.type, enabled=False):
            return query.to(texts.dtype) @ texts.T

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "base": type(self.base).__name__,
            "menu": [list(size) for size in self.menu],
            "kl": self.kl,
            "kl_weight": self.kl_weight,
            "similarity": self.similarity,
            "temperature": self.temperature,
            "detach_teacher": self.detach_teacher,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{zhuang2024starbucks,
    title={Starbucks: Improved Training for 2D Matryoshka Embeddings},
    author={Shengyao Zhuang and Shuai Wang and Bevan Koopman and Guido Zuccon},
    year={2024}
}
"""
