"""Transformer module of an LLM embedder: adapters are saved merged, prompts are counted in words.

Two things differ from the module of sentence-transformers. A model with low-rank adapters inside is
saved with these added to its weights, so that the folder loads as a plain model; beside it lie the
adapters by themselves, from which a trainer resumes. And a prompt that ends in a space counts
without it: most tokenizers put that space into the first token of the text, which is to be pooled.

Saved behind a pooling that loads without vecsmith, the folder names the plain class.
"""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn

ADAPTERS = "adapters.safetensors"
_BASE = ".base_layer"


def adapted_layers(model: nn.Module) -> dict[str, Any]:
    """Find the layers that carry adapters.

    Args:
        model: A model, with adapters of peft inside or without.

    Returns:
        Name -> layer of peft.
    """
    return {
        name: layer
        for name, layer in model.named_modules()
        if hasattr(layer, "base_layer") and hasattr(layer, "merge")
    }


def merge_adapters(model: Any) -> None:
    """Add adapters to the weights for good.

    Args:
        model: A model of transformers with adapters of peft inside; changed in place.
    """
    for name, layer in adapted_layers(model).items():
        layer.merge()
        _put(model, name, layer.base_layer)
    for weight in model.parameters():
        weight.requires_grad_(True)
    # inject_adapter_in_model leaves a note that would make transformers save adapters alone
    model.__dict__.pop("peft_config", None)
    model._hf_peft_config_loaded = False


@contextlib.contextmanager
def merged(model: Any) -> Iterator[None]:
    """Put plain layers with the adapters added in the place of adapted ones, for a while.

    Args:
        model: A model of transformers with adapters of peft inside. Its own weights are not
            touched: merging and taking apart again would round them.

    Yields:
        Nothing. Memory: the adapted weights once more, on the CPU.
    """
    layers = adapted_layers(model)
    noted = model.__dict__.pop("peft_config", None)
    flag = getattr(model, "_hf_peft_config_loaded", False)
    model._hf_peft_config_loaded = False
    try:
        for name, layer in layers.items():
            twin = copy.deepcopy(layer)
            twin.merge()
            _put(model, name, twin.base_layer.cpu())
        yield
    finally:
        for name, layer in layers.items():
            _put(model, name, layer)
        model._hf_peft_config_loaded = flag
        if noted is not None:
            model.peft_config = noted


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


class LLMTransformer(Transformer):  # type: ignore[misc]
    """Transformer module of sentence-transformers around a decoder-only model."""

    def _get_prompt_length(self, prompt: str, **kwargs: Any) -> int | None:
        length: int | None = super()._get_prompt_length(prompt.rstrip(" "), **kwargs)
        return length

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the model, merged, with tokenizer and settings; and adapters by themselves.

        Args:
            output_path: Folder of the module.
            *args: Handed on.
            **kwargs: Handed on.
        """
        state = {name: value for name, value in self.model.state_dict().items() if "lora_" in name}
        with merged(self.model):
            super().save(output_path, *args, **kwargs)
        path = Path(output_path) / ADAPTERS
        path.unlink(missing_ok=True)
        if state:
            save_file({name: value.contiguous() for name, value in state.items()}, path)

    @classmethod
    def load(cls, model_name_or_path: str, *args: Any, **kwargs: Any) -> "LLMTransformer":
        """Load a saved module: a plain model, whose state tells a model with adapters of its own.

        Args:
            model_name_or_path: Folder or hub id.
            *args: Handed on.
            **kwargs: Handed on.

        Returns:
            The module.
        """
        made: LLMTransformer = super().load(model_name_or_path, *args, **kwargs)
        path = Path(model_name_or_path, kwargs.get("subfolder", "")) / ADAPTERS
        made.__dict__["_adapters"] = load_file(path) if path.is_file() else {}
        return made

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # no entries of the dictionary: as such they would be weights that no layer asks for
        destination._metadata[prefix[:-1]]["adapters"] = self.__dict__.get("_adapters", {})

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        adapters = local_metadata.get("adapters") or {}
        if adapters and adapted_layers(self.model):
            # a checkpoint: its weights are merged, and what lies below the adapters never changed
            for name, value in self.model.state_dict().items():
                if _BASE in name:
                    state_dict.pop(f"{prefix}model.{name.replace(_BASE, '')}", None)
                    state_dict[f"{prefix}model.{name}"] = value
            state_dict.update({f"{prefix}model.{name}": value for name, value in adapters.items()})
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


# the same class under the name that a folder without vecsmith needs
PlainTransformer = type(
    Transformer.__name__, (LLMTransformer,), {"__module__": Transformer.__module__}
)
