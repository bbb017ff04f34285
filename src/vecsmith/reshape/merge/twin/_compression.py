"""What an expert knows beyond the shared model, kept in few numbers.

Three ways to store a difference of weights; Lu et al. (2024), *Twin-Merging*, use the first::

    SVD:    v ~ U_r S_r V_r^T,                 r = ratio * min(m, n), or a fixed rank
    Prune:  the largest numbers by magnitude,  the others 0
    Drop:   each number kept with probability density and divided by it (as DARE)

One-dimensional tensors (biases, norms) are always kept whole, and so is a matrix whose factors
would need more numbers than itself. A tensor of more than two dimensions is factored as a matrix of
its first dimension by the others. Cost of the SVD: O(m n min(m, n)) a matrix, once.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError, torch_generator

# the random projection of a large SVD: further columns, and passes over the matrix
_OVERSAMPLE, _PASSES = 8, 4


@dataclass(frozen=True)
class SVD:
    """Keep the strongest directions of a matrix.

    Attributes:
        ratio: Part of the full rank that is kept, above 0 to 1.
        rank: A fixed rank in place of `ratio`.
        randomised: Find the directions by random projection: far faster for large matrices of which
            few directions are kept, and a little less exact.
    """

    ratio: float = 0.1
    rank: int | None = None
    randomised: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio <= 1.0:
            raise ConfigError(f"ratio must be above 0 and at most 1; got {self.ratio!r}")
        if self.rank is not None and self.rank < 1:
            raise ConfigError(f"rank must be at least 1; got {self.rank!r}")

    def rank_of(self, rows: int, columns: int) -> int:
        """Return the rank kept of a matrix.

        Args:
            rows: Of the matrix.
            columns: Of the matrix.
        """
        full = min(rows, columns)
        return min(full, self.rank or max(1, round(self.ratio * full)))


@dataclass(frozen=True)
class Prune:
    """Keep the largest numbers of a tensor.

    Attributes:
        density: Part that is kept, above 0 to 1.
    """

    density: float = 0.1

    def __post_init__(self) -> None:
        _check_density(self.density)


@dataclass(frozen=True)
class Drop:
    """Keep numbers at random, scaled up so that the mean stays.

    Attributes:
        density: Probability that a number is kept, above 0 to 1.
        seed: Seed of the draw.
    """

    density: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_density(self.density)


Compression = SVD | Prune | Drop


@dataclass(frozen=True)
class Part:
    """One compressed difference.

    Attributes:
        shape: Shape of the difference.
        left: Left factor, shape (m, rank); None unless factored.
        right: Right factor, shape (rank, n).
        places: Positions of the kept numbers in the flat tensor, int64; None unless sparse.
        values: The numbers there, or the whole tensor.
    """

    shape: tuple[int, ...]
    left: Tensor | None = None
    right: Tensor | None = None
    places: Tensor | None = None
    values: Tensor | None = None

    @property
    def size(self) -> int:
        """How many numbers are stored; a position counts as one."""
        return sum(value.numel() for value in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Return what is stored, by name."""
        names = ("left", "right", "places", "values")
        return {n: value for n in names if (value := getattr(self, n)) is not None}

    def dense(self) -> Tensor:
        """Return the difference as a whole tensor, of its shape."""
        if self.left is not None and self.right is not None:
            return (self.left @ self.right).reshape(self.shape)
        assert self.values is not None
        if self.places is None:
            return self.values
        flat = self.values.new_zeros(torch.Size(self.shape).numel())
        flat[self.places] = self.values
        return flat.reshape(self.shape)

    def to(self, like: Tensor) -> "Part":
        """Return it on a tensor's device and with its type.

        Args:
            like: A floating-point tensor.
        """
        moved: dict[str, Any] = {
            name: value.to(like.device) if name == "places" else value.to(like)
            for name, value in self.tensors().items()
        }
        return Part(self.shape, **moved)


def truncated_svd(matrix: Tensor, rank: int, *, randomised: bool = False) -> tuple[Tensor, Tensor]:
    """Return the factors of the nearest matrix of a rank.

    Args:
        matrix: Shape (m, n).
        rank: At most min(m, n).
        randomised: Find them by random projection.

    Returns:
        U_r S_r, shape (m, rank), and V_r^T, shape (rank, n).
    """
    wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    if randomised and rank + _OVERSAMPLE < min(matrix.shape):
        u, s, v = torch.svd_lowrank(wide, q=rank + _OVERSAMPLE, niter=_PASSES)
        right = v.T
    else:
        u, s, right = torch.linalg.svd(wide, full_matrices=False)
    return u[:, :rank] * s[:rank], right[:rank].contiguous()


def compress(delta: Tensor, how: Compression | None, name: str = "") -> Part:
    """Store a difference in fewer numbers.

    Args:
        delta: Any shape.
        how: The way; None keeps it whole.
        name: Name of the tensor, which seeds the draw of `Drop`.

    Returns:
        What is stored.
    """
    shape = tuple(delta.shape)
    whole = Part(shape, values=delta.clone())
    if how is None or delta.ndim < 2:
        return whole
    if isinstance(how, SVD):
        matrix = delta.reshape(shape[0], -1)
        rank = how.rank_of(*matrix.shape)
        if rank * sum(matrix.shape) >= matrix.numel():
            return whole
        left, right = truncated_svd(matrix, rank, randomised=how.randomised)
        return Part(shape, left=left, right=right)
    flat = delta.flatten()
    if isinstance(how, Prune):
        kept = max(1, round(how.density * flat.numel()))
        places = flat.abs().topk(kept).indices.sort().values
        return Part(shape, places=places, values=flat[places])
    generator = torch_generator(how.seed, "twin", name)
    drawn = torch.rand(flat.shape, generator=generator).to(flat.device) < how.density
    places = drawn.nonzero().flatten()
    return Part(shape, places=places, values=flat[places] / how.density)


def _check_density(density: float) -> None:
    if not 0.0 < density <= 1.0:
        raise ConfigError(f"density must be above 0 and at most 1; got {density!r}")
