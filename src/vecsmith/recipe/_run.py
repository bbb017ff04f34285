"""A training run from settings to a saved model: read, examine, train, score, write down.

A run that was killed goes on from its last whole checkpoint when it is started again, and ends with
the weights of one that was not. What is saved loads in plain sentence-transformers.
"""

import logging
import math
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

from ._batches import WeightedBatchSampler
from ._card import training_card
from ._config import DataSource, TrainingConfig, write_config
from ._data import Loaded, all_texts, hold_out, load_source
from ._evaluations import evaluation
from ._objectives import Expression, attach_labels, build_objective, parse_objective

if TYPE_CHECKING:
    from datasets import Dataset

    from vecsmith.train.doctor import Finding

logger = logging.getLogger(__name__)
# Texts the doctor encodes at each checkpoint.
SAMPLE = 200


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
        steps: Steps in all.
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


@dataclass
class _Parts:
    """What the steps of a run hand on."""

    loaded: list[Loaded]
    train: list["Dataset"]
    validation: "Dataset"
    expressions: list[Expression]


def train(
    config: TrainingConfig, *, examined: Callable[[Sequence["Finding"]], None] | None = None
) -> TrainingReport:
    """Train an encoder.

    Args:
        config: Settings.
        examined: Called with what the doctor found in the data, before training.

    Returns:
        Where the model is, its scores, and what was found.

    Raises:
        ConfigError: Settings that do not go together, or an `out` of other settings.
        DataError: Data that cannot be used.
        ModelError: A model that does not load.
        TrainingError: A loss that is not finite; checkpoints from before are kept.
    """
    from vecsmith.encode import quiet_hosts

    out = Path(config.out)
    _claim_folder(config, out)
    seed_everything(config.seed)
    with quiet_hosts():
        parts = _read(config)
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
        model = _student(config)
        before = _examine(config, parts, model)
        if examined is not None:
            examined(before)
        base = [test.measure(model.eval()) for test in tests]
        doctor, log, steps, citations = _fit(config, parts, model, out)
        final = _save(config, model, out, log)
        scores = [score_model(test, final, items) for test, items in zip(tests, base, strict=True)]
    report = TrainingReport(
        out / "model", tuple(scores), tuple(before), tuple(doctor), tuple(overlaps), log, steps
    )
    _write_down(config, parts, report, final, citations)
    return report


def _claim_folder(config: TrainingConfig, out: Path) -> None:
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
    out.mkdir(parents=True, exist_ok=True)
    write_json(known, now)
    write_config(config, out / "config.yaml")


def _read(config: TrainingConfig) -> _Parts:
    expressions = [parse_objective(source.objective or config.objective) for source in config.data]
    loaded = [
        load_source(source, columns_needed=expression.columns)
        for source, expression in zip(config.data, expressions, strict=True)
    ]
    names = [part.name for part in loaded]
    if len(set(names)) < len(names):
        raise ConfigError(f"data sets need names of their own; got {', '.join(names)}")
    if config.validation is not None:
        held = load_source(DataSource(config.validation)).rows
        return _Parts(loaded, [part.rows for part in loaded], held, expressions)
    datasets = require("datasets", "train")
    share = config.validation_rows // len(loaded)
    split = [hold_out(part, share, config.seed) for part in loaded]
    held = [rows for _, rows in split if len(rows)]
    columns = ["anchor", "positive"]
    same = [rows.select_columns(rows.column_names[:2]) for rows in held]
    renamed = [
        rows.rename_columns(dict(zip(rows.column_names, columns, strict=True))) for rows in same
    ]
    empty = datasets.Dataset.from_dict({name: [] for name in columns})
    validation = datasets.concatenate_datasets(renamed) if renamed else empty
    return _Parts(loaded, [rows for rows, _ in split], validation, expressions)


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


def _examine(config: TrainingConfig, parts: _Parts, model: Any) -> list["Finding"]:
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


