"""Step 4: fine-tune the base model on the pairs within the budget.

Matryoshka dims around the guided contrastive loss, on SentenceTransformerTrainer. The number of
steps is fixed once, from the measured time of a few trial steps, so that a run that was killed
and goes on ends with the weights of one that was not. Validation runs at every checkpoint; the
best weights win.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsmith.core import (
    last_checkpoint,
    read_json,
    require,
    seed_everything,
)
from vecsmith.data import Pair

from ._settings import BuildSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)
TEMPERATURE = 0.05
LEARNING_RATE = 5e-5
TRAIN_TOKENS = 96
LEAST_MINED = 500
# One long query would pad the queries of its whole batch.
QUERY_TOKENS = 32
# Share of the budget for steps; the rest is mining, validation and checkpoints.
_STEP_SHARE = 0.65
_CHECKS = 5
_TRIAL_STEPS = 3
_PASSES = 3


def matryoshka_dims(dims: int) -> list[int]:
    """List the sizes that a model is trained to be cut to: all, two thirds, a third, a sixth.

    Args:
        dims: Dimensions of the model.

    Returns:
        Falling sizes, for 384: 384, 256, 128, 64.
    """
    return sorted({dims, dims * 2 // 3, dims // 3, dims // 6} - {0}, reverse=True)


Columns = dict[str, dict[str, list[str]]]


def training_columns(
    pairs: Sequence[Pair],
    negatives: Sequence[int],
    texts: dict[int, str],
    *,
    enough: int = LEAST_MINED,
) -> Columns:
    """Lay pairs and negatives out as one or two data sets: with and without a mined negative.

    Args:
        pairs: Training pairs.
        negatives: Row of each pair's negative, -1 for none; later pairs have not been looked at
            and are left out.
        texts: Content by row.
        enough: Pairs that training has time for.

    Returns:
        "mined" (anchor, positive, negative); "plain" (anchor, positive) besides only where fewer
        than `enough`, and than `LEAST_MINED`, have a negative. Batches of pairs from all over a
        collection teach what a text is about, which a pretrained model knows, and blur what tells
        it from its neighbours: on the Python manual they cost 0.015 nDCG@10, where pairs with
        negatives gained 0.024.
    """
    mined: dict[str, list[str]] = {"anchor": [], "positive": [], "negative": []}
    plain: dict[str, list[str]] = {"anchor": [], "positive": []}
    for pair, row in zip(pairs, negatives, strict=False):
        columns = mined if row >= 0 else plain
        columns["anchor"].append(pair.query)
        columns["positive"].append(pair.positive)
        if row >= 0:
            mined["negative"].append(texts[row])
    sets = {"mined": mined}
    if len(mined["anchor"]) < min(enough, LEAST_MINED):
        sets["plain"] = plain
    return {name: columns for name, columns in sets.items() if columns["anchor"]}


def trainable(settings: BuildSettings) -> "SentenceTransformer":
    """Load the base model as it is trained.

    Texts are cut to `TRAIN_TOKENS`. Dropout is off: in a few hundred steps nothing is learned by
    heart, and without it attention needs half the memory and two thirds of the time.

    Args:
        settings: Settings of the build.

    Returns:
        The model, with adapters where `lora` is set.
    """
    import torch

    from vecsmith.encode import load_sentence_transformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_sentence_transformer(settings.model, device=device)
    model.max_seq_length = min(TRAIN_TOKENS, int(model.max_seq_length or TRAIN_TOKENS))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if settings.lora:
        add_lora(model)
    return model


def cut_queries(model: "SentenceTransformer", sets: Columns) -> Columns:
    """Cut the anchors to `QUERY_TOKENS` tokens.

    Args:
        model: Whose tokens are counted.
        sets: Training columns.

    Returns:
        New columns; unchanged where the tokenizer cannot tell where tokens end.
    """
    tokenizer = model.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        return sets
    cut = {}
    for name, columns in sets.items():
        found = tokenizer(
            columns["anchor"],
            truncation=True,
            max_length=QUERY_TOKENS,
            return_offsets_mapping=True,
            add_special_tokens=False,
        )
        ends = (max((end for _, end in offsets), default=0) for offsets in found["offset_mapping"])
        anchors = [text[:end] or text for text, end in zip(columns["anchor"], ends, strict=True)]
        cut[name] = {**columns, "anchor": anchors}
    return cut


def _loss(model: "SentenceTransformer", guide: Any) -> Any:
    losses = require("sentence_transformers.sentence_transformer.losses", "train")
    from vecsmith.train import GuidedContrastiveLoss

    # Passages of one collection are nearer to each other than to short queries. Without a guide to
    # strike such entries out, the blocks of like with like would only push passages apart.
    blocks = ("qp", "qn", "qq", "pp") if guide is not None else ("qp", "qn")
    inner = GuidedContrastiveLoss(model, guide, temperature=TEMPERATURE, blocks=blocks)
    dims = matryoshka_dims(int(model.get_embedding_dimension() or 0))
    return losses.MatryoshkaLoss(model, inner, matryoshka_dims=dims)


def mixed_precision(model: Any) -> Any:
    """Compute the model's matrix products in bf16 where the processor does so faster.

    Args:
        model: Whose device counts.

    Returns:
        A context manager.
    """
    import torch

    return torch.autocast(model.device.type, torch.bfloat16, enabled=_bf16())


def _bf16() -> bool:
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def _arguments(settings: BuildSettings, folder: Path, steps: int) -> Any:
    st = require("sentence_transformers", "train")
    import torch

    every = max(1, -(-steps // _CHECKS))
    return st.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=LEARNING_RATE * (4 if settings.lora else 1),
        warmup_steps=max(1, steps // 10),
        lr_scheduler_type="linear",
        bf16=_bf16(),
        use_cpu=not torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=False,
        batch_sampler="no_duplicates",
        multi_dataset_batch_sampler="proportional",
    )


def add_lora(model: "SentenceTransformer") -> None:
    """Put low-rank adapters on every linear layer and freeze the rest.

    Args:
        model: Changed in place.
    """
    peft = require("peft", "train")
    config = peft.LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", bias="none"
    )
    model.add_adapter(config)


def _step_seconds(settings: BuildSettings, pairs: Sequence[Pair]) -> float:
    """Time a few steps on a copy of the model that is then thrown away."""
    import torch

    model = trainable(settings)
    size = settings.batch_size
    positives = [pair.positive for pair in pairs]
    columns = {"anchor": [pair.query for pair in pairs], "positive": positives}
    columns["negative"] = positives[size:] + positives[:size]
    columns = cut_queries(model, {"mined": columns})["mined"]
    loss = _loss(model.train(), None)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)
    seconds = []
    for step in range(_TRIAL_STEPS):
        begin = time.perf_counter()
        start = step * size % max(1, len(pairs) - size)
        features = [model.preprocess(texts[start : start + size]) for texts in columns.values()]
        with mixed_precision(model):
            value = loss(features, None)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def plan_steps(settings: BuildSettings, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Find how many training steps the budget pays for.

    Args:
        settings: Settings of the build.
        pairs: Training pairs.

    Returns:
        "steps", at most three passes over the pairs, and how they were found.
    """
    most = max(1, _PASSES * len(pairs) // settings.batch_size)
    if settings.steps is not None:
        return {"steps": min(settings.steps, most), "given": True}
    seconds = _step_seconds(settings, pairs)
    affordable = int(_STEP_SHARE * settings.budget_s / seconds)
    return {"steps": min(most, affordable), "step_seconds": seconds, "given": False}


def steps_over(settings: BuildSettings, sets: Columns, planned: int) -> int:
    """Cut the planned steps to three passes over what there is to train on.

    Args:
        settings: Settings of the build.
        sets: Training columns.
        planned: Steps that the budget pays for.

    Returns:
        Steps.
    """
    rows = sum(len(columns["anchor"]) for columns in sets.values())
    return min(planned, max(1, _PASSES * rows // settings.batch_size))


def train_model(
    settings: BuildSettings,
    folder: Path,
    sets: Columns,
    watch: Sequence[Pair],
    *,
    distractors: Sequence[str] = (),
    steps: int,
    guide: Any = None,
) -> dict[str, Any]:
    """Train, or go on training after the last whole checkpoint.

    Args:
        settings: Settings of the build.
        folder: Checkpoints, log, and at the end ``tuned/``, a sentence-transformers folder.
        sets: Training columns.
        watch: Pairs of the validation side.
        distractors: Passages near the watched queries that do not answer them.
        steps: How many steps.
        guide: A `GuideCache`, or None for the unguided loss.

    Returns:
        Curve, best step and speed.
    """
    datasets = require("datasets", "train")
    st = require("sentence_transformers", "train")
    from vecsmith.encode import quiet_hosts

    from ._watch import Watcher

    folder.mkdir(parents=True, exist_ok=True)
    seed_everything(settings.seed)
    model = trainable(settings)
    sets = cut_queries(model, sets)

    watcher = Watcher(
        model, watch, distractors, folder, steps=steps, batch_size=settings.batch_size
    )
    train = {name: datasets.Dataset.from_dict(columns) for name, columns in sets.items()}
    if guide is not None:
        train = {name: guide.attach(part, student=model) for name, part in train.items()}
    first = next(iter(sets.values()))
    # An example is given, or the trainer searches the data for some, with a bar of its own.
    example = {"source_sentence": first["anchor"][0], "sentences": first["positive"][:3]}
    model.model_card_data.widget = [example]
    with quiet_hosts():
        trainer = st.SentenceTransformerTrainer(
            model=model,
            args=_arguments(settings, folder / "checkpoints", steps),
            train_dataset=datasets.DatasetDict(train),
            loss=_loss(model, guide),
            callbacks=[watcher],
        )
    transformers = require("transformers", "train")
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.remove_callback(transformers.integrations.TensorBoardCallback)
    with quiet_hosts():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
        _finish(settings, model, folder)
    log = read_json(folder / "log.json")
    return {
        "steps": steps,
        "best_step": log["best_step"],
        "best_mrr": log["best"],
        "base_mrr": log["curve"][0]["mrr@10"],
        "curve": log["curve"],
        "loss": log["loss"],
    }


def _finish(settings: BuildSettings, model: Any, folder: Path) -> None:
    from safetensors.torch import load_file

    from vecsmith.encode import load_sentence_transformer, merged_state

    best = folder / "best.safetensors"
    if best.exists():
        model.load_state_dict(load_file(str(best)))
        state = merged_state(model)
    else:
        state = None
    plain = load_sentence_transformer(settings.model)
    if state is not None:
        plain.load_state_dict(state)
    plain.save_pretrained(str(folder / "tuned"), create_model_card=False)
