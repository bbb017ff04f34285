"""Symbolic regression by search in the latent space of SNIP (LSO), as a scikit-learn estimator.

Meidani et al. 2024: the data's vector and variants of it are decoded to formulas, whose constants
BFGS fits; an optimiser without gradients (the grey wolf, by default) moves the vectors to where the
fit is better. A skeleton that came before is not fitted again. ``optimizer="random"`` with the same
`pop` and `iters` is the control that shows what the search itself adds.

Use for a short law behind few inputs, when the formula matters. Avoid where only predictions count
(boosted trees are faster and better), and for data unlike the formulas of training. Cost: of an
iteration, `pop` * `beams` formulas to decode and the new ones among them to fit.
"""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator
from vecsmith.data.formulas import Expression, PointSet
from vecsmith.encode.formulas import Snip

from ._decoder import EquationDecoder
from ._generation import decode_formulas
from ._optimizers import OPTIMIZERS
from ._population import initial_population
from ._refit import Refitted, explained, refit

Floats = NDArray[np.float64]
# columns within these are left as they are: the generator's are of mean 0 and deviation 1
_USUAL_MEAN, _USUAL_SPREAD = 1.0, (0.3, 2.0)


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes.

    Attributes:
        beams: Formulas of a vector.
        temperature: Of drawn formulas; None searches by beams.
        stop_r2: R2 at which the search ends.
        seconds: Time after which no more formulas are fitted; None has no limit.
        max_points: Points that formulas are fitted on during the search; the end takes all.
        refit_iterations: Of BFGS in the search; the end takes ten times as many.
        scale_inputs: Whether inputs are brought to mean 0 and deviation 1 before they are encoded;
            None does so where a column lies outside what training saw.
    """

    beams: int = 2
    temperature: float | None = 0.1
    stop_r2: float = 0.99
    seconds: float | None = None
    max_points: int = 200
    refit_iterations: int = 30
    scale_inputs: bool | None = None

    def __post_init__(self) -> None:
        if self.beams < 1 or self.max_points < 2 or self.refit_iterations < 0:
            raise ConfigError(
                "beams must be at least 1, max_points 2, refit_iterations 0; got "
                f"{self.beams}, {self.max_points} and {self.refit_iterations}"
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ConfigError(f"seconds must be above 0, or None; got {self.seconds!r}")


class LatentRegressor(RegressorMixin, BaseEstimator):
    """Finds a formula for data.

    Args:
        snip: Trained encoders.
        decoder: A decoder trained on them.
        optimizer: "gwo", "de", "cma" or "random" (the control).
        pop: Vectors of an iteration.
        iters: Iterations after the first population; 0 with pop 1 decodes the data's vector once.
        options: How the search goes.
        seed: Seed of all draws.

    Attributes:
        formula_: The best formula, as `Expression`.
        r2_: Of it, on the training data.
        trace_: One dictionary an iteration: iteration, r2 and r2_decoded (best so far, after and
            before BFGS), decodes and skeletons (so far; each skeleton was fitted once), seconds.
        n_features_in_: Inputs.
    """

    def __init__(
        self,
        snip: Snip,
        decoder: EquationDecoder,
        *,
        optimizer: str = "gwo",
        pop: int = 50,
        iters: int = 80,
        options: SearchOptions | None = None,
        seed: int = 0,
    ) -> None:
        self.snip, self.decoder = snip, decoder
        self.optimizer, self.pop, self.iters = optimizer, pop, iters
        self.options, self.seed = options, seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LatentRegressor":
        """Search.

        Args:
            X: Inputs, shape (points, dims); at most the encoders' `max_dim` columns.
            y: Values, shape (points,).

        Returns:
            Itself.

        Raises:
            ConfigError: Unknown optimizer, a number out of range, or a decoder that does not fit.
            DataError: Fewer than two points, NaN, too many inputs, or no formula that is defined at
                all points was decoded.
        """
        if self.optimizer not in OPTIMIZERS:
            hint = did_you_mean(self.optimizer, OPTIMIZERS)
            raise ConfigError(f"optimizer {self.optimizer!r} is unknown; {hint}")
        if not isinstance(self.iters, int) or self.iters < 0:
            raise ConfigError(f"iters must be a whole number of at least 0; got {self.iters!r}")
        self.decoder.check(self.snip)
        points = PointSet.of(X, y, max_dim=self.snip.config.max_dim)
        if len(points.y) < 2:
            raise DataError(f"fit needs at least two points; got {len(points.y)}")
        self.n_features_in_ = points.X.shape[1]
        self.trace_: list[dict[str, float]] = []
        if not np.ptp(points.y):
            self.formula_, self.r2_ = Expression((float(points.y[0]),)), 1.0
            return self
        shift, spread = self._scales(points.X)
        search = _Search(self, PointSet((points.X - shift) / spread, points.y))
        best = search.run()
        self.formula_ = self._final(best, points, shift, spread)
        self.r2_ = explained(self.formula_.evaluate(points.X), points.y)
        return self

    def _scales(self, X: Floats) -> tuple[Floats, Floats]:
        """What each column is shifted and divided by."""
        o = self.options or SearchOptions()
        mean, spread = X.mean(axis=0), X.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        low, high = _USUAL_SPREAD
        usual = (np.abs(mean) <= _USUAL_MEAN) & (spread >= low) & (spread <= high)
        if o.scale_inputs is False or (o.scale_inputs is None and usual.all()):
            return np.zeros_like(mean), np.ones_like(spread)
        return mean, spread

    def _final(
        self, best: Expression, points: PointSet, shift: Floats, spread: Floats
    ) -> Expression:
        """Fit the constants on all points, then put the scales of the inputs into the formula."""
        o = self.options or SearchOptions()
        scaled = PointSet((points.X - shift) / spread, points.y)
        found = refit(best, scaled, iterations=10 * o.refit_iterations)
        fitted = found.expression if found.r2 == found.r2 else best
        symbols: list[Any] = []
        for symbol in fitted.symbols:
            if isinstance(symbol, str) and symbol.startswith("x_"):
                i = int(symbol[2:])
                if shift[i] or spread[i] != 1:
                    symbols += ["mul", float(1 / spread[i]), "sub", symbol, float(shift[i])]
                    continue
            symbols.append(symbol)
        return Expression(tuple(symbols))

    @property
    def expression_(self) -> Any:
        """The best formula in sympy, over the real symbols x_0, x_1, …."""
        self._check_fitted()
        return self.formula_.to_sympy()

    def predict(self, X: ArrayLike) -> Floats:
        """Evaluate the formula.

        Args:
            X: Inputs, shape (points, dims).

        Returns:
            Values, shape (points,); NaN, with a warning, where the formula is not defined.

        Raises:
            ConfigError: `fit` was not called.
            DataError: Another number of columns, or NaN.
        """
        self._check_fitted()
        inputs = PointSet.of(X, np.zeros(np.shape(X)[0] if np.ndim(X) else 0)).X
        if inputs.shape[1] != self.n_features_in_:
            raise DataError(
                f"X must have the {self.n_features_in_} column(s) of fit; got {inputs.shape[1]}"
            )
        values = self.formula_.evaluate(inputs)
        outside = int((~np.isfinite(values)).sum())
        if outside:
            warnings.warn(
                f"the formula {self.formula_} is not defined at {outside} of {len(values)} points; "
                "their predictions are NaN",
                stacklevel=2,
            )
        return values

    def _check_fitted(self) -> None:
        if not hasattr(self, "formula_"):
            raise ConfigError("the regressor was not fitted; call fit(X, y) first")


class _Search:
    """One search over vectors."""

    def __init__(self, owner: LatentRegressor, points: PointSet) -> None:
        self.owner, self.options = owner, owner.options or SearchOptions()
        self.rng = numpy_generator(owner.seed, "latent search")
        self.points = points
        self.fitted = points.take(self.options.max_points, self.rng)
        if not np.ptp(self.fitted.y):
            self.fitted = points
        self.affine = owner.snip.config.scale_y == "minmax"
        self.seen: dict[str, Refitted] = {}
        self.decodes, self.started = 0, time.perf_counter()
        self.best: Refitted | None = None
        self.decoded = -np.inf

    def run(self) -> Expression:
        """Search to the end, and return the best formula."""
        owner = self.owner
        population = initial_population(owner.snip, self.points, owner.pop, self.rng)
        optimizer = OPTIMIZERS[owner.optimizer](population, self.rng)
        for iteration in range(owner.iters + 1):
            fitness = self.judged(population)
            self.record(iteration)
            done = self.best is not None and self.best.r2 >= self.options.stop_r2
            if done or self.late():
                break
            if iteration < owner.iters:
                population = optimizer.next(population, fitness, iteration / owner.iters)
        if self.best is None:
            raise DataError(
                f"none of {self.decodes} decoded formulas is defined at all {len(self.fitted.y)} "
                "points: raise pop or iters, train the decoder longer, or give points nearer to "
                "those of its training"
            )
        return self.best.expression

    def judged(self, population: Floats) -> Floats:
        """Decode and fit a population; fitness is -R2 of each member's best formula."""
        owner, o = self.owner, self.options
        rows = decode_formulas(
            owner.decoder,
            population,
            beams=o.beams,
            temperature=o.temperature,
            dims=owner.n_features_in_,
            seed=int(self.rng.integers(2**31)),
        )
        fitness = np.full(len(population), np.inf)
        for member, row in enumerate(rows):
            self.decodes += len(row)
            for found in () if self.late() else row:
                r2 = self.tried(found.expression).r2
                if r2 == r2:
                    fitness[member] = min(fitness[member], -r2)
        return fitness

    def late(self) -> bool:
        """Tell whether the time is over."""
        limit = self.options.seconds
        return limit is not None and time.perf_counter() - self.started >= limit

    def tried(self, expression: Expression) -> Refitted:
        """Fit a formula, unless its skeleton was fitted before."""
        known = self.seen.get(expression.skeleton)
        if known is not None:
            return known
        found = refit(
            expression,
            self.fitted,
            affine=self.affine,
            iterations=self.options.refit_iterations,
        )
        self.seen[expression.skeleton] = found
        if found.r2_before == found.r2_before:
            self.decoded = max(self.decoded, found.r2_before)
        if found.r2 == found.r2 and (self.best is None or _better(found, self.best)):
            self.best = found
        return found

    def record(self, iteration: int) -> None:
        """Add a line to the trace."""
        self.owner.trace_.append(
            {
                "iteration": iteration,
                "r2": self.best.r2 if self.best else -np.inf,
                "r2_decoded": float(self.decoded),
                "skeletons": len(self.seen),
                "decodes": self.decodes,
                "seconds": time.perf_counter() - self.started,
            }
        )


def _better(one: Refitted, other: Refitted) -> bool:
    """A higher R2, or the same to nine digits and a shorter formula."""
    if abs(one.r2 - other.r2) > 1e-9:
        return one.r2 > other.r2
    return len(one.expression) < len(other.expression)
