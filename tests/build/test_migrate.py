import json
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from vecsmith.build import _migrate, migrate, update
from vecsmith.core import ConfigError, StoreError
from vecsmith.store import Searcher, Store, reconstruct


@pytest.fixture(scope="module")
def other(tiny, tmp_path_factory):
    """The tiny model with weights moved a little: another model, not unlike it."""
    import torch

    model = SentenceTransformer(tiny, device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.15 * weight.std().nan_to_num() * torch.randn_like(weight))
    folder = tmp_path_factory.mktemp("other") / "model"
    model.save_pretrained(str(folder), create_model_card=False)
    return str(folder)


@pytest.fixture
def index(built, tmp_path):
    shutil.copytree(built, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    from vecsmith.build import _encode

    monkeypatch.setattr(_encode, "SHARD", 30)


def vectors_of(store):
    index = store.spaces["base"].index
    return reconstruct(index, np.arange(index.ntotal))


def test_mapped_vectors_serve_at_once_and_encoded_ones_in_the_end(index, other):
    with_old = Store(index)
    old = vectors_of(with_old)
    with_old.close()
    told = migrate(index, other, map_only=True)
    assert told["encoded"] == 0
    assert not told["finished"]
    store = Store(index, verify=True)
    assert list(store.spaces) == ["base"]
    assert store.spaces["base"].encoder.stamp.weights == store.spaces["base"].stamp.weights
    passages = [stored.passage.content for stored in store.passages.passages()]
    wanted = store.spaces["base"].encoder.encode(passages)
    mapped = vectors_of(store)
    # nearer to the new model's than the old ones are
    assert (mapped * wanted).sum(1).mean() > (old * wanted).sum(1).mean() + 0.02
    assert not (index / "cutoff").exists()
    assert Searcher(index).search("a bolt", k=3, keep_all=True).hits
    store.close()

    with pytest.raises(StoreError, match="on its way to the model"):
        update(index)
    with pytest.raises(StoreError, match="finish that first"):
        migrate(index, "sentence-transformers/all-MiniLM-L6-v2")

    told = migrate(index)
    assert told["finished"]
    store = Store(index, verify=True)
    np.testing.assert_allclose(vectors_of(store), wanted, atol=1e-6)
    assert store.manifest["migration"]["finished"]
    assert store.settings["model"] == other
    shares = [step["overlap_at_10"] for step in told["history"][:-1]]
    steps = [step["encoded"] for step in told["history"]]
    assert steps[0] == 0
    assert steps[-1] == told["passages"] == len(passages)
    assert steps == sorted(set(steps))
    assert len(steps) > 3
    assert shares == sorted(shares)
    assert 0 < told["history"][-1]["mapped_overlap_at_10"] < 1
    store.close()
    assert not list(index.parent.glob(".index.*"))
    assert update(index)["up_to_date"]
    assert "was moved to the model" in (index / "report.html").read_text("utf-8")
    with pytest.raises(ConfigError, match="--model NEW"):
        migrate(index)


def test_a_move_that_was_killed_goes_on(index, other, monkeypatch):
    encoded = []
    encode = _migrate.encode_passages

    def killed(table, encoder, folder, *, label, after):
        def stop(done):
            after(done)
            if done == 90:
                raise KeyboardInterrupt

        return encode(table, encoder, folder, label=label, after=stop)

    def counted(*arguments, **keywords):
        found = encode(*arguments, **keywords)
        encoded.append(found["encoded"])
        return found

    monkeypatch.setattr(_migrate, "encode_passages", killed)
    with pytest.raises(KeyboardInterrupt):
        migrate(index, other)
    store = Store(index, verify=True)
    assert store.manifest["migration"]["encoded"] == 90
    mixed, stamp = vectors_of(store), store.spaces["base"].stamp
    passages = [stored.passage.content for stored in store.passages.passages()]
    wanted = store.spaces["base"].encoder.encode(passages)
    np.testing.assert_allclose(mixed[:90], wanted[:90], atol=1e-6)
    assert np.abs(mixed[90:] - wanted[90:]).max() > 0.01
    store.close()
    monkeypatch.setattr(_migrate, "encode_passages", counted)
    told = migrate(index, other)
    assert told["finished"]
    assert encoded == [len(passages) - 90]
    store = Store(index, verify=True)
    assert store.spaces["base"].stamp == stamp
    np.testing.assert_allclose(vectors_of(store), wanted, atol=1e-6)
    store.close()


def test_the_command_tells_the_loss(index, other, command, tmp_path):
    run = command("migrate", index, "--model", other, "--map-only")
    assert run.returncode == 0, run.stderr
    assert "mapped vectors serve; to encode: vecsmith migrate" in run.stdout
    run = command("migrate", index, "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["finished"]
    run = command("migrate", tmp_path / "none", "--model", other)
    assert run.returncode == 2
    assert "should be an index" in run.stderr


def test_a_tiny_sample_is_refused(index, other):
    with pytest.raises(ConfigError, match="at least 100"):
        migrate(index, other, sample=5)
