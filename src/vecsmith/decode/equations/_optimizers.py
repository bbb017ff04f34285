"""Search over vectors by fitness alone: grey wolves, differential evolution, sep-CMA-ES, chance.

Each takes the population of the start and gives the next one once it has been told how fit the last
one was. Lower fitness is better. Vectors are kept within the range of the start's population, as
beyond it the decoder has seen nothing.

Grey wolf optimiser: Mirjalili, Mirjalili, Lewis 2014. Differential evolution: Storn and Price 1997
(rand/1/bin). Separable CMA-ES: Ros and Hansen 2008. `RandomPerturbation` is the control that any of
them must beat at the same number of decoded vectors.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError

Floats = NDArray[np.float64]


def grey_wolf_step(population: Floats, leaders: Floats, a: float, r1: Floats, r2: Floats) -> Floats:
    """Move each wolf to the mean of three places around the leaders.

    ``A = 2 a r1 - a``, ``C = 2 r2``, ``X_l = L_l - A |C L_l - X|``.

    Args:
        population: Shape (wolves, dims).
        leaders: The three best ever, shape (3, dims).
        a: From 2 (explore) to 0 (close in).
        r1: Uniform in [0, 1), shape (3, wolves, dims).
        r2: Likewise.

    Returns:
        Shape (wolves, dims).
    """
    best = leaders[:, None]
    around = best - (2 * a * r1 - a) * np.abs(2 * r2 * best - population)
    return np.asarray(around.mean(axis=0), np.float64)


class LatentOptimizer(Protocol):
    """What a search does."""

    def next(self, population: Floats, fitness: Floats, used: float) -> Floats:
        """Give the next population.

        Args:
            population: The last one, shape (members, dims).
            fitness: Of it, lower is better, inf for useless, shape (members,).
            used: Part of the iterations that is gone, 0 to 1.

        Returns:
            Same shape.
        """
        ...


class _Bounded:
    def __init__(self, start: Floats, rng: np.random.Generator) -> None:
        self.low, self.high, self.rng = start.min(axis=0), start.max(axis=0), rng

    def within(self, population: Floats) -> Floats:
        """Clip to the range of the start."""
        return np.clip(population, self.low, self.high)


class GreyWolf(_Bounded):
    """Grey wolf optimiser; with fewer than three members leaders are repeated."""

    def __init__(self, start: Floats, rng: np.random.Generator) -> None:
        super().__init__(start, rng)
        self.leaders = np.empty((0, start.shape[1]))
        self.fitness = np.empty(0)

    def next(self, population: Floats, fitness: Floats, used: float) -> Floats:
        """Give the next population; see `LatentOptimizer`."""
        every = np.concatenate([self.leaders, population])
        scores = np.concatenate([self.fitness, fitness])
        best = np.argsort(scores, kind="stable")[:3]
        self.leaders, self.fitness = every[best], scores[best]
        leaders = self.leaders[np.arange(3) % len(self.leaders)]
        r1, r2 = self.rng.random((2, 3, *population.shape))
        return self.within(grey_wolf_step(population, leaders, 2.0 * (1.0 - used), r1, r2))


class DifferentialEvolution(_Bounded):
    """rand/1/bin with weight .7 and crossover .9; needs four members."""

    def __init__(self, start: Floats, rng: np.random.Generator) -> None:
        super().__init__(start, rng)
        if len(start) < 4:
            raise ConfigError(f"optimizer 'de' needs pop of at least 4; got {len(start)}")
        self.parents: Floats | None = None
        self.fitness = np.empty(0)

    def next(self, population: Floats, fitness: Floats, used: float) -> Floats:
        """Give the next population; see `LatentOptimizer`."""
        if self.parents is None:
            self.parents, self.fitness = population.copy(), fitness.copy()
        else:
            better = fitness <= self.fitness
            self.parents[better], self.fitness[better] = population[better], fitness[better]
        number, dims = population.shape
        others = np.stack([self.rng.permutation(number - 1)[:3] for _ in range(number)])
        others += others >= np.arange(number)[:, None]
        a, b, c = self.parents[others.T]
        crossed = self.rng.random((number, dims)) < 0.9
        crossed[np.arange(number), self.rng.integers(0, dims, number)] = True
        return self.within(np.where(crossed, a + 0.7 * (b - c), self.parents))


class SeparableCMA(_Bounded):
    """CMA-ES with a diagonal covariance, started at mean and spread of the population."""

    def __init__(self, start: Floats, rng: np.random.Generator) -> None:
        super().__init__(start, rng)
        number, dims = start.shape
        if number < 4:
            raise ConfigError(f"optimizer 'cma' needs pop of at least 4; got {number}")
        weights = np.log(number / 2 + 0.5) - np.log(np.arange(1, number // 2 + 1))
        self.weights = weights / weights.sum()
        self.effective = 1.0 / (self.weights**2).sum()
        mu, n = self.effective, dims
        self.c_sigma = (mu + 2) / (n + mu + 5)
        self.damping = 1 + 2 * max(0.0, np.sqrt((mu - 1) / (n + 1)) - 1) + self.c_sigma
        self.c_path = (4 + mu / n) / (n + 4 + 2 * mu / n)
        self.c_one = 2 / ((n + 1.3) ** 2 + mu) * (n + 2) / 3
        self.c_mu = min(1 - self.c_one, 2 * (mu - 2 + 1 / mu) / ((n + 2) ** 2 + mu) * (n + 2) / 3)
        self.expected = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        self.mean, self.sigma = start.mean(axis=0), 1.0
        self.variance = np.maximum(start.var(axis=0), 1e-12)
        self.path_sigma, self.path = np.zeros(dims), np.zeros(dims)

    def next(self, population: Floats, fitness: Floats, used: float) -> Floats:
        """Give the next population; see `LatentOptimizer`."""
        order = np.argsort(fitness, kind="stable")[: len(self.weights)]
        steps = (population[order] - self.mean) / self.sigma
        step = self.weights @ steps
        self.mean = self.mean + self.sigma * step
        c, mu = self.c_sigma, self.effective
        self.path_sigma = (1 - c) * self.path_sigma + np.sqrt(c * (2 - c) * mu) * step / np.sqrt(
            self.variance
        )
        length = np.linalg.norm(self.path_sigma) / self.expected
        self.path = (1 - self.c_path) * self.path
        if length < 1.4 + 2 / (len(step) + 1):
            self.path = self.path + np.sqrt(self.c_path * (2 - self.c_path) * mu) * step
        self.variance = (
            (1 - self.c_one - self.c_mu) * self.variance
            + self.c_one * self.path**2
            + self.c_mu * (self.weights @ steps**2)
        )
        self.sigma *= float(np.exp(np.clip((c / self.damping) * (length - 1), -1, 1)))
        drawn = self.rng.normal(size=population.shape) * np.sqrt(self.variance)
        return self.within(self.mean + self.sigma * drawn)


class RandomPerturbation(_Bounded):
    """New copies of the first member, with noise as the start's population has it."""

    def __init__(self, start: Floats, rng: np.random.Generator) -> None:
        super().__init__(start, rng)
        self.centre = start[0]

    def next(self, population: Floats, fitness: Floats, used: float) -> Floats:
        """Give the next population; see `LatentOptimizer`."""
        return perturbed(self.centre, len(population), self.rng)


def perturbed(centre: Floats, number: int, rng: np.random.Generator) -> Floats:
    """Draw copies ``z + r * N(0, I)`` with r uniform in [0, 2).

    Args:
        centre: z, coordinates of about 1, shape (dims,).
        number: How many.
        rng: Source of randomness.

    Returns:
        Shape (number, dims).
    """
    radius = rng.uniform(0, 2, (number, 1))
    return np.asarray(centre + radius * rng.normal(size=(number, len(centre))), np.float64)


OPTIMIZERS: dict[str, type] = {
    "gwo": GreyWolf,
    "de": DifferentialEvolution,
    "cma": SeparableCMA,
    "random": RandomPerturbation,
}
