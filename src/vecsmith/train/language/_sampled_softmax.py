"""Softmax over a large vocabulary by a sample of it, for training.

Paper: On Using Very Large Target Vocabulary for Neural Machine Translation (S. Jean and others,
2015). With the vocabulary in order of falling frequency, words are drawn S times, and the set of
them is taken, so that word k is in it with probability Q(k),

    q(k) = log((k + 2) / (k + 1)) / log(V + 1),    Q(k) = 1 - (1 - q(k))^S

and the softmax runs over the right word and these, each score less log Q(k); a drawn word that is
the right one is left out. With S growing, it becomes the softmax over all. Cost: at most S + 1
scores a word in place of V.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def log_uniform(ids: Tensor, words: int) -> Tensor:
    """Probability of words under the proposal.

    Args:
        ids: Places in a vocabulary of falling frequency, any shape.
        words: V.

    Returns:
        q, of the same shape, float32.
    """
    return torch.log1p(1 / (ids.float() + 1)) / math.log(words + 1)


def log_inclusion(ids: Tensor, words: int, tries: int) -> Tensor:
    """Log of the probability that words are among the drawn ones.

    Args:
        ids: Places, any shape.
        words: V.
        tries: S.

    Returns:
        log Q, of the same shape.
    """
    # of log1p(-q): for one word q is 1
    absent = tries * torch.log1p(-log_uniform(ids, words).clamp(max=1 - 1e-7))
    return (-torch.expm1(absent)).log()


def draw_words(tries: int, words: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Draw words by the proposal, from torch's global generator.

    Args:
        tries: S.
        words: V.
        device: Where to.

    Returns:
        Places, each once, shape (at most S,).
    """
    # the inverse of its distribution function
    drawn = torch.rand(tries, device=device, dtype=torch.float64) * math.log(words + 1)
    return torch.unique((drawn.exp().long() - 1).clamp(0, words - 1))


def sampled_loss(
    states: Tensor, targets: Tensor, weight: Tensor, bias: Tensor, *, drawn: Tensor, tries: int
) -> Tensor:
    """Negative log likelihood over the right word and drawn ones.

    Args:
        states: Shape (n, dims).
        targets: Right words, shape (n,).
        weight: Vectors of all words, shape (V, dims).
        bias: Shape (V,).
        drawn: Places of the drawn words, each once, from `draw_words`.
        tries: How often was drawn.

    Returns:
        Shape (n,).
    """
    words = len(weight)
    right = (states * weight[targets]).sum(1) + bias[targets]
    right = right - log_inclusion(targets, words, tries)
    others = F.linear(states, weight[drawn], bias[drawn]) - log_inclusion(drawn, words, tries)
    others = others.masked_fill(targets[:, None] == drawn[None], float("-inf"))
    return torch.logsumexp(torch.cat([right[:, None], others], 1), 1) - right
