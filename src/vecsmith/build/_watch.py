"""What is watched while training: validation at every checkpoint, best weights, log, progress."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import save_file
from transformers import TrainerCallback

from vecsmith.core import atomic_path, progress, read_json, write_json
from vecsmith.data import Pair
from vecsmith.evaluate import metric_values

from ._train import mixed_precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def pool_scores(
    model: "SentenceTransformer", pairs: Sequence[Pair], distractors: Sequence[str] = ()
) -> list[float]:
    """Score a model on pairs: MRR@10 of each query's own text among all of them and distractors.

    Args:
        model: The model.
        pairs: Held-out pairs.
        distractors: Texts that answer none of the queries.

    Returns:
        One score a pair.
    """
    if not pairs:
        return []
    options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    texts = [*(pair.positive for pair in pairs), *distractors]
    with mixed_precision(model):
        queries = model.encode_query([pair.query for pair in pairs], **options)
        documents = model.encode_document(texts, **options)
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    rows = [pair.row for pair in pairs]
    same = [{i for i, other in enumerate(rows) if other == row} for row in rows]
    return [metric_values(near.tolist(), same[i])["mrr@10"] for i, near in enumerate(order)]


def pool_mrr(
    model: "SentenceTransformer", pairs: Sequence[Pair], distractors: Sequence[str] = ()
) -> float:
    """Return the mean of `pool_scores`, 0 without pairs."""
    scores = pool_scores(model, pairs, distractors)
    return float(np.mean(scores)) if scores else 0.0


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Validates at checkpoints, keeps the best weights and the log, draws the bar.

    Args:
        model: The model in training.
        watch: Held-out pairs.
        distractors: Texts that answer none of their queries.
        folder: Gets ``log.json`` and ``best.safetensors``.
        steps: Steps in all.
        batch_size: Pairs a step.
    """

    def __init__(
        self,
        model: Any,
        watch: Sequence[Pair],
        distractors: Sequence[str],
        folder: Path,
        *,
        steps: int,
        batch_size: int,
    ) -> None:
        self.model, self.watch, self.folder = model, watch, folder
        self.distractors = distractors
        self.batch_size = batch_size
        path = folder / "log.json"
        empty: dict[str, Any] = {"best": -1.0, "best_step": 0, "curve": [], "loss": []}
        self.log = read_json(path) if path.exists() else empty
        self.bar = progress(None, "training", total=steps, unit="step")
        self.started, self.first = time.perf_counter(), 0

    def check(self, step: int) -> None:
        training = self.model.training
        score = pool_mrr(self.model.eval(), self.watch, self.distractors)
        self.model.train(training)
        curve = [row for row in self.log["curve"] if row["step"] < step]
        self.log["curve"] = [*curve, {"step": step, "mrr@10": score}]
        # With nothing to watch the last weights are as good as any.
        if score > self.log["best"] or not self.watch:
            self.log["best"], self.log["best_step"] = score, step
            with atomic_path(self.folder / "best.safetensors") as temporary:
                state = {k: v.contiguous().clone() for k, v in self.model.state_dict().items()}
                save_file(state, str(temporary))
        write_json(self.folder / "log.json", self.log)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.first = state.global_step
        self.bar.update(state.global_step)
        if state.global_step == 0:
            self.log = {"best": -1.0, "best_step": 0, "curve": [], "loss": []}
            self.check(0)
        # Scores of steps after the checkpoint that is gone on from are measured again.
        kept = [row for row in self.log["curve"] if row["step"] <= state.global_step]
        self.log["curve"] = kept

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            losses = [row for row in self.log["loss"] if row["step"] < state.global_step]
            entry = {"step": state.global_step, "loss": float(logs["loss"])}
            self.log["loss"] = [*losses, entry]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(1)
        done = state.global_step - self.first
        speed = done * self.batch_size / (time.perf_counter() - self.started)
        loss = self.log["loss"][-1]["loss"] if self.log["loss"] else float("nan")
        mrr = self.log["curve"][-1]["mrr@10"]
        self.bar.set_postfix_str(f"loss {loss:.3f}, MRR@10 {mrr:.3f}, {speed:.0f} pairs/s")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.check(state.global_step)
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / "whole").touch()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()
