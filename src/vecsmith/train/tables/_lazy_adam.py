"""Adam that also takes sparse gradients: rows without one keep vector and moments.

D. Kingma and J. Ba, 2015. A table of fifty million rows costs a step as much as the rows it read;
a dense Adam walks through all of them, and moves rows by old momentum. Use with
`CompressedEmbedding.build(..., sparse=True)`; parameters with dense gradients get plain Adam.
"""

from typing import Any

import torch
from torch import Tensor

from vecsmith.encode.tables import adam_step


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
        moved = adam_step(
            rows,
            values,
            moments=(state["exp_avg"], state["exp_avg_sq"]),
            step=float(state["step"]),
            lr=float(group["lr"]),
            betas=group["betas"],
            eps=group["eps"],
        )
        with torch.no_grad():
            parameter[rows] -= moved
