"""Load what a merge is given: ids, folders, modules, and low-rank adapters of the base.

An adapter of peft (LoRA and its kin) becomes a whole expert: its product B A is added into a copy
of the base, so that what is merged is the exact change of the matrices. To merge the factors
instead, give peft models both as base and as experts: they then are ordinary modules.
"""

import copy
import warnings
from pathlib import Path
from typing import Any

from torch import nn

from vecsmith.core import ModelError, require
from vecsmith.encode import load_sentence_transformer, quiet_hosts, resolve_model

ADAPTER = "adapter_config.json"


def load_model(model: nn.Module | str | Path, like: nn.Module | None = None) -> nn.Module:
    """Return a module for an id, a folder, an adapter or a module.

    Args:
        model: A module; or the hub id or folder of a sentence-transformers model, of a transformers
            model, or of a peft adapter of `like`.
        like: The base: a folder that several hosts could load is loaded as this one was.

    Returns:
        The module, in eval mode if it was loaded.

    Raises:
        ModelError: Not found, or not loadable; an adapter without a base.
    """
    if isinstance(model, nn.Module):
        # a peft model beside a plain base counts as what it computes
        return _folded(model) if _is_peft(model) and not _is_peft(like) else model
    if (Path(model) / ADAPTER).is_file():
        return _adapted(Path(model), like)
    found = resolve_model(model)
    if (found.path / "modules.json").is_file() or hasattr(like, "encode"):
        return load_sentence_transformer(model)
    return _load_transformer(found.path, like)


def _load_transformer(folder: Path, like: nn.Module | None) -> nn.Module:
    transformers = require("transformers", "train")
    try:
        with quiet_hosts():
            config = transformers.AutoConfig.from_pretrained(str(folder))
            names = getattr(config, "architectures", None) or []
            known: Any = type(like) if hasattr(like, "from_pretrained") else None
            if known is None and names and hasattr(transformers, names[0]):
                known = getattr(transformers, names[0])
            loaded: nn.Module = (known or transformers.AutoModel).from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"{str(folder)!r} does not load as a transformers model ({error}); give a folder that "
            "save_pretrained wrote"
        ) from error
    return loaded.eval()


def _adapted(folder: Path, base: nn.Module | None) -> nn.Module:
    """A copy of the base with an adapter folded in."""
    if base is None:
        raise ModelError(
            f"{str(folder)!r} holds an adapter, which is no base; give the model it was made for"
        )
    peft = require("peft", "train")
    model = copy.deepcopy(base)
    inner: Any = model[0].auto_model if hasattr(model, "encode") else model  # type: ignore[index]
    try:
        with warnings.catch_warnings():
            # peft asks transformers by a name that is going away
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            peft.PeftModel.from_pretrained(inner, str(folder)).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"the adapter {str(folder)!r} does not fit the base {type(inner).__name__} ({error}); "
            "give the model that it was trained on"
        ) from error
    return model.requires_grad_(True).eval()


def _folded(model: nn.Module) -> nn.Module:
    folded: nn.Module = copy.deepcopy(model).merge_and_unload()  # type: ignore[operator]
    return folded.requires_grad_(True).eval()


def _is_peft(model: nn.Module | None) -> bool:
    return hasattr(model, "merge_and_unload") and hasattr(model, "peft_config")
