"""Search formulas by data: which of many known laws do these points follow?

Formulas are encoded once, points at search time, both by SNIP; the nearest come first. With
``refit=True`` the constants of the candidates are fitted and the hits ordered by R2, which tells
formulas apart whose vectors are close.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.data.formulas import Expression, PointSet
from vecsmith.encode import state_hash
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode.formulas import Snip
from vecsmith.encode.formulas._snip import as_expression

from ._refit import refit as refit_constants

KIND = "formula-index"
ON_ERROR = ("raise", "skip")


class FormulaHit(NamedTuple):
    """One hit.

    Attributes:
        row: Number of the formula, in the order of adding.
        expression: The formula; with fitted constants where these were asked for.
        score: Inner product of its vector with the data's.
        r2: Of the fitted formula on the data; None where none was fitted, NaN where the formula
            is not defined at all points.
    """

    row: int
    expression: Expression
    score: float
    r2: float | None


class FormulaIndex:
    """An index of formulas.

    Args:
        snip: Trained encoders.

    Attributes:
        formulas: What was added, in order.
        skipped: Place in its list, text and reason of what was left out by ``on_error="skip"``.
    """

    def __init__(self, snip: Snip) -> None:
        import faiss

        self.snip = snip
        self.formulas: list[Expression] = []
        self.skipped: list[tuple[int, str, str]] = []
        self._index: Any = faiss.IndexFlatIP(snip.config.latent)

    def __len__(self) -> int:
        """Count the formulas."""
        return len(self.formulas)

    def add(self, formulas: Sequence[Any], *, on_error: str = "raise") -> "FormulaIndex":
        """Add formulas, all or none of them.

        Args:
            formulas: Texts, `Expression`s or sympy expressions.
            on_error: "raise" adds nothing where one cannot be used; "skip" leaves such ones out
                and notes them in `skipped`.

        Returns:
            Itself.

        Raises:
            ConfigError: Another `on_error`.
            DataError: Formulas that cannot be used; the text names the first and counts them.
        """
        if on_error not in ON_ERROR:
            raise ConfigError(f"on_error must be one of {ON_ERROR}; got {on_error!r}")
        if isinstance(formulas, (str, Expression)):
            raise DataError("formulas must be a list; put the one formula into a list")
        good: list[Expression] = []
        bad: list[tuple[int, str, str]] = []
        for place, formula in enumerate(formulas):
            expression, reason = self._read(formula)
            if expression is None:
                bad.append((place, str(formula)[:200], reason))
            else:
                good.append(expression)
        if bad and on_error == "raise":
            place, _, reason = bad[0]
            raise DataError(
                f"{len(bad)} of {len(formulas)} formulas cannot be used, the first at place "
                f"{place}: {reason}. Nothing was added; mend them, or give on_error='skip'"
            )
        if good:
            self._index.add(self.snip.encode_formula(good))
            self.formulas += good
        self.skipped += bad
        return self

    def _read(self, formula: Any) -> tuple[Expression | None, str]:
        """Return the formula, or why it cannot be used."""
        try:
            expression = as_expression(formula)
            self.snip.formula_inputs([expression])
        except DataError as error:
            return None, str(error)
        return expression, ""

    def search(
        self, X: ArrayLike, y: ArrayLike, k: int = 10, *, refit: bool = False
    ) -> list[FormulaHit]:
        """Find formulas for data.

        Args:
            X: Inputs, shape (points, dims).
            y: Values, shape (points,).
            k: How many hits.
            refit: Fit the constants of the candidates, and order by R2.

        Returns:
            At most k hits, the best first.

        Raises:
            ConfigError: k below 1.
            DataError: The index is empty, or the points cannot be used.
        """
        if k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        if not self.formulas:
            raise DataError("the index is empty; add formulas before searching")
        points = PointSet.of(X, y, max_dim=self.snip.config.max_dim)
        scores, rows = self._index.search(self.snip.encode_points(*points), min(k, len(self)))
        hits = [
            FormulaHit(int(row), self.formulas[row], float(score), None)
            for row, score in zip(rows[0], scores[0], strict=True)
        ]
        if not refit or not np.ptp(points.y):
            return hits
        fitted = [self._fitted(hit, points) for hit in hits]
        return sorted(fitted, key=lambda hit: _rank(hit.r2))

    def _fitted(self, hit: FormulaHit, points: PointSet) -> FormulaHit:
        if hit.expression.dims > points.X.shape[1]:
            return hit._replace(r2=float("nan"))
        affine = self.snip.config.scale_y == "minmax"
        found = refit_constants(hit.expression, points, affine=affine)
        return hit._replace(expression=found.expression, r2=found.r2)

    def save(self, folder: str | Path) -> None:
        """Write formulas and vectors, whole or not at all.

        Args:
            folder: Where to.
        """
        vectors: NDArray[np.float32] = self._index.reconstruct_n(0, len(self))
        values = {
            "formulas": [list(formula.symbols) for formula in self.formulas],
            "weights": _weights(self.snip),
        }
        write_state(folder, KIND, values, {"vectors": vectors})

    @classmethod
    def load(cls, folder: str | Path, snip: Snip) -> "FormulaIndex":
        """Read what `save` wrote.

        Args:
            folder: Where it lies.
            snip: The encoders that it was made with.

        Returns:
            The index.

        Raises:
            StoreError: Missing, damaged, or made with other weights.
        """
        values, arrays = read_state(folder, KIND)
        with reading(folder):
            formulas = [Expression(tuple(symbols)) for symbols in values["formulas"]]
            vectors = np.asarray(arrays["vectors"], np.float32)
            if vectors.shape != (len(formulas), snip.config.latent):
                raise ValueError(f"{len(formulas)} formulas, vectors of shape {vectors.shape}")
            weights = values["weights"]
        if weights != _weights(snip):
            raise StoreError(
                f"the index in {str(folder)!r} was made with a SNIP of other weights: its vectors "
                "mean nothing here; load that model, or add the formulas to a new index"
            )
        index = cls(snip)
        index._index.add(vectors)
        index.formulas = formulas
        return index


def _rank(r2: float | None) -> float:
    return -r2 if r2 is not None and r2 == r2 else np.inf


def _weights(snip: Snip) -> str:
    return state_hash(snip)
