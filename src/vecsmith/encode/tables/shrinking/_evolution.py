"""Evolutionary search over one width a field, without training.

Z. Guo and others, 2020, *Single Path One-Shot Neural Architecture Search with Uniform Sampling*, as
OptEmbed uses it: a population of candidates, scored; the best ever seen are parents of mutations
(each gene drawn anew with a small probability) and crossovers (one cut among the fields).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vecsmith.core import ConfigError

Dims = tuple[int, ...]
# draws of a candidate that keeps within the limit, before the search gives up
TRIES = 1000


@dataclass(frozen=True)
class EvolutionOptions:
    """How to search.

    Attributes:
        generations: Rounds after the random one.
        mutations: Mutated candidates a round.
        crossovers: Crossed candidates a round.
        p: Probability that a gene is drawn anew.
        top: How many of the best ever seen are parents.
    """

    generations: int = 30
    mutations: int = 10
    crossovers: int = 10
    p: float = 0.1
    top: int = 15

    def __post_init__(self) -> None:
        if self.generations < 0 or self.mutations + self.crossovers < 1 or self.top < 1:
            raise ConfigError(
                "generations must be from 0, mutations and crossovers together from 1, top from 1; "
                f"got {self.generations}, {self.mutations}, {self.crossovers} and {self.top}"
            )
        if not 0 < self.p <= 1:
            raise ConfigError(f"p must be above 0 and at most 1; got {self.p}")


@dataclass(frozen=True)
class Evolution:
    """What the search found.

    Attributes:
        dims: The best candidate.
        score: Its score.
        history: For each round its best score and the best so far; the random one first.
        seen: Different candidates that were scored.
    """

    dims: Dims
    score: float
    history: tuple[tuple[float, float], ...]
    seen: int


def evolve(
    score: Callable[[Dims], float],
    fields: int,
    dim: int,
    *,
    options: EvolutionOptions,
    rng: np.random.Generator,
    allowed: Callable[[Dims], bool] | None = None,
) -> Evolution:
    """Search widths.

    Args:
        score: Of a candidate, higher is better.
        fields: Length of a candidate.
        dim: Largest width.
        options: How.
        rng: Source of randomness.
        allowed: What may be scored at all; None: everything.

    Returns:
        The best candidate, and how it was found.

    Raises:
        ConfigError: Nothing that is allowed was drawn.
    """
    scores: dict[Dims, float] = {}

    def draw(make: Callable[[], Dims]) -> Dims:
        return _allowed_one(make, allowed)

    def random() -> Dims:
        # smaller upper bounds now and then, so that tight limits are met at all
        bound = int(rng.integers(1, dim + 1)) if allowed is not None else dim
        return tuple(int(d) for d in rng.integers(1, bound + 1, fields))

    def judge(population: list[Dims]) -> tuple[float, float]:
        for candidate in population:
            if candidate not in scores:
                scores[candidate] = score(candidate)
        best = max(scores[candidate] for candidate in population)
        return best, max(scores.values())

    size = options.mutations + options.crossovers
    population = [draw(random) for _ in range(size)]
    history = [judge(population)]

    def child(parents: list[Dims], *, cross: bool) -> Dims:
        first, second = (parents[rng.integers(len(parents))] for _ in range(2))
        return crossed(first, second, rng) if cross else mutated(first, dim, options.p, rng)

    for _ in range(options.generations):
        parents = sorted(scores, key=lambda d: (-scores[d], d))[: options.top]
        kinds = [False] * options.mutations + [True] * options.crossovers
        makers = (functools.partial(child, parents, cross=cross) for cross in kinds)
        history.append(judge([draw(make) for make in makers]))
    best = min(scores, key=lambda d: (-scores[d], d))
    return Evolution(best, scores[best], tuple(history), len(scores))


def _allowed_one(make: Callable[[], Dims], allowed: Callable[[Dims], bool] | None) -> Dims:
    for _ in range(TRIES):
        candidate = make()
        if allowed is None or allowed(candidate):
            return candidate
    raise ConfigError(
        f"no candidate of {TRIES} keeps within the limit on parameters; raise the limit"
    )


def mutated(parent: Dims, dim: int, p: float, rng: np.random.Generator) -> Dims:
    """Draw some genes anew.

    Args:
        parent: A candidate, which stays as it is.
        dim: Largest width.
        p: Probability of each gene.
        rng: Source of randomness.
    """
    fresh = rng.integers(1, dim + 1, len(parent))
    chosen = rng.uniform(size=len(parent)) < p
    return tuple(int(f) if c else d for d, f, c in zip(parent, fresh, chosen, strict=True))


def crossed(first: Dims, second: Dims, rng: np.random.Generator) -> Dims:
    """Take the fields before a cut from one parent, those after it from the other.

    Args:
        first: A candidate.
        second: Another one.
        rng: Source of randomness.
    """
    cut = int(rng.integers(1, len(first))) if len(first) > 1 else 1
    return first[:cut] + second[cut:]
