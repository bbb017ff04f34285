"""Latent attention pooling: tokens look words up in a trained dictionary before they are averaged.

Paper: NV-Embed: Improved Techniques for Training LLMs as Generalist Embedding Models (C. Lee and
others, 2024). Formula, with H the token states (L, D), A the trained latents (r, D), h heads::

    Q = Wq LN(H)        [K; V] = Wkv LN'(A)
    H1 = H + Wo concat_h softmax(Q K^T / sqrt(head_dim)) V      tokens are queries, latents keys
    H2 = H1 + W2 (x * GELU(g)),   [x; g] = W1 LN(H1) + b1
    embedding = mean of H2 over the tokens that count

Padding and the instruction do not count: they were attended to inside the model, and are left out
of the mean. Use behind a model whose token states are trained along, or frozen with enough pairs;
against a mean with one linear layer the gain is partly that of more weights (see the claim). Cost:
2 L D h head_dim + 2 L r h head_dim + 12 L D^2 multiplications a text with ff_mult 4, whatever the
length no square of it.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules.module import Module
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError, ModelError

WEIGHTS = "model.safetensors"


def pooling_mask(attention: Tensor, instruction: int) -> Tensor:
    """Leave the instruction out of what is pooled.

    Args:
        attention: 1 for tokens, 0 for padding on either side, shape (B, L).
        instruction: Number of tokens of the instruction, special ones before it included.

    Returns:
        1 where a token counts, shape (B, L); a text that is nothing but its instruction keeps its
        last token.
    """
    order = attention.cumsum(1)
    kept = attention * (order > instruction)
    last = attention * (order == attention.sum(1, keepdim=True))
    return torch.where(kept.any(1, keepdim=True), kept, last)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average token states over the tokens that count, in float32.

    Args:
        states: Shape (B, L, D).
        mask: 1 where a token counts, shape (B, L).

    Returns:
        Shape (B, D), in the type of the states.
    """
    weights = mask[:, :, None].float()
    mean = (states.float() * weights).sum(1) / weights.sum(1).clamp_min(1.0)
    return mean.to(states.dtype)


class LatentAttentionPooling(Module):  # type: ignore[misc]
    """Pooling module of sentence-transformers, behind `Transformer` and before `Normalize`.

    Args:
        dims: Dimensions D of the token states.
        latents: Number r of latents.
        heads: Attention heads.
        head_dim: Width of a head; None takes D, as the authors' 7B models do.
        ff_mult: Width of the feed-forward part in D.
        include_prompt: Whether the instruction counts in the mean.

    Raises:
        ConfigError: A size below 1.
    """

    config_keys: ClassVar[list[str]] = [
        "dims",
        "latents",
        "heads",
        "head_dim",
        "ff_mult",
        "include_prompt",
    ]

    def __init__(
        self,
        dims: int,
        *,
        latents: int = 512,
        heads: int = 8,
        head_dim: int | None = None,
        ff_mult: int = 4,
        include_prompt: bool = False,
    ) -> None:
        super().__init__()
        head_dim = dims if head_dim is None else head_dim
        if min(dims, latents, heads, head_dim, ff_mult) < 1:
            raise ConfigError(
                "dims, latents, heads, head_dim and ff_mult must be at least 1; "
                f"got {dims}, {latents}, {heads}, {head_dim} and {ff_mult}"
            )
        self.dims, self.heads, self.head_dim = dims, heads, head_dim
        self.latents, self.ff_mult, self.include_prompt = latents, ff_mult, include_prompt
        self.dictionary = nn.Parameter(torch.randn(latents, dims))
        inner = heads * head_dim
        self.norm, self.dictionary_norm = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.to_q = nn.Linear(dims, inner, bias=False)
        self.to_kv = nn.Linear(dims, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dims, bias=False)
        self.ff_norm = nn.LayerNorm(dims)
        self.up = nn.Linear(dims, 2 * ff_mult * dims)
        self.down = nn.Linear(ff_mult * dims, dims)

    def attend(self, states: Tensor) -> Tensor:
        """Run the layer on token states.

        Args:
            states: Shape (B, L, D).

        Returns:
            H2, shape (B, L, D).
        """
        query = self.to_q(self.norm(states)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        # the same for every text: projected once
        pair = self.to_kv(self.dictionary_norm(self.dictionary)).chunk(2, dim=-1)
        key, value = (x.unflatten(-1, (self.heads, -1)).transpose(0, 1)[None] for x in pair)
        shape = (len(states), -1, -1, -1)
        seen = F.scaled_dot_product_attention(query, key.expand(shape), value.expand(shape))
        states = states + self.to_out(seen.transpose(1, 2).flatten(2))
        grown, gate = self.up(self.ff_norm(states)).chunk(2, dim=-1)
        result: Tensor = states + self.down(grown * F.gelu(gate))
        return result

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Pool token embeddings.

        Args:
            features: With "token_embeddings", "attention_mask" and, where an instruction stands
                before the texts, "prompt_length".

        Returns:
            The features with "sentence_embedding", shape (B, D), not normalised.
        """
        mask = features["attention_mask"]
        length = features.get("prompt_length", 0)
        length = int(length.reshape(-1)[0]) if isinstance(length, Tensor) else int(length or 0)
        if length and not self.include_prompt:
            mask = pooling_mask(mask, length)
        features["sentence_embedding"] = self.pool(features["token_embeddings"], mask)
        return features

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """Run the layer on the tokens that count, and average them in float32.

        No token looks at another one here, so that padding and instruction need not be run.

        Args:
            states: Shape (B, L, D).
            mask: 1 where a token counts, shape (B, L).

        Returns:
            Shape (B, D), in the type of the states.
        """
        counts = mask.bool()
        row = counts.nonzero()[:, 0]
        seen = self.attend(states[counts][None].to(self.dictionary.dtype))[0].float()
        summed = seen.new_zeros(len(states), self.dims).index_add(0, row, seen)
        return (summed / counts.sum(1, keepdim=True).clamp_min(1)).to(states.dtype)

    def get_embedding_dimension(self) -> int:
        """Return D."""
        return self.dims

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save settings and weights, as sentence-transformers asks modules to.

        Args:
            output_path: Folder of the module.
            *args: Not used.
            **kwargs: Not used.
        """
        self.save_config(output_path)
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(state, str(Path(output_path) / WEIGHTS))

    @classmethod
    def load(
        cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any
    ) -> "LatentAttentionPooling":
        """Load from a saved model; called by sentence-transformers.

        Args:
            model_name_or_path: Folder or hub id of the model.
            subfolder: Folder of the module in it.
            **kwargs: Where to look; handed on.

        Returns:
            The module.

        Raises:
            ModelError: Weights are missing or damaged.
        """
        names = ("token", "cache_folder", "revision", "local_files_only")
        where = {name: kwargs[name] for name in names if name in kwargs}
        config = cls.load_config(model_name_or_path, subfolder=subfolder, **where)
        module = cls(**{name: config[name] for name in cls.config_keys})
        path = cls.load_file_path(
            model_name_or_path, filename=WEIGHTS, subfolder=subfolder, **where
        )
        try:
            module.load_state_dict(load_file(str(path)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"weights of latent attention in {model_name_or_path!r} are missing or damaged "
                f"({error}); save the model again"
            ) from error
        return module
