"""Unified embedding: one table of vectors serves every categorical feature of a model.

B. Coleman and others, 2023, *Unified Embedding: Battle-Tested Feature Representations for Web-Scale
ML Systems* (feature multiplexing). Feature t asks for k_t chunks; chunk c of value x is a row of
the one table E (M x d), by a hash with a salt of its own:

    e_t(x) = concat_{c < k_t} E[ h_{t,c}(x) mod M ]

Values of one feature that share a row cannot be told apart; values of different features can,
because the network reads them in different directions. A table a feature has only collisions of the
first kind; one table for all trades most of them for the second. There is no vocabulary: new values
hash at once.

Use when a model has many id-like features, a fixed budget and values that come and go. Avoid with
one feature, or few and small ones whose whole vocabulary fits. Cost: one hash and one gather a
chunk; M d floats.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vecsmith.core import DataError, StoreError, read_json, replace_dir, write_json

from ._embedding import CompressedEmbedding
from ._frozen import CONFIG, FrozenEmbedding
from ._full import FullTable
from ._hashing import hash_ids, to_keys
from ._staged import Stage, StagedTable
from ._unified_report import UnifiedReport, unified_report
from ._unified_spec import UnifiedSpec

# of uniform numbers from -0.05 to 0.05
START = 0.05 / 3**0.5


class UnifiedEmbedding(StagedTable):
    """One store of vectors for all features.

    Args:
        spec: Budget and features.
        seed: Seed of salts and start.

    Raises:
        ConfigError: The spec contradicts itself, or the storage cannot reach the budget.
    """

    _salts: Tensor
    _first: Tensor
    _count: Tensor
    _column: Tensor

    def __init__(self, spec: UnifiedSpec, *, seed: int = 0) -> None:
        super().__init__()
        spec.check()
        self._setup(spec, spec.salts(seed))
        self.stores = nn.ModuleList(
            CompressedEmbedding.build(
                spec.storage,
                [spec.hashed_rows],
                dim=spec.dim,
                rate=min(1.0, spec.table_rows / spec.hashed_rows),
                seed=seed * spec.tables + place,
                start=START,
            )
            for place in range(spec.tables)
        )
        for store in self.stores:
            if isinstance(store, FullTable):
                generator = store.plan.generator("uniform")
                nn.init.uniform_(store.table, -0.05, 0.05, generator=generator)

    def _setup(self, spec: UnifiedSpec, salts: dict[str, list[int]]) -> None:
        self.spec, self.salts = spec, salts
        windows = spec.windows()
        # (feature's column, salt, first row, rows) of every chunk
        chunks = [
            (column, salt, *windows[name])
            for column, name in enumerate(spec.features)
            for salt in salts[name]
        ]
        tensors = [torch.tensor(part) for part in zip(*chunks, strict=True)]
        for name, tensor in zip(("_column", "_salts", "_first", "_count"), tensors, strict=True):
            self.register_buffer(name, tensor, persistent=False)

    @property
    def field_widths(self) -> tuple[int, ...]:
        """Width of each feature's vector."""
        return tuple(f.chunks * self.spec.dim for f in self.spec.features.values())

    def rows(self, keys: Tensor, chunks: slice = slice(None)) -> Tensor:
        """Find the rows of chunks.

        Args:
            keys: int64, one column a chunk, shape (values, chunks).
            chunks: Which of all chunks the columns are.

        Returns:
            Rows within each chunk's physical table, same shape.
        """
        hashed = hash_ids(keys, self._salts[chunks])
        return hashed % self._count[chunks] + self._first[chunks]

    def _gather(self, rows: Tensor, first: int) -> Tensor:
        """Look rows up; column j is chunk `first` + j. Returns (values, chunks, dim)."""
        tables = len(self.stores)
        if tables == 1:
            return _look_up(self.stores[0], rows)
        parts, order = [], []
        for place, store in enumerate(self.stores):
            columns = [j for j in range(rows.shape[1]) if (first + j) % tables == place]
            if columns:
                parts.append(_look_up(store, rows[:, columns]))
                order += columns
        back = torch.tensor(order, device=rows.device).argsort()
        return torch.cat(parts, 1)[:, back]

    def flat(self, batch: "Tensor | Mapping[str, Any]") -> Tensor:
        """Look all features up and lay them side by side.

        Args:
            batch: Whole numbers, shape (rows, features), in the order of the spec; or a mapping as
                `forward` takes it.

        Returns:
            Shape (rows, sum of all features' widths).

        Raises:
            DataError: Features are missing, or values are of the wrong kind.
        """
        if not isinstance(batch, Tensor):
            return torch.cat(list(self(batch).values()), 1)
        pooled = [name for name, f in self.spec.features.items() if f.pooling]
        if pooled:
            raise DataError(
                f"features with several values a row ({', '.join(pooled)}) need a mapping "
                "from names to values; got a tensor"
            )
        if batch.ndim != 2 or batch.shape[1] != len(self.spec.features):
            raise DataError(
                f"ids must have shape (rows, {len(self.spec.features)}), one column a feature; "
                f"got {tuple(batch.shape)}"
            )
        return self._gather(self.rows(to_keys(batch)[:, self._column]), 0).flatten(1)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Look features up.

        Args:
            batch: For each feature one value a row (a tensor, array or list of whole numbers, or a
                list of texts); with pooling a list of lists, or a pair (values, offsets) as
                `nn.EmbeddingBag` takes it.

        Returns:
            Each feature's vectors, shape (rows, chunks * dim). A row without values has zeros.

        Raises:
            DataError: A feature is missing or unknown, lengths differ, or values are neither whole
                numbers nor texts.
        """
        names = set(self.spec.features)
        if set(batch) != names:
            raise DataError(
                f"batch must hold the features {sorted(names)}; "
                f"missing: {sorted(names - set(batch))}, unknown: {sorted(set(batch) - names)}"
            )
        found, first = {}, 0
        for name, feature in self.spec.features.items():
            chunks = slice(first, first + feature.chunks)
            values, bags, rows = _values(batch[name], name, pooled=feature.pooling is not None)
            keys = values.to(self._salts.device)[:, None].expand(-1, feature.chunks)
            vectors = self._gather(self.rows(keys, chunks), first).flatten(1)
            if bags is not None:
                vectors = _pooled(vectors, bags.to(vectors.device), rows, feature.pooling)
            found[name] = vectors
            first += feature.chunks
        lengths = {name: len(vectors) for name, vectors in found.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"features must have the same number of rows; got {lengths}")
        return found

    def diagnostics(
        self, readers: Tensor | None = None, values: Mapping[str, Any] | None = None
    ) -> UnifiedReport:
        """Look at what is shared, and how the network tells it apart.

        Args:
            readers: Weights of the network's first layer, shape (outputs, sum of all widths), or
                (sum of all widths,); None leaves the angles out.
            values: Distinct values of each feature; None leaves the collisions out.

        Returns:
            Angles between features, norms of rows, load of rows, collisions.
        """
        return unified_report(self, readers, values)

    def nbytes(self) -> int:
        """Bytes of everything that a lookup needs but the salts, 8 a chunk."""
        return sum(
            store.nbytes()
            for store in self.stores
            if isinstance(store, CompressedEmbedding | FrozenEmbedding)
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write stores, features and salts.

        Args:
            folder: Where to; replaced as a whole.

        Raises:
            StoreError: The folder cannot be written.
        """
        target = Path(folder)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        except OSError as error:
            raise StoreError(
                f"cannot write {str(target)!r}: {error.strerror or error}; "
                "choose a folder that can be written"
            ) from error
        try:
            for place, store in enumerate(self.stores):
                assert isinstance(store, CompressedEmbedding | FrozenEmbedding)
                store.save_pretrained(fresh / f"store-{place}")
            kept = {"format": 1, "spec": self.spec.to_json(), "salts": self.salts}
            write_json(fresh / CONFIG, kept)
            fresh.chmod(0o755)
            replace_dir(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "UnifiedEmbedding":
        """Read what `save_pretrained` wrote; with the storage "full" it can be trained further.

        Args:
            folder: Where it lies.

        Returns:
            The same lookups, bit for bit.

        Raises:
            StoreError: Files are missing or damaged.
        """
        path = Path(folder)
        kept = read_json(path / CONFIG)
        try:
            spec, salts = UnifiedSpec.from_json(kept["spec"]), kept["salts"]
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{str(path)!r} should hold a unified embedding but does not; save it again"
            ) from error
        stores = [FrozenEmbedding.from_pretrained(path / f"store-{i}") for i in range(spec.tables)]
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made._setup(spec, salts)
        made.stores = nn.ModuleList(
            _trainable(store) if spec.storage == "full" else store for store in stores
        )
        return made

    # the stores' own training

    def _parts(self) -> list[StagedTable]:
        return [store for store in self.stores if isinstance(store, StagedTable)]

    def stages(self) -> tuple[Stage, ...]:
        """The parts of the training, in order."""
        parts = self._parts()
        return parts[0].stages() if parts else super().stages()

    def begin(self, stage: Stage, steps: int) -> None:
        """Prepare for a stage."""
        for part in self._parts():
            part.begin(stage, steps)

    def end(self, stage: Stage) -> None:
        """Finish a stage."""
        for part in self._parts():
            part.end(stage)

    def select(self, score: Callable[[], float]) -> None:
        """Choose what is to be trained further."""
        for part in self._parts():
            part.select(score)

    def penalty(self) -> Tensor | None:
        """What is added to the loss."""
        found = [extra for part in self._parts() if (extra := part.penalty()) is not None]
        return torch.stack(found).sum() if found else None

    def architecture(self) -> list[nn.Parameter]:
        """Parameters that a search stage trains on validation batches."""
        return [parameter for part in self._parts() for parameter in part.architecture()]

    def search_step(self, lr: float) -> None:
        """Move `architecture()`."""
        for part in self._parts():
            part.search_step(lr)

    def after_step(self, lr: float) -> None:
        """Do what follows a step of the optimizer."""
        for part in self._parts():
            part.second_pass = self.second_pass
            part.after_step(lr)

    def readiness(self) -> float:
        """How far the stores are on the way to their budget."""
        return min((part.readiness() for part in self._parts()), default=1.0)


