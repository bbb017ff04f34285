"""Does a decoder that was trained with a causal mask gain by losing it, once its weights train too?

Data of the claim "nv-embed", where only heads train: 2,000 pairs (synonym, name) of the Human
Phenotype Ontology, 800 held-out synonyms among all names. Here the first six blocks of SmolLM2-135M
get adapters of rank 8 and train 60 steps of 24 pairs with mean pooling, with the causal mask and
without; both also untrained. Each mask has the best of three rates on 1,400 other terms.
Some twenty minutes; needs the extra "language-models".
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.claims._gloss_tasks import reciprocal_ranks
from vecsmith.claims.nv_embed import SMOLLM, TEST, ordered_pairs, synonym_pairs
from vecsmith.core import (
    hardware,
    numpy_generator,
    seed_everything,
    seeds_and_items_interval,
    write_json,
)
from vecsmith.train import ContrastiveLoss, LLMEmbedder

BLOCKS, RANK, STEPS, BATCH, LENGTH, TEMPERATURE = 6, 8, 60, 24, 16, 0.05
SEEDS, RATES = (0, 1, 2), (3e-4, 1e-3, 3e-3)
MASKS = {"causal": False, "bidirectional": True}
Pairs = list[tuple[str, str]]


def embedder(bidirectional: bool) -> Any:
    """Load the model with fresh adapters, as a `SentenceTransformer`."""
    made = LLMEmbedder.from_pretrained(
        SMOLLM,
        pooling="mean",
        bidirectional=bidirectional,
        layers=BLOCKS,
        max_length=LENGTH,
        lora={"r": RANK, "lora_alpha": 2 * RANK, "lora_dropout": 0.0},
    )
    return made.as_sentence_transformer()


@torch.no_grad()
def judge(model: Any, pairs: Pairs, test: NDArray[np.int64]) -> NDArray[np.float64]:
    """Reciprocal rank of the name of each held-out synonym among all names."""
    synonyms, names = zip(*pairs, strict=True)
    queries = model.encode([synonyms[i] for i in test], convert_to_tensor=True, batch_size=64)
    pool = model.encode(list(names), convert_to_tensor=True, batch_size=64)
    unit = torch.nn.functional.normalize
    return reciprocal_ranks(unit(queries), unit(pool), test).double().numpy()


def run(mask: str, pairs: Pairs, held_out: int, seed: int, rate: float) -> NDArray[np.float64]:
    """Train on the pairs that are not held out; a rate of 0 leaves the model as it is."""
    seed_everything(seed)
    order = numpy_generator(seed, "claim", "split").permutation(len(pairs))
    test, known = order[:held_out], order[held_out:]
    model = embedder(MASKS[mask])
    if rate:
        loss = ContrastiveLoss(model, temperature=TEMPERATURE)
        weights = [w for w in model.parameters() if w.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=rate)
        rng = numpy_generator(seed, "claim", "batches")
        model.train()
        for _ in range(STEPS):
            rows = [pairs[i] for i in rng.choice(known, BATCH, replace=False)]
            features = [model.preprocess(list(column)) for column in zip(*rows, strict=True)]
            optimizer.zero_grad()
            loss(features).backward()
            optimizer.step()
    return judge(model.eval(), pairs, test)


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(2)
    others, pairs = ordered_pairs()[-1400:], synonym_pairs()
    chosen, tried = {}, {}
    for mask in MASKS:
        found = {rate: float(run(mask, others, 400, 99, rate).mean()) for rate in RATES}
        chosen[mask] = max(found, key=lambda rate: found[rate])
        tried[mask] = {str(rate): score for rate, score in found.items()}
        print(mask, found, flush=True)
    items: dict[str, list[NDArray[np.float64]]] = {}
    for seed in SEEDS:
        for mask in MASKS:
            for name, rate in ((f"{mask} untrained", 0.0), (mask, chosen[mask])):
                items.setdefault(name, []).append(run(mask, pairs, TEST, seed, rate))
                print(seed, name, items[name][-1].mean(), flush=True)
    gain = seeds_and_items_interval(items["bidirectional"], items["causal"])
    result = {
        "blocks": BLOCKS,
        "rank": RANK,
        "steps": STEPS,
        "batch": BATCH,
        "rates_tried": tried,
        "rates": chosen,
        "mrr_by_seed": {name: [float(r.mean()) for r in rows] for name, rows in items.items()},
        "bidirectional_less_causal": gain._asdict(),
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/nv_embed_mask.json"), result)
    print(result)


if __name__ == "__main__":
    main()
