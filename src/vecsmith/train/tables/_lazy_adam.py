"""Adam that also takes sparse gradients: rows without one keep vector and moments.

D. Kingma and J. Ba, 2015. A table of fifty million rows costs a step as much as the rows it read;
a dense Adam walks through all of them, and moves rows by old momentum. Use with
`CompressedEmbedding.build(..., sparse=True)`; parameters with dense gradients get plain Adam.
"""

from typing import Any

import torch
from torch import Tensor


class LazyAdam(torch.optim.Adam):
    """Adam, lazy for parameters whose gradients are sparse; arguments are those of Adam.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        weight_decay: Coupled L2; not applied where gradients are sparse.
        **others: Further arguments of Adam.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, *, weight_decay: float = 0.0, **others: Any
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, **{"fused": True, **others})

    def _init_group(self, group: dict[str, Any], *args: Any) -> Any:
        """Step the sparse parameters, and leave the others to Adam."""
        sparse = [p for p in group["params"] if p.grad is not None and p.grad.is_sparse]
        for parameter in sparse:
            self._step_rows(parameter, group)
        kept = {id(p) for p in sparse}
        rest = {**group, "params": [p for p in group["params"] if id(p) not in kept]}
        return super()._init_group(rest, *args)

    def _step_rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        gradient = parameter.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        adam_rows(
            parameter,
            rows,
            values,
            moments=(state["exp_avg"], state["exp_avg_sq"]),
            step=float(state["step"]),
            lr=float(group["lr"]),
            betas=group["betas"],
            eps=group["eps"],
        )


def adam_rows(
    table: Tensor,
    rows: Tensor,
    gradient: Tensor,
    *,
    moments: tuple[Tensor, Tensor],
    step: float,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> None:
    """Move some rows of a table by Adam, in place.

    Args:
        table: Shape (values, dim).
        rows: Distinct places, shape (k,).
        gradient: Their gradients, shape (k, dim).
        moments: First and second moments, shape of the table.
        step: Number of this step, from 1.
        lr: Learning rate.
        betas: Decay of the moments.
        eps: Added to the root.
    """
    first = moments[0][rows].lerp(gradient, 1 - betas[0])
    second = moments[1][rows].lerp(gradient.square(), 1 - betas[1])
    moments[0][rows], moments[1][rows] = first, second
    size = lr / (1 - betas[0] ** step)
    root = (second / (1 - betas[1] ** step)).sqrt_().add_(eps)
    with torch.no_grad():
        table[rows] -= size * first / root
