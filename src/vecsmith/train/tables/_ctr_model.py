"""A click model: a table of vectors under a body."""

from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, did_you_mean, torch_generator

from ._bodies import BODIES, Body, InputShape


class CTRModel(nn.Module):
    """Predicts a click from categorical fields and numbers.

    Args:
        embedding: A `CompressedEmbedding`, `FrozenEmbedding` or `UnifiedEmbedding`; or any module
            with `field_widths` whose `flat(ids)` gives vectors side by side.
        body: The network above, or its name in `BODIES`.
        numbers: Numeric columns.
        seed: Seed of the body's start.

    Raises:
        ConfigError: The body is unknown, or needs fields of one width.
    """

    def __init__(
        self, embedding: nn.Module, body: Body | str, *, numbers: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        if isinstance(body, str):
            if body not in BODIES:
                raise ConfigError(f"no body is called {body!r}; {did_you_mean(body, BODIES)}")
            body = BODIES[body]()
        self.embedding: Any = embedding
        self.description, self.numbers, self.seed = body, numbers, seed
        self.body = self._new_body()

    def _new_body(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_generator(self.seed, "ctr body").initial_seed())
            return self.description.build(InputShape(self.field_widths, self.numbers))

    @property
    def field_widths(self) -> tuple[int, ...]:
        """Width of each field's vector."""
        widths = getattr(self.embedding, "field_widths", None)
        if widths is not None:
            return tuple(widths)
        shape = self.embedding.shape
        return (shape.dim,) * shape.fields

    def restart_body(self) -> None:
        """Give the body the weights it started with."""
        fresh = self._new_body().state_dict()
        self.body.load_state_dict(fresh)

    def forward(self, ids: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Score rows.

        Args:
            ids: Shape (rows, fields).
            numbers: Shape (rows, columns), if the model has any.

        Returns:
            Logits, shape (rows,).

        Raises:
            ConfigError: Numbers are missing, or there should be none.
        """
        columns = 0 if numbers is None else numbers.shape[1]
        if columns != self.numbers:
            raise ConfigError(
                f"the model reads {self.numbers} numeric columns; got {columns}: "
                "give CTRModel(numbers=...) the columns of the data"
            )
        flat = getattr(self.embedding, "flat", None)
        vectors = self.embedding(ids) if flat is None else flat(ids)
        return self.body(self._as_fields(vectors), numbers)

    def _as_fields(self, vectors: Tensor) -> Tensor:
        widths = self.field_widths
        if vectors.ndim == 2 and len(set(widths)) == 1:
            return vectors.unflatten(1, (len(widths), widths[0]))
        return vectors
