"""Smallest eigenvectors of sparse symmetric matrices, besides one that is known."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

from vecsmith.core import ModelError, numpy_generator

Doubles = NDArray[np.float64]

# below so many nodes all eigenvectors cost less than a search
_DENSE = 300
_SHIFT = 1e-6
_ZERO = 1e-9
_SAME = 1e-4


def smallest_eigenvectors(
    matrix: csr_array, number: int, *, besides: Doubles, seed: int = 0
) -> tuple[Doubles, Doubles]:
    """Find the eigenvectors with the smallest eigenvalues, besides one of eigenvalue 0.

    Args:
        matrix: Symmetric and without negative eigenvalues, shape (n, n).
        number: How many, below n.
        besides: The vector that says nothing, shape (n,); others of eigenvalue 0 are made
            orthogonal to it and are kept.
        seed: Seed of the start.

    Returns:
        Eigenvalues, rising, shape (number,), and vectors of unit length, shape (n, number), the
        largest number of each positive.

    Raises:
        ModelError: The search did not come to an end.
    """
    n, wanted = matrix.shape[0], number + 1
    if n <= _DENSE or wanted > n // 2:
        values, vectors = np.linalg.eigh(matrix.toarray())
        values, vectors = values[:wanted], vectors[:, :wanted]
    else:
        values, vectors = _searched(matrix, wanted, seed)
    values, vectors = _without(values, vectors, besides / np.linalg.norm(besides))
    values, vectors = values[:number], vectors[:, :number]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(number)])
    signs[signs == 0] = 1
    return values, vectors * signs


def _searched(matrix: csr_array, number: int, seed: int) -> tuple[Doubles, Doubles]:
    # the shift keeps the zeros of the spectrum from making the factors singular
    n = matrix.shape[0]
    factors = splu((matrix + _SHIFT * eye_array(n)).tocsc())
    inverse = LinearOperator((n, n), matvec=factors.solve, dtype=np.float64)
    start = numpy_generator(seed, "eigenvectors").standard_normal(n)
    try:
        values, vectors = eigsh(
            matrix, k=number, sigma=-_SHIFT, OPinv=inverse, which="LM", v0=start
        )
    except ArpackNoConvergence as error:
        raise ModelError(
            f"{number} eigenvectors of {n} nodes were not found ({error}); ask for fewer"
        ) from error
    order = np.argsort(values, kind="stable")
    return values[order], vectors[:, order]


def _without(values: Doubles, vectors: Doubles, known: Doubles) -> tuple[Doubles, Doubles]:
    zeros = max(int((values < _ZERO).sum()), 1)
    made: list[Doubles] = []
    for column in vectors[:, :zeros].T:
        rest = column.copy()
        # twice, against rounding
        for _ in range(2):
            for other in (known, *made):
                rest -= other * (other @ rest)
        length = np.linalg.norm(rest)
        if length > _SAME:
            made.append(rest / length)
    left = np.stack(made, 1) if made else vectors[:, :0]
    dropped = zeros - left.shape[1]
    return values[dropped:], np.hstack([left, vectors[:, zeros:]])
