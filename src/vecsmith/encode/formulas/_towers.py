"""The two encoders: Transformers over the tokens of a formula, and over points.

Both end in attention pooling, ``a = softmax(w . h)`` over what is no padding, ``z = W sum a h``.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ._snip_config import SnipConfig


class AttentionPooling(nn.Module):
    """Weighted mean of states; padding gets no weight.

    Args:
        width: Of the states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool.

        Args:
            states: Shape (rows, places, width).
            mask: True where a state is, shape (rows, places); at least one a row.

        Returns:
            Shape (rows, width).
        """
        scores = self.score(states).squeeze(-1).masked_fill(~mask, float("-inf"))
        return torch.einsum("rn,rnw->rw", scores.softmax(dim=-1), states)


def transformer(config: "SnipConfig") -> nn.TransformerEncoder:
    """Make the layers of one encoder.

    Args:
        config: Shape.

    Returns:
        Layers, with a last norm where they normalise first.
    """
    first = config.norm == "pre"
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.heads,
        config.feedforward,
        dropout=0.0,
        norm_first=first,
        batch_first=True,
    )
    last = nn.LayerNorm(config.width) if first else None
    return nn.TransformerEncoder(layer, config.layers, last, enable_nested_tensor=False)


class FormulaTower(nn.Module):
    """Encoder of formulas.

    Args:
        config: Shape.
        words: Tokens of the vocabulary.
    """

    def __init__(self, config: "SnipConfig", words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, config.width, padding_idx=0)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.layers = transformer(config)
        self.pooling = AttentionPooling(config.width)
        self.output = nn.Linear(config.width, config.latent)

    def forward(self, ids: Tensor) -> Tensor:
        """Encode.

        Args:
            ids: Tokens, 0 for padding, shape (rows, tokens).

        Returns:
            Vectors, not normalised, shape (rows, latent).
        """
        mask = ids != 0
        states = self.embedding(ids) + self.positions.weight[: ids.shape[1]]
        states = self.layers(states, src_key_padding_mask=~mask)
        return self.output(self.pooling(states, mask))


class PointTower(nn.Module):
    """Encoder of point sets.

    Args:
        config: Shape.
        words: Tokens of numbers.
    """

    def __init__(self, config: "SnipConfig", words: int) -> None:
        super().__init__()
        coordinates = 3 * (config.max_dim + 1)
        self.embedding = nn.Embedding(words, config.number_dims)
        self.point = nn.Sequential(
            nn.Linear(coordinates * config.number_dims, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.width),
        )
        self.positions = (
            nn.Embedding(config.max_points, config.width) if config.point_positions else None
        )
        self.layers = transformer(config)
        self.pooling = AttentionPooling(config.width)
        self.output = nn.Linear(config.width, config.latent)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode.

        Args:
            ids: Tokens of the coordinates, inputs first and the value last, 0 for inputs that are
                not there, shape (rows, points, 3 * (max_dim + 1)).
            mask: True where a point is, shape (rows, points).

        Returns:
            Vectors, not normalised, shape (rows, latent).
        """
        states = self.point(self.embedding(ids).flatten(2))
        if self.positions is not None:
            states = states + self.positions.weight[: ids.shape[1]]
        states = self.layers(states, src_key_padding_mask=~mask)
        return self.output(self.pooling(states, mask))
