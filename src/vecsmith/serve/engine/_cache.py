"""Vectors of texts that were encoded before, by content, within a bound of memory."""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# What the dictionary, the key and the array object take beside the numbers.
_OVERHEAD = 300


def content_key(space: str, kind: str, ids: Sequence[int]) -> bytes:
    """Return the key of a row of tokens: a hash of all that its vector depends on.

    Args:
        space: Name of the embedding space (hash of weights, dimensions, precision).
        kind: "query" or "document".
        ids: Token ids.

    Returns:
        16 bytes.
    """
    state = hashlib.blake2b(f"{space}\0{kind}\0".encode(), digest_size=16)
    state.update(struct.pack(f"<{len(ids)}q", *ids))
    return state.digest()


class VectorCache:
    """Vectors by content; the ones unused for longest go first.

    Args:
        most_bytes: Memory to keep within; 0 keeps nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self.hits = self.misses = 0
        self._kept: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self._kept)

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """Return a vector and count whether it was there."""
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, vector: NDArray[np.float32]) -> None:
        """Keep a vector if it fits."""
        size = vector.nbytes + _OVERHEAD
        if size > self.most_bytes or key in self._kept:
            return
        # A copy, so that the whole batch that it is a row of is not kept with it.
        self._kept[key] = vector.copy()
        self.bytes += size
        while self.bytes > self.most_bytes:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= gone.nbytes + _OVERHEAD
