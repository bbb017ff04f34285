import json

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.store import Need, advise
from vecsmith.store.compressed import IndexPoint, _advisor, candidates
from vecsmith.store.compressed._advisor import _choose


def point(kind, recall, size, took):
    return IndexPoint(kind, "", {}, recall, size, took)


POINTS = [point("a", 1.0, 400, 2.0), point("b", 0.96, 100, 3.0), point("c", 0.96, 100, 1.0)]


@pytest.mark.parametrize(
    ("need", "kind", "met"),
    [
        (Need(0.95), "c", True),
        (Need(0.99), "a", True),
        (Need(0.95, ms_per_query=0.5), "a", False),  # none is fast enough: the best of all
        (Need(0.99, bytes_per_document=200), "b", False),  # the best within the bytes
        (Need(0.95, bytes_per_document=200, ms_per_query=2), "c", True),
    ],
)
def test_the_smallest_that_keeps_every_limit_is_taken(need, kind, met):
    advice = _choose(need, POINTS, 10)
    assert (advice.choice.kind, advice.met) == (kind, met)


def test_all_candidates_are_measured(documents, queries, monkeypatch, tmp_path):
    monkeypatch.setattr(_advisor, "LEAST_FOR_CODES", 1000)
    monkeypatch.setattr(_advisor, "HELD_OUT", 100)
    monkeypatch.setattr(_advisor, "ROUNDS", 1)
    monkeypatch.setattr(_advisor, "_layout", lambda count, dims: (16, 4))
    monkeypatch.setattr(_advisor, "_factories", quicker(_advisor._factories))
    advice = advise(documents, queries, Need(0.8), steps=20)
    kinds = {point.kind for point in advice.points}
    assert kinds == set(candidates(2000, 32))
    assert advice.documents == 2000
    by_kind = {k: [p for p in advice.points if p.kind == k] for k in kinds}
    assert by_kind["flat"][0].recall == 1.0
    assert by_kind["flat"][0].bytes_per_document == pytest.approx(128, rel=0.01)
    assert by_kind["int8"][0].bytes_per_document == pytest.approx(32, rel=0.05)
    assert by_kind["int8"][0].recall > 0.9
    for kind in ("ivf-pq", "hnsw", "1-bit, re-ranked by int8"):
        recalls = [p.recall for p in by_kind[kind]]
        assert recalls[-1] > recalls[0]
    assert advice.met
    assert advice.choice.recall >= 0.8
    json.dumps(advice.to_dict())
    advice.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def quicker(made):
    def factories(count, dims):
        found = made(count, dims)
        # a random rotation takes no time to find
        shorter = {"OPQ4,": "RR32,", "PQ4np": "PQ4x5np"}
        for kind, (factory, dials) in found.items():
            for long, short in shorter.items():
                factory = factory.replace(long, short)
            found[kind] = factory, dials
        return found

    return factories


def test_small_collections_have_no_codes(documents, queries):
    advice = advise(documents, queries[:150], sample=500)
    assert advice.documents == 500
    assert not any(p.kind in ("ivf-pq", "opq", "learned") for p in advice.points)


def test_a_choice_can_be_built_from_its_settings(documents, queries):
    import faiss

    advice = advise(documents, queries[:100], kinds=["int8", "hnsw"])
    index = faiss.index_factory(32, advice.choice.factory, faiss.METRIC_INNER_PRODUCT)
    index.train(documents)
    index.add(documents)
    assert index.search(queries[:1], 3)[1].shape == (1, 3)


def test_bad_input_is_named(documents, queries):
    with pytest.raises(ConfigError, match="recall"):
        Need(1.5)
    with pytest.raises(ConfigError, match="bytes_per_document"):
        Need(0.9, bytes_per_document=0)
    with pytest.raises(ConfigError, match="did you mean 'hnsw'"):
        advise(documents, queries, kinds=["hnws"])
    with pytest.raises(DataError, match="queries must have shape"):
        advise(documents, queries[:, :3])
    broken = documents.copy()
    broken[5] = np.nan
    with pytest.raises(DataError, match="row 5"):
        advise(broken, queries)
