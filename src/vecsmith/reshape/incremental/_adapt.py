"""Adapt an encoder to the first session's classes, with any light method.

Zhou et al. (2024), the adaptation of ADAM (later APER): a cosine classifier with a learned scale
is trained with it and thrown away afterwards::

    L = CE(sigma * cos(phi*(x), W), y),   y among the classes of the first session

Only the first session adapts; what comes later only adds prototypes. Cost: an ordinary fine-tuning
of the few numbers that the method has ("finetune": of all).
"""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vecsmith.core import Budget, ConfigError, FitOptions, did_you_mean, fit, torch_generator

from .._body import Body
from .adapters import (
    add_low_rank,
    add_parallel,
    add_prompts,
    add_scale_shift,
    fold_low_rank,
    fold_scale_shift,
    renew_statistics,
)

# what changes the encoder: name -> (put it in and say what is trained, fold it into the weights)
ADAPTERS: dict[str, tuple[Callable[..., list[nn.Parameter]], Callable[[nn.Module], None] | None]]
ADAPTERS = {
    "adapter": (add_parallel, None),
    "finetune": (lambda model, generator: list(model.parameters()), None),
    "lora": (add_low_rank, fold_low_rank),
    "ssf": (add_scale_shift, fold_scale_shift),
    "vpt-deep": (add_prompts, None),
    "vpt-shallow": (
        lambda model, generator, **s: add_prompts(model, generator, deep=False, **s),
        None,
    ),
}
METHODS = (*ADAPTERS, "bn")


@dataclass(frozen=True)
class AdaptOptions:
    """How the first session adapts the encoder.

    Attributes:
        lr: Learning rate of SGD with momentum 0.9; it falls to 0 by a cosine.
        epochs: Passes over the first session; of "bn": passes without gradients.
        batch: Examples a step.
        weight_decay: Of SGD.
        sigma: Start of the learned scale of the cosines.
        settings: Of the adapter: `width` and `scale` of "adapter", `rank` of "lora", `count` of
            the prompts.
        seed: Seed of the start and of the order.
    """

    lr: float = 0.01
    epochs: int = 20
    batch: int = 48
    weight_decay: float = 5e-4
    sigma: float = 10.0
    settings: dict[str, Any] | None = None
    seed: int = 0


class CosineHead(nn.Module):
    """sigma * cos(x, w_c) for every class.

    Args:
        dims: Numbers of a vector.
        classes: How many.
        sigma: Start of the scale.
        generator: Of the start.
    """

    def __init__(self, dims: int, classes: int, sigma: float, generator: torch.Generator) -> None:
        super().__init__()
        bound = dims**-0.5
        draw = torch.rand(classes, dims, generator=generator)
        self.weight = nn.Parameter((2.0 * draw - 1.0) * bound)
        self.sigma = nn.Parameter(torch.tensor(float(sigma)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits.

        Args:
            vectors: Shape (rows, dims).

        Returns:
            Shape (rows, classes).
        """
        weight = functional.normalize(self.weight, dim=-1).to(vectors)
        return self.sigma * functional.normalize(vectors, dim=-1) @ weight.T


def adapt(
    model: nn.Module,
    body: Body,
    items: Sequence[Any],
    labels: Sequence[Hashable],
    method: str,
    options: AdaptOptions | None = None,
) -> nn.Module:
    """Adapt a copy of an encoder to labelled examples.

    Args:
        model: The encoder; left as it is.
        body: How it is fed.
        items: Examples.
        labels: Their classes, at least two.
        method: One of `METHODS`.
        options: How.

    Returns:
        The adapted encoder, in eval mode; "ssf" and "lora" are folded into its weights.

    Raises:
        ConfigError: An unknown method, or fewer than two classes.
        ModelError: The model has nothing that the method works on.
    """
    options = options or AdaptOptions()
    if method not in METHODS:
        raise ConfigError(f"adapt cannot be {method!r}; {did_you_mean(method, METHODS)}")
    classes = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    if len(classes) < 2:
        raise ConfigError(
            f"adapting needs at least two classes in the first session; got {len(classes)}: give "
            "more, or adapt=None"
        )
    tuned = copy.deepcopy(model)
    rows = [(item, classes[label]) for item, label in zip(items, labels, strict=True)]
    loader: Any = torch.utils.data.DataLoader(
        rows,  # type: ignore[arg-type]
        min(options.batch, len(rows)),
        shuffle=True,
        generator=torch_generator(options.seed, "incremental", "order"),
        collate_fn=lambda pairs: (
            body.prepare([item for item, _ in pairs]),
            torch.tensor([number for _, number in pairs]),
        ),
    )
    if method == "bn":
        renew_statistics(
            tuned, lambda m, batch: body.read(m, batch[0]), loader, passes=options.epochs
        )
        return tuned
    generator = torch_generator(options.seed, "incremental", "start")
    tuned.requires_grad_(False)
    put_in, fold = ADAPTERS[method]
    trained = put_in(tuned, generator, **(options.settings or {}))
    _train(tuned, trained, body, loader, len(classes), options)
    if fold is not None:
        fold(tuned)
    return tuned.requires_grad_(False).eval()


def _train(
    model: nn.Module,
    trained: list[nn.Parameter],
    body: Body,
    loader: Any,
    classes: int,
    options: AdaptOptions,
) -> None:
    """Train what is to be trained, with a head that is thrown away."""
    for value in trained:
        value.requires_grad_(True)
    with torch.no_grad():
        dims = body.read(model, next(iter(loader))[0]).vector.shape[1]
    head = CosineHead(dims, classes, options.sigma, torch_generator(options.seed, "head"))
    net = nn.ModuleDict({"model": model, "head": head})
    optimizer = torch.optim.SGD(
        [*trained, *head.parameters()],
        lr=options.lr,
        momentum=0.9,
        weight_decay=options.weight_decay,
    )

    def loss(module: nn.Module, batch: Any) -> Tensor:
        inputs, targets = batch
        vectors = body.read(module["model"], inputs).vector  # type: ignore[index]
        logits = module["head"](vectors)  # type: ignore[index]
        return functional.cross_entropy(logits, targets.to(logits.device))

    cpu = not next(model.parameters()).is_cuda
    fit(
        net,
        loss,
        loader,
        budget=Budget(epochs=options.epochs),
        options=FitOptions(
            lr=options.lr,
            schedule="cosine",
            warmup=0.0,
            max_norm=None,
            seed=options.seed,
            cpu=cpu,
            description="adapting",
        ),
        optimizer=optimizer,
    )
