"""Which features share one store of vectors, and how much of it each one asks for."""

from dataclasses import dataclass, field
from typing import Any

from vecsmith.core import ConfigError

from ._hashing import salt_of
from .sharing._hash import shared_rows

POOLINGS = (None, "mean", "sum")
# vectors told apart by storages that need fewer bytes for each, as a multiple of the rows
SPREADS = (8, 4, 2)


@dataclass(frozen=True)
class UnifiedFeature:
    """One feature.

    Attributes:
        chunks: Vectors that stand side by side for a value, each with a hash of its own.
        pooling: For features with several values a row: "mean" or "sum" of their vectors.
        size: Number of values, where each feature has a table of its own.
    """

    chunks: int = 1
    pooling: str | None = None
    size: int | None = None


@dataclass
class UnifiedSpec:
    """One budget for the whole model, and its features.

    Attributes:
        rows: Rows of all tables together.
        dim: Width of a chunk.
        tables: Physical tables of equal shape; chunks are dealt to them in turn.
        multiplexed: All features share all rows; False gives every feature rows of its own in
            proportion to its values (the hashing trick), for comparison.
        storage: How the rows are stored: a key of `METHODS`; "full" is the table itself.
        virtual_rows: How many vectors a storage that shares parts tells apart, a table; None: as
            many as there are rows for "full", else up to eight times as many.
        features: By name, in order.
    """

    rows: int
    dim: int
    tables: int = 1
    multiplexed: bool = True
    storage: str = "full"
    virtual_rows: int | None = None
    features: dict[str, UnifiedFeature] = field(default_factory=dict)

    def add(
        self, name: str, *, chunks: int = 1, pooling: str | None = None, size: int | None = None
    ) -> "UnifiedSpec":
        """Add a feature.

        Args:
            name: Its name; the hashes depend on it, not on its place.
            chunks: Vectors that stand side by side for a value; more for features that matter.
            pooling: "mean" or "sum" where a row has several values; None where it has one.
            size: Number of values; only the hashing trick needs it.

        Returns:
            The spec itself.

        Raises:
            ConfigError: The name is taken, or a setting is out of range.
        """
        if name in self.features:
            raise ConfigError(f"feature {name!r} is there already; names must differ")
        if chunks < 1:
            raise ConfigError(f"chunks of {name!r} must be at least 1; got {chunks}")
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling of {name!r} must be one of {POOLINGS}; got {pooling!r}")
        self.features[name] = UnifiedFeature(chunks, pooling, size)
        return self

    def check(self) -> None:
        """Refuse what cannot be built.

        Raises:
            ConfigError: No features, too few rows, or a setting contradicts another.
        """
        if not self.features:
            raise ConfigError("a UnifiedSpec needs features; call add(name) for each")
        for name in ("rows", "dim", "tables"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if self.rows < self.tables:
            raise ConfigError(f"{self.rows} rows are too few for {self.tables} tables")
        if not self.multiplexed:
            self._check_apart()

    def _check_apart(self) -> None:
        if self.tables != 1 or self.storage != "full":
            raise ConfigError("multiplexed=False works with tables=1 and storage='full' alone")
        unknown = [name for name, feature in self.features.items() if not feature.size]
        if unknown:
            raise ConfigError(
                f"multiplexed=False deals rows out by size; add(name, size=...) lacks it for "
                f"{', '.join(unknown)}"
            )
        if self.rows < len(self.features):
            raise ConfigError(
                f"multiplexed=False needs a row for each of the {len(self.features)} features; "
                f"got {self.rows}"
            )

    @property
    def table_rows(self) -> int:
        """Rows of one physical table."""
        return self.rows // self.tables

    @property
    def hashed_rows(self) -> int:
        """Vectors that hashes choose from, in one physical table."""
        if self.virtual_rows is not None:
            return self.virtual_rows
        return self.table_rows * self._spread()

    def _spread(self) -> int:
        """How many times more vectors than rows the storage tells apart."""
        from ._methods import METHODS

        kind = METHODS.get(self.storage)
        if kind is None or self.storage == "full" or not kind.exact_budget:
            return 1
        able = (
            spread
            for spread in SPREADS
            if kind.reachable([self.table_rows * spread], dim=self.dim) <= 1 / spread
        )
        return next(able, 1)

    def salts(self, seed: int) -> dict[str, list[int]]:
        """Make a salt for each chunk of each feature.

        Args:
            seed: Any number.
        """
        return {
            name: [salt_of(seed, name, chunk) for chunk in range(feature.chunks)]
            for name, feature in self.features.items()
        }

    def windows(self) -> dict[str, tuple[int, int]]:
        """First row and number of rows that each feature may use."""
        if self.multiplexed:
            return dict.fromkeys(self.features, (0, self.hashed_rows))
        sizes = tuple(feature.size or 1 for feature in self.features.values())
        start, found = 0, {}
        rows = shared_rows(sizes, min(self.rows, sum(sizes)))
        for name, count in zip(self.features, rows, strict=True):
            found[name] = (start, count)
            start += count
        return found

    def to_json(self) -> dict[str, Any]:
        """Write it down as JSON takes it."""
        rows = {name: vars(feature) for name, feature in self.features.items()}
        return {**vars(self), "features": rows}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "UnifiedSpec":
        """Read what `to_json` wrote.

        Args:
            kept: The JSON.
        """
        features = {name: UnifiedFeature(**row) for name, row in kept["features"].items()}
        return cls(**{**kept, "features": features})
