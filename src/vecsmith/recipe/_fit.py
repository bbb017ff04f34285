"""The training itself: losses, trainer, callbacks, and going on after a checkpoint."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsmith.core import ConfigError, DataError, last_checkpoint, require

from ._batches import CuttingCollator, SetsTrainer, WeightedBatchSampler
from ._config import TrainingConfig
from ._data import all_texts, by_place
from ._objectives import attach_labels, build_objective
from ._parts import Parts
from ._processes import on_main, process_count

if TYPE_CHECKING:
    from vecsmith.train.doctor import Finding

# Texts the doctor encodes at each checkpoint.
SAMPLE = 200


@dataclass(frozen=True)
class Fitted:
    """What the training gave.

    Attributes:
        findings: What the doctor found.
        log: Curve, losses, best step and speed.
        steps: Steps that were done.
        losses: Data set -> loss.
    """

    findings: list["Finding"]
    log: dict[str, Any]
    steps: int
    losses: dict[str, Any]


def fit_model(config: TrainingConfig, parts: Parts, model: Any, out: Path) -> Fitted:
    """Train, or go on training after the last whole checkpoint.

    Args:
        config: Settings.
        parts: The data.
        model: Changed in place.
        out: The run's folder.

    Returns:
        What it gave.

    Raises:
        DataError: Of the data no batch can be made.
    """
    datasets = require("datasets", "train")
    guide = _guide(config, parts)
    every = list(zip(parts.names, parts.train, parts.expressions, strict=True))
    sets = {
        name: attach_labels(e, by_place(rows), guide if e.needs_guide else None, model)
        for name, rows, e in every
    }
    losses = {name: build_objective(e, model, config, guide) for name, _, e in every}
    # of a run over several sets or with weights no single loss is chance
    doctor = _doctor(model, parts)
    watcher = _watcher(config, parts, model, out)
    single = len(sets) == 1
    # An example is given, or the trainer searches the data for some, with a bar of its own.
    first = [str(text) for text in parts.train[0][0].values()]
    model.model_card_data.widget = [{"source_sentence": first[0], "sentences": first[1:] or first}]
    trainer = SetsTrainer(
        model=model,
        args=_arguments(config, out / "checkpoints", _planned_steps(config, parts)),
        train_dataset=next(iter(sets.values())) if single else datasets.DatasetDict(sets),
        loss=next(iter(losses.values())) if single else losses,
        # the watcher marks checkpoints as whole, so that it comes last
        callbacks=[*_state_callbacks(losses), doctor, watcher],
        data_collator=_collator(losses, model),
        repeating=[name for name, _, e in every if e.repeats],
    )
    trainer.remove_callback(require("transformers", "train").PrinterCallback)
    on_main(partial(last_checkpoint, out / "checkpoints"))
    trainer.train(resume_from_checkpoint=last_checkpoint(out / "checkpoints"))
    steps = int(trainer.state.global_step)
    if steps < 1:
        raise DataError(
            f"no batch of {config.batch_size} rows without repeated texts can be made of the data, "
            "so that nothing was trained; lower batch_size, or, where positives are labels of "
            'classes, add "own-negatives" to the objective'
        )
    return Fitted(doctor.report(), watcher.log, steps, losses)


def _doctor(model: Any, parts: Parts) -> Any:
    from vecsmith.train.doctor import DoctorCallback

    return DoctorCallback(model, all_texts(parts.train[0])[:SAMPLE])


def _watcher(config: TrainingConfig, parts: Parts, model: Any, out: Path) -> Any:
    from ._watch import Watcher

    rows = config.batch_size * process_count()
    return Watcher(model, parts.validation, out, batch_size=rows)


def _collator(losses: dict[str, Any], model: Any) -> Any:
    """Make a collator where a loss wants texts cut in its own way; else the trainer makes one."""
    from vecsmith.train.masked import TextCollator

    cuts = {
        name: TextCollator(model.preprocess, model.tokenizer, random_crop=True)
        for name, loss in losses.items()
        if getattr(loss, "random_crop", False)
    }
    return CuttingCollator(model.preprocess, cuts=cuts) if cuts else None


def _state_callbacks(losses: dict[str, Any]) -> list[Any]:
    return [
        loss.progress_callback(name)
        for name, loss in losses.items()
        if hasattr(loss, "progress_callback")
    ]


def _guide(config: TrainingConfig, parts: Parts) -> Any:
    if not any(expression.needs_guide for expression in parts.expressions):
        return None
    if config.guide is None:
        raise ConfigError('objective "gist" needs a guide: give a stronger model with --guide')
    from vecsmith.encode import load_sentence_transformer
    from vecsmith.train import GuideCache

    return GuideCache(load_sentence_transformer(config.guide))


def _planned_steps(config: TrainingConfig, parts: Parts) -> int:
    if config.steps is not None:
        return config.steps
    rows = sum(len(rows) for rows in parts.train)
    return max(1, math.ceil(config.epochs * rows / (config.batch_size * process_count())))


def _arguments(config: TrainingConfig, folder: Path, steps: int) -> Any:
    st = require("sentence_transformers", "train")
    import torch

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
            partial(WeightedBatchSampler, weights=weights, processes=process_count())
            if len(weights) > 1
            else "proportional"
        ),
    )
