"""Sparse codes: vectors as sums of few atoms, which people can name.

Dictionary learning (word vectors: S. Arora and others, 2018: atoms of discourse):

    min_{A, D} 1/2 |X - A D|^2 + alpha |A|_1,   rows of D of unit length

by scikit-learn's online learner; with `positive` codes are sums without differences (M. Faruqui and
others, 2015: sparse overcomplete word vectors). Cost: epochs * n * atoms * dims.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError


@dataclass(frozen=True)
class SparseCodes:
    """Codes of vectors.

    Attributes:
        codes: Sparse matrix, shape (n, atoms).
        atoms: Rows of unit length, shape (atoms, dims).
        error: Squared error as a share of the squared length of the (centred) vectors.
        mean: What was taken off the vectors, shape (dims,).
    """

    codes: Any
    atoms: NDArray[np.float32]
    error: float
    mean: NDArray[np.float32]

    @property
    def nonzero(self) -> float:
        """Mean number of atoms a vector."""
        return float(self.codes.nnz / self.codes.shape[0])

    def decode(self) -> NDArray[np.float32]:
        """Give the vectors back, as far as the codes hold them.

        Returns:
            Shape (n, dims).
        """
        return np.asarray(self.codes @ self.atoms + self.mean, np.float32)

    def examples(self, names: Sequence[str], atom: int, *, topn: int = 10) -> list[str]:
        """Name what an atom stands for.

        Args:
            names: Name of each vector.
            atom: Row of the dictionary.
            topn: How many.

        Returns:
            Names of the vectors with the largest share of it.

        Raises:
            DataError: Names of another number.
            ConfigError: No such atom.
        """
        if len(names) != self.codes.shape[0]:
            raise DataError(f"names must be {self.codes.shape[0]}, one a vector; got {len(names)}")
        if not 0 <= atom < len(self.atoms):
            raise ConfigError(f"atom must be from 0 to {len(self.atoms) - 1}; got {atom}")
        weights = self.codes[:, [atom]].toarray().ravel()
        return [names[row] for row in np.argsort(-weights, kind="stable")[:topn] if weights[row]]


def sparse_codes(
    vectors: ArrayLike,
    *,
    atoms: int = 200,
    alpha: float = 0.3,
    positive: bool = False,
    epochs: int = 5,
    seed: int = 0,
) -> SparseCodes:
    """Learn a dictionary and the codes of all vectors.

    Args:
        vectors: Shape (n, dims).
        atoms: Size of the dictionary.
        alpha: Weight of sparsity, in units of the mean length of a vector.
        positive: Codes above zero only.
        epochs: Passes over the vectors.
        seed: Seed of start and order.

    Returns:
        The codes.

    Raises:
        DataError: No finite table, or fewer vectors than atoms.
        ConfigError: A number out of its range.
    """
    from scipy.sparse import csr_array
    from sklearn.decomposition import MiniBatchDictionaryLearning

    if atoms < 1 or not alpha > 0 or epochs < 1:
        raise ConfigError(
            f"atoms and epochs must be at least 1, alpha above 0; got {atoms}, {epochs}, {alpha}"
        )
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or len(rows) < atoms or not np.isfinite(rows).all():
        raise DataError(
            f"vectors must be a finite table with at least as many rows as atoms ({atoms}); got "
            f"shape {rows.shape}"
        )
    mean = rows.mean(0)
    centred = rows - mean
    scale = max(float(np.linalg.norm(centred, axis=1).mean()), 1e-300)
    model = MiniBatchDictionaryLearning(
        n_components=atoms,
        alpha=alpha,
        max_iter=epochs,
        batch_size=min(256, len(rows)),
        transform_algorithm="lasso_lars" if not positive else "lasso_cd",
        transform_alpha=alpha,
        positive_code=positive,
        fit_algorithm="cd" if positive else "lars",
        random_state=seed,
    )
    codes = model.fit_transform(centred / scale)
    error = ((centred / scale - codes @ model.components_) ** 2).sum() / (
        (centred / scale) ** 2
    ).sum()
    return SparseCodes(
        csr_array(codes * scale),
        model.components_.astype(np.float32),
        float(error),
        mean.astype(np.float32),
    )
