"""What a source of batches holds of its own, beside the global generators.

Found are the random generators in the attributes `generator` and `rng` of a loader, its samplers
and its dataset, and what these samplers and a dataset with `state_dict` say of themselves. An
iterable dataset's `state_dict` is left alone: it tells a place inside a pass, and between two
passes that is "all gone through".
"""

import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DataError

if TYPE_CHECKING:
    import torch

    Generator = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


def source_states(source: Any) -> dict[str, Any]:
    """Return copies of the states found, by the names of their places.

    Args:
        source: A DataLoader or another iterable of batches.
    """
    states = {name: _state(generator) for name, generator in _generators(source).items()}
    for name, part in _keepers(source).items():
        states[name] = deepcopy(part.state_dict())
    return states


def set_source_states(source: Any, states: dict[str, Any]) -> None:
    """Put back what `source_states` returned; places that the source lacks are passed over.

    Args:
        source: A source like the one that the states are from.
        states: Such a dictionary.

    Raises:
        DataError: The source does not take a state: it is not the one of that run.
    """
    generators, keepers = _generators(source), _keepers(source)
    name = ""
    try:
        for name, state in states.items():
            if name in generators:
                _set_state(generators[name], state)
            elif name in keepers:
                # a copy: some keep what they are given and change it
                keepers[name].load_state_dict(deepcopy(state))
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"the checkpoint's state of {name} of the batches does not fit ({error}): resume "
            "with the data and samplers of the first run, or delete the checkpoint"
        ) from error


def _parts(source: Any) -> dict[str, Any]:
    batch_sampler = getattr(source, "batch_sampler", None)
    parts = {
        "sampler": getattr(source, "sampler", None),
        "batch_sampler": batch_sampler,
        "batch_sampler.sampler": getattr(batch_sampler, "sampler", None),
        "dataset": getattr(source, "dataset", None),
    }
    return {name: part for name, part in parts.items() if part is not None}


def _generators(source: Any) -> "dict[str, Generator]":
    import torch

    kinds = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
    found = {
        f"{name}.{attribute}": getattr(part, attribute, None)
        for name, part in {"source": source, **_parts(source)}.items()
        for attribute in ("generator", "rng")
    }
    return {name: value for name, value in found.items() if isinstance(value, kinds)}


def _keepers(source: Any) -> dict[str, Any]:
    from torch.utils.data import IterableDataset

    return {
        name: part
        for name, part in _parts(source).items()
        if hasattr(part, "state_dict")
        and hasattr(part, "load_state_dict")
        and not isinstance(part, IterableDataset)
    }


def _state(generator: "Generator") -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _set_state(generator: "Generator", state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
