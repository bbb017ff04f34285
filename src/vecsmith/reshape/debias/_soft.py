"""Soft debiasing: one linear map keeps inner products and shrinks the bias of neutral words.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016). W has all words as columns, N the neutral ones, B the subspace:

    min_T  |(TW)^T (TW) - W^T W|_F^2 + lam |(TN)^T (TB)|_F^2,   then unit length again

With X = T^T T, C = W W^T, R = C^(1/2) and Y = R (X - I) R that is a convex quadratic of d x d,

    |Y|_F^2 + lam tr[(B + R^-1 Y U)^T N N^T (B + R^-1 Y U)],   U = R^-1 B,   subject to C + Y >= 0

The paper solves it as a semidefinite program. Here: for k = 1 in closed form (least Y for a given
p = Y u, then the best p); for k > 1 by conjugate gradients, exact as well; and where C + Y has a
negative eigenvalue, which few neutral words may cause, by accelerated projected gradients.

Use when a trade between bias and similarity is wanted, or when words are not known as specific or
neutral. Avoid when gender itself must stay: a large `lam` shrinks it for all words, she and he too.
Cost: one d x d Gram matrix of the table, and a few d^3.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode import WordVectors

from ._files import read_state, write_state
from ._hard import _named
from ._subspace import BiasSubspace, Doubles, unit_rows

logger = logging.getLogger(__name__)

KIND = "soft-debias"
SCALES = ("paper", "relative")
_ROWS = 1 << 14
_TOLERANCE = 1e-12
_STEPS = 5000


def gram(vectors: WordVectors, rows: NDArray[np.int64] | None = None) -> Doubles:
    """Sum w w^T over unit vectors, in double precision and in blocks.

    Args:
        vectors: Word vectors.
        rows: Which words; None takes all.

    Returns:
        Shape (dims, dims).
    """
    places = np.arange(len(vectors)) if rows is None else rows
    total = np.zeros((vectors.dims, vectors.dims))
    for start in range(0, len(places), _ROWS):
        block = unit_rows(vectors.vectors[places[start : start + _ROWS]])
        total += block.T @ block
    return total


def soft_gram(all_words: Doubles, neutral: Doubles, basis: Doubles, lam: float) -> Doubles:
    """Find X = T^T T.

    Args:
        all_words: C, shape (dims, dims), of full rank.
        neutral: N N^T, shape (dims, dims).
        basis: B, orthonormal rows, shape (k, dims).
        lam: Weight of the bias.

    Returns:
        X, shape (dims, dims), positive semidefinite.
    """
    root, inverse = _roots(all_words)
    if len(basis) == 1:
        change = _closed_form(inverse, neutral, basis[0], lam)
    else:
        change = _conjugate_gradients(inverse, neutral, basis, lam)
    if np.linalg.eigvalsh(all_words + change)[0] < -1e-9 * np.trace(all_words):
        change = _projected_gradients(all_words, inverse, (neutral, basis, lam), change)
    made = np.eye(len(root)) + inverse @ change @ inverse
    return _positive(0.5 * (made + made.T))


def _roots(matrix: Doubles) -> tuple[Doubles, Doubles]:
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(values)
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _positive(matrix: Doubles) -> Doubles:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def _closed_form(inverse: Doubles, neutral: Doubles, g: Doubles, lam: float) -> Doubles:
    """Y for one direction: with p = Y u, the least Y is (pu' + up')/s - (u.p)uu'/s^2."""
    u = inverse @ g
    s = float(u @ u)
    pull = lam * inverse @ neutral @ inverse
    system = 2 * np.eye(len(g)) / s - np.outer(u, u) / s**2 + pull
    p = np.linalg.solve(system, -lam * inverse @ (neutral @ g))
    return np.asarray((np.outer(p, u) + np.outer(u, p)) / s - (u @ p) * np.outer(u, u) / s**2)


def _gradient(
    change: Doubles, inverse: Doubles, neutral: Doubles, basis: Doubles, lam: float
) -> Doubles:
    """Half the gradient of the objective at Y; affine in Y."""
    spread = inverse @ basis.T
    outer = lam * inverse @ neutral @ (basis.T + inverse @ change @ spread) @ spread.T
    return np.asarray(change + 0.5 * (outer + outer.T))


def _conjugate_gradients(inverse: Doubles, neutral: Doubles, basis: Doubles, lam: float) -> Doubles:
    zero = np.zeros_like(inverse)
    constant = _gradient(zero, inverse, neutral, basis, lam)
    change, rest = zero, -constant
    direction, size = rest, float((rest * rest).sum())
    start = size
    for _ in range(_STEPS):
        if size <= _TOLERANCE**2 * start:
            break
        image = _gradient(direction, inverse, neutral, basis, lam) - constant
        step = size / float((direction * image).sum())
        change = change + step * direction
        rest = rest - step * image
        size, before = float((rest * rest).sum()), size
        direction = rest + (size / before) * direction
    return change


def _projected_gradients(
    all_words: Doubles, inverse: Doubles, problem: tuple[Doubles, Doubles, float], change: Doubles
) -> Doubles:
    """Minimise over C + Y >= 0; the projection cuts the negative eigenvalues of C + Y."""
    neutral, basis, lam = problem
    spread = inverse @ basis.T
    steepest = 1 + lam * np.linalg.norm(inverse @ neutral @ inverse, 2) * np.linalg.norm(
        spread @ spread.T, 2
    )
    # the objective has curvature 1 at least: constant momentum, linear rate
    momentum = (steepest**0.5 - 1) / (steepest**0.5 + 1)
    change = _positive(all_words + change) - all_words
    ahead = change
    for _ in range(_STEPS):
        step = ahead - _gradient(ahead, inverse, neutral, basis, lam) / steepest
        new = _positive(all_words + step) - all_words
        moved = np.linalg.norm(new - change)
        ahead, change = new + momentum * (new - change), new
        if moved <= 1e-10 * np.linalg.norm(change):
            return change
    logger.warning("soft debiasing has not settled after %d steps; lower lam", _STEPS)
    return change


