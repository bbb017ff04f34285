"""The main job on real corpora with real queries: what the shipped ranking gains, and at what cost.

Usage: main_job.py [manual] [handbook] [stdlib] [--budget 5m]; results in
docs/benchmarks/main_job.json. Queries that stand, to the letter, among those that the build trained
on or chose by (checkpoint, merge, fusion, what ships, cut-off) are left out of the score.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from corpora import CORPORA
from vecsmith.core import hardware, read_json, write_json

RESULT = Path("docs/benchmarks/main_job.json")


def vecsmith(*words: object) -> str:
    """Run the command line; return what it printed."""
    command = [sys.executable, "-m", "vecsmith.cli", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def without_seen_queries(queries: Path, index: Path, folder: Path) -> tuple[Path, int]:
    """Leave out queries that the build saw; returns the file and how many were left out."""
    seen = set().union(*read_json(index / "seen_queries.json").values())
    rows = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
    kept = [row for row in rows if row["query"].lower() not in seen]
    path = folder / "queries.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
    return path, len(rows) - len(kept)


def measure(name: str, budget: str, keep: str | None) -> dict:
    """Build, score and time one corpus."""
    source, queries = CORPORA[name]()
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(keep or scratch) / name
        for left in (index, index.with_name(f".{index.name}.building")):
            shutil.rmtree(left, ignore_errors=True)
        begin = time.perf_counter()
        report = json.loads(vecsmith("build", source, "--out", index, "--budget", budget, "--json"))
        seconds = time.perf_counter() - begin
        file, left_out = without_seen_queries(queries, index, Path(scratch))
        scores = json.loads(vecsmith("eval", index, "--queries", file, "--json"))
        begin = time.perf_counter()
        vecsmith("search", index, "how to open a file")
        cold = time.perf_counter() - begin
    test = report["judge"]["test"]
    return {
        "documents": report["read"]["documents"],
        "passages": report["read"]["passages"],
        "budget": budget,
        "build_s": seconds,
        "step_s": report["seconds"],
        "peak_memory_mb": report["peak_memory_mb"],
        "seen_queries_left_out": left_out,
        "steps": report["train"].get("steps", 0),
        "own_test": {name: test[name] for name in ("queries", "rankings", "by_view", "by_origin")},
        "cutoff": {
            name: value
            for name, value in report["judge"]["cutoff"].get("test", {}).items()
            if name != "curve"
        },
        "choice": report["judge"]["chosen"],
        "latency_ms": test["latency_ms"],
        "cold_search_s": cold,
        "real_queries": scores,
    }


def main() -> None:
    """Measure the corpora named and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CORPORA))
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--keep", help="folder that the indexes are left in")
    options = parser.parse_args()
    results = read_json(RESULT) if RESULT.exists() else {}
    for name in options.names:
        results[name] = {**measure(name, options.budget, options.keep), "hardware": hardware()}
        write_json(RESULT, results)
        compared = results[name]["real_queries"]["comparison"]
        print(name, json.dumps(compared))


if __name__ == "__main__":
    main()
