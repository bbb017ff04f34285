"""The token table of a Hugging Face model in fewer bytes, its tied head with it.

`compress_token_embeddings(model, "pq", rate=0.1)` puts a compressed table in the place of the input
embedding. A head that shares the table's weights reads the same compressed table, piece by piece,
so that input and output stay one. Codecs (`CODECS`) encode what is there; methods of trained tables
(`METHODS`) are first fitted to it, and can be trained further.

Use for models whose vocabulary is most of their size: small encoders, multilingual ones. Avoid
codecs that drop directions (svd, magnitude) below a quarter of the bytes. Cost: a lookup decodes
the rows of a batch; a tied head decodes the whole table once a call.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError, ModelError, did_you_mean
from vecsmith.encode.tables import METHODS, CompressedEmbedding, FrozenEmbedding, TableBase

from ._codecs import CODECS
from ._fit_vectors import fit_vectors, lost_part
from ._table import CompressedTable, compress_table


class TiedHead(nn.Module):
    """Scores of all tokens by a compressed table: h E^T + b.

    Args:
        table: The model's compressed token table; it stays a part of the model's input.
        bias: Bias of the head it stands for, shape (tokens,).
        piece: Tokens decoded at a time.
    """

    def __init__(self, table: TableBase, bias: Tensor | None = None, *, piece: int = 16384) -> None:
        super().__init__()
        # not a submodule: the weights belong to the input embedding
        self._table = (table,)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.piece = piece

    @property
    def weight(self) -> Tensor:
        """The whole table, shape (tokens, dim)."""
        return self._table[0].weight

    @property
    def out_features(self) -> int:
        """Number of tokens."""
        return self._table[0].num_embeddings

    def forward(self, hidden: Tensor) -> Tensor:
        """Score all tokens.

        Args:
            hidden: Shape (..., dim).

        Returns:
            Shape (..., tokens).
        """
        parts = [hidden @ rows.to(hidden.dtype).T for rows in self._table[0].pieces(self.piece)]
        scores = torch.cat(parts, -1)
        return scores if self.bias is None else scores + self.bias


@dataclass(frozen=True)
class TokenReport:
    """What became of a token table.

    Attributes:
        table: The compressed table in the model; `save_pretrained` writes it.
        error: Squared distance to the whole table, as part of its squared length.
        bytes_before: Of the whole table in float32.
        bytes_after: Of the compressed one.
        tied: A head shares it.
    """

    table: Any
    error: float
    bytes_before: int
    bytes_after: int
    tied: bool


def compress_token_embeddings(
    model: Any,
    method: str,
    *,
    rate: float,
    trainable: bool = False,
    epochs: int = 30,
    seed: int = 0,
    **settings: Any,
) -> TokenReport:
    """Compress the token table of a model, in place.

    Args:
        model: A transformers model, or whatever has `get_input_embeddings`.
        method: Key of `CODECS` or `METHODS`; a name in both means the codec, unless `trainable`.
        rate: Bytes it may have, as part of the float32 table's.
        trainable: Leave a table of `METHODS` as it can be trained; otherwise it is frozen.
        epochs: Passes over the table while a method is fitted to it.
        seed: Seed of whatever is drawn.
        **settings: Of a method in `METHODS`.

    Returns:
        Sizes, error, and the table.

    Raises:
        ConfigError: Unknown method, or its rate is out of reach.
        ModelError: The model has no plain token table.
    """
    known = METHODS if trainable else {**METHODS, **CODECS}
    if method not in known:
        raise ConfigError(f"no method or codec is called {method!r}; {did_you_mean(method, known)}")
    old = _token_table(model)
    weight = old.weight.detach().float().cpu()
    table: TableBase
    if method in CODECS and not trainable:
        if settings:
            raise ConfigError(f"the codec {method!r} has no settings; got {sorted(settings)}")
        table = compress_table(weight.numpy(), method, rate=rate, seed=seed)
        error = lost_part(table, weight)
    else:
        start = float(weight.std())
        made = CompressedEmbedding.build(
            method,
            [len(weight)],
            dim=weight.shape[1],
            rate=rate,
            seed=seed,
            **{"start": start, **settings},
        )
        error = fit_vectors(made, weight, epochs=epochs, seed=seed)
        table = made if trainable else made.freeze()
    tied = attach_token_embeddings(model, table)
    assert isinstance(table, CompressedTable | CompressedEmbedding | FrozenEmbedding)
    return TokenReport(table, error, 4 * weight.numel(), table.nbytes(), tied)


def attach_token_embeddings(model: Any, table: TableBase) -> bool:
    """Put a compressed table in the place of a model's token table, and under its tied head.

    Args:
        model: A transformers model.
        table: From `compress_token_embeddings`, or read by `from_pretrained`.

    Returns:
        True if a head shared the old table.

    Raises:
        ModelError: The model has no plain token table, or one of another shape.
    """
    old = _token_table(model)
    shape = (table.num_embeddings, table.embedding_dim)
    if tuple(old.weight.shape) != shape:
        raise ModelError(
            f"the model's token table has shape {tuple(old.weight.shape)}, the compressed one "
            f"{shape}; attach the table of this very model"
        )
    find = getattr(model, "get_output_embeddings", None)
    head = None if find is None else find()
    tied = head is not None and getattr(head, "weight", None) is old.weight
    table.to(old.weight.device)
    model.set_input_embeddings(table)
    if tied:
        model.set_output_embeddings(TiedHead(table, getattr(head, "bias", None)))
        # the host must not tie the old parameters again
        model.config.tie_word_embeddings = False
        model.all_tied_weights_keys = {}
    return tied


def _token_table(model: Any) -> nn.Embedding:
    find = getattr(model, "get_input_embeddings", None)
    old = None if find is None else find()
    if type(old) is not nn.Embedding:
        kind = type(old).__name__
        raise ModelError(
            f"the model must have a plain nn.Embedding for its tokens; {type(model).__name__} has "
            f"{kind}: compress a model that was not compressed before"
        )
    return old
