"""Vectors of a build: shards and the index of them."""

import numpy as np
from safetensors.numpy import save_file

from vecsmith.build._encode import SHARD, index_shards
from vecsmith.store import reconstruct


def test_8_bit_ranges_come_from_all_over(tmp_path):
    # The first documents are all alike, as those of one folder may be.
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3 * SHARD, 32)).astype(np.float32)
    vectors[:SHARD] = vectors[0] + 0.01 * vectors[:SHARD]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for place in range(3):
        part = vectors[place * SHARD : (place + 1) * SHARD]
        save_file({"vectors": part}, tmp_path / f"{place}.safetensors")
    index = index_shards(tmp_path, len(vectors), 32, int8=True, seed=0)
    kept = reconstruct(index, np.arange(len(vectors)))
    cosines = (kept * vectors).sum(axis=1) / np.linalg.norm(kept, axis=1)
    assert cosines.min() > 0.999
