"""Other ways to pretrain a vision encoder, to compare with: labels elsewhere, SimCLR, matching.

All share the encoder, the views, the batch size and the number of steps with the method that is
measured; each starts from the same weights.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Budget, FitOptions, fit, numpy_generator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vecsmith.encode import VisionEncoder
    from vecsmith.train import ImageViews, PairedDataset, TextTower

TAU = 0.1
RATE = 3e-3


def nt_xent(first: "Tensor", second: "Tensor", tau: float = TAU) -> "Tensor":
    """Compute SimCLR's loss: each view finds the other view of its picture among all others.

    Args:
        first: One view of each picture, shape (B, dims).
        second: The other view, shape (B, dims).
        tau: What cosines are divided by.

    Returns:
        A scalar.
    """
    import torch
    from torch.nn import functional

    both = functional.normalize(torch.cat([first, second]).float(), dim=1)
    logits = (both @ both.T / tau).fill_diagonal_(-torch.inf)
    half = len(first)
    target = torch.arange(2 * half, device=both.device).roll(half)
    return functional.cross_entropy(logits, target)


def _train(
    encoder: "VisionEncoder",
    heads: "nn.Module",
    batches: Callable[[int], Iterator[Any]],
    step: Callable[[Any, Any], "Tensor"],
    *,
    steps: int,
    seed: int,
) -> "VisionEncoder":
    from torch import nn

    whole = nn.ModuleDict({"encoder": encoder, "heads": heads})
    options = FitOptions(
        lr=RATE, weight_decay=1e-4, schedule="cosine", seed=seed, description="pretraining"
    )
    fit(whole, step, batches, budget=Budget(steps=steps), options=options)
    return encoder


def simclr(
    encoder: "VisionEncoder", pairs: "PairedDataset", views: "ImageViews", **run: int
) -> "VisionEncoder":
    """Train with SimCLR on the pictures alone.

    Args:
        encoder: Where to start; changed in place.
        pairs: Pictures; their texts are not read.
        views: How views are drawn.
        **run: "batch", "steps" and "seed".

    Returns:
        The encoder.
    """
    import torch

    from vecsmith.train.contrastive._paired_pretrainer import projection

    def batches(epoch: int) -> Iterator[Any]:
        rng = numpy_generator(run["seed"], "simclr", str(epoch))
        for rows, _ in pairs.batches(run["batch"], rng):
            yield encoder.pixels(np.asarray(pairs.images)[rows]), _flips(pairs, rows)

    def step(model: Any, batch: Any) -> "Tensor":
        pixels, flips = batch
        both = torch.cat([views(pixels, flips), views(pixels, flips)])
        made = model["heads"](model["encoder"](both).h)
        return nt_xent(*made.chunk(2))

    head = projection(encoder.dims, 128, run["seed"], "simclr")
    return _train(encoder, head, batches, step, steps=run["steps"], seed=run["seed"])


def matching(
    encoder: "VisionEncoder",
    pairs: "PairedDataset",
    tower: "TextTower",
    views: "ImageViews",
    **run: int,
) -> "VisionEncoder":
    """Train to tell pairs from pictures with the text of another row.

    Args:
        encoder: Where to start; changed in place.
        pairs: Pictures and texts.
        tower: The frozen text side.
        views: How views are drawn.
        **run: "batch", "steps" and "seed".

    Returns:
        The encoder.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    def batches(epoch: int) -> Iterator[Any]:
        rng = numpy_generator(run["seed"], "matching", str(epoch))
        for rows, drawn in pairs.batches(run["batch"], rng):
            texts = [pairs.texts[r][s] for r, s in zip(rows, drawn, strict=True)]
            vectors, real = tower.encode(texts), torch.arange(len(rows)) % 2 == 0
            vectors = torch.where(real[:, None], vectors, vectors.roll(2, 0))
            yield (
                encoder.pixels(np.asarray(pairs.images)[rows]),
                _flips(pairs, rows),
                vectors,
                real.float(),
            )

    def step(model: Any, batch: Any) -> "Tensor":
        pixels, flips, vectors, real = batch
        h = model["encoder"](views(pixels, flips)).h
        heads = model["heads"]
        joint = heads["image"](h) * heads["text"](vectors)
        logits = heads["judge"](joint.relu()).squeeze(1)
        return functional.binary_cross_entropy_with_logits(logits, real)

    torch.manual_seed(run["seed"])
    heads = nn.ModuleDict(
        {
            "image": nn.Linear(encoder.dims, 128),
            "text": nn.Linear(tower.dims, 128),
            "judge": nn.Linear(128, 1),
        }
    )
    return _train(encoder, heads, batches, step, steps=run["steps"], seed=run["seed"])


def classification(
    encoder: "VisionEncoder",
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    views: "ImageViews",
    **run: int,
) -> "VisionEncoder":
    """Train with labels, as models are trained on ImageNet.

    Args:
        encoder: Where to start; changed in place.
        images: Pictures, shape (pictures, side, side, 3).
        labels: Their classes, shape (pictures,).
        views: How views are drawn.
        **run: "batch", "steps" and "seed".

    Returns:
        The encoder.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    def batches(epoch: int) -> Iterator[Any]:
        order = numpy_generator(run["seed"], "classes", str(epoch)).permutation(len(images))
        for start in range(0, len(order) - run["batch"] + 1, run["batch"]):
            rows = order[start : start + run["batch"]]
            yield encoder.pixels(images[rows]), torch.from_numpy(labels[rows])

    def step(model: Any, batch: Any) -> "Tensor":
        pixels, target = batch
        logits = model["heads"](model["encoder"](views(pixels)).h)
        return functional.cross_entropy(logits, target)

    torch.manual_seed(run["seed"])
    head = nn.Linear(encoder.dims, int(labels.max()) + 1)
    return _train(encoder, head, batches, step, steps=run["steps"], seed=run["seed"])


def _flips(pairs: "PairedDataset", rows: NDArray[np.int64]) -> Any:
    import torch

    return None if pairs.may_flip is None else torch.from_numpy(pairs.may_flip[rows])
