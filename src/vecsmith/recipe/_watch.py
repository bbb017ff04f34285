"""What is watched while training: validation MRR, best weights, log, progress."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import TrainerCallback

from vecsmith.core import atomic_path, progress, read_json, write_json

from ._processes import on_main

if TYPE_CHECKING:
    from datasets import Dataset


def validation_ranks(model: Any, rows: "Dataset") -> NDArray[np.float64]:
    """Rank each row's positive among the positives and negatives of all rows.

    Args:
        model: A `SentenceTransformer`.
        rows: Columns anchor, positive, negatives.

    Returns:
        Reciprocal ranks, shape (rows,); a tie counts as half above.
    """
    names = rows.column_names
    pool = list(dict.fromkeys(text for name in names[1:] for text in rows[name]))
    place = {text: i for i, text in enumerate(pool)}
    options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    queries = model.encode_query(list(rows[names[0]]), **options)
    documents = model.encode_document(pool, **options)
    scores = np.asarray(queries) @ np.asarray(documents).T
    own = np.array([place[text] for text in rows[names[1]]])
    right = scores[np.arange(len(own)), own][:, None]
    above = (scores > right).sum(axis=1) + 0.5 * ((scores == right).sum(axis=1) - 1)
    return np.asarray(1.0 / (1.0 + above))


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Validates at checkpoints, keeps the best weights and the log, draws the bar.

    Args:
        model: The model in training.
        rows: Validation rows; may be empty.
        folder: Gets ``log.json`` and ``best.safetensors``.
        batch_size: Rows of a step, over all processes.
    """

    def __init__(self, model: Any, rows: "Dataset", folder: Path, *, batch_size: int) -> None:
        self.model, self.rows, self.folder, self.batch_size = model, rows, folder, batch_size
        path = folder / "log.json"
        self.log = read_json(path) if path.exists() else _empty()
        self.bar: Any = None
        self.started, self.first, self.mine = 0.0, 0, True

    def check(self, step: int) -> None:
        """Validate, and keep the weights if they are the best so far."""
        training = self.model.training
        self.model.eval()
        score = float(validation_ranks(self.model, self.rows).mean()) if len(self.rows) else 0.0
        self.model.train(training)
        curve = [row for row in self.log["curve"] if row["step"] < step]
        self.log["curve"] = [*curve, {"step": step, "mrr": score}]
        # With nothing to watch the last weights are as good as any.
        if self.mine and (score > self.log["best"] or not len(self.rows)):
            self.log["best"], self.log["best_step"] = score, step
            with atomic_path(self.folder / "best.safetensors") as temporary:
                state = {k: v.contiguous().clone() for k, v in self.model.state_dict().items()}
                save_file(state, str(temporary))
        if self.mine:
            write_json(self.folder / "log.json", self.log)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the bar and the clock; validate the model as it is."""
        self.mine = state.is_world_process_zero
        self.started, self.first = time.perf_counter(), state.global_step
        if self.mine:
            self.bar = progress(None, "training", total=state.max_steps, unit="step")
            self.bar.update(state.global_step)
        if state.global_step == 0:
            self.log = _empty()
            self.check(0)
        # Scores of steps after the checkpoint that is gone on from are measured again.
        kept = [row for row in self.log["curve"] if row["step"] <= state.global_step]
        self.log["curve"] = kept

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep the loss and the gradient norm of each step."""
        if logs and "loss" in logs:
            losses = [row for row in self.log["loss"] if row["step"] < state.global_step]
            entry = {"step": state.global_step, "loss": float(logs["loss"])}
            if "grad_norm" in logs:
                entry["grad_norm"] = float(logs["grad_norm"])
            self.log["loss"] = [*losses, entry]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar."""
        done = state.global_step - self.first
        speed = done * self.batch_size / (time.perf_counter() - self.started)
        self.log["pairs_per_second"] = speed
        if self.bar is None:
            return
        self.bar.update(1)
        loss = self.log["loss"][-1]["loss"] if self.log["loss"] else float("nan")
        mrr = self.log["curve"][-1]["mrr"]
        self.bar.set_postfix_str(f"loss {loss:.3f}, MRR {mrr:.3f}, {speed:.0f} rows/s")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Validate, and mark the checkpoint as whole."""
        self.check(state.global_step)
        # the others may still be writing their part of it
        on_main(lambda: None)
        if self.mine:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / "whole").touch()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar and write the log."""
        if self.bar is not None:
            self.bar.close()
        if self.mine:
            write_json(self.folder / "log.json", self.log)


def _empty() -> dict[str, Any]:
    return {"best": -1.0, "best_step": 0, "curve": [], "loss": [], "pairs_per_second": 0.0}
