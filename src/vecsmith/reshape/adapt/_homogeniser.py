"""The network that moves graph vectors into the input space of a language model.

dropout(.25) -> Linear(in, hidden) -> LayerNorm -> tanh -> Linear(hidden, out),   loss: MSE

Targets of a language model are small numbers (variance about .002), and so is their MSE: the
authors' L2 of 1e-3 then outweighs it, and the network ends near the targets' mean for every entity.
So the loss is taken in units of the targets' variance here, unless `scaled` is off. And a network
that is trained on squared errors draws what it cannot tell towards the mean: entities then differ
far less than words do, and a reader hardly sees which is which. So what it gives is stretched about
its mean to the spread of the names, unless `stretched` is off.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Budget, ConfigError, EpochBatches, FitOptions, fit, numpy_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@dataclass(frozen=True)
class MLPOptions:
    """How the network is made and trained.

    The authors' are `decay=1e-3, scaled=False, stretched=False`; the others are theirs.

    Attributes:
        hidden: Width between.
        dropout: On the graph vectors.
        epochs: Passes over the entities.
        batch_size: Entities a step.
        lr: Rate of Adam.
        decay: L2 on the weights.
        scaled: The loss is taken in units of the targets' variance.
        stretched: Outputs are brought to the spread of the names about their mean.
        sample: Entities to train on at most, drawn at random; None takes all.
        cpu: Stay on the CPU even where there is a GPU.
    """

    hidden: int = 300
    dropout: float = 0.25
    epochs: int = 30
    batch_size: int = 256
    lr: float = 1e-3
    decay: float = 1e-5
    scaled: bool = True
    stretched: bool = True
    sample: int | None = 10_000
    cpu: bool = False

    def __post_init__(self) -> None:
        small = min(self.hidden, self.epochs, self.batch_size, self.sample or 1)
        if small < 1 or not 0 <= self.dropout < 1 or not self.lr > 0 or not self.decay >= 0:
            raise ConfigError(
                "hidden, epochs, batch_size and sample must be 1 or more, dropout from 0 to below "
                f"1, lr above 0 and decay 0 or above; got {self}"
            )


def homogeniser(width: int, out: int, how: MLPOptions, seed: int = 0) -> "torch.nn.Sequential":
    """Make the network.

    Args:
        width: Dimensions of the graph vectors.
        out: Width of the input embeddings.
        how: Its shape.
        seed: Seed of the start.

    Returns:
        A plain module, in evaluation mode.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(numpy_generator(seed, "homogeniser").integers(2**31)))
        net = nn.Sequential(
            nn.Dropout(how.dropout),
            nn.Linear(width, how.hidden),
            nn.LayerNorm(how.hidden),
            nn.Tanh(),
            nn.Linear(how.hidden, out),
        )
    return net.eval()


def train_homogeniser(
    source: NDArray[np.float32], target: NDArray[np.float32], how: MLPOptions, seed: int
) -> "torch.nn.Sequential":
    """Train the network on pairs.

    Args:
        source: Graph vectors, shape (entities, width).
        target: Where they belong, shape (entities, out).
        how: Settings.
        seed: Seed of start, order and dropout.

    Returns:
        The network, on the CPU, in evaluation mode.
    """
    import torch

    net = homogeniser(source.shape[1], target.shape[1], how, seed)
    x, y = torch.from_numpy(source), torch.from_numpy(target)
    steps = -(-len(x) // how.batch_size)

    def rows(epoch: int) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        order = numpy_generator(seed, "homogeniser", f"epoch {epoch}").permutation(len(x))
        for part in torch.from_numpy(order).split(how.batch_size):
            yield x[part], y[part]

    fit(
        net,
        lambda model, pair: torch.nn.functional.mse_loss(model(pair[0]), pair[1]),
        lambda epoch: EpochBatches(steps, rows(epoch)),
        budget=Budget(epochs=how.epochs),
        options=FitOptions(
            schedule="constant",
            warmup=0.0,
            max_norm=None,
            checkpoint_every=10**9,
            seed=seed,
            cpu=how.cpu,
            description="alignment",
        ),
        # L2 in the gradient, as the authors' Adam has it
        optimizer=torch.optim.Adam(net.parameters(), lr=how.lr, weight_decay=how.decay),
    )
    return net.cpu().eval()


def network_outputs(net: "torch.nn.Sequential", source: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the network.

    Args:
        net: In evaluation mode.
        source: Graph vectors in its units, shape (n, width).

    Returns:
        Shape (n, out).
    """
    import torch

    with torch.no_grad():
        found: NDArray[np.float32] = net(torch.from_numpy(source)).numpy()
    return found
