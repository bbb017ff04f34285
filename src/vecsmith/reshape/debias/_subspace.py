"""The bias subspace: the directions along which the members of defining sets differ.

Paper: Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings
(T. Bolukbasi and others, 2016). Over unit vectors w, sets D_i ("she", "he") with means mu_i:

    C = sum_i sum_{w in D_i} (w - mu_i)(w - mu_i)^T / |D_i|,   B = top k eigenvectors of C

For pairs that is the principal components of their differences. The first component takes 0.6 of
the variance in GoogleNews; where it takes little, there is no one direction, and no method here
should be trusted to remove it. Cost: one SVD of (members, dims).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, StoreError, shown
from vecsmith.encode import WordVectors

from ._files import read_state, write_state

Doubles = NDArray[np.float64]
Sets = tuple[tuple[str, ...], ...]

KIND = "bias-subspace"


def unit_rows(vectors: ArrayLike) -> Doubles:
    """Divide rows by their lengths, in double precision.

    Args:
        vectors: Shape (words, dims).

    Returns:
        Shape (words, dims); rows of zeros stay.
    """
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def set_differences(sets: Sequence[Doubles]) -> Doubles:
    """Members less the mean of their set, weighed so that their outer products sum to C.

    Args:
        sets: Unit vectors of each set, shape (members, dims).

    Returns:
        Shape (all members, dims).
    """
    return np.concatenate([(rows - rows.mean(0)) / len(rows) ** 0.5 for rows in sets])


@dataclass(frozen=True)
class BiasSubspace:
    """Orthonormal directions of a bias.

    Attributes:
        basis: Shape (k, dims), orthonormal rows. The first points from the last members of the sets
            to the first ones: to "she" for ("she", "he").
        explained: Share of the variance of each component, all of them, falling.
        sets: Defining sets that were used.
        missing: Defining sets that were not, because a member has no vector.
        name: What it is a subspace of.
    """

    basis: Doubles
    explained: Doubles
    sets: Sets = ()
    missing: Sets = ()
    name: str = "bias"

    @classmethod
    def from_pairs(
        cls,
        vectors: WordVectors,
        pairs: str | Sequence[Sequence[str]] = "gender",
        *,
        k: int = 1,
    ) -> "BiasSubspace":
        """Find the subspace of defining pairs.

        Args:
            vectors: Word vectors.
            pairs: "gender" (ten pairs, female first) or pairs of words.
            k: How many directions.

        Returns:
            The subspace.

        Raises:
            DataError: No pair has vectors for both its words, or they span fewer directions.
            ConfigError: Unknown name, or something else than pairs.
        """
        if isinstance(pairs, str):
            if pairs != "gender":
                raise ConfigError(f"pairs must be 'gender' or a list of pairs; got {pairs!r}")
            from vecsmith.data.samples import load_gender_lists

            return cls.from_sets(vectors, load_gender_lists().definitional_pairs, k=k, name=pairs)
        if any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
            raise ConfigError("pairs must be pairs of words; give sets of other sizes to from_sets")
        return cls.from_sets(vectors, pairs, k=k)

    @classmethod
    def from_sets(
        cls,
        vectors: WordVectors,
        sets: Sequence[Sequence[str]],
        *,
        k: int = 1,
        name: str = "bias",
    ) -> "BiasSubspace":
        """Find the subspace of defining sets of any size: religions, ethnic groups.

        Args:
            vectors: Word vectors.
            sets: Each holds words that stand for one thing in each group, at least two; a word
                without a vector is left out of its set.
            k: How many directions.
            name: What it is a subspace of.

        Returns:
            The subspace.

        Raises:
            DataError: No set has vectors for two of its words, or they span fewer directions.
            ConfigError: k is below 1, or a set is a string.
        """
        if k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        if isinstance(sets, str) or any(isinstance(words, str) for words in sets):
            raise ConfigError("defining sets must be lists of words; got a single string")
        known = [tuple(word for word in words if word in vectors) for words in sets]
        used = tuple(words for words in known if len(words) > 1)
        missing = tuple(tuple(s) for s, words in zip(sets, known, strict=True) if len(words) < 2)
        if not used:
            first = shown(str(next(iter(sets), "none")))
            raise DataError(
                f"of {len(sets)} defining sets none has vectors for two of its words (first: "
                f"{first}); give sets in the spelling of {vectors.name!r}"
            )
        rows = set_differences([unit_rows(vectors[list(words)]) for words in used])
        _, values, basis = np.linalg.svd(rows, full_matrices=False)
        if k > (values > 1e-6 * values[0]).sum() or values[0] == 0:
            raise DataError(
                f"{len(used)} defining sets span fewer than k={k} directions; "
                "lower k, or give more sets whose words differ"
            )
        basis = basis[:k]
        ends = [unit_rows(vectors[[words[0], words[-1]]]) for words in used]
        basis[basis @ sum(first - last for first, last in ends) < 0] *= -1
        return cls(basis, values**2 / (values**2).sum(), used, missing, name)

    @property
    def direction(self) -> Doubles:
        """The first direction, shape (dims,)."""
        return self.basis[0]

    @property
    def dims(self) -> int:
        """Dimensions of the space."""
        return self.basis.shape[1]

    @property
    def words(self) -> set[str]:
        """All words of the defining sets that were used."""
        return {word for words in self.sets for word in words}

    def coordinates(self, vectors: ArrayLike) -> Doubles:
        """Project vectors.

        Args:
            vectors: Shape (…, dims).

        Returns:
            Coordinates along the directions, shape (…, k).

        Raises:
            DataError: The vectors have other dimensions.
        """
        return self._fitting(vectors) @ self.basis.T

    def remove(self, vectors: ArrayLike) -> Doubles:
        """Take the subspace out of vectors; lengths are not restored.

        Args:
            vectors: Shape (…, dims).

        Returns:
            Shape (…, dims), orthogonal to the subspace.

        Raises:
            DataError: The vectors have other dimensions.
        """
        rows = self._fitting(vectors)
        return rows - rows @ self.basis.T @ self.basis

    def _fitting(self, vectors: ArrayLike) -> Doubles:
        rows = np.asarray(vectors, np.float64)
        if rows.shape[-1:] != (self.dims,):
            raise DataError(
                f"the subspace has {self.dims} dimensions, the vectors shape {rows.shape}; "
                "find the subspace in the same vectors"
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it: all but the numbers."""
        return {"name": self.name, "sets": self.sets, "missing": self.missing}

    @classmethod
    def from_dict(cls, values: dict[str, Any], arrays: dict[str, Doubles]) -> "BiasSubspace":
        """Put it together again.

        Args:
            values: From `to_dict`.
            arrays: "basis" and "explained".

        Returns:
            The subspace.

        Raises:
            StoreError: Something is missing.
        """
        try:
            sets, missing = (tuple(map(tuple, values[key])) for key in ("sets", "missing"))
            return cls(arrays["basis"], arrays["explained"], sets, missing, values["name"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"a saved subspace lacks a part ({error!r}); save it again") from error

    def save(self, folder: str | Path) -> None:
        """Save as safetensors and JSON.

        Args:
            folder: Where to.

        Raises:
            StoreError: The place cannot be written.
        """
        arrays = {"basis": self.basis, "explained": self.explained}
        write_state(Path(folder), KIND, self.to_dict(), arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "BiasSubspace":
        """Load what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The subspace.

        Raises:
            StoreError: Missing or damaged.
        """
        return cls.from_dict(*read_state(Path(folder), KIND))
