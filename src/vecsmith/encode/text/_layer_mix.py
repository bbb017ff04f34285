"""A learned mix of all layers of an encoder, in place of the last one.

Paper: Deep contextualized word representations (M. Peters and others, 2018; ELMo). With h_0 the
embeddings of the tokens and h_1 … h_N the outputs of the blocks,

    mix = gamma * sum_j softmax(s)_j h_j

gamma and the N + 1 numbers s are all that is trained, with the task on top or with the encoder.
Layers of models that normalise at the entrance of a block differ in scale by orders of magnitude:
`normalize` brings each token's state in each layer to mean 0 and variance 1 first.

Use where the task wants what middle layers hold (grammar, names, word senses), with few labels and
a frozen encoder. Avoid where the whole encoder is trained on many pairs. Cost: all layers' states
are kept, (N + 1) x tokens x dims.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Transformer
from sentence_transformers.base.modules.module import Module
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError, ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WEIGHTS = "model.safetensors"


def mix_layers(
    states: Sequence[Tensor],
    scores: Tensor,
    gamma: Tensor | float = 1.0,
    *,
    normalize: bool = False,
) -> Tensor:
    """Mix layers.

    Args:
        states: Of each layer, shape (…, dims).
        scores: s, shape (layers,).
        gamma: Scale of the mix.
        normalize: Whether each state is brought to mean 0 and variance 1 over its dimensions.

    Returns:
        Shape (…, dims).

    Raises:
        ConfigError: Another number of layers than of scores.
    """
    if len(states) != len(scores):
        raise ConfigError(
            f"a mix of {len(scores)} layers got the states of {len(states)}; make one of as many"
        )
    shares = torch.softmax(scores, 0)
    dims = states[0].shape[-1:]
    made = torch.zeros_like(states[0])
    for share, state in zip(shares, states, strict=True):
        made = made + share * (F.layer_norm(state, dims) if normalize else state)
    return gamma * made


class LayerMix(Module):  # type: ignore[misc]
    """Module of sentence-transformers between `Transformer` and pooling; see `with_layer_mix`.

    By itself it mixes what any model gives: ``LayerMix(13).mix(output.hidden_states)``.

    Args:
        layers: Number of layers, the embeddings counted as one.
        normalize: As for `mix_layers`.

    Raises:
        ConfigError: Fewer than one layer.
    """

    config_keys: ClassVar[list[str]] = ["layers", "normalize"]

    def __init__(self, layers: int, *, normalize: bool = False) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers must be at least 1; got {layers}")
        self.layers, self.normalize = layers, normalize
        self.scores = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def shares(self) -> Tensor:
        """Weight of each layer, shape (layers,), summing to 1."""
        return torch.softmax(self.scores.detach(), 0)

    def mix(self, states: Sequence[Tensor]) -> Tensor:
        """Mix the states of a model.

        Args:
            states: Of each layer, shape (…, dims).

        Returns:
            Shape (…, dims).

        Raises:
            ConfigError: Another number of layers.
        """
        return mix_layers(states, self.scores, self.gamma, normalize=self.normalize)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Put the mix in the place of the token states.

        Args:
            features: With "all_layer_embeddings", which is taken out.

        Returns:
            The features, "token_embeddings" being the mix.

        Raises:
            ModelError: The transformer before it does not give its layers.
        """
        states = features.pop("all_layer_embeddings", None)
        if states is None:
            raise ModelError(
                "a layer mix needs the states of all layers, and the module before it gives the "
                "last alone; set config.output_hidden_states, or build with with_layer_mix"
            )
        features["token_embeddings"] = self.mix(states)
        return features

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save settings and weights, as sentence-transformers asks modules to.

        Args:
            output_path: Folder of the module.
            *args: Not used.
            **kwargs: Not used.
        """
        self.save_config(output_path)
        save_file(self.state_dict(), str(Path(output_path) / WEIGHTS))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> "LayerMix":
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
                f"weights of a layer mix in {model_name_or_path!r} are missing or damaged "
                f"({error}); save the model again"
            ) from error
        return module


def with_layer_mix(
    model: "SentenceTransformer", *, normalize: bool = False, freeze: bool = False
) -> "SentenceTransformer":
    """Put a layer mix behind the transformer of a model.

    Args:
        model: A `SentenceTransformer` whose first module is a `Transformer`; its parts are shared.
        normalize: As for `mix_layers`; give True for models that normalise at a block's entrance.
        freeze: Whether the transformer's weights stay as they are.

    Returns:
        A model of transformer, `LayerMix` with equal shares, and what came after; saved, loaded and
        trained like any.

    Raises:
        ModelError: Another first module.
    """
    from sentence_transformers import SentenceTransformer

    first, *rest = list(model)
    if not isinstance(first, Transformer) or any(isinstance(m, LayerMix) for m in rest):
        raise ModelError(
            "a layer mix goes behind a Transformer, once; got a model of "
            f"{', '.join(type(module).__name__ for module in model)}"
        )
    backbone = first.auto_model
    backbone.config.output_hidden_states = True
    if freeze:
        backbone.requires_grad_(False)
    layers = int(backbone.config.get_text_config().num_hidden_layers) + 1
    mix = LayerMix(layers, normalize=normalize).to(device=model.device, dtype=model.dtype)
    return SentenceTransformer(modules=[first, mix, *rest], device=str(model.device))
