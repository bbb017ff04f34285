"""The drop-in for `nn.Embedding` that all compressed tables are, and how one is built.

    layer = CompressedEmbedding.build("tt_rec", field_sizes, dim=16, rate=0.05, counts=counts)

looks ids of shape (rows, fields) up, learns by any optimizer, and `freeze()` leaves what a lookup
needs, in at most `rate` of the bytes of the whole float32 table. A training loop that is not ours
calls `layer.attach(optimizer)` once; `vecsmith.train.tables.fit_ctr` runs the method's stages.

Taxonomy: H. Zhang and others, 2024, *Experimental Analysis of Large-scale Learnable Vector Storage
Compression*. "sharing": several values share (parts of) vectors; "shrinking": each value keeps its
own, in fewer bits or coordinates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import ConfigError, did_you_mean, torch_generator

from ._base import TableBase
from ._budget import refuse_rate
from ._frozen import FrozenEmbedding
from ._shape import TableShape, joined_counts
from ._staged import StagedTable


@dataclass(frozen=True)
class NoSettings:
    """A method without settings of its own."""


@dataclass(frozen=True)
class TablePlan:
    """What a table is built from.

    Attributes:
        shape: The fields.
        rate: Bytes it may have, as part of the whole table's.
        counts: How often each value occurs in the training rows; None: not known.
        seed: Seed of start and hashes.
        padding_idx: Id whose vector is zero.
        sparse: Gradients of gathered rows only, for tables too big for dense ones.
        settings: The method's own.
        start: Standard deviation of the vectors' entries at the start; None: Xavier's.
    """

    shape: TableShape
    rate: float
    counts: NDArray[np.int64] | None
    seed: int
    padding_idx: int | None
    sparse: bool
    settings: Any
    start: float | None = None

    @property
    def std(self) -> float:
        """Standard deviation of the vectors' entries at the start."""
        if self.start is not None:
            return self.start
        return math.sqrt(2.0 / (self.shape.total + self.shape.dim))

    def generator(self, name: str) -> torch.Generator:
        """Source of random numbers.

        Args:
            name: What for.
        """
        return torch_generator(self.seed, "table", name)

    def normal(self, *size: int, std: float | None = None, name: str = "start") -> nn.Parameter:
        """Make a parameter of normal numbers.

        Args:
            size: Its shape.
            std: Standard deviation; by default that of the vectors.
            name: Which of several streams.
        """
        tensor = torch.empty(size)
        tensor.normal_(0.0, self.std if std is None else std, generator=self.generator(name))
        return nn.Parameter(tensor)


