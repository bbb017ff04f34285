"""Self Positioning on the matrices of a whole encoder: two conflicting tasks, one base.

The claim `self-positioning` merges a small net on fixed vectors; this runs the same tasks on the
linear weights of all-MiniLM-L6-v2 (or any other sentence-transformers model) and writes JSON.

    python benchmarks/self_positioning_encoder.py --seeds 1 --json result.json
"""

import argparse
import copy
import datetime
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, WeightedRandomSampler

from vecsmith.claims._gloss_tasks import TASKS, GlossTasks, gloss_tasks, reciprocal_ranks
from vecsmith.core import (
    Budget,
    FitOptions,
    fit,
    hardware,
    seed_everything,
    torch_generator,
    write_json,
)
from vecsmith.encode import load_sentence_transformer
from vecsmith.reshape import (
    EqualTargetLoss,
    MergeSet,
    PositionOptions,
    SelfPositioning,
    task_vector_report,
)
from vecsmith.reshape.merge import Probe

MATRICES = r"encoder\..*weight$"
BATCH, TOKENS = 64, 32


def rows(tasks: GlossTasks, task: str, numbers: NDArray[np.int64]) -> list[tuple[str, str]]:
    answers = tasks.answers[task][numbers]
    return [(tasks.glosses[q], tasks.pool[a]) for q, a in zip(numbers, answers, strict=True)]


def train(
    base: Any,
    data: list[tuple[str, str]],
    steps: int,
    *,
    rate: float,
    seed: int,
    weights: Any = None,
) -> Any:
    model = copy.deepcopy(base)
    for name, value in model.named_parameters():
        value.requires_grad_("encoder." in name and value.ndim == 2)
    loss = EqualTargetLoss(model)

    def collate(batch: list[tuple[str, str]]) -> list[dict[str, torch.Tensor]]:
        return [model.preprocess(list(column)) for column in zip(*batch, strict=True)]

    sampler = None
    if weights is not None:
        generator = torch_generator(seed, "sampler")
        sampler = WeightedRandomSampler(weights, len(data), generator=generator)
    loader = DataLoader(
        data,
        min(BATCH, len(data)),
        shuffle=sampler is None,
        sampler=sampler,
        collate_fn=collate,
        drop_last=True,
    )
    options = FitOptions(lr=rate, seed=seed)
    fit(model, lambda _, batch: loss(batch), loader, budget=Budget(steps=steps), options=options)
    return model.to("cpu").eval()


def score(model: Any, tasks: GlossTasks) -> dict[str, float]:
    settings = {"batch_size": 256, "convert_to_tensor": True, "normalize_embeddings": True}
    queries = model.encode([tasks.glosses[n] for n in tasks.test], **settings)
    pool = model.encode(tasks.pool, **settings)
    found = {
        task: float(reciprocal_ranks(queries, pool, tasks.answers[task][tasks.test]).mean())
        for task in TASKS
    }
    return {**found, "mean": statistics.fmean(found.values())}


def one_seed(settings: argparse.Namespace, seed: int) -> dict[str, Any]:
    tasks = gloss_tasks(seed, quick=settings.quick)
    base = load_sentence_transformer(settings.model)
    base.max_seq_length = TOKENS
    base.to("cpu").eval()
    seed_everything(seed)
    data = {task: rows(tasks, task, tasks.train[task]) for task in TASKS}
    probe = {task: rows(tasks, task, tasks.probe) for task in TASKS}
    steps = {t: max(1, len(data[t]) // BATCH) * settings.epochs for t in TASKS}
    common = {"rate": settings.rate, "seed": seed}
    arms: dict[str, Callable[[], nn.Module]] = {}
    models: dict[str, Any] = {t: train(base, data[t], steps[t], **common) for t in TASKS}
    ms = MergeSet(base, models, include=MATRICES)
    search = SelfPositioning(
        ms, EqualTargetLoss, probe, options=PositionOptions(batch=BATCH, seed=seed)
    )
    started = time.perf_counter()
    merged = search.fit(settings.search)
    seconds = time.perf_counter() - started
    joined = {task: [*data[task], *probe[task]] for task in TASKS}
    both = [row for task in TASKS for row in joined[task]]
    even = [1.0 / len(joined[task]) for task in TASKS for _ in joined[task]]
    total = sum(steps.values()) + settings.search * len(TASKS)
    joint = train(base, both, total, **common)
    arms = {
        "base": lambda: base,
        **{f"expert {task}": (lambda task=task: models[task]) for task in TASKS},
        "joint proportional": lambda: joint,
        "joint uniform": lambda: train(base, both, total, weights=even, **common),
        "average": lambda: ms.merge("average"),
        "slerp": lambda: ms.merge("slerp"),
        "ties": lambda: ms.merge("ties"),
        "self positioning": lambda: merged,
    }
    scores = {name: score(make(), tasks) for name, make in arms.items()}
    report = task_vector_report(
        ms, joint=joint, probe=Probe(base, EqualTargetLoss, probe, batch=BATCH)
    )
    return {
        "seed": seed,
        "mrr": scores,
        "alpha": dict(zip(ms.tasks, search.alpha, strict=True)),
        "lambda": search.lam,
        "search_seconds": round(seconds, 1),
        "updates_of_each_side": total,
        "report": report.to_dict(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--search", type=int, default=30, help="steps of Self Positioning")
    parser.add_argument("--quick", action="store_true", help="a fifth of the data")
    parser.add_argument("--json", type=Path)
    settings = parser.parse_args()
    started = time.perf_counter()
    found = [one_seed(settings, seed) for seed in range(settings.seeds)]
    result = {
        "what": "two conflicting tasks on an encoder's linear weights",
        "settings": {k: v for k, v in vars(settings).items() if k != "json"},
        "seeds": found,
        "seconds": round(time.perf_counter() - started, 1),
        "hardware": hardware(),
        "versions": {"torch": torch.__version__},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }
    print(json.dumps(result, indent=2))
    if settings.json:
        write_json(settings.json, result)


if __name__ == "__main__":
    main()
