"""Search latency with a warm and a cold model, and `update` after one changed file.

Usage: serving.py; result in docs/benchmarks/serving.json. The index is of the Python manual (530
files in its package, 497 of them pages) in passages of at most 128 tokens, which makes more than
30,000. Latency: query encoding, hybrid search and highlighting, for 300 terms of the manual's
index. Update: one of the pages has got one more paragraph.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from corpora import manual
from vecsmith.core import hardware, write_json
from vecsmith.store import Searcher

QUERIES, COLD, TOKENS = 300, 5, 128
PAGE = "library/json.html"
# The last section ends before the page's frame, which is not read.
LAST = "</section>"
WORDS = f"<p>The zyxwv option chooses how numbers are written when a file is closed.</p>{LAST}"


def vecsmith(*words: object) -> tuple[str, float]:
    """Run the command line; return what it printed and the seconds."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "vecsmith.cli", *map(str, words)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return out, time.perf_counter() - begin


def latency(index: Path, queries: list[str]) -> dict[str, Any]:
    """Time searches with a warm model, and of whole processes."""
    searcher = Searcher(index, ranking="base_hybrid")
    for query in queries[:20]:
        searcher.search(query)
    milliseconds = []
    for query in queries:
        begin = time.perf_counter()
        searcher.search(query, keep_all=True)
        milliseconds.append(1e3 * (time.perf_counter() - begin))
    cold = [vecsmith("search", index, query)[1] for query in queries[:COLD]]
    return {
        "passages": len(searcher.store.passages),
        "queries": len(queries),
        "warm_ms": {"median": statistics.median(milliseconds), "p95": p95(milliseconds)},
        "cold_s": {"median": statistics.median(cold), "all": cold},
    }


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(values, 95))


def updating(source: Path, index: Path) -> dict[str, Any]:
    """Change one page, update, and see that the change is found."""
    page = source / PAGE
    before, _, after = page.read_text("utf-8").rpartition(LAST)
    page.write_text(before + WORDS + after, "utf-8")
    out, seconds = vecsmith("update", index, "--json")
    result = json.loads(out)
    found, _ = vecsmith("search", index, "zyxwv", "--ranking", "bm25", "--all", "--json")
    if json.loads(found)["hits"][0]["path"] != PAGE:
        raise RuntimeError("the update did not bring the new paragraph in")
    return {"documents": result["documents"], "seconds": seconds, "models": result["models"]}


def main() -> None:
    """Measure and store."""
    pages, file = manual()
    rows = [json.loads(line)["query"] for line in file.read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as scratch:
        source, index = Path(scratch) / "manual", Path(scratch) / "index"
        shutil.copytree(pages, source)
        vecsmith("build", source, "--out", index, "--budget", "0s", "--max-tokens", TOKENS)
        result = {
            "search": latency(index, rows[:QUERIES]),
            "update": updating(source, index),
            "hardware": hardware(),
        }
    write_json(Path("docs/benchmarks/serving.json"), result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
