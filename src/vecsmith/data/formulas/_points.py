"""Points of a formula: checked, scaled, and drawn from mixtures.

Inputs are drawn from a mixture of up to `clusters` clouds with centres, widths and kinds (normal or
uniform) of their own, and then standardised column by column, as in E2E and SNIP.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError

from ._expression import Expression, as_columns

Floats = NDArray[np.float64]
KINDS = ("normal", "uniform")


class PointSet(NamedTuple):
    """Inputs and values.

    Attributes:
        X: Shape (points, dims).
        y: Shape (points,).
    """

    X: Floats
    y: Floats

    @classmethod
    def of(cls, X: ArrayLike, y: ArrayLike, *, max_dim: int | None = None) -> "PointSet":
        """Check points; none is left out silently.

        Args:
            X: Shape (points, dims), or (points,) for one input.
            y: Shape (points,).
            max_dim: Most inputs.

        Returns:
            The points.

        Raises:
            DataError: Empty, of unequal length, of too many inputs, or with NaN or infinity.
        """
        inputs = as_columns(X)
        try:
            values = np.asarray(y, np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"y must hold numbers, shape (points,); {error}") from error
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.shape != (len(inputs),) or not len(inputs) or not inputs.shape[1]:
            raise DataError(
                "X and y must hold the same points, at least one: shapes (points, dims) and "
                f"(points,); got {inputs.shape} and {values.shape}"
            )
        if max_dim is not None and inputs.shape[1] > max_dim:
            raise DataError(
                f"X may have at most {max_dim} column(s) here; got {inputs.shape[1]}: choose "
                "columns, or take a model of a higher max_dim"
            )
        wrong = ~(np.isfinite(inputs).all(axis=1) & np.isfinite(values))
        if wrong.any():
            raise DataError(
                f"points must be finite; {int(wrong.sum())} of {len(wrong)} hold NaN or infinity, "
                f"the first at row {int(np.flatnonzero(wrong)[0])}: leave them out or fill them in"
            )
        return cls(inputs, values)

    @classmethod
    def from_expression(cls, expression: Expression, X: ArrayLike) -> "PointSet":
        """Compute a formula at points, all of which must lie in its domain.

        Args:
            expression: The formula.
            X: Inputs.

        Returns:
            The points.

        Raises:
            DataError: The formula is not defined at some point; the text says where.
        """
        inputs = as_columns(X)
        values = expression.evaluate(inputs)
        wrong = ~np.isfinite(values)
        if wrong.any():
            first = ", ".join(f"{v:g}" for v in inputs[np.flatnonzero(wrong)[0]])
            raise DataError(
                f"the formula {expression} is not defined at {int(wrong.sum())} of {len(wrong)} "
                f"points, the first at x = ({first}): give points inside its domain"
            )
        return cls.of(inputs, values)

    def scaled(self) -> "PointSet":
        """Scale the values to [0, 1]; equal values become 0."""
        return PointSet(self.X, scale_values(self.y))

    def take(self, number: int, rng: np.random.Generator) -> "PointSet":
        """Draw points without putting back.

        Args:
            number: How many; all where there are fewer.
            rng: Source of randomness.

        Returns:
            The points drawn.
        """
        if number >= len(self.y):
            return self
        chosen = rng.choice(len(self.y), number, replace=False)
        return PointSet(self.X[chosen], self.y[chosen])


def scale_values(y: Floats) -> Floats:
    """Scale to [0, 1] along the last axis; equal values become 0.

    Args:
        y: Shape (…, points).

    Returns:
        Same shape.
    """
    low, high = y.min(axis=-1, keepdims=True), y.max(axis=-1, keepdims=True)
    # halves, so that the range of the largest floats does not overflow
    span = high / 2 - low / 2
    return np.where(span > 0, (y / 2 - low / 2) / np.where(span > 0, span, 1.0), 0.0)


@dataclass(frozen=True)
class PointOptions:
    """How inputs are drawn.

    Attributes:
        number: Points of a formula.
        clusters: Most clouds of the mixture.
        kinds: Of the clouds: "normal", "uniform" or both.
        standardise: Shift and scale each column to mean 0 and deviation 1; without it the values
            lie about as drawn, centres within `spread`.
        spread: Half the width of the square that centres are drawn from.
        width: Widest cloud (half the side of a uniform one, deviation of a normal one).
    """

    number: int = 200
    clusters: int = 10
    kinds: tuple[str, ...] = KINDS
    standardise: bool = True
    spread: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("number", 2), ("clusters", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}; got {getattr(self, name)!r}")
        if not self.kinds or set(self.kinds) - set(KINDS):
            raise ConfigError(f"kinds must be one or both of {KINDS}; got {self.kinds!r}")
        if not self.spread >= 0 or not self.width > 0:
            raise ConfigError(
                f"spread must be at least 0, width above 0; got {self.spread} and {self.width}"
            )


def draw_points(dims: int, options: PointOptions, rng: np.random.Generator) -> Floats:
    """Draw inputs from a mixture.

    Args:
        dims: Inputs.
        options: How.
        rng: Source of randomness.

    Returns:
        Shape (number, dims).
    """
    clouds = int(rng.integers(1, options.clusters + 1))
    centres = options.spread * rng.uniform(-1, 1, (clouds, dims))
    widths = options.width * rng.uniform(0, 1, (clouds, dims))
    if clouds == 1:
        widths = np.maximum(widths, options.width / 2)
    shares = rng.dirichlet(np.ones(clouds)) if clouds > 1 else np.ones(1)
    of = rng.choice(clouds, options.number, p=shares)
    uniform = np.array([kind == "uniform" for kind in rng.choice(options.kinds, clouds)])
    drawn = np.where(
        uniform[of, None],
        rng.uniform(-1, 1, (options.number, dims)),
        rng.normal(size=(options.number, dims)),
    )
    X = centres[of] + widths[of] * drawn
    if options.standardise:
        X = X - X.mean(axis=0)
        X = X / np.maximum(X.std(axis=0), 1e-12)
    return np.asarray(X, np.float64)
