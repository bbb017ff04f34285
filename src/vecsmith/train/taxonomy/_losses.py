"""What makes the image of a phrase lie near its concept's node vector.

With g the image, y the node vector (of unit length), over the phrases of a batch:

    cosine    1 - cos(g, y)
    mse       |g - y|^2, mean over dimensions
    infonce   -log( exp(cos(g, y) / t) / sum over concepts c of the batch of exp(cos(g, y_c) / t) )

The first two are the paper's kind, which let concepts lie as near each other as the graph says; the
third also pushes the other concepts of the batch away, of which each counts once.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def cosine_loss(images: Tensor, nodes: Tensor, concepts: Tensor, temperature: float) -> Tensor:
    """One less the cosine.

    Args:
        images: Of phrases, shape (phrases, m).
        nodes: Vectors of their concepts, same shape.
        concepts: Not used.
        temperature: Not used.

    Returns:
        A scalar.
    """
    del concepts, temperature
    return 1 - nn.functional.cosine_similarity(images, nodes).mean()


def mse_loss(images: Tensor, nodes: Tensor, concepts: Tensor, temperature: float) -> Tensor:
    """Squared distance.

    Args:
        images: Of phrases, shape (phrases, m).
        nodes: Vectors of their concepts, same shape.
        concepts: Not used.
        temperature: Not used.

    Returns:
        A scalar.
    """
    del concepts, temperature
    return nn.functional.mse_loss(images, nodes)


def infonce_loss(images: Tensor, nodes: Tensor, concepts: Tensor, temperature: float) -> Tensor:
    """Cross-entropy over the concepts of the batch.

    Args:
        images: Of phrases, shape (phrases, m).
        nodes: Vectors of their concepts, same shape.
        concepts: Number of each concept, shape (phrases,).
        temperature: t.

    Returns:
        A scalar.
    """
    different, wanted = torch.unique(concepts, return_inverse=True)
    first = torch.zeros_like(different)
    # any phrase of a concept holds its vector
    first[wanted] = torch.arange(len(concepts), device=concepts.device)
    normal = nn.functional.normalize
    scores = normal(images, dim=1) @ normal(nodes[first], dim=1).T
    return nn.functional.cross_entropy(scores / temperature, wanted)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "cosine": cosine_loss,
    "infonce": infonce_loss,
    "mse": mse_loss,
}


def mapping_loss(
    name: str, images: Tensor, nodes: Tensor, concepts: Tensor, *, temperature: float = 0.05
) -> Tensor:
    """Compute a loss by its name.

    Args:
        name: A key of `LOSSES`.
        images: Of phrases, shape (phrases, m).
        nodes: Vectors of their concepts, same shape.
        concepts: Number of each concept, shape (phrases,).
        temperature: Of InfoNCE.

    Returns:
        A scalar.

    Raises:
        ConfigError: Unknown name.
    """
    from ._options import LOSS_NAMES, check_name

    check_name("loss", name, LOSS_NAMES)
    return LOSSES[name](images, nodes, concepts, temperature)
