"""What sends texts or tokens to the experts of a block."""

import copy

import torch
from torch import Tensor, nn

from vecsmith.core import DataError


def top_weights(probabilities: Tensor, k: int) -> Tensor:
    """Keep the k largest probabilities and scale them to sum 1.

    Args:
        probabilities: Shape (..., experts).
        k: How many to keep.

    Returns:
        Weights, zero where an expert is not taken, of the same shape.
    """
    values, places = probabilities.topk(k, dim=-1)
    values = values / values.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, places, values)


class Routing:
    """What the experts of a model read while it runs.

    Attributes:
        domains: Number of each text's domain, shape (B,); -1 where none is named.
        mask: True on tokens that are no padding, shape (B, L).
        choices: What each router decided: mean log-probabilities, mean probabilities and share of
            tokens sent, one tensor a block, shape (B, 3, experts).
    """

    def __init__(self) -> None:
        self.domains: Tensor | None = None
        self.mask: Tensor | None = None
        self.choices: list[Tensor] = []


class RoutedExperts(nn.Module):
    """The experts of one block.

    Args:
        mlp: The block's own MLP.
        count: How many experts.
        routing: What they read.
        kind: "enforced", "token_topk" or "sentence_topk".
        k: Experts a token or text.
    """

    def __init__(
        self, mlp: nn.Module, count: int, routing: Routing, *, kind: str = "enforced", k: int = 1
    ) -> None:
        super().__init__()
        # deep copies: one module object E times over would be one expert
        self.experts = nn.ModuleList([copy.deepcopy(mlp) for _ in range(count)])
        self.kind, self.k = kind, k
        self.routing = routing
        weight = next(mlp.parameters())
        width = weight.shape[1]
        self.router = None
        if kind != "enforced":
            self.router = nn.Linear(width, count, device=weight.device, dtype=weight.dtype)

    def forward(self, states: Tensor) -> Tensor:
        """Send states through the experts.

        Args:
            states: Shape (B, L, dims).

        Returns:
            Shape (B, L, dims).
        """
        if self.router is None:
            return self._enforced(states)
        weights = self._weights(self.router(states))
        mixed: Tensor | None = None
        for number, expert in enumerate(self.experts):
            share = weights[..., number]
            taken = (share > 0).nonzero(as_tuple=True)
            # an expert without tokens takes part with none, so that it has a gradient of zero
            part = expert(states[taken]) * share[taken][:, None]
            if mixed is None:
                mixed = torch.zeros(
                    *states.shape[:-1], part.shape[-1], dtype=part.dtype, device=part.device
                )
            mixed = mixed.index_put(taken, part, accumulate=True)
        assert mixed is not None
        return mixed

    def _enforced(self, states: Tensor) -> Tensor:
        domains = self.routing.domains
        if domains is None or int(domains.min()) < 0:
            raise DataError(
                'enforced routing needs the domain of every text: put its marker first, "[name] '
                'text" (see with_domain), or encode with prompt_name="name"'
            )
        groups = [(domains == number).nonzero()[:, 0] for number in range(len(self.experts))]
        filled = [(number, rows) for number, rows in enumerate(groups) if len(rows)]
        parts = [self.experts[number](states[rows]) for number, rows in filled]
        order = torch.cat([rows for _, rows in filled]).argsort()
        return torch.cat(parts)[order]

    def _weights(self, logits: Tensor) -> Tensor:
        """Weights of the experts for every token, shape (B, L, experts); notes the decision."""
        mask = self.routing.mask
        assert mask is not None
        real = mask[..., None].to(logits.dtype)
        tokens = real.sum(dim=1)

        def mean(values: Tensor) -> Tensor:
            return (values * real).sum(dim=1) / tokens

        if self.kind == "sentence_topk":
            logits = mean(logits)[:, None].expand_as(logits)
        log_probabilities = logits.float().log_softmax(dim=-1)
        weights = top_weights(log_probabilities.exp(), self.k)
        sent = (weights.detach() > 0).float() / self.k
        self.routing.choices.append(
            torch.stack([mean(v) for v in (log_probabilities, log_probabilities.exp(), sent)], 1)
        )
        return weights.to(logits.dtype)
