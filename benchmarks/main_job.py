"""The main job on real corpora with real queries: what the shipped ranking gains, and at what cost.

Usage: main_job.py [manual] [handbook] [stdlib] [--budget 5m]; results in
docs/benchmarks/main_job.json. Queries that stand, to the letter, among the training queries of the
build are left out of the score.
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


def without_training_queries(queries: Path, index: Path, folder: Path) -> tuple[Path, int]:
    """Leave out queries that training saw; returns the file and how many were left out."""
    seen = set(read_json(index / "training_queries.json"))
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
        file, left_out = without_training_queries(queries, index, Path(scratch))
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
        "trained_on_queries_left_out": left_out,
        "own_test": {"queries": test["queries"], "rankings": test["rankings"]},
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
