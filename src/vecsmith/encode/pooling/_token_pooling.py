"""Token states -> one vector a text: mean, extremes, first, last, position-weighted mean.

With h_1 … h_n the states of the tokens that count,

    mean      sum_i h_i / n              first, last, max
    weighted  sum_i i h_i / sum_i i      i counts from 1 (SGPT, N. Muennighoff, 2022)

Use "weighted" or "last" on causal models without training, whose early tokens have seen little;
"mean" on models that see both ways. Inside sentence-transformers, `Pooling` has the same by its own
names; latent attention is `LatentAttentionPooling`. Cost: one pass over the states.
"""

import torch
from torch import Tensor

from vecsmith.core import ConfigError, DataError, did_you_mean

from ..text._latent_pooling import masked_mean

TOKEN_POOLINGS = ("first", "last", "max", "mean", "weighted")


def pool_tokens(states: Tensor, mask: Tensor, how: str = "mean") -> Tensor:
    """Pool token states.

    Args:
        states: Shape (texts, tokens, dims).
        mask: 1 where a token counts, shape (texts, tokens); padding may stand on either side.
        how: One of `TOKEN_POOLINGS`.

    Returns:
        Shape (texts, dims), in the type of the states; zeros for a text without a token.

    Raises:
        ConfigError: Unknown pooling.
        DataError: Shapes that do not fit.
    """
    if how not in TOKEN_POOLINGS:
        raise ConfigError(f"how cannot be {how!r}; {did_you_mean(how, TOKEN_POOLINGS)}")
    if states.ndim != 3 or mask.shape != states.shape[:2]:
        raise DataError(
            "states must have shape (texts, tokens, dims) and mask (texts, tokens); got "
            f"{tuple(states.shape)} and {tuple(mask.shape)}"
        )
    counts = mask.bool()
    if how == "mean":
        return masked_mean(states, counts)
    if how == "weighted":
        weights = (counts.cumsum(1) * counts)[:, :, None].float()
        total = weights.sum(1).clamp_min(1.0)
        return ((states.float() * weights).sum(1) / total).to(states.dtype)
    some = counts.any(1, keepdim=True)
    if how == "max":
        lowest = states.masked_fill(~counts[:, :, None], float("-inf")).amax(1)
        return torch.where(some, lowest, torch.zeros_like(lowest))
    order = counts.cumsum(1)
    wanted = (order == 1) if how == "first" else (order == order[:, -1:])
    place = (wanted & counts).int().argmax(1)
    found = states[torch.arange(len(states), device=states.device), place]
    return torch.where(some, found, torch.zeros_like(found))
