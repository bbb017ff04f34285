"""Contrastive loss in which the same right answer is never its own negative.

InfoNCE with in-batch negatives, with equal targets struck out::

    L_i = -log exp(s_ii / T) / (exp(s_ii / T) + sum_j exp(s_ij / T)),   j with target_j != target_i

Use wherever several queries of a batch share one answer (labels, hypernyms, popular products):
without the mask the loss pushes right answers away, and coefficients that minimise it lose on the
metric. Without equal targets it is plain InfoNCE. Cost: that of InfoNCE.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vecsmith.core import ConfigError


def masked_info_nce(
    queries: Tensor,
    documents: Tensor,
    targets: Tensor,
    *,
    temperature: float = 0.05,
) -> Tensor:
    """Return the mean loss over the queries.

    Args:
        queries: Shape (batch, dims), of any length.
        documents: Candidates, shape (candidates, dims); the first `batch` are the right ones.
        targets: Equal numbers are equal documents, shape (candidates,).
        temperature: Divides the cosines.

    Returns:
        A scalar.
    """
    cosines = functional.normalize(queries, dim=-1) @ functional.normalize(documents, dim=-1).T
    count = queries.shape[0]
    same = targets[:count, None] == targets[None, :]
    same[:, :count].fill_diagonal_(False)
    logits = (cosines / temperature).masked_fill(same, float("-inf"))
    return functional.cross_entropy(logits, torch.arange(count, device=logits.device))


class EqualTargetLoss(nn.Module):
    """`masked_info_nce` as a sentence-transformers loss.

    Documents are equal when their tokens are. Inputs: (query, document) rows, any number of further
    columns as hard negatives; labels are not used.

    Args:
        model: A SentenceTransformer.
        temperature: Divides the cosines.

    Raises:
        ConfigError: `temperature` is not above 0.
    """

    def __init__(self, model: nn.Module, *, temperature: float = 0.05) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0; got {temperature!r}")
        self.model, self.temperature = model, temperature

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            sentence_features: Tokenised columns, queries first.
            labels: Not used.

        Returns:
            A scalar.
        """
        columns = [dict(features) for features in sentence_features]
        targets = equal_rows(columns[1:])
        vectors = [self.model(features)["sentence_embedding"] for features in columns]
        documents = torch.cat(vectors[1:])
        return masked_info_nce(
            vectors[0], documents, targets.to(documents.device), temperature=self.temperature
        )

    def get_config_dict(self) -> dict[str, float]:
        """Return the settings, as model cards show them."""
        return {"temperature": self.temperature}


def equal_rows(columns: list[dict[str, Tensor]]) -> Tensor:
    """Number the texts of tokenised columns, equal texts alike.

    Args:
        columns: Each with ``input_ids`` and ``attention_mask``, shape (batch, tokens).

    Returns:
        Shape (columns * batch,).
    """
    numbers: dict[tuple[int, ...], int] = {}
    found = []
    for column in columns:
        for row, mask in zip(column["input_ids"], column["attention_mask"], strict=True):
            key = tuple(row[mask.bool()].tolist())
            found.append(numbers.setdefault(key, len(numbers)))
    return torch.tensor(found)
