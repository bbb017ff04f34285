"""Bidirectional contrastive loss of pictures and their texts (ConVIRT).

Every picture must find its own text among the texts of the batch, and every text its own picture.
Pictures are never set against pictures, nor texts against texts: what is learned about a picture
is what people write about it.

Paper: Contrastive Learning of Medical Visual Representations from Paired Images and Text
(Y. Zhang, H. Jiang, Y. Miura, C. D. Manning, C. P. Langlotz, 2020).

Formula, with v and u the projected vectors of pictures and texts, <,> the cosine::

    l_i(v->u) = -log( exp(<v_i,u_i>/tau) / sum_k exp(<v_i,u_k>/tau) ),    l_i(u->v) likewise
    L = mean_i [ lam l_i(v->u) + (1 - lam) l_i(u->v) ]                    tau = 0.1, lam = 0.75

Use when pictures come with words (reports, captions, tags) and labels are few. Avoid data in
which many pictures share one text: each would be the others' false negative, unless `groups` tell.
Cost: one product of B x B cosines.
"""

import torch
from sentence_transformers.util import all_gather, all_gather_with_grad
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError, DataError

from ._core import diagonal, unit


def bidirectional_contrastive(
    image: Tensor,
    text: Tensor,
    tau: float = 0.1,
    lam: float = 0.75,
    *,
    pool: tuple[Tensor, Tensor] | None = None,
    offset: int = 0,
    same: Tensor | None = None,
) -> Tensor:
    """Compute the loss; column `offset` + i is the counterpart of row i.

    Args:
        image: Projected pictures, any length, shape (B, dims).
        text: Projected texts, shape (B, dims).
        tau: What cosines are divided by.
        lam: Weight of the direction picture -> text.
        pool: Pictures and texts of all processes, shape (C, dims) each; None takes the rows.
        offset: Place of the first row in the pool.
        same: True where column k shows the same thing as row i and is no negative, shape (B, C).

    Returns:
        A scalar, at least float32.
    """
    with torch.autocast(image.device.type, enabled=False):
        v, u = unit(image), unit(text)
        all_v, all_u = (v, u) if pool is None else (unit(pool[0]), unit(pool[1]))
        forth, back = v @ all_u.T / tau, u @ all_v.T / tau
        if same is not None:
            dropped = same & ~diagonal(forth, offset)
            forth, back = (x.masked_fill(dropped, -torch.inf) for x in (forth, back))
        target = offset + torch.arange(len(v), device=v.device)
        return lam * F.cross_entropy(forth, target) + (1.0 - lam) * F.cross_entropy(back, target)


class BidirectionalContrastiveLoss(nn.Module):
    """The loss as a module, over all processes where there are several.

    Args:
        tau: What cosines are divided by.
        lam: Weight of the direction picture -> text; 1 - lam is that of text -> picture.

    Raises:
        ConfigError: tau is not above 0, or lam not from 0 to 1.
    """

    def __init__(self, tau: float = 0.1, lam: float = 0.75) -> None:
        super().__init__()
        if not tau > 0.0 or not 0.0 <= lam <= 1.0:
            raise ConfigError(f"tau must be above 0 and lam from 0 to 1; got {tau} and {lam}")
        self.tau, self.lam = tau, lam

    def forward(self, image: Tensor, text: Tensor, groups: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            image: Projected pictures, shape (B, dims).
            text: Projected texts, shape (B, dims).
            groups: Number of the thing that each row shows, shape (B,), or several such numbers
                (thing, sentence), shape (B, kinds); rows that agree in one of them are not each
                other's negatives. None takes all for different.

        Returns:
            A scalar.

        Raises:
            DataError: The shapes do not agree.
        """
        if image.shape != text.shape or image.ndim != 2:
            raise DataError(
                "image and text must be of one shape (B, dims), a row of each a pair; "
                f"got {tuple(image.shape)} and {tuple(text.shape)}"
            )
        pool, offset, all_groups = None, 0, groups
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            pool = (all_gather_with_grad(image), all_gather_with_grad(text))
            offset = torch.distributed.get_rank() * len(image)
            all_groups = None if groups is None else all_gather(groups)
        same = None
        if groups is not None and all_groups is not None:
            own, every = (x.reshape(len(x), -1) for x in (groups, all_groups))
            same = (own[:, None] == every[None]).any(-1)
        return bidirectional_contrastive(
            image, text, self.tau, self.lam, pool=pool, offset=offset, same=same
        )
