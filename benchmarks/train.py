"""Speed and memory of training against sentence-transformers, paired in one run.

Each measurement is a process of its own, so that its peak memory is its own; rounds alternate
between the two sides. Same model, texts, batch and trainer; only the loss differs.

- steps: rows a second of the trainer with the plain loss, the guided loss and Matryoshka
- guide: what cached vectors of the guide save against encoding them in every step
- memory: peak memory and time of one step of gradient caching at 1,000, 8,000 and 80,000 rows
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vecsmith.core import hardware, write_json

OUT = Path("docs/benchmarks/train.json")
ROUNDS = 3
STEPS, WARM, BATCH, LENGTH = 14, 4, 32, 32
MEMORY = (1_000, 8_000, 80_000)
PAIRS = {
    "plain": ("vecsmith", "sentence_transformers"),
    "matryoshka": ("vecsmith", "sentence_transformers"),
    "guided": ("vecsmith", "sentence_transformers"),
}


def texts(count: int) -> tuple[list[str], list[str]]:
    """Synonyms and names of the Human Phenotype Ontology, repeated as often as needed."""
    from vecsmith.data.samples import load_hpo

    terms = load_hpo()
    rows = [
        (synonym, name)
        for name, exact in zip(terms["name"], terms["exact"], strict=True)
        for synonym in exact
    ]
    while len(rows) < count:
        rows += [(f"{a} {len(rows)}", f"{b} {i}") for i, (a, b) in enumerate(rows)]
    return [a for a, _ in rows[:count]], [b for _, b in rows[:count]]


def model() -> Any:
    """MiniLM, as it is trained."""
    from sentence_transformers import SentenceTransformer

    from vecsmith.encode import resolve_model

    folder = str(resolve_model("sentence-transformers/all-MiniLM-L6-v2").path)
    found = SentenceTransformer(folder, device="cpu")
    found.max_seq_length = LENGTH
    return found


def make_loss(kind: str, side: str, student: Any) -> tuple[Any, Any]:
    """Return the loss of a side, and the guide's cache where it has one."""
    from sentence_transformers.sentence_transformer import losses as theirs

    from vecsmith.train import ContrastiveLoss, GuideCache, GuidedContrastiveLoss, MatryoshkaLoss

    dims = [384, 256, 128, 64]
    if kind == "guided":
        if side == "sentence_transformers":
            return theirs.GISTEmbedLoss(student, model(), temperature=0.05), None
        cache = GuideCache(model(), Path(tempfile.mkdtemp()) / "guide")
        return GuidedContrastiveLoss(student, cache, temperature=0.05), cache
    if side == "sentence_transformers":
        plain = theirs.MultipleNegativesRankingLoss(student, scale=20.0)
        return (
            theirs.MatryoshkaLoss(student, plain, dims) if kind == "matryoshka" else plain
        ), None
    ours = ContrastiveLoss(student, temperature=0.05)
    return (MatryoshkaLoss(ours, dims) if kind == "matryoshka" else ours), None


def measure_steps(kind: str, side: str) -> dict[str, float]:
    """Train some steps with the trainer of sentence-transformers."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from transformers import TrainerCallback

    torch.set_num_threads(2)
    student = model()
    loss, cache = make_loss(kind, side, student)
    left, right = texts(STEPS * BATCH)
    data = Dataset.from_dict({"query": left, "positive": right})
    before = time.perf_counter()
    if cache is not None:
        data = cache.attach(data)
    preparing = time.perf_counter() - before
    stamps: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            stamps.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=student,
            args=SentenceTransformerTrainingArguments(
                folder,
                max_steps=STEPS,
                per_device_train_batch_size=BATCH,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
                seed=0,
            ),
            train_dataset=data,
            loss=loss,
            callbacks=[Clock()],
        ).train()
    seconds = [b - a for a, b in zip(stamps[WARM:], stamps[WARM + 1 :], strict=False)]
    return {
        "rows_per_second": BATCH / statistics.median(seconds),
        "preparing_s": preparing,
        "peak_mb": peak_mb(),
    }


def measure_memory(rows: int, side: str) -> dict[str, float]:
    """One step of gradient caching with a tiny encoder, so that the loss is what takes memory."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses as theirs
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    from vecsmith.encode import resolve_model
    from vecsmith.train import ContrastiveLoss

    torch.set_num_threads(2)
    torch.manual_seed(0)
    source = resolve_model("sentence-transformers/all-MiniLM-L6-v2").path
    with tempfile.TemporaryDirectory() as folder:
        BertModel(
            BertConfig(
                hidden_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=64,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        ).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (Path(folder) / name).write_bytes((Path(source) / name).read_bytes())
        tiny = SentenceTransformer(
            modules=[Transformer(folder, max_seq_length=8), Pooling(64, "mean")], device="cpu"
        )
    left, right = texts(rows)
    features = [tiny.preprocess(column) for column in (left, right)]
    before = peak_mb()
    mini = 256
    loss = (
        ContrastiveLoss(tiny, temperature=0.05, cached_mini_batch=mini)
        if side == "vecsmith"
        else theirs.CachedMultipleNegativesRankingLoss(tiny, scale=20.0, mini_batch_size=mini)
    )
    started = time.perf_counter()
    loss(features, None).backward()
    return {
        "seconds": time.perf_counter() - started,
        "before_mb": before,
        "peak_mb": peak_mb(),
        "step_mb": peak_mb() - before,
    }


def peak_mb() -> float:
    """Peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(*words: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Median of each figure over rounds."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def main() -> None:
    """Measure everything and store it."""
    result: dict[str, Any] = {"model": "all-MiniLM-L6-v2", "batch": BATCH, "max_tokens": LENGTH}
    for kind, sides in PAIRS.items():
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for _ in range(ROUNDS):
            for side in sides:
                found[side].append(in_process("steps", kind, side))
        row: dict[str, Any] = {side: medians(rows) for side, rows in found.items()}
        ratios = [
            a["rows_per_second"] / b["rows_per_second"]
            for a, b in zip(*found.values(), strict=True)
        ]
        row["ratio"], row["ratios"] = statistics.median(ratios), ratios
        result[kind] = row
        print(kind, json.dumps(row), flush=True)
    result["memory"] = {}
    for rows in MEMORY:
        row = {s: in_process("memory", str(rows), s) for s in ("vecsmith", "sentence_transformers")}
        result["memory"][str(rows)] = row
        print(rows, json.dumps(row), flush=True)
    result["hardware"] = hardware()
    write_json(OUT, result)


if __name__ == "__main__":
    if sys.argv[1:2] == ["steps"]:
        print(json.dumps(measure_steps(*sys.argv[2:4])))
    elif sys.argv[1:2] == ["memory"]:
        print(json.dumps(measure_memory(int(sys.argv[2]), sys.argv[3])))
    else:
        main()
