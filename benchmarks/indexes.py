"""Compressed indexes on 111,867 real vectors: faiss IVF-PQ and OPQ, learned codes, ScaNN.

Documents: 82,115 glosses of WordNet and 29,752 descriptions of Debian packages, MiniLM, 384
dimensions (1,536 bytes). A query is the first lemma of a synset or the summary of a package, and
relevant is its own gloss or description. 20,000 queries teach, 2,000 others choose the rates, 2,000
more judge. All arms of a size have the same bytes a code, lists and lists visited; the learned ones
start from the OPQ index that they are compared with, over three seeds of training.

ScaNN is measured where VECSMITH_SCANN names a Python that has it (pip install scann).
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import faiss
import numpy as np
import torch

from vecsmith.core import (
    Budget,
    atomic_path,
    cache_dir,
    hardware,
    hash_text,
    peak_memory_mb,
    seeds_and_items_interval,
    write_json,
)
from vecsmith.data.samples import load_debian, load_wordnet
from vecsmith.encode import export_encoder
from vecsmith.store.compressed import (
    CandidateSampling,
    DistillVQ,
    DistilOptions,
    dense_lists,
    index_bytes,
    milliseconds,
    overlaps,
    relevance_figures,
    search_rows,
)

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LISTS, PROBES = 512, 32
SIZES = {"96x": 16, "384x": 4}
TRAIN, CHOOSE, TEST = 20_000, 2_000, 2_000
STEPS, SEEDS, ROUNDS = 400, 3, 30
RATES = (3e-4, 1e-3, 3e-3)
CENTROID_RATES = (1e-3, 1e-1)
CHARACTERS = 600
# best documents of a query that its list is drawn from
CANDIDATES = 200

SCANN = """
import json, sys, time
import numpy as np, scann
folder, parts = sys.argv[1], int(sys.argv[2])
documents, queries = (np.load(f"{folder}/{n}.npy") for n in ("documents", "queries"))
dims = documents.shape[1]
# blocks of 4 bits: as many bytes as parts of 8 bits
searcher = (
    scann.scann_ops_pybind.builder(documents, 100, "dot_product")
    .set_n_training_threads(1)
    .tree(num_leaves=int(sys.argv[3]), num_leaves_to_search=int(sys.argv[4]),
          training_sample_size=len(documents))
    .score_ah(dims // (2 * parts), anisotropic_quantization_threshold=0.2)
    .build()
)
rows, _ = searcher.search_batched(queries, final_num_neighbors=100)
took = []
for query in queries[:100]:
    started = time.perf_counter()
    searcher.search(query, final_num_neighbors=10)
    took.append(time.perf_counter() - started)
np.save(f"{folder}/rows.npy", rows.astype(np.int64))
print(json.dumps({"ms": 1000 * float(np.median(took))}))
"""


def encoded(texts: list[str], kind: str) -> np.ndarray:
    """Vectors of texts, kept in the cache."""
    key = hash_text(MODEL, kind, *texts)
    path = cache_dir("benchmarks") / f"vectors-{key}.npy"
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            encoder = export_encoder(MODEL, Path(scratch) / "encoder")
            found = encoder.encode(texts, kind=kind)
        with atomic_path(path) as temporary, Path(temporary).open("wb") as handle:
            np.save(handle, found)
    return np.load(path)


@lru_cache(maxsize=1)
def data() -> tuple[np.ndarray, np.ndarray]:
    """Documents and queries; query i belongs to document i."""
    words, packages = load_wordnet(), load_debian()
    glosses = encoded(list(words["gloss"]), "document")
    long = encoded([text[:CHARACTERS] for text in packages["description"]], "document")
    lemmas = encoded([names[0] for names in words["lemmas"]], "query")
    short = encoded(list(packages["summary"]), "query")
    return np.concatenate([glosses, long]), np.concatenate([lemmas, short])


class Judge:
    """Asks the queries of one part."""

    def __init__(self, places: np.ndarray) -> None:
        documents, queries = data()
        self.places, self.queries = places, queries[places]
        self.exact = dense_lists(self.queries, documents, 10)[1]

    def items(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Figures of each query."""
        found = relevance_figures(rows, self.places[:, None].tolist())
        return {**found, "overlap@10": overlaps(rows, self.exact)}

    def ask(self, index: object) -> dict[str, np.ndarray]:
        """Figures of an index."""
        return self.items(search_rows(index, self.queries, 100))


@lru_cache(maxsize=1)
def near(places: bytes) -> np.ndarray:
    """Best documents of each query that teaches, the same for all that learn."""
    documents, queries = data()
    return dense_lists(queries[np.frombuffer(places, np.int64)], documents, CANDIDATES)[1]


def learned(start: DistillVQ, train: np.ndarray, seed: int, rates: tuple[float, float]) -> object:
    """An index learned from a start, which is left as it is."""
    vq = copy.copy(start)
    vq.parts, vq._index = copy.deepcopy(start.parts), None
    vq.options = DistilOptions(
        lr_codebooks=rates[0],
        lr_centroids=rates[1],
        sampling=CandidateSampling(CANDIDATES),
        seed=seed,
    )
    teaches = np.ascontiguousarray(train, np.int64)
    vq.fit(data()[1][train], budget=Budget(steps=STEPS), near=near(teaches.tobytes()))
    return vq.to_faiss()


def scann(parts: int, judge: Judge) -> dict[str, float] | None:
    """ScaNN with as many bytes a code."""
    python = os.environ.get("VECSMITH_SCANN")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/documents.npy", data()[0])
        np.save(f"{folder}/queries.npy", judge.queries)
        words = [python, "-c", SCANN, folder, str(parts), str(LISTS), str(PROBES)]
        out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        items = judge.items(np.load(f"{folder}/rows.npy"))
    means = {name: float(values.mean()) for name, values in items.items()}
    return {**means, **json.loads(out.splitlines()[-1])}


def size(parts: int, train: np.ndarray, choose: Judge, test: Judge) -> dict[str, object]:
    """All arms of one size."""
    out: dict[str, object] = {}
    items = {}
    for kind in ("ivf_pq", "ivf_opq"):
        start = DistillVQ(kind, lists=LISTS, subvectors=parts, probes=PROBES)
        start.init(data()[0], rotation_rounds=ROUNDS)
        items[kind] = test.ask(start.to_faiss())
        cost = {
            "bytes": index_bytes(start.to_faiss()),
            "ms": milliseconds(start.to_faiss(), test.queries),
        }
        out[kind] = {**{n: float(v.mean()) for n, v in items[kind].items()}, **cost}
    tried = {}
    for rates in [(r, c) for r in RATES for c in CENTROID_RATES]:
        found = choose.ask(learned(start, train, 100, rates))
        tried[rates] = float(found["mrr@10"].mean())
        print(f"{parts} parts, rates {rates}: {tried[rates]:.4f}", file=sys.stderr)
    best = max(tried, key=lambda rates: tried[rates])
    runs = [test.ask(learned(start, train, seed, best)) for seed in range(SEEDS)]
    gain = {}
    for name in runs[0]:
        found = seeds_and_items_interval([r[name] for r in runs], [items["ivf_opq"][name]] * SEEDS)
        gain[name] = {"gain": found.mean, "ci95": [found.low, found.high]}
    out["learned"] = {
        **{name: float(np.mean([r[name] for r in runs])) for name in runs[0]},
        "bytes": out["ivf_opq"]["bytes"],
        "against_opq": gain,
        "rates": best,
        "tried": {str(rates): value for rates, value in tried.items()},
    }
    peer = scann(parts, test)
    if peer:
        out["scann"] = peer
    return out


def main() -> None:
    """Measure and store."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    order = np.random.default_rng(0).permutation(len(data()[0]))
    train, choose, test = np.split(order[: TRAIN + CHOOSE + TEST], [TRAIN, TRAIN + CHOOSE])
    judges = Judge(choose), Judge(test)
    exact = judges[1].items(dense_lists(judges[1].queries, data()[0], 100)[1])
    print(
        f"{len(data()[0])} documents; exact: {exact['mrr@10'].mean():.4f} MRR@10", file=sys.stderr
    )
    result = {
        "documents": len(data()[0]),
        "dims": data()[0].shape[1],
        "lists": LISTS,
        "probes": PROBES,
        "exact": {name: float(values.mean()) for name, values in exact.items()},
        "sizes": {name: size(parts, train, *judges) for name, parts in SIZES.items()},
        "peak_memory_mb": peak_memory_mb(),
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/indexes.json"), result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
