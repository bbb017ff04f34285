"""Search, rerank, passages, documents and map: the same object in Python, shell and server."""

import datetime
import json

import numpy as np
import pytest

from vecsmith.store import Filter, Searcher, Store, rerank

QUERIES = ["Mounting the valve 0", "clean the pump with a soft cloth", "solvent", "zebra unicorn"]


@pytest.fixture(scope="module")
def store(index):
    made = Store(index)
    yield made
    made.close()


@pytest.mark.parametrize("mode", [None, "lexical", "vector", "hybrid"])
@pytest.mark.parametrize("cutoff", [True, False])
def test_python_and_server_answer_bit_for_bit(client, store, mode, cutoff):
    searcher = Searcher(store, mode=mode)
    for query in QUERIES:
        body = {"query": query, "k": 7, "mode": mode, "cutoff": cutoff}
        got = client.post("/v1/search", json=body)
        want = searcher.search(query, k=7, keep_all=not cutoff).to_dict()
        # Through JSON once, which writes each float so that it reads back the same.
        assert got.json() == json.loads(json.dumps(want))


def test_shell_and_server_answer_bit_for_bit(client, index, command):
    run = command("search", index, QUERIES[0], "--all", "--json", "-k", 5, "--path", "part1*")
    body = {"query": QUERIES[0], "k": 5, "cutoff": False, "filter": {"paths": ["part1*"]}}
    assert json.loads(run.stdout) == client.post("/v1/search", json=body).json()


