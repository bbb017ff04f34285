"""An update under load, damaged indexes, kills and graceful stops."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from vecsmith.core import StoreError, write_checksums, write_json
from vecsmith.serve.engine import Generation
from vecsmith.store import Searcher

QUERY = {"query": "clean the pump with a soft cloth", "k": 20, "cutoff": False}


@pytest.fixture
def own(index, corpus, tmp_path):
    """An index and its source that a test may change."""
    source, folder = tmp_path / "source", tmp_path / "index"
    shutil.copytree(corpus, source)
    shutil.copytree(index, folder)
    return folder, source


def answers_of(folder):
    answer = Searcher(folder).search(QUERY["query"], k=QUERY["k"], keep_all=True).to_dict()
    return json.loads(json.dumps(answer))


def test_an_update_is_swapped_in_under_load_without_a_failed_or_mixed_answer(start, own, command):
    folder, source = own
    server = start(folder, "--watch-s", "0.1")
    wanted = {}
    with server.client() as client:
        before = client.get("/v1/index").json()["index"]
    wanted[before] = answers_of(folder)
    seen, stop = [], threading.Event()

    def load(body):
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/v1/search", json=body)
                seen.append(
                    (answer.status_code, answer.headers.get("x-vecsmith-index"), answer.json())
                )

    threads = [threading.Thread(target=load, args=(QUERY,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        text = f"# Fresh {number}\n\nThe pump number {number} is cleaned with a soft red cloth.\n"
        (source / f"fresh{number}.md").write_text(text, "utf-8")
    run = command("update", folder, "--source", source)
    assert run.returncode == 0, run.stderr
    deadline, after = time.monotonic() + 20, before
    with server.client() as client:
        while after == before and time.monotonic() < deadline:
            after = client.get("/v1/index").json()["index"]
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert after != before
    wanted[after] = answers_of(folder)
    assert wanted[after] != wanted[before]
    assert {status for status, _, _ in seen} == {200}
    assert {key for _, key, _ in seen} == {before, after}
    assert all(answer == wanted[key] for _, key, answer in seen)
    with server.client() as client:
        hit = wanted[before]["hits"][0]
        kept = client.get(f"/v1/passages/{hit['id']}")
        assert kept.status_code == 200 and kept.json()["path"] == hit["path"]
        assert client.get("/metrics").text.count("vecsmith_reloads_total 1.0") == 1
    assert server.stop() == 0


def test_a_damaged_index_does_not_take_over(start, own):
    folder, _ = own
    server = start(folder, "--watch-s", "0.1")
    with server.client() as client:
        before = client.get("/v1/index").json()["index"]
        fresh = folder.with_name("fresh")
        shutil.copytree(folder, fresh)
        vectors = fresh / "base" / "vectors.faiss"
        vectors.write_bytes(vectors.read_bytes()[:-9])
        folder.rename(folder.with_name("old"))
        fresh.rename(folder)
        deadline = time.monotonic() + 10
        while "vectors.faiss" not in server.log and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "the old one serves on" in server.log
        assert client.post("/v1/search", json=QUERY).status_code == 200
        assert client.get("/v1/index").json()["index"] == before
        assert "vecsmith_failed_reloads_total 1.0" in client.get("/metrics").text
        # Once mended, it takes over; nobody has to touch the folder itself.
        good = folder.with_name("old") / "base" / "vectors.faiss"
        shutil.copyfile(good, folder / "base" / "vectors.faiss")
        deadline = time.monotonic() + 15
        while "vecsmith_reloads_total 1.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_link_that_points_elsewhere_is_followed(start, index, own):
    folder, _ = own
    link = folder.with_name("link")
    link.symlink_to(index)
    server = start(link, "--watch-s", "0.1")
    report = json.loads((folder / "report.json").read_text("utf-8"))
    write_json(folder / "report.json", {**report, "note": "another"})
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    write_checksums(folder, [name for name in names if name != "checksums.json"])
    with server.client() as client:
        assert "note" not in client.get("/v1/report").json()
        fresh = folder.with_name("fresh")
        fresh.symlink_to(folder)
        fresh.replace(link)
        deadline = time.monotonic() + 10
        while "note" not in client.get("/v1/report").json():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


FILES = [
    "base/vectors.faiss",
    "adapted/encoder/model.bin",
    "adapted/encoder/tokenizer.json",
    "passages.sqlite",
    "manifest.json",
    "cutoff/adapter.safetensors",
    "report.json",
]


@pytest.mark.parametrize(
    "harm", [_cut, _flip, lambda path: path.unlink()], ids=["cut", "flip", "gone"]
)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_at_the_start_by_name(own, name, harm):
    folder, _ = own
    harm(folder / name)
    with pytest.raises(StoreError, match=r"build|restore") as raised:
        Generation(folder)
    assert name in str(raised.value)


def test_the_command_line_tells_the_damaged_file(own, command):
    folder, _ = own
    _flip(folder / "passages.sqlite")
    run = command("serve", folder, "--port", 0)
    assert run.returncode == 2 and "passages.sqlite" in run.stderr and "Traceback" not in run.stderr
    gone = command("serve", folder / "nothing", "--port", 0)
    assert gone.returncode == 2 and "vecsmith build" in gone.stderr


def test_kill_and_restart(start, own):
    folder, _ = own
    first = start(folder)
    with first.client() as client:
        want = client.post("/v1/search", json=QUERY).json()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = start(folder)
    assert second.seconds < 15
    with second.client() as client:
        assert client.get("/ready").status_code == 200
        assert client.post("/v1/search", json=QUERY).json() == want


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_runs_and_refuses_what_comes(start, index, how):
    server = start(index, "--cache-mb", "0")
    body = {"input": [f"valve {n} pump " * 12 for n in range(2000)], "model": "base"}
    found = {}

    def call():
        with httpx.Client(base_url=server.url, timeout=60) as client:
            found["long"] = client.post("/v1/embeddings", json=body)

    thread = threading.Thread(target=call)
    thread.start()
    with server.client() as client:
        deadline = time.monotonic() + 10
        while 'vecsmith_queue_tokens{model="base"} 0.0' in client.get("/metrics").text:
            assert time.monotonic() < deadline
        server.process.send_signal(how)
        deadline, answer = time.monotonic() + 10, client.get("/ready")
        while answer.status_code == 200:
            assert time.monotonic() < deadline
            answer = client.get("/ready")
        assert answer.status_code == 503 and answer.json()["status"] == "stopping"
        refused = httpx.post(f"{server.url}/v1/search", json=QUERY)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "stopping"
    thread.join()
    assert found["long"].status_code == 200 and len(found["long"].json()["data"]) == 2000
    assert server.process.wait(timeout=40) == 0


def test_what_runs_too_long_at_a_stop_is_told(start, index):
    flags = ("--cache-mb", "0", "--grace-s", "0.3", "--queue-tokens", "10000000")
    server = start(index, *flags)
    found = []

    def call(number):
        texts = [f"valve {n} pump {number} " * 10 for n in range(2000)]
        with httpx.Client(base_url=server.url, timeout=60) as client:
            body = {"input": texts, "model": "base"}
            found.append(client.post("/v1/embeddings", json=body))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    with server.client() as client:
        while 'vecsmith_queue_tokens{model="base"} 0.0' in client.get("/metrics").text:
            pass
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 5
    for thread in threads:
        thread.join()
    cut = [answer for answer in found if answer.status_code != 200]
    assert cut and {answer.status_code for answer in cut} == {503}
    assert {answer.json()["error"]["code"] for answer in cut} == {"stopping"}
    assert "Traceback" not in server.log


def test_all_that_is_read_is_read_at_the_start(start, own):
    folder, _ = own
    server = start(folder, "--watch-s", "1000")
    shutil.rmtree(folder)
    with server.client() as client:
        body = {"input": ["valve " * 100], "model": "base"}
        assert client.post("/v1/embeddings", json=body).json()["truncated"] == [0]
        assert client.post("/v1/search", json=QUERY).status_code == 200
        for path in ("/v1/map", "/report.html", "/v1/models/adapted/card", "/v1/index"):
            assert client.get(path).status_code == 200


def test_a_port_that_is_taken_is_told(server, index, command):
    run = command("serve", index, "--port", server.port)
    assert run.returncode == 2 and "--port" in run.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_outside_the_index_is_held_open(start, own, tmp_path):
    """The source may be gone: all that is asked for is in the index."""
    folder, source = own
    shutil.rmtree(source)
    server = start(folder)
    with server.client() as client:
        found = client.post("/v1/search", json=QUERY).json()
        client.get(f"/v1/documents/{found['hits'][0]['document_id']}").raise_for_status()
        client.get("/report.html").raise_for_status()
    opened = subprocess.run(
        ["ls", "-l", f"/proc/{server.process.pid}/fd"], capture_output=True, text=True
    ).stdout
    inside = [line for line in opened.splitlines() if str(tmp_path) in line]
    assert inside and all(f"{folder}/" in line for line in inside)
