"""Randomness from one number: independent streams by name, no hidden global state."""

import random
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _entropy(seed: int, names: tuple[str, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, *(zlib.crc32(name.encode()) for name in names)])


def numpy_generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator whose stream depends on the seed and the names alone.

    Args:
        seed: Any non-negative integer.
        *names: What the stream is for; other names give independent streams.

    Returns:
        A NumPy generator.
    """
    return np.random.default_rng(_entropy(seed, names))


def torch_generator(seed: int, *names: str) -> "torch.Generator":
    """Return a CPU torch generator, seeded like `numpy_generator`.

    Args:
        seed: Any non-negative integer.
        *names: What the stream is for.

    Returns:
        A torch generator.
    """
    import torch

    state = _entropy(seed, names).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & 0x7FFF_FFFF_FFFF_FFFF)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (if it is loaded or can be), for code that uses global state.

    Args:
        seed: Any non-negative integer below 2**32.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - host libraries draw from the global state
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.manual_seed(seed)
