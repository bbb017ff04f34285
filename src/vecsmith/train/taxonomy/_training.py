"""Training of a mapper: sequences of vectors in, node vectors as targets."""

from collections.abc import Iterator, Sequence

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

from ._losses import LOSSES
from ._options import Text2NodeOptions

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Batch = tuple[Tensor, Tensor, Tensor]


def padded(sequences: Sequence[Floats]) -> tuple[Tensor, Tensor]:
    """Lay sequences out as one tensor.

    Args:
        sequences: Shape (words, dims) each, none of them empty.

    Returns:
        Vectors with zeros behind each phrase, shape (phrases, longest, dims); and lengths.
    """
    lengths = torch.tensor([len(one) for one in sequences])
    made = torch.zeros(len(sequences), int(lengths.max()), sequences[0].shape[1])
    for row, one in enumerate(sequences):
        made[row, : len(one)] = torch.from_numpy(np.asarray(one, np.float32))
    return made, lengths


def train_mapper(
    mapper: nn.Module,
    sequences: Sequence[Floats],
    concepts: Ids,
    nodes: Floats,
    *,
    loss: str,
    options: Text2NodeOptions,
) -> float:
    """Train a mapper in place.

    Args:
        mapper: One of `MAPPERS`.
        sequences: Vectors of the words of each phrase, none empty.
        concepts: Number of the concept of each phrase, shape (phrases,).
        nodes: Vectors of all concepts, shape (concepts, m).
        loss: A key of `LOSSES`.
        options: Settings.

    Returns:
        Loss of the last steps.
    """
    table = torch.from_numpy(nodes)
    steps = -(-len(sequences) // options.batch_size)

    def step(net: nn.Module, batch: Batch) -> Tensor:
        words, lengths, wanted = batch
        images = net(words, lengths)
        return LOSSES[loss](
            images, table[wanted.cpu()].to(images), wanted.to(images.device), options.temperature
        )

    def batches(epoch: int) -> EpochBatches:
        return EpochBatches(steps, _epoch(epoch))

    def _epoch(epoch: int) -> Iterator[Batch]:
        rng = numpy_generator(options.seed, "text2node", f"epoch {epoch}")
        for rows in like_length_batches(map(len, sequences), options.batch_size, rng):
            yield (*padded([sequences[row] for row in rows]), torch.from_numpy(concepts[rows]))

    mapper.to(options.device)
    result = fit(
        mapper,
        step,
        batches,
        budget=Budget(epochs=options.epochs),
        options=FitOptions(
            lr=options.lr,
            seed=options.seed,
            cpu=options.device == "cpu",
            description="text to node",
        ),
        optimizer=torch.optim.Adam(mapper.parameters(), lr=options.lr, fused=True),
    )
    return float(result.loss)


def images_of(mapper: nn.Module, sequences: Sequence[Floats], nodes: int, device: str) -> Floats:
    """Map phrases, in batches of like length.

    Args:
        mapper: A trained mapper.
        sequences: Vectors of the words of each phrase.
        nodes: Dimensions of a node vector.
        device: Where the mapper lies.

    Returns:
        Unit vectors, zeros for an empty phrase, shape (phrases, nodes).
    """
    made = np.zeros((len(sequences), nodes), np.float32)
    full = [row for row, one in enumerate(sequences) if len(one)]
    full.sort(key=lambda row: len(sequences[row]))
    was = mapper.training
    mapper.eval()
    with torch.no_grad():
        for start in range(0, len(full), 256):
            rows = full[start : start + 256]
            words, lengths = padded([sequences[row] for row in rows])
            found = mapper(words.to(device), lengths.to(device))
            made[rows] = nn.functional.normalize(found, dim=1).float().cpu().numpy()
    mapper.train(was)
    return made
