"""A Twin model as a folder: the shared model once, a small file an expert, heads, router.

``twin.json`` names the parts; ``shared/`` is an ordinary folder that its host library loads alone.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vecsmith.core import ConfigError, StoreError, fresh_dir, read_json, write_json

from .._load import load_model
from .._set import state_hash
from ._compression import SVD, Drop, Part, Prune
from ._router import Router
from ._twin_model import TwinModel, check_loaded

FORMAT = 1
_KINDS = {"SVD": SVD, "Prune": Prune, "Drop": Drop}


def save_twin(twin: TwinModel, folder: str | Path) -> None:
    """Write a Twin model, whole or not at all.

    Args:
        twin: The model.
        folder: Where to; an older one is replaced.

    Raises:
        ConfigError: A head is no Linear layer, or the shared model cannot save itself.
    """
    if not hasattr(twin.shared, "save_pretrained"):
        raise ConfigError(
            f"{type(twin.shared).__name__} has no save_pretrained; a Twin model is saved for "
            "sentence-transformers and transformers models"
        )
    for name, head in twin.heads.items():
        if type(head) is not nn.Linear:
            raise ConfigError(
                f"the head {name!r} is a {type(head).__name__}; only Linear heads are saved: save "
                "it yourself, and leave heads out here"
            )
    with fresh_dir(folder) as fresh:
        twin.shared.save_pretrained(str(fresh / "shared"))
        if (tokenizer := getattr(twin.body, "tokenizer", None)) is not None:
            tokenizer.save_pretrained(str(fresh / "shared"))
        (fresh / "experts").mkdir()
        for task, of_task in twin.parts.items():
            tensors = {
                f"{name}|{key}": value.contiguous()
                for name, part in of_task.items()
                for key, value in part.tensors().items()
            }
            save_file(tensors, fresh / "experts" / _file(task))
        if twin.heads:
            (fresh / "heads").mkdir()
            for task, head in twin.heads.items():
                save_file(dict(head.state_dict()), fresh / "heads" / _file(task))
        if twin.router is not None:
            save_file(dict(twin.router.state_dict()), fresh / "router.safetensors")
        write_json(fresh / "twin.json", _settings(twin))


def load_twin(
    folder: str | Path, *, shared: nn.Module | None = None, tokenizer: Any = None
) -> TwinModel:
    """Read what `save_twin` wrote.

    Args:
        folder: Where it lies.
        shared: The shared model, where it is loaded already.
        tokenizer: Of a transformers model; None reads the one beside the shared model, if any.

    Returns:
        The model.

    Raises:
        StoreError: Missing or damaged.
        ModelError: The parts do not fit the shared model.
    """
    place = Path(folder)
    values = read_json(place / "twin.json")
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise StoreError(f"{str(place)!r} holds no Twin model of format {FORMAT}; save it again")
    try:
        model = shared or load_model(place / "shared")
        if state_hash(model) != values["shared"]:
            raise StoreError(f"{str(place / 'shared')!r} holds other weights than were saved")
        parts = {
            task: _parts(load_file(place / "experts" / _file(task)), values["shapes"])
            for task in values["experts"]
        }
        heads = {t: _head(load_file(place / "heads" / _file(t))) for t in values["heads"]}
        how = values["compression"]
        compression = _KINDS[how["kind"]](**how["settings"]) if how else None
        check_loaded(parts, model)
        twin = TwinModel(
            model,
            parts,
            heads=heads,
            compression=compression,
            tokenizer=tokenizer or _tokenizer(model, place / "shared"),
        )
        if values["router"]:
            router = Router(**values["router"])
            router.load_state_dict(load_file(place / "router.safetensors"))
            twin.router = router.eval()
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"the Twin model {str(place)!r} is missing a part or damaged ({error}); save it again"
        ) from error
    return twin


def _settings(twin: TwinModel) -> dict[str, Any]:
    how, router = twin.compression, twin.router
    shapes = {n: list(p.shape) for of_task in twin.parts.values() for n, p in of_task.items()}
    return {
        "format": FORMAT,
        "experts": list(twin.tasks),
        "heads": list(twin.heads),
        "shared": state_hash(twin.shared),
        "shapes": shapes,
        "compression": how and {"kind": type(how).__name__, "settings": asdict(how)},
        "router": router
        and {"dims": router.dims, "experts": router.experts, "dropout": router.dropout},
        "merge": getattr(twin.shared, "merge_recipe", None),
        "sizes": twin.sizes(),
    }


def _file(task: str) -> str:
    return f"{quote(task, safe='')}.safetensors"


def _parts(tensors: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> dict[str, Part]:
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition("|")
        by_name.setdefault(name, {})[kind] = value
    return {name: Part(tuple(shapes[name]), **found) for name, found in by_name.items()}


def _head(tensors: Mapping[str, Tensor]) -> nn.Linear:
    weight = tensors["weight"]
    head = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in tensors)
    head.load_state_dict(dict(tensors))
    return head.to(weight.dtype)


def _tokenizer(model: nn.Module, folder: Path) -> Any:
    if hasattr(model, "encode"):
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))
