"""The contract of a claim: what a claim file holds, how it is run, what the result says.

A claim file ``claims/SLUG.py`` (dashes as underscores) holds one constant, ``CLAIM``. To add one,
write ``measure(seed, quick)`` that trains or fits both sides with the same data and budget, and
describe it in a `Claim`.
"""

import datetime
import importlib
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    Interval,
    did_you_mean,
    hardware,
    peak_memory_mb,
    progress,
    seed_everything,
    seeds_and_items_interval,
)

PACKAGES = ("vecsmith", "torch", "transformers", "sentence-transformers", "numpy")
# two may agree by luck
SEEDS_TO_HOLD = 3
# an interval narrower than this part of its effect is rounding error, not a measurement
NO_WIDTH = 1e-9


@dataclass(frozen=True)
class Measurement:
    """What one seed gave.

    Attributes:
        baseline: Score of the baseline.
        system: Score of the system.
        baseline_items: Scores of the single test items, where the score is their mean.
        system_items: The same items under the system.
        extra: Further figures of this seed, by name.
    """

    baseline: float
    system: float
    baseline_items: Sequence[float] | None = None
    system_items: Sequence[float] | None = None
    extra: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_items(
        cls, baseline: NDArray[np.float64], system: NDArray[np.float64], extra: dict[str, float]
    ) -> "Measurement":
        """Make it from the items of both sides, whose means are the scores.

        Args:
            baseline: Scores of the single test items, shape (items,).
            system: The same items under the system.
            extra: Further figures of this seed.

        Returns:
            What the seed gave.
        """
        means = float(baseline.mean()), float(system.mean())
        return cls(*means, baseline.tolist(), system.tolist(), extra)


@dataclass(frozen=True)
class Claim:
    """A published finding and how it is measured here.

    Attributes:
        slug: Name of the system.
        claim: The finding in one sentence, with the budget of both sides.
        paper: "figure": what the authors measured; "baseline": against what.
        data: Data set, size, split.
        metric: For example "mrr@10".
        baseline: Name of the baseline.
        system: Name of the system.
        measure: Function of seed and `quick` that measures both sides once.
        higher_is_better: Direction of the metric.
        effect_kind: "difference" or "ratio".
        threads: Threads that torch may use.
    """

    slug: str
    claim: str
    paper: dict[str, str]
    data: str
    metric: str
    baseline: str
    system: str
    measure: Callable[[int, bool], Measurement]
    higher_is_better: bool = True
    effect_kind: str = "difference"
    threads: int = 2


def load_claim(slug: str) -> Claim:
    """Find the claim of a system.

    Args:
        slug: Name as in `vecsmith systems`.

    Returns:
        The claim.

    Raises:
        ConfigError: No such system.
    """
    from vecsmith.systems import SYSTEMS

    if slug not in SYSTEMS:
        raise ConfigError(f"no system is called {slug!r}; {did_you_mean(slug, SYSTEMS)}")
    module = importlib.import_module(f"vecsmith.claims.{slug.replace('-', '_')}")
    claim: Claim = module.CLAIM
    return claim


def run_claim(slug: str, *, seeds: int = 3, quick: bool = False) -> dict[str, Any]:
    """Measure a claim over several seeds.

    Args:
        slug: Name of the system.
        seeds: How many seeds (0, 1, …); at least 2, for an interval, and 3 for a judgement.
        quick: A run of seconds that shows that everything works and judges nothing.

    Returns:
        The result as `docs/claims/SLUG.json` stores it. "holds" is False with `quick`, with fewer
        than 3 seeds, and where the interval has no width; "notes" then says so.

    Raises:
        ConfigError: Unknown system, or fewer than two seeds.
    """
    if seeds < 2:
        raise ConfigError(f"seeds must be at least 2, for an interval; got {seeds}")
    claim = load_claim(slug)
    import torch

    before, started = torch.get_num_threads(), time.perf_counter()
    torch.set_num_threads(claim.threads)
    measured = []
    try:
        for seed in progress(range(seeds), f"claim {slug}", unit="seed"):
            seed_everything(seed)
            measured.append(claim.measure(seed, quick))
    finally:
        torch.set_num_threads(before)
    return _result(claim, measured, quick=quick, seconds=time.perf_counter() - started)


def _values(item: Measurement) -> tuple[Any, Any]:
    if item.system_items is None or item.baseline_items is None:
        return item.system, item.baseline
    return item.system_items, item.baseline_items


def _mean_extra(measured: list[Measurement]) -> dict[str, float]:
    names = {name for item in measured for name in item.extra}
    return {
        name: sum(item.extra[name] for item in measured if name in item.extra)
        / sum(name in item.extra for item in measured)
        for name in sorted(names)
    }


def _doubts(effect: Interval, *, seeds: int, quick: bool) -> list[str]:
    """Why a result judges nothing, whatever its interval says."""
    found = []
    if quick:
        found.append("a quick run judges nothing")
    if seeds < SEEDS_TO_HOLD:
        found.append(f"{seeds} seeds; a judgement needs at least {SEEDS_TO_HOLD}")
    if effect.high - effect.low <= NO_WIDTH * abs(effect.mean):
        found.append(
            "every seed and item gave the same effect, so that chance was not measured and the "
            "interval has no width; does the measurement use its seed?"
        )
    return found


def _result(
    claim: Claim, measured: list[Measurement], *, quick: bool, seconds: float
) -> dict[str, Any]:
    system, baseline = zip(*map(_values, measured), strict=True)
    effect = seeds_and_items_interval(system, baseline, kind=claim.effect_kind)
    neutral = 1.0 if claim.effect_kind == "ratio" else 0.0
    notes = _doubts(effect, seeds=len(measured), quick=quick)
    holds = effect.excludes(neutral, higher_is_better=claim.higher_is_better) and not notes
    return {
        "slug": claim.slug,
        "claim": claim.claim,
        "paper": claim.paper,
        "data": claim.data,
        "metric": claim.metric,
        "higher_is_better": claim.higher_is_better,
        "effect_kind": claim.effect_kind,
        "baseline": {"name": claim.baseline, "values": [float(m.baseline) for m in measured]},
        "system": {"name": claim.system, "values": [float(m.system) for m in measured]},
        "extra": _mean_extra(measured),
        "extra_by_seed": [m.extra for m in measured],
        "effect": effect.mean,
        "ci95": [effect.low, effect.high],
        "holds": holds,
        "notes": notes,
        "quick": quick,
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "hardware": hardware(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }
