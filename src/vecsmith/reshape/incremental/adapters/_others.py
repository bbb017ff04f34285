"""Adaptation by what others have: low-rank adapters, all weights, statistics of BatchNorm."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ModelError, require


def add_low_rank(
    model: nn.Module, generator: torch.Generator, *, rank: int = 8
) -> list[nn.Parameter]:
    """Put low-rank adapters (LoRA, by peft) beside the query and value matrices.

    Args:
        model: Changed in place.
        generator: Of the start.
        rank: Of the adapters.

    Returns:
        What is to be trained.

    Raises:
        ModelError: There are no such matrices.
    """
    peft = require("peft", "train")
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    wanted = [n for n in ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin") if n in names]
    if not wanted:
        raise ModelError(
            f"{type(model).__name__} has no query and value matrices; use 'ssf' or 'finetune'"
        )
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=wanted)
    peft.inject_adapter_in_model(config, model)
    trained = []
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                if "lora_A" in name:
                    bound = value.shape[1] ** -0.5
                    draw = torch.rand(value.shape, generator=generator)
                    value.copy_((2.0 * draw - 1.0) * bound)
                trained.append(value)
    return trained


def fold_low_rank(model: nn.Module) -> None:
    """Add low-rank adapters into the matrices that they stand beside.

    Args:
        model: Changed in place; computes the same afterwards.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "lora_A") and hasattr(child, "base_layer"):
                child.merge()  # type: ignore[operator]
                setattr(parent, name, child.base_layer)
    if hasattr(model, "peft_config"):
        del model.peft_config


def renew_statistics(
    model: nn.Module, forward: Any, batches: Iterable[Any], *, passes: int = 10
) -> None:
    """Estimate the running statistics of BatchNorm anew, by forward passes without gradients.

    Args:
        model: Changed in place; in eval mode afterwards.
        forward: Function of the model and a batch.
        batches: Batches that can be gone through again.
        passes: How often.

    Raises:
        ModelError: The model has no BatchNorm.
    """
    norms: list[Any] = [
        m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    if not norms:
        raise ModelError(
            f"{type(model).__name__} has no BatchNorm; 'bn' is for convolutional networks: use "
            "'ssf' or 'finetune'"
        )
    kept = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
        norm.train()
    with torch.no_grad():
        for _ in range(passes):
            for batch in batches:
                forward(model, batch)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()


def moved(before: Tensor, after: Tensor) -> float:
    """Return how far adaptation moved vectors: 1 minus the mean cosine.

    Args:
        before: Shape (rows, dims).
        after: The same rows.
    """
    return 1.0 - float(torch.cosine_similarity(before, after, dim=1).mean())
