"""Skip-gram and CBOW: speed, memory and quality against gensim's word2vec, paired in one run.

Definitions of GCIDE in random order, about a million tokens, given to both as lists of words; the
same vocabulary (seen 5 times), d = 50, k = 5, N = 5, subsampling 1e-3, passes and threads. gensim
is run twice: with whole windows, as ours are, and with its default of windows that shrink at
random, which does about half the work. Each run is a process of its own; memory is what it held at
most beyond the texts and modules that it started with. Ours has compiled its loops before. Quality
is the rank correlation with MEN's human judgements.

    python benchmarks/words.py [--tokens 1000000] [--passes 5] [--threads 2] [--repeats 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from vecsmith.core import hardware, numpy_generator, write_json
from vecsmith.data.samples import load_gcide
from vecsmith.evaluate import word_similarity
from vecsmith.train import WordEmbeddingTrainer, WordTraining
from vecsmith.train.words import split_words

ARMS = ("vecsmith", "gensim whole windows", "gensim shrinking windows")


def corpus(tokens: int) -> list[list[str]]:
    """Definitions as lists of words, in random order, up to so many tokens."""
    texts = load_gcide()["text"]
    rows, number = [], 0
    for place in numpy_generator(0, "benchmark words").permutation(len(texts)).tolist():
        rows.append(split_words(texts[place]))
        number += len(rows[-1])
        if number >= tokens:
            break
    return rows


def run_ours(rows: list[list[str]], model: str, options: dict[str, Any]) -> tuple[Any, float]:
    """Train; the seconds are those of the passes."""
    settings = WordTraining(
        epochs=options["passes"], workers=options["threads"], validation=0.0, seed=options["seed"]
    )
    made = WordEmbeddingTrainer(model, options=settings).fit(rows)
    return made.vectors(), sum(row.seconds for row in made.passes)


def run_gensim(
    rows: list[list[str]], model: str, options: dict[str, Any], *, shrink: bool
) -> tuple[Any, float]:
    """Train; the seconds are those of the passes."""
    from gensim.models import Word2Vec

    from vecsmith.encode import WordVectors

    made = Word2Vec(
        vector_size=50,
        window=5,
        negative=5,
        min_count=5,
        sample=1e-3,
        sg=int(model == "skipgram"),
        workers=options["threads"],
        seed=options["seed"] + 1,
        shrink_windows=shrink,
    )
    made.build_vocab(rows)
    started = time.perf_counter()
    made.train(rows, total_examples=len(rows), epochs=options["passes"])
    seconds = time.perf_counter() - started
    return WordVectors(made.wv.index_to_key, made.wv.vectors), seconds


class Memory:
    """Watches what this process holds beyond its start, in MB."""

    def __init__(self) -> None:
        self.start = psutil.Process().memory_info().rss
        self.most = self.start
        self.done = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Look every 20 ms."""
        while not self.done.wait(0.02):
            self.most = max(self.most, psutil.Process().memory_info().rss)

    def stop(self) -> float:
        """Return the most that was held."""
        self.done.set()
        return (self.most - self.start) / 2**20


def child(file: str, arm: str, model: str, options: dict[str, Any]) -> dict[str, float]:
    """Measure one run."""
    rows = json.loads(Path(file).read_text(encoding="utf-8"))
    if arm == "vecsmith":
        run_ours([["compiled", "before"] * 9], model, options)
    else:
        import gensim.models  # noqa: F401
    memory, started = Memory(), time.perf_counter()
    if arm == "vecsmith":
        vectors, seconds = run_ours(rows, model, options)
    else:
        vectors, seconds = run_gensim(rows, model, options, shrink="shrinking" in arm)
    whole, held = time.perf_counter() - started, memory.stop()
    score = word_similarity(vectors, "men")
    return {
        "tokens_per_second": sum(map(len, rows)) * options["passes"] / seconds,
        "seconds_with_vocabulary": whole,
        "memory_mb": held,
        "men": score.spearman,
        "men_pairs": score.pairs,
        "words": len(vectors),
    }


def measure(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run all arms in turn, several times, and take medians."""
    result: dict[str, Any] = {}
    for model in ("skipgram", "cbow"):
        rows: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
        for seed in range(options.repeats):
            settings = {"passes": options.passes, "threads": options.threads, "seed": seed}
            for arm in ARMS:
                given = [sys.executable, __file__, "--child", str(file), arm, model]
                run = subprocess.run(
                    [*given, json.dumps(settings)], capture_output=True, text=True, check=True
                )
                rows[arm].append(json.loads(run.stdout.splitlines()[-1]))
                print(model, seed, arm, rows[arm][-1], flush=True)
        medians = {
            arm: {key: statistics.median(row[key] for row in found) for key in found[0]}
            for arm, found in rows.items()
        }
        speed = [[row["tokens_per_second"] for row in rows[arm]] for arm in ARMS]
        ratios = {
            f"speed against {arm}": [a / b for a, b in zip(speed[0], other, strict=True)]
            for arm, other in zip(ARMS[1:], speed[1:], strict=True)
        }
        result[model] = {"median": medians, "ratios": ratios, "runs": rows}
    return result


def main() -> None:
    """Measure and store."""
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        file, arm, model, settings = sys.argv[at + 1 : at + 5]
        print(json.dumps(child(file, arm, model, json.loads(settings))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("docs/benchmarks/words.json"))
    options = parser.parse_args()
    rows = corpus(options.tokens)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "corpus.json"
        file.write_text(json.dumps(rows), encoding="utf-8")
        found = measure(file, options)
    about = {"tokens": sum(map(len, rows)), "passes": options.passes, "threads": options.threads}
    write_json(options.json, {**about, "models": found, "hardware": hardware()})
    for model, row in found.items():
        print(model, row["median"], {key: statistics.median(v) for key, v in row["ratios"].items()})


if __name__ == "__main__":
    main()
