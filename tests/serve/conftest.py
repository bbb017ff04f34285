"""A small index with a cut-off, and a real server over it in a process of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest


def _seal(folder):
    from vecsmith.core import write_checksums

    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    write_checksums(folder, [name for name in names if name != "checksums.json"])


def _give_cutoff(folder):
    """Fit a cut-off on the headings of the corpus, which tell what they are about."""
    from vecsmith.core import write_json
    from vecsmith.store import AdapterOptions, CosineAdapter, Store

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["shipped"] = "adapted_hybrid"
    write_json(folder / "manifest.json", manifest)
    _seal(folder)
    store = Store(folder)
    queries, places = [], []
    for stored in store.passages.passages():
        if len(stored.passage.headings) == 2:
            queries.append(stored.passage.headings[1])
            places.append(stored.row)
    space = store.spaces["adapted"]
    vectors = space.encoder.encode(queries, kind="query")
    ranked = store.rank(queries, "adapted_hybrid", k=20, vectors=vectors)
    scores = np.stack([found.scores for found in ranked])
    labels = np.stack([found.rows == row for found, row in zip(ranked, places, strict=True)])
    adapter = CosineAdapter(vectors.shape[1], stamp=space.stamp)
    adapter.fit(vectors, scores, labels, options=AdapterOptions(epochs=60))
    # So few queries calibrate nothing; this threshold lets some hits pass and keeps others back.
    adapter.tau = 0.05
    store.close()
    adapter.save_pretrained(folder / "cutoff")
    report = json.loads((folder / "report.json").read_text("utf-8"))
    write_json(folder / "report.json", {**report, "shipped": "adapted_hybrid"})
    _seal(folder)


@pytest.fixture(scope="session")
def index(built, tmp_path_factory):
    """The built index, with the adapted hybrid shipped and a cut-off fitted."""
    folder = tmp_path_factory.mktemp("served") / "index"
    shutil.copytree(built, folder)
    _give_cutoff(folder)
    return folder


@pytest.fixture(scope="session")
def prompted_index(index, tmp_path_factory):
    """The same, but for a prompt that stands before queries and another before documents."""
    from vecsmith.core import write_json

    folder = tmp_path_factory.mktemp("prompted") / "index"
    shutil.copytree(index, folder)
    prompts = {"query_prompt": "query: ", "document_prompt": "document: "}
    for path, place in (
        (folder / "base/encoder/encoder.json", ("stamp",)),
        (folder / "manifest.json", ("stamps", "base")),
    ):
        values = json.loads(path.read_text("utf-8"))
        inner = values
        for name in place:
            inner = inner[name]
        inner.update(prompts)
        write_json(path, values)
    _seal(folder)
    return folder


@pytest.fixture(scope="session")
def torch_index(index, tiny_model, tmp_path_factory):
    """The same, with a base model that only torch can run."""
    from vecsmith.core import write_json

    folder = tmp_path_factory.mktemp("torch") / "index"
    shutil.copytree(index, folder)
    encoder = folder / "base" / "encoder"
    settings = json.loads((encoder / "encoder.json").read_text("utf-8"))
    for name in ("model.xml", "model.bin", "tokenizer.json"):
        (encoder / name).unlink()
    shutil.copytree(tiny_model, encoder / "torch")
    write_json(encoder / "encoder.json", {**settings, "backend": "torch", "model": "torch"})
    _seal(folder)
    return folder


class Server:
    """`vecsmith serve` in a process of its own."""

    def __init__(self, folder, *flags, environment=None):
        self.started = time.monotonic()
        variables = {**os.environ, "OMP_NUM_THREADS": "2", **(environment or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vecsmith.cli", "serve", str(folder), "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.process.stdout.readline().strip()
        self.seconds = time.monotonic() - self.started
        if not re.match(r"http://", self.url):
            self.process.wait(timeout=10)
            self._reader.join(timeout=5)
            raise RuntimeError(f"the server did not start: {self.log}")

    def _read(self):
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout=40)
        self._reader.join(timeout=5)
        self.process.stdout.close()
        self.process.stderr.close()
        return status


@pytest.fixture
def start():
    """Function that starts a server; all are stopped at the end of the test."""
    running = []

    def begin(folder, *flags, environment=None):
        running.append(Server(folder, *flags, environment=environment))
        return running[-1]

    yield begin
    for server in running:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def server(index):
    """A server that all tests share, without a key."""
    running = Server(index)
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def page_server(server):
    """Address of the server, for the tests in a browser."""
    return server.url


@pytest.fixture
def client(server):
    """A client of the shared server."""
    with server.client() as made:
        yield made
