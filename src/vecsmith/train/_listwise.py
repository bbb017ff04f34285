"""Listwise distillation: a student's scores of a list are drawn to a teacher's.

Each function takes the scores of queries for the same candidates and returns their mean loss:

    listnet     -sum_c p_t(c) log p_s(c),  p = softmax(scores / T)     (Z. Cao and others, 2007)
    kl           sum_c p_s(c) log (p_s(c) / p_t(c))
    ranknet     -mean over pairs with t_a > t_b of (t_a - t_b) log sigmoid(s_a - s_b)
                                                                        (C. Burges and others, 2005)
    mse          mean_c (s_c - t_c)^2
    margin_mse   mean over pairs of ((t_a - t_b) - (s_a - s_b))^2       (S. Hofstatter, 2020)

S. Xiao and others (2022, Distill-VQ) compare them for learning indexes. In their RankNet each pair
counts both ways round; the two terms then cancel to one that is linear in the scores and has no
minimum, so here a pair counts once, with the teacher's favourite first. Cost: ranknet is quadratic
in the candidates in time (its memory is that of one query), the others linear.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vecsmith.core import ConfigError, did_you_mean

Listwise = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _log_softmax(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax((scores / temperature).masked_fill(~mask, float("-inf")), dim=-1)


def _weighted(weights: Tensor, logs: Tensor, mask: Tensor) -> Tensor:
    # -inf times a weight of 0 would be NaN
    return (weights * logs.masked_fill(~mask, 0.0)).sum(-1)


def listnet(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Cross entropy of the teacher's distribution and the student's.

    Args:
        teacher: Scores, shape (queries, candidates).
        student: Scores, same shape.
        mask: Which candidates count, same shape.
        temperature: Divides the scores.

    Returns:
        A scalar.
    """
    wanted = _log_softmax(teacher, mask, temperature).exp()
    return -_weighted(wanted, _log_softmax(student, mask, temperature), mask).mean()


def kl(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's distribution from the teacher's.

    Args:
        teacher: Scores, shape (queries, candidates).
        student: Scores, same shape.
        mask: Which candidates count, same shape.
        temperature: Divides the scores.

    Returns:
        A scalar.
    """
    wanted = _log_softmax(teacher, mask, temperature)
    held = _log_softmax(student, mask, temperature)
    gap = held.masked_fill(~mask, 0.0) - wanted.masked_fill(~mask, 0.0)
    return _weighted(held.exp(), gap, mask).mean()


def mse(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Mean squared difference of the scores; the temperature divides both.

    Args:
        teacher: Scores, shape (queries, candidates).
        student: Scores, same shape.
        mask: Which candidates count, same shape.
        temperature: Divides the scores.

    Returns:
        A scalar.
    """
    gap = ((student - teacher) / temperature).masked_fill(~mask, 0.0)
    return (gap.square().sum(-1) / mask.sum(-1)).mean()


def margin_mse(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Mean squared difference of the margins of all pairs, which is twice a variance.

    Args:
        teacher: Scores, shape (queries, candidates).
        student: Scores, same shape.
        mask: Which candidates count, same shape.
        temperature: Divides the scores.

    Returns:
        A scalar.
    """
    count = mask.sum(-1, keepdim=True)
    gap = ((student - teacher) / temperature).masked_fill(~mask, 0.0)
    centred = (gap - gap.sum(-1, keepdim=True) / count).masked_fill(~mask, 0.0)
    return 2 * (centred.square().sum(-1, keepdim=True) / count).mean()


def _ranknet_of(teacher: Tensor, student: Tensor) -> Tensor:
    better = (teacher[:, None] - teacher[None, :]).clamp_min(0)
    logs = torch.nn.functional.logsigmoid(student[:, None] - student[None, :])
    return -(better * logs).sum() / (better > 0).sum().clamp_min(1)


def ranknet(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Weighted logistic loss of every pair that the teacher orders.

    Args:
        teacher: Scores, shape (queries, candidates).
        student: Scores, same shape.
        mask: Which candidates count, same shape.
        temperature: Divides the scores.

    Returns:
        A scalar.
    """
    rows = [
        checkpoint(_ranknet_of, t[m] / temperature, s[m] / temperature, use_reentrant=False)
        for t, s, m in zip(teacher, student, mask, strict=True)
    ]
    return torch.stack(rows).mean()


LISTWISE: dict[str, Listwise] = {
    "kl": kl,
    "listnet": listnet,
    "margin_mse": margin_mse,
    "mse": mse,
    "ranknet": ranknet,
}


def listwise_loss(
    teacher: Tensor,
    student: Tensor,
    loss: str = "listnet",
    *,
    mask: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Draw a student's scores to a teacher's.

    Args:
        teacher: Scores without gradient, shape (queries, candidates).
        student: Scores of the same candidates.
        loss: One of `LISTWISE`.
        mask: Which candidates count for which query; by default all. Each query needs one.
        temperature: Divides both sides' scores.

    Returns:
        The mean over queries, a scalar.

    Raises:
        ConfigError: Unknown loss, shapes that differ, or temperature not above 0.
    """
    if loss not in LISTWISE:
        raise ConfigError(f"no listwise loss is called {loss!r}; {did_you_mean(loss, LISTWISE)}")
    if teacher.shape != student.shape:
        raise ConfigError(
            "teacher and student must score the same candidates; got shapes "
            f"{tuple(teacher.shape)} and {tuple(student.shape)}"
        )
    if not temperature > 0:
        raise ConfigError(f"temperature must be above 0; got {temperature}")
    if mask is None:
        mask = torch.ones_like(teacher, dtype=torch.bool)
    return LISTWISE[loss](teacher.detach(), student, mask, temperature)
