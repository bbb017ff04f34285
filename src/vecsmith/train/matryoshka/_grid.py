"""Sizes of an elastic encoder, and what pulls its small embeddings towards the whole ones.

Functions of tensors, one number a row, so that a batch may be scored in parts. A *size* is (layers,
dims): the embedding is pooled from the output of block `layers` and cut to its leading `dims`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError


class Size(NamedTuple):
    """A size of an elastic encoder.

    Attributes:
        layers: How many blocks run.
        dim: How many leading dimensions are kept.
    """

    layers: int
    dim: int


def geometric_dims(width: int, smallest: int = 8) -> tuple[int, ...]:
    """List the sizes 8, 16, 32, ... below a width.

    Args:
        width: Dimensions of the whole embedding.
        smallest: The first size.

    Returns:
        The sizes; `width` itself is not among them.
    """
    found = []
    while smallest < width:
        found.append(smallest)
        smallest *= 2
    return tuple(found)


def check_dims(dims: Sequence[int], width: int) -> tuple[int, ...]:
    """Check sizes.

    Args:
        dims: Numbers of leading dimensions.
        width: Dimensions of the whole embedding.

    Returns:
        The sizes, without repeats, from small to large.

    Raises:
        ConfigError: None, or one below 1 or above `width`.
    """
    found = tuple(sorted({int(dim) for dim in dims}))
    if not found or found[0] < 1 or found[-1] > width:
        raise ConfigError(
            f"dims must be numbers from 1 to {width}, the size of the embeddings; got {tuple(dims)}"
        )
    return found


def _wide(vectors: Tensor) -> Tensor:
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def entry_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of softmaxes over the entries of embeddings.

    Args:
        teacher: Shape (rows, dims).
        student: Shape (rows, dims).
        temperature: What entries are divided by.

    Returns:
        KL( softmax(teacher / temperature) || softmax(student / temperature) ), shape (rows,);
        gradients reach both.
    """
    with torch.autocast(teacher.device.type, enabled=False):
        target = F.log_softmax(_wide(teacher) / temperature, dim=-1)
        logits = F.log_softmax(_wide(student) / temperature, dim=-1)
        return (target.exp() * (target - logits)).sum(dim=-1)


def score_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of softmaxes over lists of scores.

    Args:
        teacher: Scores of each query against all texts, shape (rows, texts).
        student: The same under the small size.
        temperature: What scores are divided by.

    Returns:
        Shape (rows,); gradients reach both.
    """
    return entry_kl(teacher, student, temperature)


@torch.no_grad()
def principal_basis(vectors: Tensor, rank: int) -> Tensor:
    """Find the directions to which the leading dimensions of a layer are compressed (Espresso).

    U and S come from the low-rank SVD of softmax(X^T X / sqrt(D)), softmax over the last axis. The
    sign of each direction, which an SVD leaves open, is set so that its largest entry is positive:
    otherwise targets of successive batches would contradict each other.

    Args:
        vectors: X, shape (texts, dims).
        rank: How many directions.

    Returns:
        U S, shape (dims, rank), float32 (float64 stays); `vectors @ basis` is the target.

    Cost:
        dims^2 x (texts + rank) multiplications.
    """
    wide = _wide(vectors)
    dims = wide.shape[1]
    related = ((wide.T @ wide) / dims**0.5).softmax(dim=-1)
    devices = [wide.device] if wide.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.autocast(wide.device.type, enabled=False):
        # svd_lowrank starts from random vectors; the same ones on every process and after a resume
        torch.manual_seed(0)
        left, values, _ = torch.svd_lowrank(related, q=min(rank, dims))
    largest = left.gather(0, left.abs().argmax(dim=0, keepdim=True))
    return left * torch.where(largest < 0, -1.0, 1.0) * values


def compression(vectors: Tensor, basis: Tensor) -> Tensor:
    """Distance of the leading dimensions from their principal target (Espresso).

    Args:
        vectors: Shape (rows, dims).
        basis: From `principal_basis`, shape (dims, rank).

    Returns:
        Mean squared error plus KL divergence of the leading `rank` dimensions from the target
        `vectors @ basis`, which gets no gradient; shape (rows,).
    """
    wide = _wide(vectors)
    target = (wide.detach() @ basis).detach()
    leading = wide[:, : basis.shape[1]]
    return (leading - target).square().mean(dim=-1) + entry_kl(target, leading)
