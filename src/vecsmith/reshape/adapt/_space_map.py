"""A linear map from the vectors of one model to those of another.

Fitted on texts that both models encoded (T. Mikolov, Q. Le and I. Sutskever, 2013, for words of two
languages): "ridge" solves min |X W + b - Y|^2 + p |W|^2, with p chosen on held-out rows;
"procrustes" takes the rotation U V^T of the SVD of X^T Y (C. Xing and others, 2015), which keeps
all angles and needs fewer rows. What the old vectors do not hold, no map can bring: it is a
stand-in until the texts are encoded again.

Cost: rows * dims^2 to fit, dims_old * dims_new a vector to apply.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vecsmith.core import ConfigError, DataError, StoreError, atomic_path, numpy_generator

Vectors = NDArray[np.float32]
KINDS = ("ridge", "procrustes")
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_VALIDATION = 0.2


class SpaceMap:
    """An affine map, its outcome of unit length.

    Args:
        matrix: Shape (old dims, new dims).
        offset: Shape (new dims,).
    """

    def __init__(self, matrix: Vectors, offset: Vectors) -> None:
        self.matrix = np.ascontiguousarray(matrix, np.float32)
        self.offset = np.ascontiguousarray(offset, np.float32)

    @classmethod
    def fit(
        cls,
        old: Vectors,
        new: Vectors,
        *,
        kind: str = "ridge",
        penalty: float | None = None,
        seed: int = 0,
    ) -> "SpaceMap":
        """Fit a map on the same texts under both models.

        Args:
            old: Unit vectors of the old model, shape (texts, old dims).
            new: Unit vectors of the new one, shape (texts, new dims).
            kind: "ridge" or "procrustes" (equal dimensions).
            penalty: Of ridge, as part of the mean variance of `old`; None chooses on a fifth of
                the rows.
            seed: Seed of that fifth.

        Returns:
            The map.

        Raises:
            ConfigError: Unknown kind, or a rotation between spaces of other dimensions.
            DataError: Rows that do not pair up, or fewer than ten.
        """
        if kind not in KINDS:
            raise ConfigError(f"kind must be one of {KINDS}; got {kind!r}")
        if old.ndim != 2 or new.ndim != 2 or len(old) != len(new) or len(old) < 10:
            raise DataError(
                "old and new must hold the vectors of the same ten or more texts; got shapes "
                f"{old.shape} and {new.shape}"
            )
        x, y = old.astype(np.float64), new.astype(np.float64)
        if kind == "procrustes":
            if x.shape[1] != y.shape[1]:
                raise ConfigError(
                    f"a rotation needs equal dimensions; got {x.shape[1]} and {y.shape[1]}: "
                    'use kind="ridge"'
                )
            left, _, right = np.linalg.svd(x.T @ y)
            return cls((left @ right).astype(np.float32), np.zeros(y.shape[1], np.float32))
        if penalty is None:
            penalty = _best_penalty(x, y, seed)
        return cls(*_ridge(x, y, penalty))

    def apply(self, vectors: Vectors) -> Vectors:
        """Map vectors.

        Args:
            vectors: Shape (n, old dims).

        Returns:
            Unit vectors, shape (n, new dims).

        Raises:
            DataError: Other dimensions.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.matrix):
            raise DataError(
                f"vectors must have {len(self.matrix)} dimensions; got shape {vectors.shape}"
            )
        mapped = vectors.astype(np.float32) @ self.matrix + self.offset
        norms = np.linalg.norm(mapped, axis=1, keepdims=True)
        return np.asarray(mapped / np.maximum(norms, 1e-12), np.float32)

    def save(self, path: str | Path) -> None:
        """Save to one safetensors file.

        Args:
            path: The file.
        """
        with atomic_path(path) as temporary:
            save_file({"matrix": self.matrix, "offset": self.offset}, temporary)

    @classmethod
    def load(cls, path: str | Path) -> "SpaceMap":
        """Load what `save` saved.

        Args:
            path: The file.

        Returns:
            The map.

        Raises:
            StoreError: Missing or damaged.
        """
        try:
            found = load_file(str(path))
            return cls(found["matrix"], found["offset"])
        except (OSError, KeyError, SafetensorError) as error:
            raise StoreError(f"{str(path)!r} holds no map of spaces ({error})") from error


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], penalty: float
) -> tuple[Vectors, Vectors]:
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = x - x_mean
    gram = centred.T @ centred
    scale = penalty * max(np.trace(gram) / len(gram), 1e-12)
    matrix = np.linalg.solve(gram + scale * np.eye(len(gram)), centred.T @ (y - y_mean))
    return matrix.astype(np.float32), (y_mean - x_mean @ matrix).astype(np.float32)


def _best_penalty(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> float:
    order = numpy_generator(seed, "space map").permutation(len(x))
    few = max(2, int(_VALIDATION * len(x)))
    held_out, rest = order[:few], order[few:]
    wanted = y[held_out] / np.linalg.norm(y[held_out], axis=1, keepdims=True)

    def cosine(penalty: float) -> float:
        found = SpaceMap(*_ridge(x[rest], y[rest], penalty)).apply(x[held_out].astype(np.float32))
        return float((found * wanted).sum(axis=1).mean())

    return max(_PENALTIES, key=cosine)
