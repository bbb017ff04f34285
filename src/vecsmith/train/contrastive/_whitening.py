"""Shuffled group whitening: spread a batch of embeddings, and make several views of it.

Paper: WhitenedCSE: Whitening-based Contrastive Learning of Sentence Embeddings (W. Zhuo, Y. Sun, X.
Wang, L. Zhu, Y. Yang, 2023).

The D channels are shuffled and cut into G groups of g = D / G; each group is whitened over the
batch (ZCA), and the shuffle is undone::

    Z = (X - mean) W,    W = U S^(-1/2) U^T,    C = (X - mean)^T (X - mean) / B = U S U^T

so that every group has mean zero and the identity as its covariance, whatever the batch. Another
shuffle gives another whitened version of the same batch. W is a constant to the gradient unless
asked for: eigenvalues that lie close make the gradient of an eigendecomposition explode.

Cost: G eigendecompositions of g x g. A batch must be well larger than g.
"""

import warnings

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError


def group_whitening(
    vectors: Tensor,
    groups: int,
    *,
    order: Tensor | None = None,
    ridge: float = 1e-5,
    grad_through: bool = False,
) -> Tensor:
    """Whiten groups of channels over a batch.

    Args:
        vectors: Shape (B, D).
        groups: G, a divisor of D.
        order: Permutation of the channels, shape (D,); None leaves them as they are.
        ridge: Added to the eigenvalues, against division by zero.
        grad_through: Send gradients through the whitening matrix, too.

    Returns:
        Shape (B, D), channels in their own order, float32 (float64 stays).
    """
    rows, dims = vectors.shape
    with torch.autocast(vectors.device.type, enabled=False):
        wide = vectors if vectors.dtype == torch.float64 else vectors.float()
        shuffled = wide if order is None else wide[:, order]
        parts = shuffled.reshape(rows, groups, dims // groups).transpose(0, 1)
        centred = parts - parts.mean(dim=1, keepdim=True)
        source = centred if grad_through else centred.detach()
        covariance = source.transpose(1, 2) @ source / rows
        values, axes = torch.linalg.eigh(covariance)
        scale = (values.clamp_min(0.0) + ridge).rsqrt()
        matrix = (axes * scale[:, None, :]) @ axes.transpose(1, 2)
        white = (centred @ matrix).transpose(0, 1).reshape(rows, dims)
        if order is None:
            return white
        return torch.empty_like(white).index_copy(1, order, white)


class ShuffledGroupWhitening(nn.Module):
    """The layer: another shuffle at every call while training, nothing at all afterwards.

    Args:
        groups: G, a divisor of the embedding's size.
        ridge: See `group_whitening`.
        shuffle: Whether to shuffle; without it the groups are fixed.
        grad_through: See `group_whitening`.

    The shuffle is drawn from torch's global generator, so that a seeded run repeats.

    Raises:
        ConfigError: At the first call, if `groups` does not divide the size.
        DataError: At the first call, if the batch is not larger than a group.
    """

    def __init__(
        self,
        groups: int,
        *,
        ridge: float = 1e-5,
        shuffle: bool = True,
        grad_through: bool = False,
    ) -> None:
        super().__init__()
        if groups < 1 or ridge < 0:
            raise ConfigError(f"groups must be from 1 and ridge from 0; got {groups} and {ridge}")
        self.groups, self.ridge = groups, ridge
        self.shuffle, self.grad_through = shuffle, grad_through
        self._warned = False

    def forward(self, vectors: Tensor) -> Tensor:
        """Whiten a batch.

        Args:
            vectors: Shape (B, D).

        Returns:
            Shape (B, D); the same vectors in evaluation mode.
        """
        if not self.training:
            return vectors
        self._check(*vectors.shape)
        order = None
        if self.shuffle:
            order = torch.randperm(vectors.shape[1]).to(vectors.device)
        return group_whitening(
            vectors, self.groups, order=order, ridge=self.ridge, grad_through=self.grad_through
        )

    def _check(self, rows: int, dims: int) -> None:
        if dims % self.groups:
            fitting = [g for g in range(1, dims + 1) if dims % g == 0]
            near = min(fitting, key=lambda g: abs(g - self.groups))
            raise ConfigError(
                f"groups must divide the embedding's size {dims}; got {self.groups}: take {near}"
            )
        size = dims // self.groups
        if rows <= size:
            raise DataError(
                f"whitening groups of {size} channels needs batches of more than {size} rows; "
                f"{rows} came: enlarge the batch, or take more groups"
            )
        if rows < 4 * size and not self._warned:
            self._warned = True
            warnings.warn(
                f"a batch of {rows} rows whitens groups of {size} channels poorly; take 4 times as "
                "many rows, or more groups",
                stacklevel=4,
            )
