"""A transformer as the text side of a pair: token vectors, pooled by maximum; lower layers frozen.

Use with any encoder of transformers. A fully frozen tower is run once over the sentences, not in
each step, and remembers their vectors (1.5 kB each at 384 dimensions).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from vecsmith.core import ConfigError, ModelError, did_you_mean
from vecsmith.encode import quiet_hosts, resolve_model
from vecsmith.encode.images import evaluating

POOLS = ("max", "mean", "first")
FREEZE = ("none", "half", "all")


def pool_tokens(tokens: Tensor, mask: Tensor, pool: str) -> Tensor:
    """Reduce token vectors to one vector a text.

    Args:
        tokens: Shape (B, length, dims).
        mask: 1 where there is a token, 0 where there is padding, shape (B, length).
        pool: "max" (in each dimension), "mean" or "first".

    Returns:
        Shape (B, dims); padding does not count.
    """
    if pool == "first":
        return tokens[:, 0]
    there = mask[:, :, None].bool()
    if pool == "max":
        return tokens.masked_fill(~there, -torch.inf).amax(dim=1)
    return tokens.masked_fill(~there, 0.0).sum(dim=1) / there.sum(dim=1).clamp_min(1)


def freeze_lower(model: nn.Module, freeze: str) -> None:
    """Freeze the embeddings and the lower half of the layers, or everything.

    Args:
        model: An encoder of transformers.
        freeze: "none", "half" or "all".

    Raises:
        ModelError: "half" is asked of a model whose layers cannot be found.
    """
    pooler = getattr(model, "pooler", None)
    if pooler is not None:
        # token vectors are pooled here; what gets no gradient must not be waited for
        pooler.requires_grad_(False)
    if freeze == "all":
        model.requires_grad_(False)
    if freeze != "half":
        return
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    if not stacks:
        raise ModelError(
            f"{type(model).__name__} has no list of layers to freeze half of; "
            "give freeze_text='none' or 'all'"
        )
    layers = max(stacks, key=len)
    embeddings = getattr(model, "embeddings", None) or model.get_input_embeddings()  # type: ignore[operator]
    embeddings.requires_grad_(False)
    for layer in layers[: len(layers) // 2]:
        layer.requires_grad_(False)


class TextTower(nn.Module):
    """An encoder of transformers with its tokenizer.

    Args:
        model: The encoder.
        tokenizer: Its tokenizer.
        pool: "max", "mean" or "first".
        freeze: "none", "half" (embeddings and the lower half of the layers) or "all".
        max_tokens: Length at which texts are cut.

    Raises:
        ConfigError: An unknown pool or freeze.
    """

    model: Any

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        pool: str = "max",
        freeze: str = "half",
        max_tokens: int = 128,
    ) -> None:
        super().__init__()
        if pool not in POOLS:
            raise ConfigError(f"text_pool cannot be {pool!r}; {did_you_mean(pool, POOLS)}")
        if freeze not in FREEZE:
            raise ConfigError(f"freeze_text cannot be {freeze!r}; {did_you_mean(freeze, FREEZE)}")
        self.model, self.tokenizer = model, tokenizer
        self.pool, self.freeze, self.max_tokens = pool, freeze, max_tokens
        self.known: dict[str, Tensor] = {}
        freeze_lower(model, freeze)

    @classmethod
    def from_pretrained(cls, name: str | Path, **settings: Any) -> "TextTower":
        """Load an encoder.

        Args:
            name: Hub id or folder.
            **settings: See the class.

        Returns:
            The tower.

        Raises:
            ModelError: It is not found or is no encoder.
        """
        found = resolve_model(name)
        try:
            with quiet_hosts():
                model = AutoModel.from_pretrained(found.path, dtype=torch.float32)
                tokenizer = AutoTokenizer.from_pretrained(found.path)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError(
                f"{found.id!r} at {str(found.path)!r} does not load as a text encoder ({error}); "
                "give one that transformers loads with AutoModel and AutoTokenizer"
            ) from error
        return cls(model, tokenizer, **settings)

    @property
    def dims(self) -> int:
        """Dimensions of a text's vector."""
        return int(self.model.config.hidden_size)

    def features(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenise texts.

        Args:
            texts: The texts.

        Returns:
            What `forward` takes.
        """
        coded = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        return dict(coded)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Encode tokenised texts.

        Args:
            features: From `features`, on the model's device.

        Returns:
            Shape (B, dims).
        """
        output = self.model(**features)
        return pool_tokens(output.last_hidden_state, features["attention_mask"], self.pool)

    def encode(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Encode texts in evaluation mode; a fully frozen tower remembers them.

        Args:
            texts: The texts.
            batch_size: Texts a step.

        Returns:
            Shape (texts, dims), on the CPU, float32.
        """
        known = self.known if self.freeze == "all" else {}
        device = next(self.parameters()).device
        # by length, so that a batch holds little padding
        fresh = sorted(set(texts) - known.keys(), key=lambda text: (len(text), text))
        with evaluating(self):
            for start in range(0, len(fresh), batch_size):
                batch = fresh[start : start + batch_size]
                features = {n: value.to(device) for n, value in self.features(batch).items()}
                known.update(zip(batch, self(features).float().cpu(), strict=True))
        return torch.stack([known[text] for text in texts]) if texts else torch.zeros(0, self.dims)

    def train(self, mode: bool = True) -> "TextTower":
        """Set the mode; a fully frozen tower stays in evaluation mode (no dropout).

        Args:
            mode: As in `torch.nn.Module.train`.

        Returns:
            Itself.
        """
        super().train(mode)
        if self.freeze == "all":
            self.model.eval()
        return self
