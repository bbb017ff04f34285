"""A queue of embeddings by a slow copy of the encoder: negatives of batches that are gone.

K. He and others: Momentum Contrast, 2020; for sentences: ESimCSE (X. Wu and others, 2022). After
each step the copy follows the encoder, ``copy <- m copy + (1 - m) encoder``, reads the step's texts
without dropout, and its vectors join the queue, whose oldest leave. Cost: one forward pass of the
step's texts, and a copy of the weights.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from ._objective import Features, gather


class MomentumQueue(nn.Module):
    """The copy and the queue; both are buffers, so that a checkpoint of the loss holds them.

    Args:
        model: The encoder in training, a `SentenceTransformer`.
        size: Vectors in the queue at most.
        momentum: m.

    Raises:
        ConfigError: A size below 1, or a momentum outside [0, 1).
    """

    vectors: Tensor

    def __init__(self, model: Any, size: int, *, momentum: float = 0.995) -> None:
        super().__init__()
        if size < 1 or not 0.0 <= momentum < 1.0:
            raise ConfigError(
                f"size must be at least 1 and momentum in [0, 1); got {size} and {momentum}"
            )
        self.size, self.momentum = size, momentum
        self.copy = copy.deepcopy(model).eval().requires_grad_(False)
        self.register_buffer("vectors", torch.empty(0, 0))

    def train(self, mode: bool = True) -> "MomentumQueue":
        """Stay in evaluation mode: the copy reads without dropout."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, model: Any) -> None:
        """Move the copy towards the encoder.

        Args:
            model: The encoder.
        """
        inner = getattr(model, "module", model)
        for slow, fast in zip(self.copy.parameters(), inner.parameters(), strict=True):
            slow.lerp_(fast.detach().to(slow.dtype), 1.0 - self.momentum)
        for slow, fast in zip(self.copy.buffers(), inner.buffers(), strict=True):
            slow.copy_(fast)

    @torch.no_grad()
    def enqueue(self, features: Features, head: Callable[[Tensor], Tensor] | None = None) -> None:
        """Read texts with the copy and put their vectors into the queue.

        Args:
            features: Model inputs of the step's texts, as they are.
            head: What follows the encoder.
        """
        vectors = self.copy(dict(features))["sentence_embedding"]
        fresh = gather(vectors if head is None else head(vectors)).detach().float()
        known = self.vectors.to(fresh.device)
        whole = fresh if not known.numel() else torch.cat([known, fresh])
        self.vectors = whole[-self.size :]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        # a queue grows: take the stored one's length
        if (found := state_dict.get(prefix + "vectors")) is not None:
            self.vectors = found.clone()
        super()._load_from_state_dict(state_dict, prefix, *args)
