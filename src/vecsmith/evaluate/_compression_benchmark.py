"""All methods of compressed tables on one's own data, at equal budgets, and which one to take.

    bench = CompressionBenchmark(train, validation, test, rates=(0.25, 0.05))
    result = bench.run()
    result.to_frame(); result.recommend(rate=0.05, priority="auc")

Every method has the same network, epochs, early stopping and seeds; bytes are those of the frozen
table. Rates that a method cannot reach are listed as such. Cost: one training a method, rate, body
and seed.
"""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsmith.core import (
    ConfigError,
    did_you_mean,
    progress,
    read_json,
    require,
    seed_everything,
    write_json,
)

from ._ctr import evaluate_ctr

if TYPE_CHECKING:
    from vecsmith.data.tables import FieldTable
    from vecsmith.encode.tables import CompressedEmbedding, FrozenEmbedding
    from vecsmith.train.tables import CTROptions

PRIORITIES = ("auc", "latency", "train_memory")
LATENCY_ROWS = (128, 1024)
# a budget counts as met within a hundredth, as files have headings
SLACK = 1.01


@dataclass(frozen=True)
class CompressionRow:
    """One training.

    Attributes:
        method: Key of `METHODS`.
        body: Name of the network.
        asked: Rate that was asked for.
        seed: Seed of start and order.
        reached: False where the method cannot reach the rate; all further figures are then NaN.
        rate: Bytes of the frozen table as part of the whole one's.
        nbytes: Bytes of the frozen table.
        auc: Test AUC.
        log_loss: Test log-loss.
        train_ms: Milliseconds a training step.
        lookup_ms: Milliseconds a lookup of 1024 rows in the frozen table.
        small_lookup_ms: The same of 128 rows.
        reload_ms: Milliseconds to read the frozen table from disk.
        train_bytes: Bytes of weights, gradients, moments and buffers of the table in training.
    """

    method: str
    body: str
    asked: float
    seed: int
    reached: bool
    rate: float = float("nan")
    nbytes: float = float("nan")
    auc: float = float("nan")
    log_loss: float = float("nan")
    train_ms: float = float("nan")
    lookup_ms: float = float("nan")
    small_lookup_ms: float = float("nan")
    reload_ms: float = float("nan")
    train_bytes: float = float("nan")


