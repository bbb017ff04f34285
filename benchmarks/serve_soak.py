"""`vecsmith serve` under twice the load that it can carry: what it accepts, refuses and keeps.

Usage: serve_soak.py [--minutes 10] [--index DIR] [--out FILE]; result in
docs/benchmarks/serve_soak.json, exit status 1 if a check fails. First a closed loop of 32 clients
finds the rate that the server sustains. Then requests arrive as a Poisson process at twice that
rate (`serve_load.py`), two of three for `/v1/embeddings` (5 to 200 tokens), one for `/v1/search`
(8 words), no text twice. Checks:

- statuses: every answer has status 200 or 429, so none 5xx;
- answered: every request has an answer, and no connection is cut or refused;
- retry_after: every 429 says after how many seconds to try again;
- accepted: at least 80% of the sustained rate is answered with 200 all the same;
- flat: in the second half of the time, resident memory goes at most 2% above the largest of the
  first half. The server keeps vectors of texts that it has seen, up to `--cache-mb` (64): the first
  half must be long enough to fill that, which takes some 35,000 texts, about five minutes here.

`soak` is the same for a test: some seconds, on any index.
"""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from serve import MODEL, Server, Side, build_index, serving, versions_of
from serve_load import Load, Request, put_load, write_texts
from vecsmith.core import hardware, write_json
from vecsmith.encode import resolve_model

CLIENTS, OVER = 32, 2.0
FLAT, ACCEPTED = 1.02, 0.8
PROGRAMS = ("vecsmith", "openvino", "fastapi", "uvicorn")
REQUESTS = [
    Request("/v1/embeddings", "input", {"model": "base"}, weight=2),
    Request("/v1/search", "query", {}, weight=1, words=8),
]


def memory(server: Server, begin: float, end: float) -> dict[str, Any]:
    """Resident memory between two times: largest of each half, slope of the second, each second."""
    rows = [(at - begin, size / 2**20) for at, size in server.samples if begin <= at <= end]
    at, size = np.array(rows).T
    late = at > (end - begin) / 2
    slope = np.polyfit(at[late] / 60, size[late], 1)[0]
    seconds = np.unique(at.astype(int), return_index=True)[1]
    return {
        "first_half_max_mib": float(size[~late].max()),
        "second_half_max_mib": float(size[late].max()),
        "second_half_slope_mib_per_minute": float(slope),
        "mib_each_second": [round(float(value), 1) for value in size[seconds]],
    }


def checks(load: dict[str, Any], kept: dict[str, Any], sustained: float) -> dict[str, bool]:
    """What must hold."""
    statuses = {name.split()[1] for name in load["statuses"]}
    return {
        "statuses": statuses <= {"200", "429"},
        "answered": load["unanswered"] == 0 and sum(load["statuses"].values()) == load["sent"],
        "retry_after": load["without_retry_after"] == 0,
        "accepted": load["answers"] / load["seconds"] >= ACCEPTED * sustained,
        "flat": kept["second_half_max_mib"] <= FLAT * kept["first_half_max_mib"],
    }


def soak(
    index: Path,
    tokenizer: Path,
    *,
    seconds: float,
    measured: float = 10.0,
    options: tuple[str, ...] = (),
    most_texts: int | None = None,
) -> dict[str, Any]:
    """Serve an index, find the rate that it sustains, and send twice that.

    Args:
        index: The index; its models must include "base".
        tokenizer: ``tokenizer.json`` that counts the texts' tokens.
        seconds: Time of the overload.
        measured: Time of the closed loop that finds the sustained rate.
        options: More options of `vecsmith serve`.
        most_texts: Use about so many texts, which is quicker; they go out again with a number.

    Returns:
        Rates, answers by status, latencies, memory, and the checks.
    """
    command = [sys.executable, "-m", "vecsmith.cli", "serve", str(index), *options]
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        write_texts(texts, tokenizer, most=most_texts)
        with serving(Side("vecsmith", command, "base")) as server:
            common = {"port": server.port, "texts": str(texts), "requests": REQUESTS}
            first = put_load(
                Load(**common, seconds=measured, clients=CLIENTS, ramp=min(3.0, measured))
            )
            sustained = first["answers"] / first["seconds"]
            rate = OVER * sustained
            print(f"sustained {sustained:.1f} requests/s; now {rate:.1f}/s", file=sys.stderr)
            last = put_load(Load(**common, seconds=seconds, rate=rate, skip=first["next"], seed=1))
            # The generator's clock is the machine's, so its times are those of the samples.
            kept = memory(server, last["begin"], last["begin"] + last["seconds"])
    return {
        "seconds": seconds,
        "sustained_per_second": sustained,
        "arriving_per_second": rate,
        "closed_loop": first,
        "overload": last,
        "accepted_per_second": last["answers"] / last["seconds"],
        "memory": kept,
        "checks": checks(last, kept, sustained),
    }


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--minutes", type=float, default=10.0, help="time of the overload")
    parser.add_argument("--index", type=Path, help="an index; without it a small one is built")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/serve_soak.json"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tokenizer = resolve_model(MODEL).path / "tokenizer.json"
    with tempfile.TemporaryDirectory() as folder:
        index = options.index or build_index(Path(folder), "f32")
        result = soak(index, tokenizer, seconds=60 * options.minutes)
    result |= {"hardware": hardware(), "versions": versions_of(sys.executable, PROGRAMS)}
    write_json(options.out, result)
    shown = {name: result[name] for name in ("sustained_per_second", "accepted_per_second")}
    shown |= {name: result["overload"][name] for name in ("sent", "statuses", "latency_ms")}
    print(json.dumps(shown | {"checks": result["checks"]}, indent=2))
    if not all(result["checks"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
