"""The one-layer decoder that pre-training throws away afterwards.

It is weak on purpose: what it cannot find out itself, the sentence vector must tell it. Queries and
keys may differ (RetroMAE's enhanced decoding) or be the same (an ordinary layer, Starbucks' SMAE).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

# names of query, key, value, output, its norm, both feed-forward layers, their norm
_BERT_LIKE = (
    "attention.self.query attention.self.key attention.self.value attention.output.dense "
    "attention.output.LayerNorm intermediate.dense output.dense output.LayerNorm",
    "attention.attn.q attention.attn.k attention.attn.v attention.attn.o "
    "attention.LayerNorm intermediate.dense output.dense output.LayerNorm",
    "attention.q_lin attention.k_lin attention.v_lin attention.out_lin "
    "sa_layer_norm ffn.lin1 ffn.lin2 output_layer_norm",
)
_OURS = "query key value out attention_norm up down output_norm"


class DecoderLayer(nn.Module):
    """Attention with a residual on the queries, and a feed-forward part, normalised afterwards.

    Args:
        config: Configuration of the backbone, for sizes and dropout.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        dims = config.hidden_size
        inner = getattr(config, "intermediate_size", getattr(config, "hidden_dim", 4 * dims))
        eps = getattr(config, "layer_norm_eps", getattr(config, "norm_eps", 1e-12))
        self.heads = config.num_attention_heads
        self.dropout = float(getattr(config, "hidden_dropout_prob", getattr(config, "dropout", 0)))
        self.query, self.key, self.value, self.out = (nn.Linear(dims, dims) for _ in range(4))
        self.up, self.down = nn.Linear(dims, inner), nn.Linear(inner, dims)
        self.attention_norm, self.output_norm = (nn.LayerNorm(dims, eps=eps) for _ in range(2))
        spread = getattr(config, "initializer_range", 0.02)
        for module in (self.query, self.key, self.value, self.out, self.up, self.down):
            nn.init.normal_(module.weight, std=spread)
            nn.init.zeros_(module.bias)

    def forward(self, queries: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """Run the layer.

        Args:
            queries: Shape (B, L, dims).
            keys: Keys and values, shape (B, K, dims).
            visible: True where a row sees a key, shape (B, L, K) or (B, 1, K); no row of a token
                that matters may see nothing.

        Returns:
            Shape (B, L, dims).
        """
        rate = self.dropout if self.training else 0.0
        parts = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        query, key, value = parts
        seen = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible[:, None], dropout_p=rate
        )
        seen = self.out(seen.transpose(1, 2).flatten(2))
        hidden = self.attention_norm(queries + F.dropout(seen, rate, self.training))
        grown = self.down(F.gelu(self.up(hidden)))
        result: Tensor = self.output_norm(hidden + F.dropout(grown, rate, self.training))
        return result

    def copy_from(self, layer: nn.Module) -> bool:
        """Start from a layer of the backbone.

        Args:
            layer: A layer of BERT, RoBERTa, MPNet, DistilBERT or one of the same form.

        Returns:
            Whether it was of that form; if not (ModernBERT's), nothing is changed.
        """
        for names in _BERT_LIKE:
            try:
                found = [layer.get_submodule(name) for name in names.split()]
            except AttributeError:
                continue
            for ours, theirs in zip(_OURS.split(), found, strict=True):
                self.get_submodule(ours).load_state_dict(theirs.state_dict())
            return True
        return False


class InputEmbedding(nn.Module):
    """The backbone's way from word vectors to the first layer: positions, types, norm, dropout.

    Where the backbone has no position vectors (rotary ones, ModernBERT), a table of its own, which
    is thrown away with the decoder, takes their place.

    Args:
        base: The backbone; it is not kept.
    """

    def __init__(self, base: Any) -> None:
        super().__init__()
        config = base.config
        table = getattr(base.embeddings, "position_embeddings", None)
        self.positions: nn.Embedding | None = None
        if not isinstance(table, nn.Embedding):
            self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
            nn.init.normal_(self.positions.weight, std=getattr(config, "initializer_range", 0.02))

    def forward(self, base: Any, vectors: Tensor) -> Tensor:
        """Embed word vectors, or vectors that stand for words.

        Args:
            base: The backbone.
            vectors: Shape (B, L, dims).

        Returns:
            Shape (B, L, dims).
        """
        embedded: Tensor = base.embeddings(input_ids=None, inputs_embeds=vectors)
        if self.positions is not None:
            places = torch.arange(vectors.shape[1], device=vectors.device)
            embedded = embedded + self.positions(places)
        return embedded


def first_layer(base: Any) -> nn.Module | None:
    """Find the first layer of a backbone.

    Args:
        base: A model of transformers.

    Returns:
        The layer; None where layers lie at none of the usual places.
    """
    for path in ("encoder.layer", "transformer.layer", "layers"):
        try:
            layers = base.get_submodule(path)
        except AttributeError:
            continue
        return next(iter(layers), None)
    return None