@dataclass(frozen=True)
class Recommendation:
    """What to take.

    Attributes:
        method: Key of `METHODS`.
        reason: Why, in one sentence.
        ranking: Each method that meets the budget: name, mean AUC, mean of the priority; the best
            first.
    """

    method: str
    reason: str
    ranking: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class CompressionResult:
    """All trainings of a benchmark.

    Attributes:
        rows: One a training.
    """

    rows: tuple[CompressionRow, ...]

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row a training, with the AUC gap to the whole table."""
        pandas = require("pandas", "train")
        frame = pandas.DataFrame([dataclasses.asdict(row) for row in self.rows])
        full = {(row.body, row.seed): row.auc for row in self.rows if row.method == "full"}
        gaps = [row.auc - full.get((row.body, row.seed), float("nan")) for row in self.rows]
        return frame.assign(auc_gap=gaps)

    def recommend(
        self, *, rate: float, priority: str = "auc", tolerance: float = 0.01
    ) -> Recommendation:
        """Say which method to take.

        Args:
            rate: Bytes there are, as part of the whole table's.
            priority: "auc" (the best model), "latency" (the fastest lookup) or "train_memory" (the
                smallest training), the latter two among methods near the best model.
            tolerance: How near in AUC.

        Returns:
            The method, why, and all that meet the budget.

        Raises:
            ConfigError: Unknown priority, or nothing meets the budget.
        """
        if priority not in PRIORITIES:
            raise ConfigError(
                f"no priority is called {priority!r}; {did_you_mean(priority, PRIORITIES)}"
            )
        best = self._best_rows(rate)
        if not best:
            least = min((r.rate for r in self.rows if r.reached), default=float("nan"))
            raise ConfigError(
                f"no method was measured within rate {rate:g}; the smallest has {least:.3g}: run "
                "the benchmark at smaller rates"
            )
        aucs = {method: float(np.mean([r.auc for r in rows])) for method, rows in best.items()}
        name = {"auc": "auc", "latency": "lookup_ms", "train_memory": "train_bytes"}[priority]
        values = {
            method: float(np.mean([getattr(r, name) for r in rows]))
            for method, rows in best.items()
        }
        top = max(aucs.values())
        near = [m for m in best if priority == "auc" or aucs[m] >= top - tolerance]
        sign = -1.0 if priority == "auc" else 1.0
        chosen = min(near, key=lambda m: (sign * values[m], -aucs[m]))
        reason = _reason(chosen, priority, aucs, values, rate)
        order = sorted(best, key=lambda m: (m not in near, sign * values[m]))
        return Recommendation(chosen, reason, tuple((m, aucs[m], values[m]) for m in order))

    def _best_rows(self, rate: float) -> dict[str, list[CompressionRow]]:
        """For each method the rows of its best asked rate among those within the budget."""
        groups: dict[tuple[str, float], list[CompressionRow]] = {}
        for row in self.rows:
            groups.setdefault((row.method, row.asked), []).append(row)
        best: dict[str, list[CompressionRow]] = {}
        for (method, _), rows in groups.items():
            if not all(r.reached and r.rate <= rate * SLACK for r in rows):
                continue
            known = best.get(method)
            if known is None or np.mean([r.auc for r in rows]) > np.mean([r.auc for r in known]):
                best[method] = rows
        return best

    def save(self, path: str | Path) -> None:
        """Write the rows as JSON.

        Args:
            path: The file.
        """
        rows = [dataclasses.asdict(row) for row in self.rows]
        clean = [{k: None if v != v else v for k, v in row.items()} for row in rows]
        write_json(path, {"rows": clean})

    @classmethod
    def load(cls, path: str | Path) -> "CompressionResult":
        """Read what `save` wrote.

        Args:
            path: The file.
        """
        rows: list[dict[str, Any]] = read_json(path)["rows"]
        nan: Any = float("nan")
        return cls(
            tuple(
                CompressionRow(**{k: nan if v is None else v for k, v in row.items()})
                for row in rows
            )
        )


def _reason(
    chosen: str, priority: str, aucs: dict[str, float], values: dict[str, float], rate: float
) -> str:
    best = max(aucs, key=lambda m: aucs[m])
    text = f"of {len(aucs)} methods within {rate:g} of the bytes, {chosen} has"
    if priority == "auc":
        return f"{text} the best AUC, {aucs[chosen]:.4f}"
    what = {
        "latency": f"the fastest lookup ({values[chosen]:.3f} ms for 1024 rows)",
        "train_memory": f"the smallest training ({values[chosen] / 1e6:.1f} MB)",
    }[priority]
    return f"{text} {what} near the best AUC: {aucs[chosen]:.4f} against {aucs[best]:.4f} of {best}"


class CompressionBenchmark:
    """Trains every method at every rate.

    Args:
        parts: Rows to train on, for early stopping and searches, and to test on.
        bodies: Networks, by name in `BODIES`, or described.
        methods: Keys of `METHODS`, or "all".
        rates: Bytes as part of the whole table's.
        dim: Width of the vectors.
        seeds: How many seeds.
        options: How to train; the seed is replaced.
        settings: Settings of single methods, by method.

    Raises:
        ConfigError: A method or body is unknown.
    """

    def __init__(
        self,
        parts: "tuple[FieldTable, FieldTable, FieldTable]",
        *,
        bodies: Sequence[Any] = ("dlrm", "wdl"),
        methods: str | Sequence[str] = "all",
        rates: Sequence[float] = (0.25, 0.05),
        dim: int = 16,
        seeds: int = 1,
        options: "CTROptions | None" = None,
        settings: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        from vecsmith.encode.tables import METHODS
        from vecsmith.train.tables import BODIES, CTROptions

        names = sorted(METHODS) if methods == "all" else list(methods)
        for name in names:
            if name not in METHODS:
                raise ConfigError(
                    f"no table method is called {name!r}; {did_you_mean(name, METHODS)}"
                )
        for body in bodies:
            if isinstance(body, str) and body not in BODIES:
                raise ConfigError(f"no body is called {body!r}; {did_you_mean(body, BODIES)}")
        self.parts, self.bodies, self.methods = parts, list(bodies), names
        self.rates, self.dim, self.seeds = list(rates), dim, seeds
        self.options, self.settings = options or CTROptions(), settings or {}

    def plans(self) -> list[tuple[str, Any, float, int]]:
        """Method, body, rate and seed of every training; methods without budget have rate 1."""
        from vecsmith.encode.tables import METHODS

        found = []
        for seed in range(self.seeds):
            for body in self.bodies:
                for method in self.methods:
                    exact = METHODS[method].exact_budget and method != "full"
                    rates = self.rates if exact else [1.0]
                    found += [(method, body, rate, seed) for rate in rates]
        return found

    def run(self) -> CompressionResult:
        """Train and measure everything.

        Returns:
            One row a training.
        """
        rows = [self.measure(*plan) for plan in progress(self.plans(), "tables", unit="training")]
        return CompressionResult(tuple(rows))

    def measure(self, method: str, body: Any, rate: float, seed: int) -> CompressionRow:
        """Train one method and measure it.

        Args:
            method: Key of `METHODS`.
            body: Network.
            rate: Bytes as part of the whole table's.
            seed: Seed of start and order.

        Returns:
            Its figures; with `reached` False where the rate is out of reach.
        """
        from vecsmith.encode.tables import CompressedEmbedding
        from vecsmith.train.tables import CTRModel, fit_ctr

        train, validation, test = self.parts
        name = body if isinstance(body, str) else type(body).__name__
        try:
            table = CompressedEmbedding.build(
                method,
                train.sizes,
                dim=self.dim,
                rate=rate,
                counts=train.counts(),
                seed=seed,
                **self.settings.get(method, {}),
            )
        except ConfigError as error:
            if "cannot be reached" not in str(error):
                raise
            return CompressionRow(method, name, rate, seed, reached=False)
        numbers = 0 if train.numbers is None else train.numbers.shape[1]
        model = CTRModel(table, body, numbers=numbers, seed=seed)
        train_bytes = _training_bytes(table)
        seed_everything(seed)
        options = dataclasses.replace(self.options, seed=seed)
        fitted = fit_ctr(model, train, validation, options=options)
        small = table.freeze()
        model.embedding = small
        scores = evaluate_ctr(model, test)
        few, many = (lookup_ms(small, test, rows) for rows in LATENCY_ROWS)
        return CompressionRow(
            method=method,
            body=name,
            asked=rate,
            seed=seed,
            reached=True,
            rate=small.rate,
            nbytes=float(small.nbytes()),
            auc=scores.auc,
            log_loss=scores.log_loss,
            train_ms=1e3 * fitted.seconds / max(fitted.steps, 1),
            lookup_ms=many,
            small_lookup_ms=few,
            reload_ms=_reload_ms(small),
            train_bytes=train_bytes,
        )


def _training_bytes(table: "CompressedEmbedding") -> float:
    # weight, gradient, and the two moments of Adam
    trained = sum(4 * p.numel() * p.element_size() for p in table.parameters())
    return float(trained + sum(b.numel() * b.element_size() for b in table.buffers()))


def lookup_ms(table: "FrozenEmbedding", test: "FieldTable", rows: int, repeats: int = 9) -> float:
    """Time lookups.

    Args:
        table: A frozen table.
        test: Where ids come from.
        rows: Rows a lookup.
        repeats: Lookups; their median counts.

    Returns:
        Milliseconds a lookup.
    """
    import torch

    places = np.arange(rows) % len(test)
    ids = torch.from_numpy(np.asarray(test.ids[places], np.int64))
    ids = ids.to(next(iter(table.buffers())).device)
    times = []
    with torch.no_grad():
        table(ids)
        for _ in range(repeats):
            started = time.perf_counter()
            found = table(ids)
            if found.is_cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times))


def _reload_ms(table: "FrozenEmbedding") -> float:
    from vecsmith.encode.tables import FrozenEmbedding

    with tempfile.TemporaryDirectory() as folder:
        table.save_pretrained(Path(folder) / "table")
        started = time.perf_counter()
        FrozenEmbedding.from_pretrained(Path(folder) / "table")
        return 1e3 * (time.perf_counter() - started)
