"""What pulls documents together within one aspect: the ranking loss, and explicit retrofitting.

Formulas, for a batch of pairs (a_i, b_i) that share a label of the aspect::

    ranking:   L = mean_i -log( exp(s cos(a_i, b_i)) / sum_j exp(s cos(a_i, b_j)) ),       s = 20

    retrofit:  L = mean_i [ (1 - cos f(a_i) f(b_i))^2
                   + mean_j (cos f(a_i) f(b_j) - cos a_i b_j)^2 ]  +  r mean_i (1 - cos f(a_i) a_i)

The ranking loss takes other pairs of the batch as negatives; those that share a label with row i
are none, and are left out (the authors leave them in). Retrofitting has no negatives: pairs move
together, and all other distances are to stay.

Papers: Specialized Document Embeddings for Aspect-based Similarity of Research Papers (M.
Ostendorff, T. Blume, T. Ruas, B. Gipp, G. Rehm, 2022); Explicit Retrofitting of Distributional Word
Vectors (G. Glavaš, I. Vulić, 2018).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import DataError

from ._core import diagonal, unit

SCALE = 20.0
KEEP = 0.1


def aspect_ranking(
    a: Tensor, b: Tensor, shared: Tensor | None = None, *, scale: float = SCALE
) -> Tensor:
    """Compute the ranking loss.

    Args:
        a: Anchors, any length, shape (B, dims).
        b: Positives, shape (B, dims).
        shared: True where b_j shares a label with a_i and is no negative, shape (B, B).
        scale: What cosines are multiplied by.

    Returns:
        A scalar, at least float32.
    """
    with torch.autocast(a.device.type, enabled=False):
        logits = scale * unit(a) @ unit(b).T
        if shared is not None:
            logits = logits.masked_fill(shared & ~diagonal(logits), -torch.inf)
        return F.cross_entropy(logits, torch.arange(len(a), device=a.device))


def explicit_retrofit(
    a: Tensor, b: Tensor, mapped_a: Tensor, mapped_b: Tensor, *, keep: float = KEEP
) -> Tensor:
    """Compute the loss of explicit retrofitting.

    Args:
        a: Vectors before, shape (B, dims).
        b: Vectors of the partners before, shape (B, dims).
        mapped_a: f(a), shape (B, dims).
        mapped_b: f(b), shape (B, dims).
        keep: Weight of staying near where one was.

    Returns:
        A scalar.
    """
    before, after = unit(a) @ unit(b).T, unit(mapped_a) @ unit(mapped_b).T
    own = diagonal(after)
    pull = (1.0 - after[own]).square().mean()
    stay = (after - before).square().masked_fill(own, 0.0).sum(1).mean() / max(len(a) - 1, 1)
    near = (1.0 - (unit(mapped_a) * unit(a)).sum(1)).mean()
    return pull + stay + keep * near


class AspectHead(nn.Module):
    """A small residual net on finished vectors: x + W2 gelu(W1 x), the identity at the start.

    Args:
        dims: Dimensions of the vectors.
        hidden: Width of the hidden layer; by default as many.
    """

    def __init__(self, dims: int, hidden: int | None = None) -> None:
        super().__init__()
        self.up = nn.Linear(dims, hidden or dims)
        self.down = nn.Linear(hidden or dims, dims)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map vectors.

        Args:
            vectors: Shape (…, dims).

        Returns:
            The same shape.
        """
        moved: Tensor = vectors + self.down(F.gelu(self.up(vectors)))
        return moved


class AspectRankingLoss(nn.Module):
    """The ranking loss for `SentenceTransformerTrainer`.

    Args:
        model: The `SentenceTransformer`.
        labels: Which document has which label, shape (documents, labels); None masks nothing.
        scale: What cosines are multiplied by.

    Columns of the data set: anchor, positive, and ``label``: the numbers of both documents.
    """

    def __init__(
        self, model: Any, labels: sparse.csr_matrix | None = None, scale: float = SCALE
    ) -> None:
        super().__init__()
        self.model, self.labels, self.scale = model, labels, scale

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            sentence_features: One dictionary of model inputs a column.
            labels: Numbers of the documents, shape (B, 2).

        Returns:
            A scalar.

        Raises:
            DataError: There are not two columns, or no numbers though labels are to be masked.
        """
        columns = [self.model(features)["sentence_embedding"] for features in sentence_features]
        if len(columns) != 2 or (self.labels is not None and labels is None):
            raise DataError(
                "the data set needs the columns anchor, positive and label (the numbers of both "
                f"documents); got {len(columns)} columns and labels {labels is not None}"
            )
        shared = None
        if self.labels is not None and labels is not None:
            shared = shared_labels(self.labels, labels.cpu().numpy()).to(columns[0].device)
        anchor, positive = columns
        return aspect_ranking(anchor, positive, shared, scale=self.scale)


def shared_labels(labels: sparse.csr_matrix, pairs: "np.ndarray[Any, Any]") -> Tensor:
    """Mark which anchors share a label with which positives.

    Args:
        labels: Shape (documents, labels).
        pairs: Numbers of documents, shape (B, 2).

    Returns:
        Shape (B, B).
    """
    meet = labels[pairs[:, 0]] @ labels[pairs[:, 1]].T
    return torch.from_numpy(np.asarray(meet.toarray() > 0))
