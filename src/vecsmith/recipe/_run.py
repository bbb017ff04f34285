"""A training run from settings to a saved model: read, examine, train, score, write down.

A run that was killed goes on from its last whole checkpoint when it is started again, and ends with
the weights of one that was not. What is saved loads in plain sentence-transformers.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import (
    ConfigError,
    hash_text,
    read_json,
    replace_dir,
    require,
    seed_everything,
    write_json,
)
from vecsmith.data import Overlap, find_overlaps
from vecsmith.evaluate import Score, score_model

from ._card import training_card
from ._config import TrainingConfig, write_config
from ._data import all_texts
from ._evaluations import evaluation
from ._fit import Fitted, fit_model
from ._parts import Parts, check_sizes, read_parts
from ._processes import is_main_process, on_main, process_count

if TYPE_CHECKING:
    from vecsmith.train.doctor import Finding

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingReport:
    """What a training run gave.

    Attributes:
        model: Folder of the saved model.
        scores: Scores of the evaluations, against the base.
        examined: What the doctor found in the data.
        findings: What it found while training.
        overlaps: Overlap of the training texts with each evaluation.
        log: Curve, losses, best step and speed.
        steps: Steps that were done.
    """

    model: Path
    scores: tuple[Score, ...]
    examined: tuple["Finding", ...]
    findings: tuple["Finding", ...]
    overlaps: tuple[Overlap, ...]
    log: dict[str, Any]
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "model": str(self.model),
            "steps": self.steps,
            "best_step": self.log["best_step"],
            "validation_mrr": [row["mrr"] for row in self.log["curve"]],
            "rows_per_second": self.log["pairs_per_second"],
            "scores": [score.as_dict() for score in self.scores],
            "doctor": {
                "before": [found.as_dict() for found in self.examined],
                "while_training": [found.as_dict() for found in self.findings],
            },
            "contamination": [overlap.as_dict() for overlap in self.overlaps],
        }


def train(
    config: TrainingConfig, *, examined: Callable[[Sequence["Finding"]], None] | None = None
) -> TrainingReport:
    """Train an encoder.

    Args:
        config: Settings.
        examined: Called with what the doctor found in the data, before training.

    Returns:
        Where the model is, its scores, and what was found. Where several processes train together,
        the main one saves and scores; the others return before, without scores.

    Raises:
        ConfigError: Settings that do not go together, or an `out` of other settings.
        DataError: Data that cannot be used.
        ModelError: A model that does not load.
        TrainingError: A loss that is not finite; checkpoints from before are kept.
    """
    from vecsmith.encode import quiet_hosts

    out = Path(config.out)
    on_main(partial(_refuse_other_runs, config, out))
    seed_everything(config.seed)
    with quiet_hosts():
        parts = read_parts(config)
        check_sizes(config, parts, process_count())
        tests = [evaluation(name) for name in config.evaluate]
        texts = [text for rows in parts.train for text in all_texts(rows)]
        overlaps = find_overlaps(texts, {test.name: test.texts for test in tests}) if tests else []
        for overlap in overlaps:
            if overlap.share > 0:
                logger.warning(
                    "%.1f%% of the texts of %s are trained on; its score says little",
                    100 * overlap.share,
                    overlap.evaluation,
                )
        on_main(partial(_claim_folder, config, out))
        model = _student(config)
        before = _examine(config, parts, model)
        if examined is not None and is_main_process():
            examined(before)
        base = [test.measure(model.eval()) for test in tests]
        fitted = fit_model(config, parts, model, out)
        report = TrainingReport(
            model=out / "model",
            scores=(),
            examined=tuple(before),
            findings=tuple(fitted.findings),
            overlaps=tuple(overlaps),
            log=fitted.log,
            steps=fitted.steps,
        )
        if not is_main_process():
            return report
        final = _save(config, model, out, fitted)
        scores = [score_model(test, final, items) for test, items in zip(tests, base, strict=True)]
    report = replace(report, scores=tuple(scores))
    _write_down(config, parts, report, final, fitted)
    return report


def _refuse_other_runs(config: TrainingConfig, out: Path) -> None:
    """Refuse a folder of another run, whose checkpoints would be gone on from."""
    known = out / "config.json"
    now = config.as_dict()
    if known.exists():
        then = read_json(known)
        names = sorted(k for k in now if now[k] != then.get(k) and k not in ("out", "workers"))
        if names:
            raise ConfigError(
                f"{config.out} holds a run with other settings ({', '.join(names)}); give another "
                "folder with --out, or delete this one"
            )
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(
            f"{config.out} is not empty and holds no training run; give another folder with --out"
        )


def _claim_folder(config: TrainingConfig, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", config.as_dict())
    write_config(config, out / "config.yaml")


def _student(config: TrainingConfig) -> Any:
    import torch

    from vecsmith.encode import load_sentence_transformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_sentence_transformer(config.model, device=device)
    if config.max_tokens is not None:
        most = model.max_seq_length
        if most is not None and config.max_tokens > most:
            raise ConfigError(
                f"max_tokens must be at most the model's {most}; got {config.max_tokens}"
            )
        model.max_seq_length = config.max_tokens
    if config.lora:
        peft = require("peft", "train")
        model.add_adapter(
            peft.LoraConfig(
                r=config.lora, lora_alpha=2 * config.lora, target_modules="all-linear", bias="none"
            )
        )
    return model


def _examine(config: TrainingConfig, parts: Parts, model: Any) -> list["Finding"]:
    from vecsmith.train.doctor import examine_data

    found = []
    for part, rows in zip(parts.loaded, parts.train, strict=True):
        several = f"{part.name}: " if len(parts.loaded) > 1 else ""
        findings = examine_data(
            rows,
            model.eval(),
            batch_size=config.batch_size,
            temperature=config.temperature,
            seed=config.seed,
        )
        found += [replace(finding, name=several + finding.name) for finding in findings]
    return found


def _save(config: TrainingConfig, model: Any, out: Path, fitted: Fitted) -> Any:
    """Write the model; adapters are added into the matrices that they adapt."""
    from safetensors.torch import load_file

    from vecsmith.encode import load_sentence_transformer, merged_state

    if config.keep == "best":
        model.load_state_dict(load_file(str(out / "best.safetensors")))
    final = load_sentence_transformer(config.model, device=str(model.device))
    final.max_seq_length = model.max_seq_length
    final.load_state_dict(merged_state(model))
    fresh = out / "model.fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    final.save_pretrained(str(fresh), create_model_card=False)
    replace_dir(fresh, out / "model")
    losses = list(fitted.losses.values())
    if len(losses) == 1 and hasattr(losses[0], "save_encoder"):
        # with the vocabulary head, which a sentence encoder has no place for
        losses[0].model = model
        losses[0].save_encoder(out / "encoder")
    return final


def citations_of(loss: Any) -> list[str]:
    """Collect the BibTeX of a loss, of the losses inside it, and of its weights.

    Args:
        loss: Any loss.

    Returns:
        Distinct entries.
    """
    parts = [p for module in loss.modules() for p in (module, getattr(module, "weighting", None))]
    found = (getattr(part, "citation", None) for part in parts)
    return list(dict.fromkeys(text.strip() for text in found if isinstance(text, str)))


def _write_down(
    config: TrainingConfig,
    parts: Parts,
    report: TrainingReport,
    model: Any,
    fitted: Fitted,
) -> None:
    data = parts.summaries()
    citations = list(
        dict.fromkeys(t for loss in fitted.losses.values() for t in citations_of(loss))
    )
    plain = {**report.as_dict(), "data": data, "settings": config.as_dict()}
    plain["run"] = hash_text(*map(str, plain["settings"].items()))
    write_json(Path(config.out) / "report.json", plain)
    text = training_card(config, data, report, citations, dims=model.get_embedding_dimension())
    (report.model / "README.md").write_text(text, encoding="utf-8")
