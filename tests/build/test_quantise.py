import json
import shutil

import numpy as np
import pytest

from vecsmith.build import BuildSettings, _quantise, build, update
from vecsmith.build._quantise import carried_parts, learn_codes, vectors_on_disk, wants_codes
from vecsmith.core import Budget
from vecsmith.data.samples import google_news_path
from vecsmith.encode.words import WordVectors
from vecsmith.store import Store, index_parts, load_vectors, reconstruct


@pytest.fixture(scope="module")
def words():
    table = WordVectors.load(google_news_path(), limit=3500).vectors[:, :64]
    return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def short_start(monkeypatch):
    monkeypatch.setattr(_quantise, "ROUNDS", 2)
    # few lists and short codes, so that the codes decide what is found
    monkeypatch.setattr(_quantise, "index_layout", lambda count, dims: (4, dims // 8))


def test_who_gets_learned_codes():
    assert wants_codes("auto", 50_001)
    assert not wants_codes("auto", 50_000)
    assert wants_codes("learned", 2_000)
    assert not wants_codes("learned", 1_999)
    assert not wants_codes("none", 10**6)


def test_shards_in_one_mapped_file(tmp_path, words):
    from safetensors.numpy import save_file

    for start in (0, 1000):
        save_file({"vectors": words[start : start + 1000]}, tmp_path / f"{start:09d}.safetensors")
    out = vectors_on_disk(tmp_path, tmp_path / "vectors.npy", 2000, 64)
    assert isinstance(out, np.memmap)
    np.testing.assert_array_equal(out, words[:2000])


def test_codes_learn_and_are_judged_on_other_queries(words, monkeypatch):
    monkeypatch.setattr(_quantise, "BUDGET", Budget(steps=40))
    documents, queries = words[:2500], words[2500:]
    parts, told = learn_codes(documents, queries, seed=0)
    assert told["learned"]
    assert told["held_out"] + told["queries"] == len(queries)
    assert told["after"] > told["before"]
    assert told["gain"] == pytest.approx(told["after"] - told["before"])
    assert len(parts.assignment) == 2500


def test_learning_that_does_harm_is_thrown_away(words, monkeypatch):
    monkeypatch.setattr(_quantise, "BUDGET", Budget(steps=10))
    documents, queries = words[:2500], words[2500:]
    start, told = learn_codes(documents, queries[:50], seed=0)
    assert told["learned"] is False
    assert "too few" in told["reason"]
    monkeypatch.setattr(_quantise, "RATE", 5.0)
    parts, told = learn_codes(documents, queries, seed=0)
    assert told["after"] < told["before"]
    assert told["learned"] is False
    np.testing.assert_array_equal(parts.codebooks, start.codebooks)


def test_old_passages_stay_in_their_lists(words):
    parts, _ = learn_codes(words[:2500], words[2500:2510], seed=0)
    rng = np.random.default_rng(0)
    parts.centroids = parts.centroids[rng.permutation(len(parts.centroids))]
    old = np.concatenate([rng.permutation(2500)[:2000], [-1] * 500])
    vectors = np.concatenate([words[old[:2000]], words[2500:3000]])
    carried = carried_parts(parts, old, vectors)
    np.testing.assert_array_equal(carried.assignment[:2000], parts.assignment[old[:2000]])
    np.testing.assert_array_equal(carried.assignment[2000:], parts.nearest_lists(words[2500:3000]))


@pytest.mark.slow
def test_a_build_with_learned_codes_is_updated_with_them(corpus, tiny, tmp_path, monkeypatch):
    source, out = tmp_path / "source", tmp_path / "index"
    shutil.copytree(corpus, source)
    for path in sorted(corpus.glob("*.md")):
        text = path.read_text("utf-8").replace("steel", "brass").replace("model", "type")
        (source / f"more-{path.name}").write_text(text, "utf-8")
    for name, value in {
        "LEAST_PASSAGES": 300,
        "LEAST_QUERIES": 20,
        "BUDGET": Budget(steps=5),
    }.items():
        monkeypatch.setattr(_quantise, name, value)
    build(
        BuildSettings(str(source), str(out), model=tiny, steps=0, backend="f32", quantise="learned")
    )
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["codes"]["base"]["queries"] >= 20
    assert "Bytes a code" in (out / "report.html").read_text("utf-8")
    before = index_parts(load_vectors(out / "base" / "vectors.faiss"))
    assert before.kind == "ivf_opq"

    (source / "part3.md").unlink()
    (source / "new part.md").write_text("# Flux capacitor\n\nIt makes time travel possible.\n")
    assert update(out)["models"]["base"]["encoded"] < 8
    store = Store(out, verify=True)
    index = store.spaces["base"].index
    after = index_parts(index)
    np.testing.assert_array_equal(after.codebooks, before.codebooks)
    passages = [stored.passage.content for stored in store.passages.passages()]
    fresh = store.spaces["base"].encoder.encode(passages)
    np.testing.assert_allclose(reconstruct(index, np.arange(len(fresh))), fresh, atol=2e-3)
    assert store.rank(["time travel"], "base")[0].rows.size
    store.close()
