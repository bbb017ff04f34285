"""A tree of tensors and plain values as one safetensors file, written whole or not at all.

Dictionaries, lists, tuples, numbers, strings, NumPy arrays and tensors go in; the same come out.
The tensors are the file's tensors and the rest is JSON in its header, so that nothing is ever
unpickled. Tensors that share memory (tied weights) are stored once.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import StoreError
from ._files import atomic_path

if TYPE_CHECKING:
    import torch

FORMAT = 1


def save_tree(path: str | Path, tree: Any) -> None:
    """Write a tree atomically.

    Args:
        path: The file to write.
        tree: Nested dictionaries, lists and tuples of tensors, arrays and plain values.

    Raises:
        StoreError: The tree holds something else, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    plain = _pack(tree, tensors, {})
    metadata = {"vecsmith": json.dumps({"format": FORMAT, "tree": plain})}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:
            # it wraps the operating system's error (disk full) and hides its number
            raise OSError(str(error)) from error


def load_tree(path: str | Path) -> Any:
    """Read what `save_tree` wrote; tensors come back on the CPU.

    Args:
        path: The file to read.

    Returns:
        The tree.

    Raises:
        StoreError: The file is missing, damaged, or none of `save_tree`'s.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as handle:
            tree = json.loads((handle.metadata() or {})["vecsmith"])["tree"]
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise StoreError(f"checkpoint {str(path)!r} is missing; start without it") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StoreError(
            f"checkpoint {str(path)!r} is damaged or was not written by vecsmith ({error}); "
            "delete it to start from the beginning"
        ) from error
    return _unpack(tree, tensors)


def _pack(value: Any, tensors: "dict[str, torch.Tensor]", seen: dict[Any, str]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return {"tensor": _store(value.detach(), tensors, seen)}
    if isinstance(value, np.ndarray):
        return {"array": _store(torch.from_numpy(np.ascontiguousarray(value)), tensors, {})}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        pairs = [[_pack(k, tensors, seen), _pack(v, tensors, seen)] for k, v in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors, seen) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise StoreError(
        "a checkpoint holds tensors, arrays, numbers, strings and containers of them; "
        f"got {type(value).__name__}: turn it into one of these first"
    )


def _store(tensor: "torch.Tensor", tensors: "dict[str, torch.Tensor]", seen: dict[Any, str]) -> str:
    key = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
    if tensor.numel() and key in seen:
        return seen[key]
    name = f"t{len(tensors)}"
    # a copy: views of one buffer are refused by safetensors
    tensors[name] = tensor.cpu().contiguous().clone()
    seen[key] = name
    return name


def _unpack(value: Any, tensors: "dict[str, torch.Tensor]") -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "array":
        return tensors[inner].numpy()
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in inner}
    items = [_unpack(item, tensors) for item in inner]
    return tuple(items) if kind == "tuple" else items
