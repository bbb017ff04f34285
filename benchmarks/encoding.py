"""Encoding speed against SentenceTransformer.encode on the same texts in the same run.

Texts: 1,000 passages of the standard library corpus; two threads; rounds alternate between the
sides.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch

from corpora import stdlib
from vecsmith.core import hardware, write_json
from vecsmith.data import list_files, read_sections, split_passages
from vecsmith.encode import OpenVinoEncoder, export_encoder, load_sentence_transformer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS, ROUNDS = 1000, 3


def passages(encoder: OpenVinoEncoder) -> list[str]:
    """Every twentieth passage of the corpus, in order of reading."""
    found: list[str] = []
    for file in list_files(stdlib()[0], skipped=lambda _: None):
        sections = read_sections(file, skipped=lambda _: None)
        found.extend(
            p.content for p in split_passages(file, sections, encoder.count_tokens, max_tokens=200)
        )
        if len(found) >= 20 * TEXTS:
            break
    return found[::20][:TEXTS]


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(MODEL, folder)
        model = load_sentence_transformer(MODEL)
        sides = {
            "f32": OpenVinoEncoder(folder, precision="f32", threads=2),
            "bf16": OpenVinoEncoder(folder, precision="bf16", threads=2),
        }
        texts = passages(sides["f32"])
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
    reference = vectors["sentence-transformers"]
    base = statistics.median(seconds["sentence-transformers"])
    result = {
        "texts": len(texts),
        "seconds": seconds,
        "speed_up": {name: base / statistics.median(taken) for name, taken in seconds.items()},
        "worst_cosine": {
            name: float((reference * found).sum(axis=1).min()) for name, found in vectors.items()
        },
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/encoding.json"), result)
    print(result)


if __name__ == "__main__":
    main()
