"""mergekit's methods on any model that a merge here takes, dense heads and pooling layers included.

mergekit (C. Goddard and others, 2024, *Arcee's MergeKit*) has DELLA, Breadcrumbs, SCE, Karcher
means, model stock, RAM and more, for language models that it knows by name. Its methods work on one
tensor at a time; here they get the tensors of sentence encoders, of any module, or of folders on
disk. What it has and this room has too (linear, TIES, DARE, SLERP) are two implementations of one
formula; the tests compare them.

Use for a method that this room lacks. Needs the extra `merge`. Cost: one pass over the tensors.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from vecsmith.core import ConfigError, did_you_mean, require, torch_generator

from ._set import Mergeable, Merged

# id of the base among the inputs
BASE = "the base"


def mergekit_methods() -> dict[str, dict[str, Any]]:
    """Tell which methods mergekit has, and what they take.

    Returns:
        Name -> parameter -> its default; None where it must be given.

    Raises:
        MissingExtra: mergekit is not installed.
    """
    return {
        method.spec.name: {
            p.name: None if p.required else p.default for p in method.spec.parameters
        }
        for method in _room().registered_methods()
    }


def mergekit(
    ms: Mergeable, *, name: str, parameters: Mapping[str, Any] | None = None, seed: int = 0
) -> Merged:
    """Merge by one of mergekit's methods.

    Args:
        ms: Base and experts.
        name: mergekit's name of the method, such as "della"; see `mergekit_methods`.
        parameters: Its parameters; one that is an expert's own may be one value for all, or a
            mapping expert -> value.
        seed: Seed of methods that draw.

    Yields:
        Name and merged tensor.

    Raises:
        ConfigError: Unknown method or parameter, or a number of experts that it does not take.
        MissingExtra: mergekit is not installed.
    """
    room = _room()
    known = {method.spec.name: method for method in room.registered_methods()}
    if name not in known:
        raise ConfigError(f"mergekit has no method {name!r}; {did_you_mean(name, known)}")
    method = known[name]
    # a method that knows no base would take it for one more expert
    based = method.spec.contract.base.value in ("required", "optional")
    ids = [BASE, *ms.tasks] if based else list(ms.tasks)
    given = {key: _by_id(key, value, ids) for key, value in (parameters or {}).items()}
    for tensor, start, deltas in ms.tensors():
        rows = [start + delta for delta in deltas]
        inputs = [start, *rows] if based else rows
        group = room.TensorGroup.from_tensors(
            inputs, ids=ids, base_index=0 if based else None, name=tensor
        )
        with _seeded(seed, tensor), _refused(name):
            (merged,) = method((group,), parameters=given)
        yield tensor, merged.to(start)


def _by_id(key: str, value: Any, ids: list[str]) -> Any:
    """A mapping of the experts, with a value for the base that no method reads."""
    if not isinstance(value, Mapping):
        return value
    if unknown := sorted(set(value) - set(ids)):
        raise ConfigError(f"{key} names {unknown[0]!r}; {did_you_mean(unknown[0], ids)}")
    filler = {} if BASE not in ids else {BASE: next(iter(value.values()), 0.0)}
    return {**filler, **value}


@contextlib.contextmanager
def _seeded(seed: int, tensor: str) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(torch_generator(seed, "mergekit", tensor).initial_seed() % 2**63)
        yield


@contextlib.contextmanager
def _refused(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"mergekit's {name!r} refuses: {error}; mergekit_methods() tells what it takes"
        ) from error


def _room() -> Any:
    with warnings.catch_warnings():
        # it reads numpy by a name that is going away
        warnings.simplefilter("ignore", DeprecationWarning)
        return require("mergekit.merge_methods", "merge")
