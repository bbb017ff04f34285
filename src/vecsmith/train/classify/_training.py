"""Training of the classifiers with max pooling: batches of like length, the best pass is kept."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import (
    Budget,
    EpochBatches,
    FitOptions,
    fit,
    like_length_batches,
    numpy_generator,
)

from ._config import OPTIMIZERS, ClassifierTraining
from ._word_tokenizer import pad_ids

Rows = Sequence[Sequence[int]]
Held = tuple[Rows, NDArray[np.int64]]


def train(
    model: Any, rows: Rows, numbers: NDArray[np.int64], held: Held, how: ClassifierTraining
) -> None:
    """Train a classifier in place.

    Args:
        model: A `MaxPooledClassifier`.
        rows: Ids of each text.
        numbers: Label of each text, shape (texts,).
        held: Texts and labels whose macro-F1 chooses the pass; without texts the last one is taken.
        how: Settings.
    """
    weights = label_weights(numbers, model.config.num_labels, balanced=how.balanced)

    def step(net: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        ids, mask, wanted = batch
        logits = net(ids, mask).logits
        return nn.functional.cross_entropy(logits, wanted, weights.to(logits))

    steps = -(-len(rows) // how.batch_size)

    def batches(epoch: int) -> EpochBatches:
        return EpochBatches(steps, length_batches(rows, numbers, how, epoch))

    def validate(_: nn.Module) -> float:
        return macro_f1(held[1], model.logits(held[0]).argmax(axis=1))

    options = FitOptions(
        lr=how.lr,
        schedule="constant",
        warmup=0.0,
        validate_every=steps,
        patience=how.patience,
        higher_is_better=True,
        seed=how.seed,
        cpu=model.output.weight.device.type == "cpu",
        description="classifier",
    )
    fit(
        model,
        step,
        batches,
        budget=Budget(epochs=how.epochs),
        options=options,
        optimizer=OPTIMIZERS[how.optimizer](model.parameters(), lr=how.lr, weight_decay=0.0),
        validate=validate if len(held[0]) else None,
    )


def part_off(
    rows: Rows, numbers: NDArray[np.int64], how: ClassifierTraining
) -> tuple[Rows, NDArray[np.int64], Held]:
    """Part development data off.

    Args:
        rows: Ids of each text.
        numbers: Label of each text.
        how: Says how much, and the seed.

    Returns:
        Texts and labels to train on, and those held out; at least one text is trained on.
    """
    order = numpy_generator(how.seed, "classifier", "development").permutation(len(rows))
    size = int(len(rows) * how.share)
    held, kept = order[:size], np.sort(order[size:])
    return (
        [rows[i] for i in kept],
        numbers[kept],
        ([rows[i] for i in held], numbers[held]),
    )


def label_weights(numbers: NDArray[np.int64], labels: int, *, balanced: bool) -> Tensor:
    """Weigh labels in the loss.

    Args:
        numbers: Label of each text.
        labels: How many labels there are.
        balanced: Whether all weigh alike.

    Returns:
        Shape (labels,); their mean over the texts is 1.
    """
    counts = np.bincount(numbers, minlength=labels)
    even = len(numbers) / (labels * np.maximum(counts, 1))
    return torch.from_numpy(even if balanced else np.ones(labels)).float()


def length_batches(
    rows: Sequence[Sequence[int]], numbers: NDArray[np.int64], how: ClassifierTraining, epoch: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batch texts of like length, in an order that each epoch draws anew.

    Args:
        rows: Ids of each text.
        numbers: Label of each text.
        how: Batch size and seed.
        epoch: Number of the epoch.

    Yields:
        Ids, mask and labels.
    """
    rng = numpy_generator(how.seed, "classifier", f"epoch {epoch}")
    for part in like_length_batches(map(len, rows), how.batch_size, rng):
        ids, mask = pad_ids([rows[i] for i in part], 0)
        yield ids, mask, torch.from_numpy(numbers[part])


def macro_f1(true: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Mean F1 of the labels that are true of some text, or found.

    Args:
        true: Numbers of labels, shape (texts,).
        found: What was predicted, same shape.

    Returns:
        From 0 to 1; NaN without texts.
    """
    labels = int(max(true.max(initial=0), found.max(initial=0))) + 1
    hits = np.bincount(true[true == found], minlength=labels)
    both = np.bincount(true, minlength=labels) + np.bincount(found, minlength=labels)
    known = both > 0
    return float(np.mean(2 * hits[known] / both[known])) if len(true) else float("nan")
