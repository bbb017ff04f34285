"""Does masked pre-training on a menu of sizes help the sizes of the menu?

Task and student of the claim "starbucks". Before fine-tuning on the menu (SRL) the student is
pre-trained on the definitions of the terms that are not held out: with SMAE on the menu, or, in as
many steps on the same texts, with its largest size alone. A third arm is not pre-trained. The
fine-tuning is the same; nothing was chosen on these figures. Some twenty minutes.
"""

from pathlib import Path
from typing import Any

import torch

from vecsmith.claims._elastic_task import (
    MENU,
    TEMPERATURE,
    Task,
    contrastive,
    figures,
    make_task,
    new_student,
    ranks_at,
    small_items,
    train,
)
from vecsmith.core import (
    Budget,
    FitOptions,
    hardware,
    seeds_and_items_interval,
    write_json,
)
from vecsmith.train import SMAE, StarbucksLoss

SEEDS, STEPS, BATCH, LENGTH = (0, 1, 2), 200, 32, 32
ARMS = {"none": (), "whole size": MENU[-1:], "menu": MENU}


def pretrained(task: Task, seed: int, menu: tuple[tuple[int, int], ...]) -> Any:
    """Pre-train a student on a menu; on none, it stays as it is."""
    student = new_student()
    if not menu:
        return student
    usual, student.max_seq_length = student.max_seq_length, LENGTH
    options = FitOptions(lr=1e-4, schedule="cosine", warmup=0.05, weight_decay=1e-3, seed=seed)
    SMAE(student, menu, seed=seed).fit(
        task.definitions, budget=Budget(steps=STEPS), options=options, batch_size=BATCH
    )
    student.max_seq_length = usual
    return student


def loss(student: Any) -> Any:
    """Make the fine-tuning loss of the claim."""
    return StarbucksLoss(contrastive(student), MENU, similarity="cosine", temperature=TEMPERATURE)


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(2)
    rows, items = [], {arm: [] for arm in ARMS}
    for seed in SEEDS:
        task, row = make_task(seed, quick=False), {}
        for arm, menu in ARMS.items():
            ranks = ranks_at(train(task, seed, loss, student=pretrained(task, seed, menu)), task)
            items[arm].append(small_items(ranks))
            row.update(figures(arm, ranks))
        print(seed, row, flush=True)
        rows.append(row)
    gains = {}
    for arm in ("none", "whole size"):
        gain = seeds_and_items_interval(items["menu"], items[arm])
        gains[f"menu against {arm}"] = gain._asdict()
    result = {
        "steps": STEPS,
        "batch": BATCH,
        "max_tokens": LENGTH,
        "by_seed": rows,
        "mean": {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]},
        "gains": gains,
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/smae.json"), result)
    print(result["mean"], result["gains"])


if __name__ == "__main__":
    main()