class SoftDebias:
    """One linear map for all words of a table.

    Args:
        subspace: From the same vectors.
        lam: Weight of the bias: 0 changes nothing.
        scale: "paper", where the fit grows with the square of the number of words, so that 0.2
            changes little in large tables; or "relative": the share of squared inner products that
            is lost against the share of squared bias that is left, so that `lam` has no unit.
        specific: Words that are not neutral: "gender" for the authors' list, or words.

    Attributes:
        T_: The map, symmetric, shape (dims, dims).
        subspace_: The subspace after the map, T B made orthonormal: measure along it.
        lam_: Weight in the paper's scale.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        subspace: BiasSubspace,
        *,
        lam: float = 0.2,
        scale: str = "paper",
        specific: str | Iterable[str] = "gender",
    ) -> None:
        if not (np.isfinite(lam) and lam >= 0):
            raise ConfigError(f"lam must be a finite number, 0 or above; got {lam}")
        if scale not in SCALES:
            raise ConfigError(f"scale must be one of {SCALES}; got {scale!r}")
        self.subspace, self.lam, self.scale = subspace, float(lam), scale
        self.specific: frozenset[str] = frozenset(_named("specific", specific))
        self.T_: Doubles | None = None
        self.lam_ = self.lam

    def fit(self, vectors: WordVectors) -> "SoftDebias":
        """Find the map.

        Args:
            vectors: Word vectors of the subspace's dimensions.

        Returns:
            Itself.

        Raises:
            DataError: Other dimensions, or no neutral word.
        """
        kept = vectors.ids([w for w in self.specific | self.subspace.words if w in vectors])
        if len(kept) == len(vectors):
            raise DataError("every word is specific, so that none is neutral; shorten specific=")
        basis = self.subspace.basis
        self.subspace.coordinates(vectors.vectors[:1])
        c = gram(vectors)
        c_neutral = c - gram(vectors, kept)
        bias = float(np.trace(basis @ c_neutral @ basis.T))
        self.lam_ = self.lam
        if self.scale == "relative":
            self.lam_ = self.lam * float((c * c).sum()) / bias if bias > 0 else 0.0
        # directions that no word uses stay as they are, and cannot be inverted
        values, axes = np.linalg.eigh(c)
        used = axes[:, values > 1e-10 * values[-1]]
        inside, _ = np.linalg.qr((basis @ used).T)
        x = soft_gram(used.T @ c @ used, used.T @ c_neutral @ used, inside.T, self.lam_)
        values, turned = np.linalg.eigh(x)
        root = (turned * np.sqrt(np.maximum(values, 0))) @ turned.T
        self.T_ = used @ root @ used.T + np.eye(len(c)) - used @ used.T
        return self

    @property
    def subspace_(self) -> BiasSubspace:
        """The subspace after the map."""
        after, lengths, _ = np.linalg.svd(self._map() @ self.subspace.basis.T, full_matrices=False)
        # the sign of each direction stays
        after = after[:, lengths > 1e-12 * max(1.0, lengths[0])].T
        first = self._map() @ self.subspace.basis[0]
        if len(after) and after[0] @ first < 0:
            after[0] *= -1
        old = self.subspace
        return BiasSubspace(after, old.explained, old.sets, old.missing, old.name)

    def transform(self, vectors: WordVectors) -> WordVectors:
        """Map a table and give its vectors unit length.

        Args:
            vectors: Word vectors of the subspace's dimensions.

        Returns:
            New word vectors.

        Raises:
            ConfigError: Not fitted.
            DataError: Other dimensions.
        """
        matrix = self._map()
        self.subspace.coordinates(vectors.vectors[:1])
        made = np.empty_like(vectors.vectors)
        for start in range(0, len(vectors), _ROWS):
            part = slice(start, start + _ROWS)
            made[part] = unit_rows(unit_rows(vectors.vectors[part]) @ matrix)
        return vectors.with_vectors(made, step=f"soft-debias:{self.subspace.name}:{self.lam_:g}")

    def fit_transform(self, vectors: WordVectors) -> WordVectors:
        """Find the map and apply it.

        Args:
            vectors: Word vectors of the subspace's dimensions.

        Returns:
            New word vectors.
        """
        return self.fit(vectors).transform(vectors)

    def _map(self) -> Doubles:
        if self.T_ is None:
            raise ConfigError("the map is not known yet; call fit with word vectors first")
        return self.T_

    def save(self, folder: str | Path) -> None:
        """Save map, subspace and settings.

        Args:
            folder: Where to.

        Raises:
            ConfigError: Not fitted.
            StoreError: The place cannot be written.
        """
        values = {
            "subspace": self.subspace.to_dict(),
            "specific": sorted(self.specific),
            "lam": self.lam,
            "scale": self.scale,
            "lam_paper": self.lam_,
        }
        arrays = {
            "basis": self.subspace.basis,
            "explained": self.subspace.explained,
            "map": self._map(),
        }
        write_state(Path(folder), KIND, values, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "SoftDebias":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted method.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(Path(folder), KIND)
        try:
            subspace = BiasSubspace.from_dict(values["subspace"], arrays)
            kept = {key: values[key] for key in ("lam", "scale", "specific")}
            made = cls(subspace, **kept)
            made.lam_, made.T_ = values["lam_paper"], arrays["map"]
        except KeyError as error:
            raise StoreError(
                f"{str(folder)!r} lacks the part {error}; save the method again"
            ) from error
        return made
