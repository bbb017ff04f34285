"""The router of Twin-Merging: which experts an input needs.

Lu et al. (2024). A small net on the mean over tokens of the shared model's last hidden state::

    w(x) = softmax(MLP(h(x))),   MLP: d -> 2d -> 2d -> experts,
    each hidden layer: Linear, BatchNorm, LeakyReLU, dropout

It learns the name of the task from a few hundred inputs of each, and keeps the epoch of the best
accuracy on held-out ones. Cost: seconds; the inputs go through the shared model once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vecsmith.core import Budget, DataError, FitOptions, fit, torch_generator


@dataclass(frozen=True)
class RouterOptions:
    """How a router is trained.

    Attributes:
        epochs: Passes over the vectors.
        lr: Learning rate of AdamW.
        batch: Vectors a step.
        dropout: Part of the hidden units left out in training.
        held_out: Part of each task's vectors that chooses the epoch, above 0 to below 1.
        seed: Seed of the split, the weights and the order.
    """

    epochs: int = 50
    lr: float = 5e-4
    batch: int = 1024
    dropout: float = 0.5
    held_out: float = 0.2
    seed: int = 0


class Router(nn.Module):
    """Weights of the experts for a pooled vector.

    Args:
        dims: Numbers of the vector.
        experts: How many.
        dropout: Part of the hidden units left out in training.
    """

    def __init__(self, dims: int, experts: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dims, self.experts, self.dropout = dims, experts, dropout
        hidden = 2 * dims
        layers: list[nn.Module] = []
        for width in (dims, hidden):
            layers += [
                nn.Linear(width, hidden),
                nn.BatchNorm1d(hidden),
                nn.LeakyReLU(),
                nn.Dropout(dropout),
            ]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, experts))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits of the experts.

        Args:
            vectors: Shape (rows, dims).

        Returns:
            Shape (rows, experts).
        """
        return self.layers(vectors)


@dataclass(frozen=True)
class RouterReport:
    """How well the router tells the tasks apart.

    Attributes:
        accuracy: On the held-out vectors, at the epoch that was kept.
        by_task: The same for each task.
        rows: Task -> vectors, held-out ones among them.
        epochs: Epochs run.
    """

    accuracy: float
    by_task: dict[str, float]
    rows: dict[str, int]
    epochs: int


def train_router(
    vectors: Mapping[str, Tensor], options: RouterOptions | None = None
) -> tuple[Router, RouterReport]:
    """Train a router on pooled vectors of each task.

    Args:
        vectors: Task -> shape (rows, dims), at least two rows each.
        options: How.

    Returns:
        The router in eval mode, and its accuracy.

    Raises:
        DataError: A task has fewer than two vectors.
    """
    options = options or RouterOptions()
    for task, rows in vectors.items():
        if len(rows) < 2:
            raise DataError(
                f"the router needs at least 2 inputs of each task, one of them to judge by; "
                f"task {task!r} has {len(rows)}: give it more"
            )
    inner, outer = _split(vectors, options)
    dims = next(iter(vectors.values())).shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch_generator(options.seed, "router").initial_seed() % 2**63))
        router = Router(dims, len(vectors), options.dropout)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*inner),
        batch_size=min(options.batch, len(inner[1])),
        shuffle=True,
        generator=torch_generator(options.seed, "router", "order"),
        drop_last=len(inner[1]) % options.batch == 1,  # BatchNorm needs two rows
    )
    result = fit(
        router,
        lambda net, batch: functional.cross_entropy(net(batch[0]), batch[1]),
        loader,
        budget=Budget(steps=options.epochs * len(loader)),
        options=FitOptions(
            lr=options.lr,
            schedule="constant",
            warmup=0.0,
            validate_every=len(loader),
            higher_is_better=True,
            seed=options.seed,
            cpu=not inner[0].is_cuda,
            description="router",
        ),
        validate=lambda net: _accuracy(net, *outer),
    )
    router.eval()
    by_task = {
        task: _accuracy(router, outer[0][outer[1] == number], outer[1][outer[1] == number])
        for number, task in enumerate(vectors)
    }
    counts = {task: len(found) for task, found in vectors.items()}
    return router, RouterReport(_accuracy(router, *outer), by_task, counts, round(result.epochs))


def _split(
    vectors: Mapping[str, Tensor], options: RouterOptions
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Vectors and numbers of the tasks, to train on and to judge by."""
    inner: list[tuple[Tensor, Tensor]] = []
    outer: list[tuple[Tensor, Tensor]] = []
    for number, (task, rows) in enumerate(vectors.items()):
        order = torch.randperm(
            len(rows), generator=torch_generator(options.seed, "router", "split", task)
        )
        apart = min(len(rows) - 1, max(1, round(options.held_out * len(rows))))
        for taken, target in ((order[:apart], outer), (order[apart:], inner)):
            labels = torch.full((len(taken),), number, device=rows.device)
            target.append((rows[taken.to(rows.device)].float(), labels))
    return _joined(inner), _joined(outer)


def _joined(pieces: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([vectors for vectors, _ in pieces]), torch.cat(
        [labels for _, labels in pieces]
    )


def _accuracy(router: nn.Module, vectors: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((router(vectors).argmax(1) == labels).double().mean())