def _look_up(store: Any, rows: Tensor) -> Tensor:
    return store.vectors(rows.reshape(-1, 1)).reshape(*rows.shape, -1)


def _trainable(store: FrozenEmbedding) -> FullTable:
    made = CompressedEmbedding.build("full", store.shape.sizes, dim=store.shape.dim)
    assert isinstance(made, FullTable)
    with torch.no_grad():
        made.table.copy_(store.tensors["table"])
    return made


def _values(given: Any, name: str, *, pooled: bool) -> tuple[Tensor, Tensor | None, int]:
    """Return keys, the bag of each (None without pooling), and the number of rows."""
    try:
        if not pooled:
            keys = to_keys(given)
            if keys.ndim != 1:
                raise DataError(
                    f"one value a row; got shape {tuple(keys.shape)}: "
                    "several need add(name, pooling='mean')"
                )
            return keys, None, len(keys)
        if isinstance(given, tuple) and len(given) == 2:
            keys, offsets = to_keys(given[0]), torch.as_tensor(given[1]).long()
            bounds = torch.cat([offsets, offsets.new_tensor([len(keys)])])
            lengths = bounds.diff()
            if len(offsets) == 0 or offsets[0] != 0 or (lengths < 0).any():
                raise DataError("offsets must start with 0 and never fall")
        else:
            lists = _lists(given)
            lengths = torch.tensor([len(bag) for bag in lists], dtype=torch.int64)
            flat: list[Any] = [value for bag in lists for value in bag]
            keys = to_keys(flat)
        bags = torch.arange(len(lengths)).repeat_interleave(lengths)
        return keys, bags, len(lengths)
    except DataError as error:
        raise DataError(f"feature {name!r}: {error}") from error


def _lists(given: Any) -> list[Sequence[Any]]:
    rows = given.tolist() if isinstance(given, Tensor | np.ndarray) else list(given)
    if not all(isinstance(bag, list | tuple | np.ndarray) for bag in rows):
        raise DataError("with pooling each row must be a list of values")
    return rows


def _pooled(vectors: Tensor, bags: Tensor, rows: int, pooling: str | None) -> Tensor:
    total = vectors.new_zeros(rows, vectors.shape[1]).index_add(0, bags, vectors)
    if pooling == "sum":
        return total
    counts = torch.bincount(bags, minlength=rows).clamp(min=1)
    return total / counts[:, None]
