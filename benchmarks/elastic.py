"""Time a text of a model cut to 1, 2, ... blocks: does it fall with the blocks?

Texts: 256 passages of the standard library corpus; two threads; rounds alternate between the sizes.
The models are really cut; a straight line is fitted to time over blocks.
"""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from corpora import stdlib
from vecsmith.core import hardware, write_json
from vecsmith.data import list_files, read_sections
from vecsmith.encode import resolve_model
from vecsmith.evaluate import layer_times

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS, LENGTH = 256, 128


def passages() -> list[str]:
    """Sections of the corpus, in order of reading."""
    found: list[str] = []
    for file in list_files(stdlib()[0], skipped=lambda _: None):
        found += [section.text for section in read_sections(file, skipped=lambda _: None)]
        if len(found) >= 8 * TEXTS:
            break
    return found[::8][:TEXTS]


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(2)
    model = SentenceTransformer(str(resolve_model(MODEL).path), device="cpu")
    model.max_seq_length = LENGTH
    depth = model[0].auto_model.config.num_hidden_layers
    taken = layer_times(model, passages(), range(1, depth + 1))
    blocks, times = np.array(list(taken)), np.array(list(taken.values()))
    slope, start = np.polyfit(blocks, times, 1)
    fitted = slope * blocks + start
    result = {
        "model": MODEL,
        "texts": TEXTS,
        "max_tokens": LENGTH,
        "ms_per_text": {str(layers): float(spent) for layers, spent in taken.items()},
        "ms_per_block": float(slope),
        "ms_without_blocks": float(start),
        "r2": float(1 - ((times - fitted) ** 2).sum() / ((times - times.mean()) ** 2).sum()),
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/elastic.json"), result)
    print(result)


if __name__ == "__main__":
    main()
