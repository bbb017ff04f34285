"""Hashes of ids and texts that are the same in every process and on every machine.

Integers go through splitmix64 (G. Steele and others, 2014) with a salt:

    z = x + salt;  z = (z ^ z>>30) * BF58476D1CE4E5B9;  z = (z ^ z>>27) * 94D049BB133111EB;
    z = z ^ z>>31

all modulo 2**64; the result's top bit is cleared, so that it is never negative. Texts are hashed by
the 8-byte words of their UTF-8 form, h = mix(h ^ word), starting from their length. NumPy and torch
give the same numbers; arithmetic is in 64 bits (32 bits overflow, and collide).
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vecsmith.core import DataError

_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_TOP = 0x7FFF_FFFF_FFFF_FFFF


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def salt_of(seed: int, name: str, chunk: int) -> int:
    """Make a salt of 64 bits.

    Args:
        seed: Any number.
        name: Of a feature.
        chunk: Which of its hashes.

    Returns:
        A signed number of 64 bits, which depends on all three and on nothing else.
    """
    data = f"{seed}/{chunk}/{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Shift right without the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def hash_ids(ids: Tensor, salts: Tensor) -> Tensor:
    """Hash integers on their device.

    Args:
        ids: int64, any shape.
        salts: int64, of a shape that broadcasts with it.

    Returns:
        int64 from 0 to 2**63 - 1.
    """
    z = ids + salts
    z = (z ^ _shifted(z, 30)) * _signed(_FIRST)
    z = (z ^ _shifted(z, 27)) * _signed(_SECOND)
    return (z ^ _shifted(z, 31)) & _TOP


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return z ^ (z >> np.uint64(31))


def hash_integers(ids: NDArray[Any], salts: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Hash integers in NumPy; the numbers are those of `hash_ids`.

    Args:
        ids: Whole numbers, any shape.
        salts: int64, of a shape that broadcasts with it.

    Returns:
        int64 from 0 to 2**63 - 1.
    """
    z = np.asarray(ids, np.int64).view(np.uint64) + np.asarray(salts, np.int64).view(np.uint64)
    return (_mixed(z) & np.uint64(_TOP)).view(np.int64)


def hash_texts(texts: Sequence[str]) -> NDArray[np.int64]:
    """Hash texts to keys, which `hash_ids` then salts.

    Args:
        texts: Any texts, lone surrogates included.

    Returns:
        int64 from 0 to 2**63 - 1, shape (texts,).

    Raises:
        DataError: An entry is not a text.
    """
    try:
        data = [text.encode("utf-8", "surrogatepass") for text in texts]
    except AttributeError as error:
        kinds = sorted({type(text).__name__ for text in texts})
        raise DataError(f"values must be all texts or all whole numbers; got {kinds}") from error
    lengths = np.array([len(piece) for piece in data], np.int64)
    # fixed-width bytes lose zeros at the end; the length, hashed first, keeps them apart
    words = max(1, -(-int(lengths.max(initial=1)) // 8))
    table = np.array(data, f"S{8 * words}").view(np.uint8).reshape(len(data), 8 * words)
    columns = table.view("<u8").astype(np.uint64)
    state = _mixed(lengths.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    for place in range(words):
        inside = lengths > 8 * place
        state[inside] = _mixed(state[inside] ^ columns[inside, place])
    return (state & np.uint64(_TOP)).view(np.int64)


def to_keys(values: Any) -> Tensor:
    """Turn values of a feature into 64-bit keys: whole numbers as they are, texts by their hash.

    Args:
        values: A tensor or array of whole numbers, or a list of whole numbers or of texts.

    Returns:
        int64, the shape of the values.

    Raises:
        DataError: Values are neither whole numbers nor texts, or NaN.
    """
    if isinstance(values, Tensor):
        if values.dtype.is_floating_point or values.dtype.is_complex:
            raise DataError(f"values must be whole numbers or texts; got {values.dtype}")
        return values.long()
    array = np.asarray(values)
    if array.dtype.kind == "b" or array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64))
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and array.size):
        # a list that mixes texts and numbers arrives as texts; its entries tell
        flat = list(values) if isinstance(values, list | tuple) else array.ravel().tolist()
        return torch.from_numpy(hash_texts(flat)).reshape(array.shape)
    if array.size == 0:
        return torch.zeros(array.shape, dtype=torch.int64)
    raise DataError(f"values must be whole numbers or texts; got {array.dtype}")
