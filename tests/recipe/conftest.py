"""What the tests of training runs share: files of pairs, and settings of a small run."""

import json

import pytest

from vecsmith.recipe import config_from

PARTS = "valve pump filter sensor cable panel motor switch boiler paint".split()
PLACES = "red blue green open close read write file door run".split()


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {"q": f"{a} {b}", "p": f"{b} document {a}", "n": f"{a} query {c}"}
        for i, a in enumerate(PARTS)
        for b, c in zip(PLACES, PLACES[i:] + PLACES[:i], strict=True)
    ]
    for name, keys in (("pairs", "qp"), ("triplets", "qpn"), ("texts", "q")):
        lines = "".join(json.dumps({k: r[k] for k in keys}) + "\n" for r in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    queries = [{"query": r["q"], "document": r["p"]} for r in rows[::7]]
    (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    return folder


@pytest.fixture
def settings(data, tiny_model, tmp_path):
    def make(**changed):
        values = {
            "data": str(data / "pairs.jsonl"),
            "model": str(tiny_model),
            "out": str(tmp_path / "run"),
            "steps": 6,
            "batch_size": 8,
            "checks": 3,
            "learning_rate": 5e-3,
            "objective": "contrastive",
            **changed,
        }
        return config_from(values)

    return make
