"""How a model of any host is fed, and what is read from it: a pooled hidden state and an output."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, ModelError
from vecsmith.encode.images import VisionEncoder

from .merge._probe import is_encoder


class Reading(NamedTuple):
    """What one forward pass gave.

    Attributes:
        hidden: Mean over the tokens of the last hidden state, shape (rows, dims): the router's
            input.
        vector: What heads read: the sentence embedding, or `hidden`. Shape (rows, dims).
        output: What the model returned.
    """

    hidden: Tensor
    vector: Tensor
    output: Any


class Body(Protocol):
    """Feeds a model."""

    def prepare(self, inputs: Any) -> Any:
        """Return the batch of some inputs, on the model's device."""

    def rows(self, batch: Any) -> int:
        """Return how many inputs a batch holds."""

    def one(self, batch: Any, row: int) -> Any:
        """Return the batch of a single row."""

    def read(self, model: nn.Module, batch: Any) -> Reading:
        """Run the model."""


def body_of(
    model: nn.Module, tokenizer: Any = None, represent: Callable[..., Tensor] | None = None
) -> Body:
    """Find how a model is fed.

    Args:
        model: A sentence-transformers model, a transformers model, or any module.
        tokenizer: Of a transformers model.
        represent: For other modules: function of the model's output that returns the vectors.

    Returns:
        Its body.

    Raises:
        ConfigError: A transformers model without a tokenizer.
    """
    if represent is not None:
        return _Plain(represent)
    if isinstance(model, VisionEncoder):
        return _PictureBody(model)
    if is_encoder(model):
        return _SentenceBody(model)
    if hasattr(model, "config") and hasattr(model, "base_model"):
        if tokenizer is None:
            raise ConfigError(
                "a transformers model needs its tokenizer: give tokenizer=AutoTokenizer."
                "from_pretrained(…), or represent= for inputs that are tensors already"
            )
        return _TransformerBody(model, tokenizer)
    return _Plain(lambda output: output)


def mean_over_tokens(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Average hidden states over the tokens that are no padding.

    Args:
        hidden: Shape (rows, tokens, dims).
        mask: 1 for tokens, 0 for padding, shape (rows, tokens); None counts all.

    Returns:
        Shape (rows, dims).
    """
    if mask is None:
        return hidden.mean(1)
    weight = mask.to(hidden)[..., None]
    return (hidden * weight).sum(1) / weight.sum(1).clamp_min(1.0)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _take(batch: Any, row: int) -> Any:
    return {
        name: value[row : row + 1] if isinstance(value, Tensor) and value.ndim else value
        for name, value in batch.items()
    }


class _SentenceBody:
    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model

    def prepare(self, inputs: Any) -> Any:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        make = getattr(self.model, "preprocess", None) or self.model.tokenize
        device = _device(self.model)
        return {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in make(list(inputs)).items()
        }

    def rows(self, batch: Any) -> int:
        return len(batch["input_ids"])

    def one(self, batch: Any, row: int) -> Any:
        return _take(batch, row)

    def read(self, model: nn.Module, batch: Any) -> Reading:
        output = model(dict(batch))
        tokens = output.get("token_embeddings")
        vector = output["sentence_embedding"]
        hidden = vector if tokens is None else mean_over_tokens(tokens, batch["attention_mask"])
        return Reading(hidden, vector, output)


class _TransformerBody:
    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # a tokenizer may give more than the model takes, such as the segments of BERT
        self.taken = set(inspect.signature(model.forward).parameters)

    def prepare(self, inputs: Any) -> Any:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        made = self.tokenizer(list(inputs), padding=True, truncation=True, return_tensors="pt")
        return {name: value for name, value in made.items() if name in self.taken}

    def rows(self, batch: Any) -> int:
        return len(batch["input_ids"])

    def one(self, batch: Any, row: int) -> Any:
        return _take(batch, row)

    def read(self, model: nn.Module, batch: Any) -> Reading:
        batch = {name: value.to(_device(model)) for name, value in batch.items()}
        output = model(**batch, output_hidden_states=True)
        states = getattr(output, "hidden_states", None)
        if states is None:
            raise ModelError(
                f"{type(model).__name__} returns no hidden states; give represent=, a function of "
                "its output that returns one vector a row"
            )
        hidden = mean_over_tokens(states[-1], batch.get("attention_mask"))
        return Reading(hidden, hidden, output)


class _PictureBody:
    """A vision model with its image processor; batches are pixels."""

    def __init__(self, model: VisionEncoder) -> None:
        self.model = model

    def prepare(self, inputs: Any) -> Any:
        pixels = inputs if isinstance(inputs, Tensor) else self.model.pixels(inputs)
        return pixels.to(_device(self.model))

    def rows(self, batch: Any) -> int:
        return len(batch)

    def one(self, batch: Any, row: int) -> Any:
        return batch[row : row + 1]

    def read(self, model: nn.Module, batch: Any) -> Reading:
        output = model(batch)
        return Reading(output.tokens.mean(1), output.h, output)


class _Plain:
    """Any module on tensors; its output, or what `represent` makes of it, is the vector."""

    def __init__(self, represent: Callable[..., Tensor]) -> None:
        self.represent = represent

    def prepare(self, inputs: Any) -> Any:
        if isinstance(inputs, Sequence):
            return torch.stack([torch.as_tensor(row) for row in inputs])
        return inputs

    def rows(self, batch: Any) -> int:
        return len(batch)

    def one(self, batch: Any, row: int) -> Any:
        return batch[row : row + 1]

    def read(self, model: nn.Module, batch: Any) -> Reading:
        output = model(batch)
        vector = self.represent(output)
        return Reading(vector, vector, output)
