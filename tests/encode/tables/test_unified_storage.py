"""Every storage under the same salts: budget, files, gradients, training."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError
from vecsmith.data.samples import load_movielens
from vecsmith.encode.tables import METHODS, UnifiedEmbedding, UnifiedSpec, hash_ids
from vecsmith.train.tables import CTRModel, CTROptions, SingleLayer, fit_ctr, predict

STORAGES = sorted(set(METHODS) - {"hash", "adapt_emb", "auto_srh"})


@pytest.fixture(scope="module")
def parts():
    whole, _ = load_movielens()
    return whole.take(np.random.default_rng(0).permutation(len(whole))[:2000]).split((0.8, 0.2))


def spec(storage, names=("a", "b"), **changes):
    made = UnifiedSpec(rows=400, dim=8, storage=storage, **changes)
    for name in names:
        made.add(name)
    return made


@pytest.mark.parametrize("storage", STORAGES)
def test_storages_share_one_budget(storage, parts, tmp_path):
    table = UnifiedEmbedding(spec(storage, parts[0].names, tables=2), seed=1)
    model = CTRModel(table, SingleLayer())
    fit_ctr(model, *parts, options=CTROptions(batch_size=256, epochs=2, lr=1e-2))
    assert 0 < table.nbytes() <= 400 * 8 * 4
    ids = torch.randint(0, 10**9, (20, 8))
    table.eval().save_pretrained(tmp_path / "u")
    again = UnifiedEmbedding.from_pretrained(tmp_path / "u")
    torch.testing.assert_close(again.flat(ids), table.flat(ids), rtol=1e-5, atol=1e-6)
    held = sum(p.stat().st_size for p in (tmp_path / "u").rglob("*.safetensors"))
    assert held <= 400 * 8 * 4 + 6000
    model.embedding = again
    assert np.isfinite(predict(model, parts[1])).all()


def test_storage_is_asked_for_hashed_rows():
    table = UnifiedEmbedding(spec("compo_emb"), seed=1)
    keys = torch.tensor([[5, 6]])
    rows = hash_ids(keys, table._salts) % 3200
    expected = table.stores[0](rows.flatten()).flatten()
    torch.testing.assert_close(table.flat(keys)[0], expected)
    assert table.stores[0].num_embeddings == 3200
    wide = UnifiedEmbedding(spec("robe", virtual_rows=10**9))
    assert wide.stores[0].num_embeddings == 10**9 and len(wide.stores[0].array) == 3200


def test_penalties_of_storages_reach_the_loss():
    table = UnifiedEmbedding(spec("mgqe", tables=2)).train()
    assert table.penalty() is None
    table.flat(torch.randint(0, 99, (30, 2)))
    table.penalty().backward()
    assert all(store.codebooks[0].grad.any() for store in table.stores)


def test_storages_tell_more_vectors_apart_than_there_are_rows():
    found = {name: spec(name).hashed_rows // 400 for name in STORAGES}
    assert found["full"] == found["auto_dim"] == 1
    # an eighth, a quarter, and three eighths of the bytes a vector
    assert (found["robe"], found["int"], found["alpt"]) == (8, 4, 2)


def test_storages_that_cannot_are_named():
    for method in ("adapt_emb", "auto_srh"):
        with pytest.raises(ConfigError, match="needs counts"):
            UnifiedEmbedding(spec(method))
    with pytest.raises(ConfigError, match="cannot be reached"):
        UnifiedEmbedding(UnifiedSpec(5, 8, storage="compo_emb", virtual_rows=10**6).add("a"))
