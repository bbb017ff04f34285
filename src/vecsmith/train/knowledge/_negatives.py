"""Self-adversarial negative sampling: wrong triples that score high weigh more (Z. Sun, 2019).

    L = -log s(g + f(h, r, t)) / 2 - sum_i p_i log s(-g - f(h_i, r, t_i)) / 2
    p_i = softmax_i(a f(h_i, r, t_i)),  held fixed;  s: sigmoid, f: score, g: margin

The wrong entities are drawn once a batch and shared by all its rows, as large graph trainers do
(A. Lerer and others, 2019): one product of tables in place of a gather a row. Where a shared entity
happens to be the true one of a row, it is left out for that row.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def self_adversarial_loss(
    positive: "Tensor",
    negative: "Tensor",
    *,
    margin: float,
    temperature: float,
    allowed: "Tensor | None" = None,
) -> "Tensor":
    """Loss of true triples against wrong ones.

    Args:
        positive: Scores of true triples, shape (batch,).
        negative: Scores of wrong ones, shape (batch, negatives).
        margin: g; 0 for products, about the dimension's scale for distances.
        temperature: a; 0 weighs all alike.
        allowed: False where a wrong triple is none; its weight is 0. Shape of `negative`.

    Returns:
        Mean loss, a scalar.
    """
    import torch
    from torch.nn.functional import logsigmoid

    logits = temperature * negative.detach()
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    # a row whose every negative is ruled out gives NaN weights, which count as none
    weights = torch.softmax(logits, dim=1).nan_to_num(0.0)
    wrong = -(weights * logsigmoid(-margin - negative)).sum(dim=1)
    return (wrong.mean() - logsigmoid(margin + positive).mean()) / 2
