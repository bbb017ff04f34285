"""Iterative null-space projection (INLP): take out all that linear classifiers find of a label.

Paper: Null It Out: Guarding Protected Attributes by Iterative Nullspace Projection (S. Ravfogel and
others, 2020). Repeat: train a linear classifier of the label on the vectors, project them onto the
null space of its weights; all weights together span the rowspace R that is taken out,

    P = I - B^T B,   B an orthonormal basis of R (computed anew from all weights each round)

and stop when a classifier is no better than always naming the most frequent label, on vectors that
it was not trained on.

Use when examples of each label are known and one direction does not hold the bias; also on vectors
of sentences or images. Avoid with few vectors in many dimensions: each round takes out a direction
(more with several labels), and with it what else lies there. Cost: one linear classifier a round.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, numpy_generator, require

from ._files import read_state, write_state
from ._subspace import BiasSubspace, Doubles

logger = logging.getLogger(__name__)

KIND = "nullspace-projection"


def rowspace(weights: list[Doubles]) -> Doubles:
    """Find an orthonormal basis of what classifiers look at.

    Args:
        weights: Weights of each classifier, shape (directions, dims).

    Returns:
        Orthonormal rows, shape (rank, dims).
    """
    stacked = np.concatenate(weights)
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    _, values, basis = np.linalg.svd(stacked[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0], False)
    return np.asarray(basis[values > 1e-6 * values[0]])


class NullspaceProjection:
    """A projection that leaves no linear trace of a label; scikit-learn's interface.

    Args:
        rounds: At most so many classifiers.
        tolerance: Stop when held-out accuracy is at most this much above the share of the most
            frequent label.
        held_out: Share of the vectors that judges each round.
        seed: Seed of the split and of the classifiers.

    Attributes:
        basis_: What is taken out, orthonormal rows, shape (rank, dims).
        accuracies_: Held-out accuracy before each round, and after the last.
        majority_: Share of the most frequent label among the held-out vectors.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        *,
        rounds: int = 35,
        tolerance: float = 0.01,
        held_out: float = 0.3,
        seed: int = 0,
    ) -> None:
        if rounds < 1:
            raise ConfigError(f"rounds must be at least 1; got {rounds}")
        if not 0 < held_out < 1 or not tolerance >= 0:
            raise ConfigError(
                "held_out must lie between 0 and 1, tolerance be 0 or above; "
                f"got {held_out} and {tolerance}"
            )
        self.rounds, self.tolerance, self.held_out, self.seed = rounds, tolerance, held_out, seed
        self.basis_: Doubles | None = None
        self.accuracies_: list[float] = []
        self.majority_ = float("nan")

    def fit(self, vectors: ArrayLike, labels: ArrayLike) -> "NullspaceProjection":
        """Find what to take out.

        Args:
            vectors: Shape (items, dims).
            labels: One label an item.

        Returns:
            Itself.

        Raises:
            DataError: Numbers that are not finite, one label only, or lengths that differ.
        """
        x, y = _checked(vectors, labels)
        train, judge = _split(y, self.held_out, self.seed)
        counts = [(y[judge] == label).mean() for label in np.unique(y)]
        self.majority_, self.accuracies_ = float(max(counts)), []
        weights: list[Doubles] = []
        basis = np.zeros((0, x.shape[1]))
        for _ in range(self.rounds + 1):
            left = x - x @ basis.T @ basis
            model = self._classifier().fit(left[train], y[train])
            self.accuracies_.append(float(model.score(left[judge], y[judge])))
            if self.accuracies_[-1] <= self.majority_ + self.tolerance:
                break
            if len(weights) == self.rounds or len(basis) == x.shape[1]:
                logger.warning(
                    "after %d rounds a classifier still tells the label with accuracy %.3f "
                    "(most frequent label: %.3f); allow more rounds",
                    len(weights),
                    self.accuracies_[-1],
                    self.majority_,
                )
                break
            # inside the null space: what lies outside is gone already
            found = np.asarray(model.coef_, np.float64)
            weights.append(found - found @ basis.T @ basis)
            basis = rowspace(weights)
        self.basis_ = basis
        return self

    def _classifier(self) -> Any:
        svm = require("sklearn.svm", "train")
        return svm.LinearSVC(random_state=self.seed, max_iter=10_000)

    def transform(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Take it out; lengths are not restored.

        Args:
            vectors: Shape (items, dims).

        Returns:
            Shape (items, dims), float32.

        Raises:
            ConfigError: Not fitted.
            DataError: Other dimensions.
        """
        return self.subspace_.remove(vectors).astype(np.float32)

    def fit_transform(self, vectors: ArrayLike, labels: ArrayLike) -> NDArray[np.float32]:
        """Find what to take out, and take it out.

        Args:
            vectors: Shape (items, dims).
            labels: One label an item.

        Returns:
            Shape (items, dims), float32.
        """
        return self.fit(vectors, labels).transform(vectors)

    @property
    def subspace_(self) -> BiasSubspace:
        """What is taken out, as `debias_encoder` and `HardDebias` take it."""
        if self.basis_ is None:
            raise ConfigError("what to take out is not known yet; call fit with labels first")
        return BiasSubspace(self.basis_, np.ones(len(self.basis_)), name="nullspace")

    def save(self, folder: str | Path) -> None:
        """Save settings and basis.

        Args:
            folder: Where to.

        Raises:
            ConfigError: Not fitted.
            StoreError: The place cannot be written.
        """
        settings = {
            "rounds": self.rounds,
            "tolerance": self.tolerance,
            "held_out": self.held_out,
            "seed": self.seed,
        }
        values = {
            "settings": settings,
            "accuracies": self.accuracies_,
            "majority": self.majority_,
        }
        write_state(Path(folder), KIND, values, {"basis": self.subspace_.basis})

    @classmethod
    def load(cls, folder: str | Path) -> "NullspaceProjection":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted projection.

        Raises:
            StoreError: Missing or damaged.
        """
        values, arrays = read_state(Path(folder), KIND)
        made = cls(**values["settings"])
        made.basis_, made.accuracies_ = arrays["basis"], values["accuracies"]
        made.majority_ = values["majority"]
        return made


def _checked(vectors: ArrayLike, labels: ArrayLike) -> tuple[Doubles, NDArray[Any]]:
    x, y = np.asarray(vectors, np.float64), np.asarray(labels)
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or not np.isfinite(x).all():
        raise DataError(
            "vectors must be finite and of shape (items, dims), with a label for each item; "
            f"got shapes {x.shape} and {y.shape}"
        )
    _, counts = np.unique(y, return_counts=True)
    if len(counts) < 2 or counts.min() < 2:
        raise DataError(
            f"there must be two labels with two items each at least; got counts {counts.tolist()}"
        )
    return x, y


def _split(labels: NDArray[Any], held_out: float, seed: int) -> tuple[Any, Any]:
    """Split the items of each label, one of each on both sides at least."""
    rng = numpy_generator(seed, "nullspace")
    judge = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        size = min(max(1, round(held_out * len(places))), len(places) - 1)
        judge[places[:size]] = True
    return ~judge, judge
