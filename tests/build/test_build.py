"""The main job on sixty small documents and a tiny model: the same code as at full size."""

import json
import multiprocessing
import random
import shutil

import numpy as np
import pytest

from vecsmith.build import BuildSettings, build, parse_duration
from vecsmith.core import ConfigError


def test_build_makes_a_whole_index(built):
    report = json.loads((built / "report.json").read_text())
    assert report["read"]["documents"] == 60
    assert report["train"]["trained"]
    assert set(report["judge"]["test"]["rankings"]) == {
        "bm25",
        "base",
        "base_hybrid",
        "adapted",
        "adapted_hybrid",
    }
    assert report["merge"]["mrr@10"].keys() == {"base", "tuned", "merged"}
    assert (built / "report.html").stat().st_size > 100
    assert not (built.parent / f".{built.name}.building").exists()


def test_the_adapted_model_loads_in_sentence_transformers(built):
    from sentence_transformers import SentenceTransformer

    from vecsmith.store import Store

    model = SentenceTransformer(str(built / "adapted" / "model"), device="cpu")
    ours = Store(built).spaces["adapted"].encoder.encode(["a steel bolt"])
    theirs = model.encode(["a steel bolt"], normalize_embeddings=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_search_finds_the_document(built, command):
    run = command("search", built, "Boiler Model 25", "--json", "--all", "--ranking", "bm25")
    answer = json.loads(run.stdout)
    assert "part25.md" in {hit["path"] for hit in answer["hits"][:3]}
    hit = answer["hits"][0]
    for start, end in hit["highlights"]:
        assert hit["snippet"][start:end].strip()


def test_eval_reports_all_rankings(built, command, tmp_path):
    queries = tmp_path / "queries.jsonl"
    rows = [{"query": f"mounting {n}", "documents": [f"part{n}.md"]} for n in range(8)]
    rows.append({"query": "outside", "documents": ["../secret.md"]})
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = command("eval", built, "--queries", queries, "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["queries"] == 8
    assert "leads outside of the source" in run.stderr
    for scores in result["rankings"].values():
        low, high = scores["ndcg@10"]["ci95"]
        assert 0 <= low <= scores["ndcg@10"]["mean"] <= high <= 1


@pytest.fixture(scope="module")
def children():
    """Processes that have the heavy imports behind them, so that a kill hits the build itself."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vecsmith.build._watch", "sentence_transformers", "datasets"])
    return context


@pytest.mark.parametrize("seed", [7, 8])
def test_a_build_killed_at_random_moments_ends_like_one_that_was_not(
    seed, children, built, corpus, tiny, tmp_path, index_content
):
    rng = random.Random(seed)
    out = tmp_path / "index"
    settings = BuildSettings(str(corpus), str(out), tiny, steps=4, batch_size=16, backend="f32")
    kills, finished = 0, []
    while kills < 5:
        process = children.Process(target=build, args=(settings,))
        process.start()
        process.join(rng.uniform(0.3, 4.0))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if out.exists():
            finished.append(out.rename(tmp_path / f"index{len(finished)}"))
    build(settings)
    for index in (*finished, out):
        expected, got = index_content(built), index_content(index)
        for name, vectors in expected.pop("vectors").items():
            np.testing.assert_allclose(got["vectors"].pop(name), vectors, atol=1e-5)
        # The last bits of trained weights may differ, and with them the hash.
        assert expected["weights"].pop("adapted") and got["weights"].pop("adapted")
        assert got == {**expected, "vectors": {}}


def test_low_rank_adapters_end_as_plain_weights(corpus, tiny, tmp_path):
    from sentence_transformers import SentenceTransformer

    out = tmp_path / "index"
    settings = BuildSettings(
        str(corpus), str(out), tiny, steps=3, batch_size=16, backend="f32", lora=True
    )
    assert build(settings).report["train"]["trained"]
    before = SentenceTransformer(tiny, device="cpu").state_dict()
    after = SentenceTransformer(str(out / "adapted" / "model"), device="cpu").state_dict()
    assert before.keys() == after.keys()
    changed = [name for name, value in before.items() if not value.equal(after[name])]
    assert all("dense" in name or "attention" in name for name in changed), changed


def test_queries_are_cut_between_tokens(tiny):
    from vecsmith.build._train import QUERY_TOKENS, cut_queries
    from vecsmith.encode import load_sentence_transformer

    long = "valve pump " * QUERY_TOKENS
    sets = {"plain": {"anchor": ["a short one", long], "positive": ["x", "y"]}}
    cut = cut_queries(load_sentence_transformer(tiny), sets)["plain"]
    assert cut["anchor"] == ["a short one", long[: QUERY_TOKENS // 2 * 11 - 1]]
    assert cut["positive"] == ["x", "y"]


def test_update_equals_a_fresh_reading(built, corpus, command, tmp_path, index_content):
    source, index = tmp_path / "source", tmp_path / "index"
    shutil.copytree(corpus, source)
    shutil.copytree(built, index)
    assert "nothing changed" in command("update", index, "--source", source).stdout
    (source / "part3.md").unlink()
    text = (source / "part4.md").read_text()
    (source / "part4.md").write_text(text + "\n## Recycling\n\nBring the zyxwv part back.\n")
    (source / "new part.md").write_text("# Flux capacitor\n\nIt makes time travel possible.\n")
    run = command("update", index, "--source", source, "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["documents"] == 60
    assert result["models"]["base"]["encoded"] < 8
    content = index_content(index)
    paths = {stored.passage.document for stored in content["passages"]}
    assert "new part.md" in paths
    assert "part3.md" not in paths
    found = json.loads(
        command("search", index, "zyxwv", "--ranking", "bm25", "--json", "--all").stdout
    )
    assert found["hits"][0]["path"] == "part4.md"
    from vecsmith.store import Store

    store = Store(index)
    passages = [stored.passage.content for stored in content["passages"]]
    fresh = store.spaces["base"].encoder.encode(passages)
    np.testing.assert_allclose(content["vectors"]["base"], fresh, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: p / "missing", "missing"),
        (lambda p: (p / "empty").mkdir() or p / "empty", "holds no"),
        (lambda p: _file(p / "only.bin", b"\x00\x01\x02" * 50).parent, "holds no"),
    ],
)
def test_bad_sources_are_told_in_a_sentence(make, text, tiny, command, tmp_path):
    base = tmp_path / "place"
    base.mkdir()
    run = command("build", make(base), "--out", tmp_path / "out", "--model", tiny, "--steps", 0)
    assert run.returncode == 2
    assert text in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def _file(path, content):
    path.write_bytes(content)
    return path


def test_one_file_without_structure_is_indexed_untouched(tiny, command, tmp_path):
    source = _file(tmp_path / "söme näme.txt", "Ein Satz über Ventile.\n".encode("latin-1"))
    out = tmp_path / "out"
    run = command("build", source, "--out", out, "--model", tiny, "--steps", 2, "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["shipped"] == "base_hybrid"
    assert not report["train"]["trained"]
    answer = json.loads(command("search", out, "Ventile", "--json", "--all").stdout)
    assert "über Ventile" in answer["hits"][0]["snippet"]


def test_a_failed_build_leaves_the_old_index(built, tiny, command, tmp_path):
    index = tmp_path / "index"
    shutil.copytree(built, index)
    before = (index / "manifest.json").read_bytes()
    run = command("build", tmp_path / "missing", "--out", index, "--model", tiny)
    assert run.returncode == 2
    assert (index / "manifest.json").read_bytes() == before


def test_an_encoder_of_another_model_is_refused(built, command, tmp_path):
    index = tmp_path / "index"
    shutil.copytree(built, index)
    for folder in ("base", "adapted"):
        path = index / folder / "encoder" / "encoder.json"
        settings = json.loads(path.read_text())
        settings["stamp"]["weights"] = "0" * len(settings["stamp"]["weights"])
        path.write_text(json.dumps(settings))
        size = path.stat().st_size
        sums = json.loads((index / "checksums.json").read_text())
        sums[f"{folder}/encoder/encoder.json"]["bytes"] = size
        (index / "checksums.json").write_text(json.dumps(sums))
    run = command("search", index, "valve", "--ranking", "base")
    assert run.returncode == 2
    assert "would mean nothing" in run.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"dims": 2},
        {"precision": 1.5},
        {"backend": "fp8"},
        {"seed": -1},
        {"batch_size": 1},
        {"max_tokens": 3},
        {"steps": -1},
        {"out": "docs/index"},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        BuildSettings(**{"source": "docs", "out": "index", **change})


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("5m", 300), ("1.5h", 5400), ("7s", 7)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


def test_a_bad_duration_is_refused():
    with pytest.raises(ConfigError, match="duration"):
        parse_duration("soon")
