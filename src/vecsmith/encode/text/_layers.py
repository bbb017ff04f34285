"""Where a transformers backbone keeps its blocks, its final norm, and each block's MLP.

One table, `LAYOUTS`, by the `model_type` of the backbone's config. Layer n (from 1 to N) is the
output of block n; the embedding output is no layer. Models that normalise at the entrance of a
block (Llama, Mistral, Qwen, ModernBERT) keep a norm after the last block, and every intermediate
state goes through it before it is pooled, in training as well as after cutting: without it the
states of different layers differ in scale by orders of magnitude.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentence_transformers.base.modules import Normalize, Transformer
from torch import Tensor, nn, stack

from vecsmith.core import ConfigError, ModelError, did_you_mean


@dataclass(frozen=True)
class Layout:
    """Where the parts of a backbone are.

    Attributes:
        blocks: Path of the list of blocks.
        norm: Path of the norm after the last block; None where blocks normalise at their exit.
        mlp: Paths, within a block, of the modules that make up the MLP, in the order in which they
            run; dropout, residual and norm after it are left outside where the model keeps them so.
    """

    blocks: str
    norm: str | None
    mlp: tuple[str, ...]


_BERT = Layout("encoder.layer", None, ("intermediate", "output.dense"))
_LLAMA = Layout("layers", "norm", ("mlp",))

LAYOUTS: dict[str, Layout] = {
    "bert": _BERT,
    "camembert": _BERT,
    "distilbert": Layout("transformer.layer", None, ("ffn",)),
    "electra": _BERT,
    "eurobert": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "modernbert": Layout("layers", "final_norm", ("mlp",)),
    "mpnet": _BERT,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
}


@dataclass(frozen=True)
class Backbone:
    """The parts of a model's backbone.

    Attributes:
        model: The transformers model.
        layout: Where its parts are.
    """

    model: Any
    layout: Layout

    @property
    def blocks(self) -> nn.ModuleList:
        """Its blocks."""
        found: nn.ModuleList = self.model.get_submodule(self.layout.blocks)
        return found

    @property
    def norm(self) -> nn.Module | None:
        """The norm after the last block, if there is one."""
        return self.model.get_submodule(self.layout.norm) if self.layout.norm else None

    @property
    def depth(self) -> int:
        """How many blocks there are."""
        return len(self.blocks)


def unwrapped(model: Any) -> Any:
    """Take off the wrappers of compiling and of data parallel training.

    Args:
        model: A `SentenceTransformer`, wrapped or not.

    Returns:
        The model itself.
    """
    while not isinstance(model, nn.Sequential):
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None:
            break
        model = inner
    return model


def backbone_of(model: Any) -> Backbone:
    """Find the parts of a model's backbone.

    Args:
        model: A `SentenceTransformer` whose first module is a `Transformer`.

    Returns:
        The parts.

    Raises:
        ModelError: Another first module, or a backbone that `LAYOUTS` does not know.
    """
    plain = unwrapped(model)
    first = plain[0] if isinstance(plain, nn.Sequential) and len(plain) else None
    if not isinstance(first, Transformer):
        raise ModelError(
            "layers can be taken of a SentenceTransformer whose first module is a Transformer; "
            f"got {type(plain).__name__} that starts with {type(first).__name__}"
        )
    kind = first.auto_model.config.model_type
    if kind not in LAYOUTS:
        raise ModelError(
            f"where a backbone of type {kind!r} keeps its blocks is not known; "
            f"{did_you_mean(kind, LAYOUTS)}; add a row to vecsmith.encode.text._layers.LAYOUTS"
        )
    return Backbone(first.auto_model, LAYOUTS[kind])


def check_layers(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Check numbers of layers.

    Args:
        layers: Numbers, 1 for the output of the first block.
        depth: How many blocks the model has.

    Returns:
        The numbers.

    Raises:
        ConfigError: None, or one below 1 or above `depth`.
    """
    found = tuple(int(layer) for layer in layers)
    if not found or min(found) < 1 or max(found) > depth:
        raise ConfigError(
            f"layers must be numbers from 1 (the output of the first block) to {depth} (the whole "
            f"model); got {found}"
        )
    return found


def tail_modules(model: Any) -> list[nn.Module]:
    """List what a model does after its transformer, without the scaling to length 1.

    Args:
        model: A `SentenceTransformer`.

    Returns:
        Pooling and what follows it.
    """
    modules: list[nn.Module] = list(unwrapped(model))[1:]
    return [module for module in modules if not isinstance(module, Normalize)]


def normalises(model: Any) -> bool:
    """Tell whether a model scales its embeddings to length 1.

    Args:
        model: A `SentenceTransformer`.

    Returns:
        Whether one of its modules does.
    """
    return any(isinstance(module, Normalize) for module in unwrapped(model))


def layer_embeddings(model: Any, features: dict[str, Any], layers: Sequence[int]) -> Tensor:
    """Embed texts at several layers, from one forward pass.

    Args:
        model: A `SentenceTransformer`.
        features: Model inputs of B texts; left as they are.
        layers: Numbers of layers, from 1 to the number of blocks.

    Returns:
        Embeddings before any scaling to length 1, shape (B, layers, dims).

    Raises:
        ConfigError: No such layer.
        ModelError: See `backbone_of`.

    Cost:
        One forward pass of the whole model, and one pooling a layer.
    """
    parts = backbone_of(model)
    wanted = check_layers(layers, parts.depth)
    states: dict[int, Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            states[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [parts.blocks[layer - 1].register_forward_hook(keep(layer)) for layer in {*wanted}]
    try:
        passed = model(dict(features))
    finally:
        for handle in handles:
            handle.remove()
    tail, views = tail_modules(model), {}
    for layer in dict.fromkeys(wanted):
        state = states.pop(layer)
        views[layer] = _pooled(tail, passed, parts.norm(state) if parts.norm else state)
    return stack([views[layer] for layer in wanted], dim=1)


def _pooled(tail: list[nn.Module], passed: dict[str, Any], state: Tensor) -> Tensor:
    current = {**passed, "token_embeddings": state}
    for module in tail:
        current = module(current)
    embeddings: Tensor = current["sentence_embedding"]
    return embeddings
