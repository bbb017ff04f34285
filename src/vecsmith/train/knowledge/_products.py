"""Scores of a batch against shared candidates as one product of tables, where the model allows it.

PyKEEN scores by broadcasting, batch x candidates x dims numbers at once; for these models the same
scores are a matrix product:

    distmult  (h r) . t              complex  Re((h r) . conj(t)) = [re | im](h r) . [re | im](t)
    transe    -|h + r - t|           squared lengths and a product

Others ("rotate" among them: a sum of absolute values of complex numbers) take PyKEEN's own way.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def _distmult(anchor: "Tensor", relation: "Tensor", others: "Tensor", *, heads: bool) -> "Tensor":
    del heads  # the score is the same both ways
    return (anchor * relation) @ others.T


def _complex(anchor: "Tensor", relation: "Tensor", others: "Tensor", *, heads: bool) -> "Tensor":
    import torch

    moved = anchor * (relation.conj() if heads else relation)
    left = torch.cat([moved.real, moved.imag], dim=-1)
    return left @ torch.cat([others.real, others.imag], dim=-1).T


def _transe(anchor: "Tensor", relation: "Tensor", others: "Tensor", *, heads: bool) -> "Tensor":
    moved = anchor - relation if heads else anchor + relation
    squares = moved.square().sum(-1)[:, None] + others.square().sum(-1) - 2 * moved @ others.T
    return -squares.clamp_min(1e-12).sqrt()


PRODUCTS: dict[str, Callable[..., "Tensor"]] = {
    "distmult": _distmult,
    "complex": _complex,
    "transe": _transe,
}


def shared_scores(
    name: str, model: Any, pairs: "Tensor", others: "Tensor", *, heads: bool
) -> "Tensor":
    """Score a batch with shared candidates in the hole.

    Args:
        name: PyKEEN's name of the model.
        model: The model.
        pairs: Head and relation of each row, or relation and tail where heads are asked for.
        others: Candidates, shape (candidates,).
        heads: The hole is the head.

    Returns:
        Shape (batch, candidates).
    """
    plain = name != "transe" or _is_euclidean(model)
    if name not in PRODUCTS or not plain:
        if heads:
            return model.score_h(pairs, heads=others)
        return model.score_t(pairs, tails=others)
    anchors, relations = (pairs[:, 1], pairs[:, 0]) if heads else (pairs[:, 0], pairs[:, 1])
    (entity,), (relation,) = model.entity_representations, model.relation_representations
    return PRODUCTS[name](entity(anchors), relation(relations), entity(others), heads=heads)


def _is_euclidean(model: Any) -> bool:
    return model.interaction.p == 2 and not model.interaction.power_norm
