"""What makes scores of targets higher than those of noise words.

    neg     -log s(f(w, c)) - sum_n log s(-f(w_n, c)),    s the logistic function
    rank    sum_n max(0, 1 - f(w, c) + f(w_n, c))

A noise word that is the target itself is left out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def logistic_loss(scores: "Tensor", counted: "Tensor") -> "Tensor":
    """Tell the target from noise words.

    Args:
        scores: f, of the target first, shape (any, …, 1 + N).
        counted: 1 where a score counts, 0 where not, of the same shape.

    Returns:
        The sum, a scalar.
    """
    from torch.nn.functional import softplus

    target = (softplus(-scores[..., 0]) * counted[..., 0]).sum()
    return target + (softplus(scores[..., 1:]) * counted[..., 1:]).sum()


def ranking_loss(scores: "Tensor", counted: "Tensor") -> "Tensor":
    """Rank the target above noise words, by a margin of 1.

    Args:
        scores: As for `logistic_loss`.
        counted: As there.

    Returns:
        The sum, a scalar.
    """
    return ((1 - scores[..., :1] + scores[..., 1:]).relu() * counted[..., 1:]).sum()


OBJECTIVES: dict[str, "Callable[[Tensor, Tensor], Tensor]"] = {
    "neg": logistic_loss,
    "rank": ranking_loss,
}