def _fit(
    config: TrainingConfig, parts: _Parts, model: Any, out: Path
) -> tuple[list["Finding"], dict[str, Any], int, list[str]]:
    """Train, or go on training after the last whole checkpoint."""
    from vecsmith.train.doctor import DoctorCallback

    from ._watch import Watcher

    datasets = require("datasets", "train")
    st = require("sentence_transformers", "train")
    guide = _guide(config, parts)
    sets = {
        part.name: attach_labels(e, rows, guide if e.needs_guide else None, model)
        for part, rows, e in zip(parts.loaded, parts.train, parts.expressions, strict=True)
    }
    losses = {
        part.name: build_objective(e, model, config, guide)
        for part, e in zip(parts.loaded, parts.expressions, strict=True)
    }
    steps = _planned_steps(config, parts)
    texts = all_texts(parts.train[0])[:SAMPLE]
    # of a run over several sets or with weights no single loss is chance
    doctor = DoctorCallback(model, texts)
    watcher = Watcher(model, parts.validation, out, batch_size=config.batch_size)
    single = len(sets) == 1
    # An example is given, or the trainer searches the data for some, with a bar of its own.
    first = [str(text) for text in parts.train[0][0].values()]
    model.model_card_data.widget = [{"source_sentence": first[0], "sentences": first[1:] or first}]
    trainer = st.SentenceTransformerTrainer(
        model=model,
        args=_arguments(config, out / "checkpoints", steps),
        train_dataset=next(iter(sets.values())) if single else datasets.DatasetDict(sets),
        loss=next(iter(losses.values())) if single else losses,
        callbacks=[watcher, doctor, *_progress_callbacks(losses.values())],
    )
    transformers = require("transformers", "train")
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    citations = dict.fromkeys(text for loss in losses.values() for text in citations_of(loss))
    return doctor.report(), watcher.log, steps, list(citations)


def _progress_callbacks(losses: Any) -> list[Any]:
    return [loss.progress_callback() for loss in losses if hasattr(loss, "progress_callback")]


def _guide(config: TrainingConfig, parts: _Parts) -> Any:
    if not any(expression.needs_guide for expression in parts.expressions):
        return None
    if config.guide is None:
        raise ConfigError('objective "gist" needs a guide: give a stronger model with --guide')
    from vecsmith.encode import load_sentence_transformer
    from vecsmith.train import GuideCache

    return GuideCache(load_sentence_transformer(config.guide))


def _planned_steps(config: TrainingConfig, parts: _Parts) -> int:
    if config.steps is not None:
        return config.steps
    rows = sum(len(rows) for rows in parts.train)
    processes = int(require("accelerate", "train").PartialState().num_processes)
    return max(1, math.ceil(config.epochs * rows / (config.batch_size * processes)))


def _arguments(config: TrainingConfig, folder: Path, steps: int) -> Any:
    st = require("sentence_transformers", "train")
    import torch

    names = [Path(source.path).stem for source in config.data]
    weights = [source.weight for source in config.data]
    bf16 = config.bf16
    if bf16 is None:
        bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return st.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=math.ceil(config.warmup * steps),
        lr_scheduler_type="linear",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=max(1, math.ceil(steps / config.checks)),
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=False,
        dataloader_drop_last=True,
        dataloader_num_workers=config.workers,
        batch_sampler="no_duplicates",
        multi_dataset_batch_sampler=(
            partial(WeightedBatchSampler, weights=weights) if len(names) > 1 else "proportional"
        ),
    )


def _last_checkpoint(folder: Path) -> str | None:
    whole = [path.parent for path in folder.glob("checkpoint-*/whole")]
    for path in folder.glob("checkpoint-*"):
        if path not in whole:
            # Cut off while it was written; the trainer must not find it.
            shutil.rmtree(path)
    last = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return None if last is None else str(last)


def _save(config: TrainingConfig, model: Any, out: Path, log: dict[str, Any]) -> Any:
    """Write the model; adapters are added into the matrices that they adapt."""
    from safetensors.torch import load_file

    from vecsmith.encode import load_sentence_transformer

    if config.keep == "best":
        model.load_state_dict(load_file(str(out / "best.safetensors")))
    final = load_sentence_transformer(config.model, device=str(model.device))
    final.max_seq_length = model.max_seq_length
    final.load_state_dict(merged_state(model))
    fresh = out / "model.fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    final.save_pretrained(str(fresh), create_model_card=False)
    replace_dir(fresh, out / "model")
    return final


def merged_state(model: Any) -> dict[str, Any]:
    """Return the weights with low-rank adapters added into the matrices that they adapt.

    Args:
        model: With or without adapters.

    Returns:
        A state dict with the keys of the model without adapters.
    """
    for module in model.modules():
        if hasattr(module, "lora_A") and hasattr(module, "merge") and not module.merged:
            module.merge()
    return {
        name.replace(".base_layer", ""): value
        for name, value in model.state_dict().items()
        if ".lora_" not in name
    }


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
    parts: _Parts,
    report: TrainingReport,
    model: Any,
    citations: Sequence[str],
) -> None:
    data = [part.summary() for part in parts.loaded]
    plain = {**report.as_dict(), "data": data, "settings": config.as_dict()}
    plain["run"] = hash_text(*map(str, plain["settings"].items()))
    write_json(Path(config.out) / "report.json", plain)
    text = training_card(config, data, report, citations, dims=model.get_embedding_dimension())
    (report.model / "README.md").write_text(text, encoding="utf-8")
