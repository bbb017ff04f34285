"""`vecsmith serve` against infinity-emb, the embedding server in Python: the same model, one load.

Usage: serve.py [--seconds 9] [--rounds 2] [--only NAME ...] [--peer-batch 16] [--out FILE]; result
in docs/benchmarks/serve.json. Sides:

- vecsmith f32: the `base` model of an index built with `--backend f32`;
- vecsmith NAME: the same with the fastest precision that the processor has, if it has another;
- infinity torch: `--engine torch`, no compilation, no BetterTransformer (see `PEERS`);
- infinity onnx: `--engine optimum` on the model exported to ONNX, its graph optimised (O2).

All run all-MiniLM-L6-v2 from one folder without network, bound to 127.0.0.1, on all cores, with
access logs off where that can be said; before anything is timed, their vectors of the same texts
are compared. One server runs at a time, sides take turns (A B A B), each turn with a fresh
process; a turn is a warm-up and the `CELLS`. Load: `POST /v1/embeddings` from `serve_load.py`, a
closed loop, texts of 5 to 200 tokens, none twice within a turn. Reported: medians over the turns
of texts per second, p50 and p95 of the latency, and the largest resident memory of the server's
processes; `against` divides vecsmith's numbers by those of each side of infinity-emb.

The peer is installed in an environment of its own in the cache (`peers/infinity`): the versions of
`PINS`, with torch's build for the processor, which is the smaller one; about 1 GB.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from serve_load import Load, Request, put_load, write_texts
from vecsmith.core import cache_dir, hardware, write_json
from vecsmith.encode import fast_precisions, resolve_model

Vectors = NDArray[np.float32]

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# Parts of the standard library: a small index, its size does not matter for /v1/embeddings.
SOURCES = ("json", "logging", "urllib")
# infinity-emb is of 2025; these are the versions with which it starts. optimum 2 has no
# BetterTransformer any more, which is off below: without it the model uses torch's own fused
# attention, which is faster on a processor.
PINS = (
    "infinity-emb[server,torch,optimum]==0.0.78",
    "click==8.1.8",
    "fastapi==0.165.0",
    "huggingface-hub==0.36.2",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "optimum==2.1.0",
    "optimum-onnx==0.1.0",
    "sentence-transformers==3.4.1",
    "transformers==4.57.6",
)
TORCH, TORCH_INDEX = "torch==2.13.0", "https://download.pytorch.org/whl/cpu"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
PEERS = {
    "infinity torch": ("--engine", "torch", "--no-bettertransformer"),
    "infinity onnx": ("--engine", "optimum"),
}
# Tried: 8, 16 and the default of 32. With 8 both engines do most texts a second, but for ONNX with
# 8 clients, where 32 is ahead by a tenth; `--peer-batch` tries others.
PEER_BATCH = 8
CELLS = {  # clients, texts of a request
    "1 client": (1, 1),
    "8 clients": (8, 1),
    "32 clients": (32, 1),
    "2 clients, 32 texts a request": (2, 32),
}
START, STOP, RAMP, CHECKED = 180.0, 20.0, 1.0, 64


@dataclass(frozen=True)
class Side:
    """A server: how it is started, and the name of its model."""

    name: str
    command: list[str]
    model: str
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Server:
    """A running server; its memory is read twice a second."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port, self.peak = port, 0
        self.samples: list[tuple[float, int]] = []
        self._process = psutil.Process(process.pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def resident(self) -> int:
        """Bytes resident, of the process and of those that it has started."""
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
        return total

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.samples.append((time.perf_counter(), self.resident()))
            self.peak = max(self.peak, self.samples[-1][1])

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request, outside of what is timed."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(side: Side) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it whatever happens."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C comes here first, and here the server is ended.
        process = subprocess.Popen(
            [*side.command, "--port", str(port), "--host", "127.0.0.1"],
            stdout=log,
            stderr=log,
            env={**os.environ, **OFFLINE, **side.environment},
            cwd=side.folder,
            start_new_session=True,
        )
        server = Server(process, port)
        try:
            _wait(side, server, process, log)
            yield server
        finally:
            server.close()
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(side: Side, server: Server, process: "subprocess.Popen[bytes]", log: Any) -> None:
    end = time.monotonic() + START
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            server.post("/v1/embeddings", {"model": side.model, "input": "ready?"})
            return
        time.sleep(0.25)
    log.seek(0)
    tail = log.read().decode(errors="replace")[-3000:]
    raise RuntimeError(f"{side.name} did not start within {START:.0f} s:\n{tail}")


def peer_environment() -> Path:
    """Install infinity-emb in an environment of its own, once; returns the folder."""
    folder = cache_dir("peers") / "infinity"
    marker = folder / "pins.txt"
    torch = TORCH + ("+cpu" if sys.platform == "linux" else "")  # elsewhere there is no other
    pins = "\n".join([*PINS, torch]) + "\n"
    if marker.exists() and marker.read_text("utf-8") == pins:
        return folder
    print(f"installing infinity-emb in {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    # The build for the processor lies in an index of its own, or with the wheels that pip is set
    # up to look at first; all other packages come from the usual index.
    if subprocess.run([*pip, "--no-deps", torch], capture_output=True).returncode:
        subprocess.run([*pip, "--no-deps", torch, "--index-url", TORCH_INDEX], check=True)
    subprocess.run([*pip, *PINS, torch], check=True, stderr=subprocess.DEVNULL)
    marker.write_text(pins, "utf-8")
    return folder


def peer_sides(model: Path, scratch: Path, batch: int) -> list[Side]:
    """The two ways in which infinity-emb runs on a processor."""
    programs = peer_environment() / "bin"
    exported = scratch / "onnx"
    export = [str(programs / "optimum-cli"), "export", "onnx", "--model", str(model)]
    export += ["--task", "feature-extraction", "--library", "transformers"]
    # infinity-emb's own optimisation of the graph fails with optimum 2 and is done here instead:
    # attention, GELU and layer normalisation in one node each, in float32.
    export += ["--optimize", "O2", str(exported)]
    subprocess.run(
        export,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **OFFLINE},
    )
    sides = []
    for name, options in PEERS.items():
        folder = exported if "optimum" in options else model
        # Run in the model's folder: optimum does not take the absolute name of the ONNX file.
        command = [str(programs / "infinity_emb"), "v2", "--model-id", ".", *options]
        command += ["--served-model-name", "base", "--device", "cpu", "--dtype", "float32"]
        command += ["--no-compile", "--pooling-method", "mean", "--batch-size", str(batch)]
        # Its own warm-up, 32 texts of 512 tokens, would only make the memory larger.
        command += ["--url-prefix", "/v1", "--log-level", "error", "--no-model-warmup"]
        sides.append(Side(name, command, "base", {"HF_HOME": str(scratch / "hub")}, folder))
    return sides


def build_index(scratch: Path, backend: str) -> Path:
    """Build the index of a few parts of the standard library, without training."""
    source, index = scratch / "source", scratch / f"index-{backend}"
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in SOURCES:
        if not (source / name).exists():
            leave = shutil.ignore_patterns("__pycache__", "*.so", "*.pyc")
            shutil.copytree(library / name, source / name, ignore=leave)
    command = [sys.executable, "-m", "vecsmith.cli", "build", str(source), "--out", str(index)]
    command += ["--budget", "0s", "--backend", backend]
    subprocess.run(command, check=True, capture_output=True)
    return index


def vecsmith_side(scratch: Path, backend: str) -> Side:
    """`vecsmith serve` with a precision."""
    index = build_index(scratch, backend)
    command = [sys.executable, "-m", "vecsmith.cli", "serve", str(index)]
    return Side(f"vecsmith {backend}", command, "base")


def vectors(server: Server, side: Side, texts: list[str]) -> Vectors:
    """What a server makes of some texts."""
    rows = [
        server.post("/v1/embeddings", {"model": side.model, "input": part})["data"]
        for part in (texts[i : i + 16] for i in range(0, len(texts), 16))
    ]
    found = [row["embedding"] for part in rows for row in sorted(part, key=lambda r: r["index"])]
    values = np.array(found, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def turn(side: Side, texts: Path, seconds: float) -> dict[str, Any]:
    """Start a server, warm it up, measure the cells."""
    begin = time.perf_counter()
    with serving(side) as server:
        started = time.perf_counter() - begin
        lines = texts.read_text("utf-8").splitlines()
        made = vectors(server, side, [json.loads(line) for line in lines[:CHECKED]])
        skip, cells = CHECKED, {}
        for name, (clients, number) in {"warm-up": (8, 1), "warm-up 2": (2, 32), **CELLS}.items():
            load = Load(
                port=server.port,
                texts=str(texts),
                requests=[Request("/v1/embeddings", "input", {"model": side.model}, number)],
                seconds=2.0 if name not in CELLS else seconds,
                clients=clients,
                ramp=RAMP,
                skip=skip,
            )
            cells[name] = put_load(load)
            skip = cells[name]["next"]
            # A cell without any answer is too short for the server.
            good = cells[name]["answers"] > 0 or name not in CELLS
            if not good or set(cells[name]["statuses"]) - {"/v1/embeddings 200"}:
                raise RuntimeError(f"{side.name}, {name}: answers {cells[name]['statuses']}")
            rate, latency = cells[name]["texts_per_second"], cells[name]["latency_ms"]
            print(f"{side.name}, {name}: {rate:.1f} texts/s, {latency}", file=sys.stderr)
        return {
            "start_s": started,
            "peak_mib": server.peak / 2**20,
            "cells": {name: cells[name] for name in CELLS},
            "vectors": made,
        }


def summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the turns, and each turn's rate."""
    cells = {}
    for name in CELLS:
        runs = [row["cells"][name] for row in turns]
        rates = [run["texts_per_second"] for run in runs]
        cells[name] = {
            "texts_per_second": statistics.median(rates),
            "p50_ms": statistics.median(run["latency_ms"]["p50"] for run in runs),
            "p95_ms": statistics.median(run["latency_ms"]["p95"] for run in runs),
            "all_texts_per_second": rates,
            "generator_cpu": max(run["cpu"] for run in runs),
        }
    return {
        "cells": cells,
        "start_s": statistics.median(row["start_s"] for row in turns),
        "peak_mib": max(row["peak_mib"] for row in turns),
    }


def against(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Our numbers divided by theirs."""
    names = ("texts_per_second", "p50_ms", "p95_ms")
    ratios: dict[str, Any] = {
        cell: {name: values[name] / theirs["cells"][cell][name] for name in names}
        for cell, values in ours["cells"].items()
    }
    return ratios | {"peak_mib": ours["peak_mib"] / theirs["peak_mib"]}


def versions_of(python: str | Path, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages in an environment."""
    code = (
        "import json, sys; from importlib.metadata import version as v; "
        "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    )
    out = subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True)
    return json.loads(out.stdout)


def versions(with_peer: bool) -> dict[str, str]:
    """Versions of what ran."""
    ours = ("vecsmith", "openvino", "fastapi", "uvicorn")
    peer = ("infinity-emb", "torch", "transformers", "optimum-onnx", "onnxruntime")
    python = peer_environment() / "bin" / "python" if with_peer else None
    theirs = versions_of(python, peer) if python else {}
    return {
        "python": platform.python_version(),
        **versions_of(sys.executable, ours),
        **{f"{name} (infinity)": version for name, version in theirs.items()},
    }


def measure(sides: list[Side], texts: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Take the turns; returns a summary of each side, and how near their vectors are."""
    turns: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            turns[side.name].append(turn(side, texts, seconds))
    found: dict[str, Any] = {name: summary(rows) for name, rows in turns.items()}
    first = turns[sides[0].name][0]["vectors"]
    for name, rows in turns.items():
        found[name]["worst_cosine"] = float((first * rows[0]["vectors"]).sum(axis=1).min())
        # int8 and bf16 are other numbers of the same model; f32 against f32 must agree.
        if found[name]["worst_cosine"] < (0.999 if "vecsmith" not in name else 0.9):
            raise RuntimeError(f"{name}: other vectors than {sides[0].name}'s")
    return found


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seconds", type=float, default=9.0, help="time of a cell")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side")
    parser.add_argument("--peer-batch", type=int, default=PEER_BATCH, help="texts of its batches")
    parser.add_argument("--only", nargs="+", help="sides whose name starts so")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/serve.json"))
    options = parser.parse_args()
    # Ended by a signal, the servers are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    model = resolve_model(MODEL).path
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        texts = scratch / "texts.jsonl"
        described = write_texts(texts, model / "tokenizer.json")
        wanted = [f"vecsmith {p}" for p in ("f32", fast_precisions()[-1])]
        names = [*dict.fromkeys(wanted), *PEERS]
        names = [n for n in names if not options.only or n.startswith(tuple(options.only))]
        with_peer = any(name in PEERS for name in names)
        found_peers = peer_sides(model, scratch, options.peer_batch) if with_peer else []
        peers = {side.name: side for side in found_peers}
        sides = [
            peers[name] if name in peers else vecsmith_side(scratch, name.split()[-1])
            for name in names
        ]
        found = measure(sides, texts, options.seconds, options.rounds)
    result = {
        "load": described | {"seconds": options.seconds, "rounds": options.rounds},
        "sides": found,
        "against": {
            ours: {name: against(found[ours], found[name]) for name in found if name in PEERS}
            for ours in found
            if ours not in PEERS
        },
        "options": {name: " ".join(words) for name, words in PEERS.items()}
        | {"infinity batch size": str(options.peer_batch)},
        "hardware": hardware(),
        "versions": versions(with_peer),
    }
    write_json(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
