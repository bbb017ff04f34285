"""Intervals and paired tests for every reported score, on scipy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._errors import ConfigError

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean with its 95% confidence interval."""

    mean: float
    low: float
    high: float

    def excludes(self, neutral: float, *, higher_is_better: bool = True) -> bool:
        """Tell whether the interval lies wholly on the better side of `neutral`."""
        return self.low > neutral if higher_is_better else self.high < neutral


def _clean(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ConfigError(
            f"{name} must be a non-empty list of finite numbers; got shape {array.shape}"
        )
    return array


def mean_interval(values: ArrayLike, *, seed: int = 0) -> Interval:
    """Bootstrap the mean of items (percentile, 95%).

    Args:
        values: One number an item, shape (n,).
        seed: Seed of the resampling.

    Returns:
        Mean and interval; of a single item or equal items the interval is the mean itself.
    """
    from scipy import stats

    array = _clean(values, "values")
    mean = float(array.mean())
    if np.ptp(array) == 0.0:
        return Interval(mean, mean, mean)
    result = stats.bootstrap(
        (array,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=max(1, 2_000_000 // array.size),
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(mean, float(low), float(high))


def paired_interval(system: ArrayLike, baseline: ArrayLike, *, seed: int = 0) -> Interval:
    """Bootstrap the mean difference of paired items (percentile, 95%).

    Args:
        system: One number an item, shape (n,).
        baseline: The same items under the baseline, shape (n,).
        seed: Seed of the resampling.

    Returns:
        Mean difference and interval.

    Raises:
        ConfigError: The two are not of one length.
    """
    a, b = _clean(system, "system"), _clean(baseline, "baseline")
    if a.size != b.size:
        raise ConfigError(
            f"paired values must have one length; got {a.size} for system, {b.size} for baseline"
        )
    return mean_interval(a - b, seed=seed)


def permutation_p(system: ArrayLike, baseline: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value of a paired permutation test (random sign flips of the differences).

    Args:
        system: One number an item, shape (n,).
        baseline: The same items under the baseline, shape (n,).
        seed: Seed of the permutations.

    Returns:
        The p-value.
    """
    from scipy import stats

    a, b = _clean(system, "system"), _clean(baseline, "baseline")
    if a.size != b.size:
        raise ConfigError(
            f"paired values must have one length; got {a.size} for system, {b.size} for baseline"
        )
    if a.size < 2 or not (a - b).any():
        return 1.0
    result = stats.permutation_test(
        (a - b,),
        np.mean,
        permutation_type="samples",
        n_resamples=4999,
        batch=max(1, 2_000_000 // a.size),
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def seeds_and_items_interval(
    system: Sequence[ArrayLike],
    baseline: Sequence[ArrayLike],
    *,
    kind: str = "difference",
) -> Interval:
    """Interval (95%) of an effect over seeds and, where there are items, over items.

    Two sources of chance add up: which seeds were drawn, and which items were::

        variance = var(effects of the seeds) / seeds + var(items' effects, mean over seeds) / items

    The quantile is Student's, with Welch and Satterthwaite's degrees of freedom: near those of the
    seeds where they differ most, near the normal where the items do. It covers the truth whether
    all seeds share one test set or each has its own (with the same items in each seed, in one
    order; unequal numbers of items are taken as other items), and with three seeds; a bootstrap
    over three seeds covers it in 75 of 100 cases. With one number a seed it is the t interval.

    Args:
        system: For each seed, one number or an array of items.
        baseline: The same for the baseline.
        kind: "difference" of means, or "ratio" (mean over seeds of system / baseline).

    Returns:
        Effect and 95% interval.

    Raises:
        ConfigError: Unequal numbers of seeds or items, fewer than two seeds, numbers that are not
            finite, an unknown kind, or a ratio to a baseline that is not above 0.
    """
    from scipy import stats

    if kind not in {"difference", "ratio"}:
        raise ConfigError(f"kind must be 'difference' or 'ratio'; got {kind!r}")
    if len(system) != len(baseline) or len(system) < 2:
        raise ConfigError(
            "system and baseline need the same number of seeds, at least 2; "
            f"got {len(system)} and {len(baseline)}"
        )
    effects = [
        _item_effects(
            _clean(np.atleast_1d(a), "system"), _clean(np.atleast_1d(b), "baseline"), kind
        )
        for a, b in zip(system, baseline, strict=True)
    ]
    by_seed = np.array([items.mean() for items in effects])
    count, effect = by_seed.size, float(by_seed.mean())
    of_seeds = float(by_seed.var(ddof=1)) / count
    of_items, items = _variance_of_items(effects)
    total = of_seeds + of_items
    if total == 0.0:
        return Interval(effect, effect, effect)
    part = of_seeds / total
    freedom = 1.0 / (part**2 / (count - 1) + (1.0 - part) ** 2 / max(items - 1, 1))
    half = float(stats.t.ppf(0.975, freedom)) * total**0.5
    return Interval(effect, effect - half, effect + half)


def _item_effects(
    system: NDArray[np.float64], baseline: NDArray[np.float64], kind: str
) -> NDArray[np.float64]:
    """What each item adds: numbers whose mean is the effect of the seed."""
    if system.shape != baseline.shape:
        raise ConfigError("system and baseline need the same items in every seed")
    if kind == "difference":
        return system - baseline
    below = baseline.mean()
    if not below > 0:
        raise ConfigError(
            f"a ratio needs baseline means above 0; got {below}: use the difference, "
            "or a metric that is above 0"
        )
    ratio = system.mean() / below
    # the ratio's first-order change with each item
    return ratio + (system - ratio * baseline) / below


def _variance_of_items(effects: list[NDArray[np.float64]]) -> tuple[float, int]:
    """Variance that the drawing of items gives the mean effect, and the number of items."""
    sizes = {items.size for items in effects}
    if len(sizes) == 1:
        mean = np.mean(effects, axis=0)
        return (float(mean.var(ddof=1)) / mean.size if mean.size > 1 else 0.0), mean.size
    parts = [items.var(ddof=1) / items.size for items in effects if items.size > 1]
    return float(sum(parts)) / len(effects) ** 2, min(sizes)