def test_the_cutoff_marks_and_hides_and_nothing_is_an_answer(client):
    body = {"query": QUERIES[0], "k": 20}
    marked = client.post("/v1/search", json={**body, "cutoff": False}).json()
    kept = client.post("/v1/search", json=body).json()
    assert 0 < marked["cutoff"] < 1
    probabilities = [hit["probability"] for hit in marked["hits"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert [hit["relevant"] for hit in marked["hits"]] == [
        p >= marked["cutoff"] for p in probabilities
    ]
    assert kept["hits"] == [hit for hit in marked["hits"] if hit["relevant"]]
    assert 0 < len(kept["hits"]) < len(marked["hits"]) and not kept["nothing_relevant"]
    nothing = client.post("/v1/search", json={"query": "zebra unicorn quantum"}).json()
    assert nothing["nothing_relevant"] and nothing["hits"] == []


def test_filters_choose_before_they_rank(client, store):
    query = {"query": "clean the pump", "k": 100, "cutoff": False}
    for filter_, passes in (
        ({"paths": ["part7.md"]}, lambda hit: hit["path"] == "part7.md"),
        (
            {"paths": ["part1*", "part2.md"]},
            lambda hit: hit["path"].startswith("part1") or hit["path"] == "part2.md",
        ),
        ({"kinds": ["markdown"]}, lambda hit: hit["kind"] == "markdown"),
        ({"paths": ["nowhere"]}, lambda hit: False),
    ):
        for mode in ("lexical", "vector", "hybrid"):
            hits = client.post(
                "/v1/search", json={**query, "mode": mode, "filter": filter_}
            ).json()["hits"]
            assert all(map(passes, hits))
            wanted = [
                s.row
                for s in store.passages.passages()
                if passes({"path": s.passage.document, "kind": "markdown"})
            ]
            if mode == "vector":
                assert {hit["row"] for hit in hits} == set(wanted) or len(hits) == 100
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for days, some in ((-2, True), (2, False)):
        after = (today + datetime.timedelta(days=days)).isoformat()
        hits = client.post("/v1/search", json={**query, "filter": {"after": after}}).json()["hits"]
        assert bool(hits) == some
    refused = client.post("/v1/search", json={**query, "filter": {"kinds": ["pdf"]}})
    assert refused.status_code == 404 and "markdown" in refused.json()["error"]["message"]


def test_a_passage_and_its_document_can_be_fetched(client, store):
    hit = client.post("/v1/search", json={"query": QUERIES[0]}).json()["hits"][0]
    found = client.get(f"/v1/passages/{hit['id']}").json()
    stored = store.passages.take([hit["row"]])[0]
    assert found["text"] == stored.passage.text and found["path"] == hit["path"]
    document = client.get(f"/v1/documents/{hit['document_id']}").json()
    texts = [s.passage.text for s in store.passages.passages() if s.group == stored.group]
    assert [p["text"] for p in document["passages"]] == texts
    assert document["count"] == len(texts)
    part = client.get(f"/v1/documents/{hit['document_id']}?start=1&limit=1").json()
    assert [p["text"] for p in part["passages"]] == texts[1:2]
    ids = [p["id"] for p in document["passages"]]
    place = ids.index(hit["id"])
    assert found["previous"] == (ids[place - 1] if place else None)
    assert found["next"] == (ids[place + 1] if place + 1 < len(ids) else None)
    assert client.get("/v1/passages/nothing").status_code == 404
    assert client.get(f"/v1/passages/{hit['id'].partition('-')[0]}").status_code == 404


def test_rerank_orders_as_python_does(client, store):
    texts = ["paint the door", "Clean the pump", "run the motor", "Clean the pump"]
    body = {"query": "cleaning pumps", "documents": texts, "model": "base"}
    got = client.post("/v1/rerank", json=body).json()
    want = rerank(store.spaces["base"].encoder, body["query"], texts)
    assert [(r["index"], r["relevance_score"]) for r in got["results"]] == want
    assert got["usage"]["total_tokens"] > 0
    some = client.post(
        "/v1/rerank",
        json={
            **body,
            "documents": [{"text": t} for t in texts],
            "top_n": 2,
            "return_documents": True,
        },
    ).json()
    assert [(r["index"], r["relevance_score"]) for r in some["results"]] == want[:2]
    assert [r["document"]["text"] for r in some["results"]] == [texts[i] for i, _ in want[:2]]


def test_the_map_holds_each_passage(client, store):
    head = client.get("/v1/map").json()
    body = client.get("/v1/map/points")
    count = head["count"]
    assert count == len(store.passages) and body.headers["x-vecsmith-index"] == head["index"]
    assert len(body.content) == 9 * count
    rows = np.frombuffer(body.content, "<u4", count)
    x, y = np.frombuffer(body.content, "<u2", 2 * count, 4 * count).reshape(2, count)
    group = np.frombuffer(body.content, "u1", count, 8 * count)
    assert rows.tolist() == list(range(count)) and group.max() < len(head["groups"])
    assert max(x.max(), y.max()) == 65_535 and min(x.min(), y.min()) == 0
    assert np.bincount(group).tolist() == [size for _, size in head["groups"]]
    at = client.get(f"/v1/passages?row=5&index={head['index']}").json()
    assert at["row"] == 5
    assert client.get("/v1/passages?row=5&index=0123").status_code == 409
    assert client.get(f"/v1/passages?row=99999&index={head['index']}").status_code == 404


def test_the_overview_tells_what_is_there(client, store):
    found = client.get("/v1/index").json()
    assert found["passages"] == len(store.passages) and found["documents"] == 60
    assert found["name"].startswith("corpus") and not found["needs_key"]
    assert found["kinds"] == [{"name": "markdown", "documents": 60}]
    assert found["shipped"] == "adapted_hybrid" and 0 < found["cutoff"] < 1
    assert [model["id"] for model in found["models"]] == ["base", "adapted"]
    assert found["models"][1]["card"] and not found["models"][0]["card"]
    assert client.get("/v1/report").json()["read"]["documents"] == 60
    report = client.get("/report.html")
    assert "sha256-" in report.headers["content-security-policy"]


def test_names_that_are_not_utf8_are_shown_with_a_mark():
    from vecsmith.serve.routes._answers import json_answer

    found = json.loads(json_answer({"path": "caf\udce9", "groups": [("caf\udce9", 1)]}).body)
    assert found == {"path": "caf?", "groups": [["caf?", 1]]}


def test_filters_of_the_library_say_what_is_wrong():
    from vecsmith.core import ConfigError

    day = datetime.date(2026, 1, 1)
    with pytest.raises(ConfigError, match="after"):
        Filter(after=day, before=day - datetime.timedelta(days=1))
