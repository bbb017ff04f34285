"""How many labels a classifier needs on top of a vision encoder: accuracy over label fractions.

Two ways, as papers on pretraining report them: a linear probe on frozen vectors, and fine-tuning of
the whole encoder. Labels are drawn anew for each seed, and what is compared must be given the same
seeds.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    did_you_mean,
    fit,
    numpy_generator,
)
from vecsmith.encode.images import VisionEncoder, evaluating

MODES = ("linear", "finetune")
ITERATIONS = 100


@dataclass(frozen=True)
class LabelledImages:
    """Pictures with classes, in two parts that share nothing.

    Attributes:
        images: As `VisionEncoder.pixels` takes them.
        labels: Class numbers, shape (pictures,).
        train: Numbers of the pictures whose labels may be used.
        test: Numbers of the pictures to be judged.
        groups: What each picture shows; no group may be on both sides.
    """

    images: Sequence[Any] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        sides = self.train, self.test
        if self.groups is not None:
            sides = self.groups[self.train], self.groups[self.test]
        shared = set(sides[0].tolist()) & set(sides[1].tolist())
        if shared:
            raise DataError(
                f"{len(shared)} groups are in both the training and the test part "
                f"(for example {next(iter(shared))!r}); split by group, not by picture"
            )


def draw_labels(data: LabelledImages, fraction: float, seed: int) -> NDArray[np.int64]:
    """Draw the training pictures whose labels are used; smaller fractions lie within larger ones.

    Args:
        data: The pictures.
        fraction: Part of the training pictures, above 0 and up to 1.
        seed: Seed of the draw.

    Returns:
        Numbers of pictures, at least one.

    Raises:
        ConfigError: The fraction is out of range.
    """
    if not 0.0 < fraction <= 1.0:
        raise ConfigError(f"fractions must lie above 0 and up to 1; got {fraction}")
    order = numpy_generator(seed, "labels").permutation(data.train)
    return order[: max(1, round(fraction * len(order)))]


def linear_probe(
    x: NDArray[np.float32], y: NDArray[np.int64], test: NDArray[np.float32], *, l2: float = 1e-3
) -> NDArray[np.int64]:
    """Fit a multinomial logistic regression and predict.

    Args:
        x: Training vectors, shape (n, dims); scaled to mean 0 and variance 1 in each dimension.
        y: Their classes, shape (n,).
        test: Vectors to judge, shape (m, dims), scaled likewise.
        l2: Weight of the squared weights beside the mean cross-entropy.

    Returns:
        Predicted classes, shape (m,).
    """
    classes, places = np.unique(y, return_inverse=True)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    rows, target = torch.from_numpy((x - mean) / spread).float(), torch.from_numpy(places)
    weight = torch.zeros(x.shape[1] + 1, len(classes), requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        logits = rows @ weight[:-1] + weight[-1]
        loss = F.cross_entropy(logits, target) + l2 * weight[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        judged = torch.from_numpy((test - mean) / spread).float()
        logits = judged @ weight[:-1] + weight[-1]
    return np.asarray(classes[logits.argmax(1).numpy()])


class _Classifier(nn.Module):
    def __init__(self, encoder: VisionEncoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dims, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(pixels).h)
        return logits


def finetune(
    encoder: VisionEncoder,
    data: LabelledImages,
    rows: NDArray[np.int64],
    *,
    budget: Budget,
    batch_size: int = 128,
    views: Any = None,
    options: FitOptions | None = None,
) -> NDArray[np.int64]:
    """Train a copy of an encoder with a new linear head on labels, and predict the test part.

    Args:
        encoder: Where to start; it stays as it is.
        data: The pictures.
        rows: Numbers of the pictures whose labels are used.
        budget: How long.
        batch_size: Pictures a step (fewer where there are fewer).
        views: Function of a batch of pixels that returns random views; None takes them as they are.
        options: How; by default AdamW at 1e-3.

    Returns:
        Predicted classes of the test part.
    """
    options = options or FitOptions(lr=1e-3, weight_decay=1e-4, description="fine-tuning")
    classes, places = np.unique(data.labels[rows], return_inverse=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = _Classifier(copy.deepcopy(encoder), len(classes))
    model.train()
    size = min(batch_size, len(rows))

    def drawn(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = numpy_generator(options.seed, "finetune", str(epoch)).permutation(len(rows))
        for start in range(0, len(order) - size + 1, size):
            part = order[start : start + size]
            pixels = encoder.pixels(_pictures(data, rows[part]))
            yield pixels, torch.from_numpy(places[part])

    def batches(epoch: int) -> EpochBatches:
        return EpochBatches(len(rows) // size, drawn(epoch))

    def step(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        pixels, target = batch
        return F.cross_entropy(net(pixels if views is None else views(pixels)), target)

    fit(model, step, batches, budget=budget, options=options)
    found = [np.zeros(0, np.int64)]
    with evaluating(model):
        for start in range(0, len(data.test), 256):
            pixels = encoder.pixels(_pictures(data, data.test[start : start + 256]))
            found.append(model(pixels.to(model.encoder.device)).argmax(1).cpu().numpy())
    return np.asarray(classes[np.concatenate(found)])


def label_curve(
    encoder: VisionEncoder,
    data: LabelledImages,
    *,
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    modes: Sequence[str] = ("linear",),
    seeds: Sequence[int] = (0, 1, 2),
    budget: Budget | None = None,
) -> list[dict[str, Any]]:
    """Measure accuracy over fractions of labels.

    Args:
        encoder: The encoder; it stays as it is.
        data: Pictures with classes.
        fractions: Parts of the training labels.
        modes: "linear" (frozen vectors, logistic regression) and "finetune".
        seeds: Seeds of the label draws, and of fine-tuning.
        budget: Of each fine-tuning; by default 200 steps.

    Returns:
        One row a mode, fraction and seed: "mode", "fraction", "seed", "labels" (how many), and
        "correct" (for each test picture whether it was right, shape (test,)).

    Raises:
        ConfigError: An unknown mode, or a fraction out of range.
    """
    for mode in modes:
        if mode not in MODES:
            raise ConfigError(f"no mode is called {mode!r}; {did_you_mean(mode, MODES)}")
    truth = data.labels[data.test]
    h = None
    if "linear" in modes:
        h = {part: encoder.encode(_pictures(data, rows)) for part, rows in _parts(data)}
        place = {int(row): i for i, row in enumerate(data.train)}
    found = []
    for mode in modes:
        for fraction in fractions:
            for seed in seeds:
                rows = draw_labels(data, fraction, seed)
                if h is not None and mode == "linear":
                    x = h["train"][[place[int(row)] for row in rows]]
                    guess = linear_probe(x, data.labels[rows], h["test"])
                else:
                    options = FitOptions(lr=1e-3, seed=seed, description="fine-tuning")
                    guess = finetune(
                        encoder, data, rows, budget=budget or Budget(steps=200), options=options
                    )
                row = {"mode": mode, "fraction": fraction, "seed": seed, "labels": len(rows)}
                found.append({**row, "correct": guess == truth})
    return found


def _parts(data: LabelledImages) -> tuple[tuple[str, NDArray[np.int64]], ...]:
    return ("train", data.train), ("test", data.test)


def _pictures(data: LabelledImages, rows: NDArray[np.int64]) -> Any:
    if isinstance(data.images, np.ndarray):
        return data.images[rows]
    return [data.images[row] for row in rows]