class CompressedEmbedding(StagedTable, TableBase):
    """A table of vectors in fewer bytes; see `METHODS` for what there is.

    Args:
        plan: From `build`.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    Settings: ClassVar[type] = NoSettings
    sparse_gradients: ClassVar[bool] = False
    exact_budget: ClassVar[bool] = True

    def __init__(self, plan: TablePlan) -> None:
        super().__init__(plan.shape, plan.padding_idx)
        self.plan = plan

    @staticmethod
    def build(
        method: str,
        field_sizes: Sequence[int],
        *,
        dim: int,
        rate: float = 1.0,
        counts: Sequence[Any] | None = None,
        seed: int = 0,
        padding_idx: int | None = None,
        **settings: Any,
    ) -> "CompressedEmbedding":
        """Build a table.

        Args:
            method: Key of `METHODS`.
            field_sizes: Number of values of each field.
            dim: Width of the vectors.
            rate: Bytes that the frozen table may have, as part of the whole one's.
            counts: How often each value occurs in the training rows, one array a field.
            seed: Seed of start and hashes.
            padding_idx: Id (within its field) whose vector is zero and never learns.
            **settings: The method's own; for all, `sparse=True` (gradients of gathered rows only)
                and `start` (standard deviation of the vectors' entries at the start).

        Returns:
            The table.

        Raises:
            ConfigError: The method or a setting is unknown, or the rate cannot be reached.
        """
        from ._methods import METHODS

        if method not in METHODS:
            raise ConfigError(
                f"no table method is called {method!r}; {did_you_mean(method, METHODS)}"
            )
        kind = METHODS[method]
        if not 0.0 < rate <= 1.0:
            raise ConfigError(f"rate must be above 0 and at most 1; got {rate!r}")
        sparse, start = bool(settings.pop("sparse", False)), settings.pop("start", None)
        shape = TableShape(tuple(field_sizes), dim)
        plan = TablePlan(
            shape=shape,
            rate=rate,
            counts=joined_counts(counts, shape),
            seed=seed,
            padding_idx=padding_idx,
            sparse=sparse,
            settings=_settings(kind, settings),
            start=start,
        )
        _check_plan(kind, plan)
        return kind(plan)

    @classmethod
    def reachable(
        cls, field_sizes: Sequence[int], *, dim: int, counts: Sequence[Any] | None = None
    ) -> float:
        """Return the least rate that this method reaches with its default settings.

        Args:
            field_sizes: Number of values of each field.
            dim: Width of the vectors.
            counts: How often each value occurs.
        """
        shape = TableShape(tuple(field_sizes), dim)
        known = joined_counts(counts, shape)
        return cls.least_rate(TablePlan(shape, 1.0, known, 0, None, False, cls.Settings()))

    @classmethod
    def least_rate(cls, plan: TablePlan) -> float:
        """Return the least rate that is reached.

        Args:
            plan: Fields and settings; its rate is not looked at.
        """
        raise NotImplementedError

    @staticmethod
    def read(
        config: dict[str, Any], tensors: dict[str, Tensor], ids: Tensor, shape: TableShape
    ) -> Tensor:
        """Put vectors together from what `frozen` returned.

        Args:
            config: Numbers.
            tensors: Arrays.
            ids: int64, shape (rows, fields).
            shape: The fields.

        Returns:
            Shape (rows, fields, dim).
        """
        raise NotImplementedError

    def start_at(self, vectors: Tensor) -> None:
        """Start from the vectors of a finished table, as far as the method can.

        Args:
            vectors: Shape (values of all fields, dim).
        """

    def frozen(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `read` needs, and nothing else: numbers, arrays."""
        raise NotImplementedError

    def freeze(self) -> FrozenEmbedding:
        """Drop whatever only training needs.

        Returns:
            A table with the same lookups as this one in eval mode.
        """
        with torch.no_grad():
            config, tensors = self.frozen()
        return FrozenEmbedding(
            self.name,
            self.shape,
            config=config,
            tensors=tensors,
            padding_idx=self.padding_idx,
        )

    def nbytes(self) -> int:
        """Bytes of the frozen table."""
        return self.freeze().nbytes()

    def save_pretrained(self, folder: str | Path) -> None:
        """Freeze and write the table; `FrozenEmbedding.from_pretrained` reads it.

        Args:
            folder: Where to; replaced as a whole.
        """
        self.freeze().save_pretrained(folder)


def _check_plan(kind: type[CompressedEmbedding], plan: TablePlan) -> None:
    """Refuse what the method cannot do."""
    from ._methods import METHODS

    if plan.sparse and not kind.sparse_gradients:
        able = [name for name, each in METHODS.items() if each.sparse_gradients]
        raise ConfigError(f"{kind.name!r} has no sparse gradients; these have: {', '.join(able)}")
    if plan.rate < 1.0 and not kind.exact_budget:
        raise ConfigError(
            f"{kind.name!r} finds its own size, rate {plan.rate:g} cannot be reached on demand; "
            "leave rate at 1 and read nbytes() after the training"
        )
    least = kind.least_rate(plan)
    if plan.rate < least - 1e-9:
        raise refuse_rate(kind.name, plan.rate, plan.shape, least=least)


def _settings(kind: type[CompressedEmbedding], given: dict[str, Any]) -> Any:
    known = [field.name for field in fields(kind.Settings)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, [*known, "sparse", "start"])
            raise ConfigError(f"{kind.name!r} has no setting {name!r}; {hint}")
    return kind.Settings(**given)
