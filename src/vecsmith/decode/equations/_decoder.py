"""From a vector to the tokens of a formula: mapper and Transformer decoder.

Meidani et al. 2024: ``Linear(latent -> length * width), ReLU, reshape to (length, width),
Linear(width, width)`` makes a pseudo-sequence of a vector, which a Transformer decoder attends to
while it writes the formula in prefix order. `train_decoder` trains both on a frozen SNIP,
`decode_formulas` writes. Cost: the mapper holds latent * length * width weights.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedConfig, PreTrainedModel

from vecsmith.core import ConfigError
from vecsmith.data.formulas import FormulaTokenizer
from vecsmith.encode.formulas import Snip

Cache = tuple[Tensor, Tensor]


class EquationDecoderConfig(PreTrainedConfig):
    """Shape of mapper and decoder.

    Args:
        latent: Dimensions of the vectors.
        normalise: Whether vectors are of unit length; they are then scaled by sqrt(latent).
        max_dim: Most inputs of a formula.
        digits: Digits of a mantissa.
        operators: Operators of the vocabulary; None takes all.
        memory: Length of the pseudo-sequence; the paper's is 200.
        width: Of the decoder; the paper's is 512.
        layers: Of the decoder; the paper's is 16.
        heads: Of each layer.
        feedforward: Hidden units of a layer.
        max_tokens: Longest formula, beginning and end included.
        **kwargs: Of `PreTrainedConfig`.

    Raises:
        ConfigError: A value is out of range.
    """

    model_type = "vecsmith-equation-decoder"

    def __init__(
        self,
        latent: int = 64,
        normalise: bool = True,
        *,
        max_dim: int = 1,
        digits: int = 4,
        operators: list[str] | None = None,
        memory: int = 8,
        width: int = 96,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 192,
        max_tokens: int = 48,
        **kwargs: Any,
    ) -> None:
        self.latent, self.normalise = latent, normalise
        self.max_dim, self.digits, self.operators = max_dim, digits, operators
        self.memory, self.width, self.layers = memory, width, layers
        self.heads, self.feedforward, self.max_tokens = heads, feedforward, max_tokens
        for name in ("latent", "memory", "width", "layers", "heads", "feedforward"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1; got {value!r}")
        if max_tokens < 3 or width % heads:
            raise ConfigError(
                "max_tokens must be at least 3 and width a multiple of heads; got "
                f"{max_tokens}, {width} and {heads}"
            )
        super().__init__(**kwargs)

    @classmethod
    def for_snip(cls, snip: Snip, **changes: Any) -> "EquationDecoderConfig":
        """Take what must be alike from a SNIP, and its width.

        Args:
            snip: Whose vectors are decoded.
            **changes: What differs.

        Returns:
            The configuration.
        """
        names = "latent normalise max_dim digits operators width heads feedforward max_tokens"
        given = {name: getattr(snip.config, name) for name in names.split()}
        return cls(**{**given, **changes})


class _Attention(nn.Module):
    """Attention with heads, over given or kept keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.both = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def keys(self, states: Tensor) -> Cache:
        """Make keys and values, shape (rows, heads, places, width of a head)."""
        key, value = self.both(states).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, states: Tensor, kept: Cache, *, causal: bool) -> Tensor:
        """Attend to kept keys."""
        query = self._split(self.query(states))
        found = F.scaled_dot_product_attention(query, *kept, is_causal=causal)
        return self.output(found.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    """Attention to what was written, to the memory, and a feed-forward part; norms first."""

    def __init__(self, config: EquationDecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.own, self.cross = (_Attention(width, config.heads) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.forth = nn.Linear(width, config.feedforward)
        self.back = nn.Linear(config.feedforward, width)

    def forward(self, states: Tensor, memory: Cache, before: Cache | None) -> tuple[Tensor, Cache]:
        """Go through the layer; `before` are keys of earlier places, and come back longer."""
        inner = self.norms[0](states)
        kept = self.own.keys(inner)
        if before is not None:
            kept = (torch.cat([before[0], kept[0]], 2), torch.cat([before[1], kept[1]], 2))
        states = states + self.own(inner, kept, causal=before is None)
        states = states + self.cross(self.norms[1](states), memory, causal=False)
        return states + self.back(F.relu(self.forth(self.norms[2](states)))), kept


class EquationDecoder(PreTrainedModel):
    """Mapper and decoder.

    Args:
        config: Shape; `EquationDecoderConfig.for_snip` fits one to a SNIP.

    Attributes:
        tokenizer: Words of formulas.
    """

    config_class: Any = EquationDecoderConfig
    base_model_prefix = "equation_decoder"
    main_input_name = "latents"

    def __init__(self, config: EquationDecoderConfig) -> None:
        super().__init__(config)
        self.tokenizer = FormulaTokenizer(config.max_dim, config.digits, operators=config.operators)
        self.mapper = nn.Linear(config.latent, config.memory * config.width)
        self.mapped = nn.Linear(config.width, config.width)
        self.embedding = nn.Embedding(len(self.tokenizer), config.width, padding_idx=0)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.output = nn.Linear(config.width, len(self.tokenizer))
        self.post_init()

    @classmethod
    def for_snip(cls, snip: Snip, *, seed: int = 0, **changes: Any) -> "EquationDecoder":
        """Make an untrained decoder for the vectors of a SNIP.

        Args:
            snip: Whose vectors are decoded.
            seed: Seed of the weights.
            **changes: Of the shape; see `EquationDecoderConfig`.

        Returns:
            The decoder, in evaluation mode.
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(EquationDecoderConfig.for_snip(snip, **changes)).eval()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
            if module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].zero_()

    def check(self, snip: Snip) -> None:
        """Refuse a SNIP whose vectors or tokens are others.

        Args:
            snip: The encoders.

        Raises:
            ConfigError: They do not fit.
        """
        names = ("latent", "normalise", "max_dim", "digits", "operators")
        differ = [
            f"{name} {getattr(snip.config, name)!r} there, {getattr(self.config, name)!r} here"
            for name in names
            if getattr(snip.config, name) != getattr(self.config, name)
        ]
        if differ:
            raise ConfigError(
                f"the decoder does not fit the encoders: {'; '.join(differ)}; make it with "
                "EquationDecoder.for_snip(snip) and train it"
            )

    def memory(self, latents: Tensor) -> list[Cache]:
        """Make keys and values of the pseudo-sequence, layer by layer.

        Args:
            latents: Vectors, shape (rows, latent).

        Returns:
            Keys and values of each layer.
        """
        if self.config.normalise:
            latents = F.normalize(latents, dim=-1) * self.config.latent**0.5
        wide = F.relu(self.mapper(latents)).unflatten(-1, (self.config.memory, -1))
        states = self.mapped(wide)
        layers = [layer for layer in self.layers if isinstance(layer, _Layer)]
        return [layer.cross.keys(states) for layer in layers]

    def write(
        self, ids: Tensor, memory: list[Cache], before: list[Cache] | None = None
    ) -> tuple[Tensor, list[Cache]]:
        """Score the next tokens.

        Args:
            ids: Tokens, shape (rows, places); one place where `before` is given.
            memory: From `memory`.
            before: Keys of the earlier places.

        Returns:
            Logits, shape (rows, places, words), and keys of all places.
        """
        start = 0 if before is None else before[0][0].shape[2]
        states = self.embedding(ids) + self.positions.weight[start : start + ids.shape[1]]
        kept = []
        for place, layer in enumerate(self.layers):
            states, keys = layer(states, memory[place], None if before is None else before[place])
            kept.append(keys)
        return self.output(self.norm(states)), kept

    def forward(self, latents: Tensor, ids: Tensor) -> Tensor:
        """Score the next tokens of whole formulas.

        Args:
            latents: Vectors, shape (rows, latent).
            ids: Tokens from the beginning on, shape (rows, places).

        Returns:
            Logits, shape (rows, places, words).
        """
        return self.write(ids, self.memory(latents))[0]
