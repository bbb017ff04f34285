"""Encoding speed against SentenceTransformer.encode on the same texts in the same run.

Texts: 1,000 passages of the standard library corpus; two threads; rounds alternate between the
sides. nDCG@10: the names and first docstring sentences of the passages find them among the 1,000.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from corpora import stdlib
from vecsmith.core import hardware, numpy_generator, write_json
from vecsmith.data import Passage, list_files, read_sections, split_passages, structure_pairs
from vecsmith.encode import (
    OpenVinoEncoder,
    export_encoder,
    fast_precisions,
    load_sentence_transformer,
)
from vecsmith.evaluate import metric_values

Vectors = NDArray[np.float32]

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS, ROUNDS = 1000, 3


def passages(encoder: OpenVinoEncoder) -> list[Passage]:
    """Every twentieth passage of the corpus, in order of reading."""
    found: list[Passage] = []
    for file in list_files(stdlib()[0], skipped=lambda _: None):
        sections = read_sections(file, skipped=lambda _: None)
        found.extend(split_passages(file, sections, encoder.count_tokens, max_tokens=200))
        if len(found) >= 20 * TEXTS:
            break
    return found[::20][:TEXTS]


def queries_of(found: list[Passage]) -> list[tuple[str, int]]:
    """Queries that the passages' own structure gives, with the place of the passage."""
    rng = numpy_generator(0, "queries")
    pairs = (pair for i, p in enumerate(found) for pair in structure_pairs(i, i, p, rng))
    return [(pair.query, pair.row) for pair in pairs if pair.kind in ("heading", "summary")]


def ndcg(queries: Vectors, documents: Vectors, right: list[int]) -> float:
    """Mean nDCG@10 of queries with one right document each."""
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    scores = [metric_values(o.tolist(), {r})["ndcg@10"] for o, r in zip(order, right, strict=True)]
    return float(np.mean(scores))


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(MODEL, folder)
        model = load_sentence_transformer(MODEL)
        sides = {
            name: OpenVinoEncoder(folder, precision=name, threads=2) for name in fast_precisions()
        }
        found = passages(sides["f32"])
        texts = [passage.content for passage in found]
        asked = queries_of(found)
        options = {"batch_size": 32, "normalize_embeddings": True, "show_progress_bar": False}
        runs = {"sentence-transformers": lambda: model.encode(texts, **options)}
        runs |= {name: (lambda side=side: side.encode(texts)) for name, side in sides.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        vectors = {}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                begin = time.perf_counter()
                vectors[name] = run()
                seconds[name].append(time.perf_counter() - begin)
        queries = {name: side.encode([q for q, _ in asked]) for name, side in sides.items()}
        queries["sentence-transformers"] = model.encode([q for q, _ in asked], **options)
    right = [place for _, place in asked]
    reference = vectors["sentence-transformers"]
    base = statistics.median(seconds["sentence-transformers"])
    result = {
        "texts": len(texts),
        "seconds": seconds,
        "speed_up": {name: base / statistics.median(taken) for name, taken in seconds.items()},
        "queries": len(asked),
        "ndcg@10": {name: ndcg(queries[name], vectors[name], right) for name in vectors},
        "worst_cosine": {
            name: float((reference * ours).sum(axis=1).min()) for name, ours in vectors.items()
        },
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/encoding.json"), result)
    print(result)


if __name__ == "__main__":
    main()
