"""The learned half of an index as a torch module: centroids, codebooks and, if wanted, an encoder.

A document is read as the index reads it, its centroid plus the codewords nearest to what is left;
scores of both readings are drawn to those of the uncompressed vectors.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vecsmith.encode.tables import ProductQuantiser
from vecsmith.train import listwise_loss

from ._index_parts import IndexParts, Vectors
from ._lists import Rows, among, padded

CONTRASTIVE = "contrastive"


def contrastive(scores: Tensor, relevant: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Learn from labels instead of scores, as methods before this one do (JPQ, RepCONC).

    Args:
        scores: Of the quantised documents, shape (queries, documents).
        relevant: Which are relevant to which query, same shape.
        mask: Which are candidates, same shape.
        temperature: Divides the scores.

    Returns:
        Negative log probability of the relevant documents, mean over those; a scalar.
    """
    logits = (scores / temperature).masked_fill(~mask, float("-inf"))
    return -torch.log_softmax(logits, dim=-1)[relevant].mean()


class VQStudent(nn.Module):
    """Scores of quantised documents.

    Args:
        parts: Start of centroids and codebooks; the rotation stays as it is.
        loss: Name of a listwise loss, or "contrastive".
        temperature: Divides both sides' scores.
        code_temperature: Divides the distances in the softmax that codes are learned through.
        encoder: Module that gives query vectors, as sentence-transformers call it; None leaves the
            query vectors as they are.
    """

    ratio: Tensor
    rotation: Tensor | None

    def __init__(
        self,
        parts: IndexParts,
        *,
        loss: str,
        temperature: float,
        code_temperature: float,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.loss, self.temperature = loss, temperature
        self.encoder = encoder
        rotation = None if parts.rotation is None else torch.from_numpy(parts.rotation.copy())
        self.register_buffer("rotation", rotation)
        # weight of the centroids' loss, set by the first batch and kept in checkpoints
        self.register_buffer("ratio", torch.tensor(math.nan))
        self.centroids: nn.Embedding | None = None
        if parts.centroids is not None:
            start = torch.from_numpy(parts.centroids.copy())
            self.centroids = nn.Embedding.from_pretrained(start, freeze=False, sparse=True)
        self.quantiser: ProductQuantiser | None = None
        if parts.codebooks is not None:
            count, words, _ = parts.codebooks.shape
            self.quantiser = ProductQuantiser(
                parts.dims, count, words, temperature=code_temperature
            )
            self.quantiser.codebooks.data.copy_(torch.from_numpy(parts.codebooks))

    def _rotated(self, vectors: Tensor) -> Tensor:
        return vectors if self.rotation is None else vectors @ self.rotation.T

    def read(self, documents: Tensor, lists: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Read documents as the index does.

        Args:
            documents: Rotated vectors, shape (n, dims).
            lists: List of each, shape (n,); None without lists.

        Returns:
            Their centroids, and centroids plus codewords, each (n, dims) or None.
        """
        coarse = None if self.centroids is None else self.centroids(lists)
        if self.quantiser is None:
            return coarse, None
        if coarse is None:
            return None, self.quantiser(documents)
        return coarse, coarse + self.quantiser(documents - coarse)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Compute the loss of a batch.

        Args:
            batch: "queries" and "documents" (vectors), "mask" (candidates), "relevant" for the
                contrastive loss, "lists" where the index has some, "features" where the encoder is
                trained.

        Returns:
            A scalar.
        """
        documents = self._rotated(batch["documents"])
        fixed = self._rotated(batch["queries"])
        teacher = fixed @ documents.T
        queries = fixed
        if self.encoder is not None:
            given = self.encoder(dict(batch["features"]))["sentence_embedding"]
            queries = self._rotated(given)
        coarse, fine = self.read(documents, batch.get("lists"))

        def judged(vectors: Tensor) -> Tensor:
            scores = queries @ vectors.T
            if self.loss == CONTRASTIVE:
                return contrastive(
                    scores, batch["relevant"], batch["mask"], temperature=self.temperature
                )
            return listwise_loss(
                teacher, scores, self.loss, mask=batch["mask"], temperature=self.temperature
            )

        losses = [judged(fine)] if fine is not None else []
        if coarse is not None:
            alone = judged(coarse)
            losses.append(self._scale(alone, losses) * alone)
        if self.encoder is not None:
            losses.append(judged(documents))
        return torch.stack(losses).sum()

    def _scale(self, coarse: Tensor, fine: list[Tensor]) -> Tensor:
        """Weight that makes the centroids' loss as large as the codes' in the first batch."""
        if self.ratio.isnan():
            first = fine[0] / coarse.clamp_min(1e-9) if fine else torch.ones_like(coarse)
            self.ratio.copy_(first.detach())
        return self.ratio

    def groups(self, *, codebooks: float, centroids: float, encoder: float) -> list[dict[str, Any]]:
        """Return the parameters with their rates, for `AdamWWithPlainRows`.

        Args:
            codebooks: Rate of the codebooks.
            centroids: Rate of the centroids, in plain steps.
            encoder: Rate of the query encoder.
        """
        found = []
        if self.quantiser is not None:
            found.append({"params": list(self.quantiser.parameters()), "lr": codebooks})
        if self.centroids is not None:
            rows = list(self.centroids.parameters())
            found.append({"params": rows, "lr": centroids, "plain": True})
        if self.encoder is not None:
            found.append({"params": list(self.encoder.parameters()), "lr": encoder})
        return found


class AdamWWithPlainRows(torch.optim.AdamW):
    """AdamW; groups marked "plain" take a plain gradient step instead (rows touched by the batch).

    Moving averages would go on to move centroids that a batch does not touch, and would double the
    memory of a large table.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step.

        Args:
            closure: As torch's optimisers take it.

        Returns:
            The closure's loss.
        """
        for group in self.param_groups:
            for parameter in group["params"] if group.get("plain") else ():
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-group["lr"])
                    parameter.grad = None
        return super().step(closure)


class BatchSource:
    """Lays the batches of `batches_of_candidates` out as tensors.

    Args:
        queries: Vectors of the queries, shape (queries, dims).
        documents: Shape (n, dims); a memory map will do.
        assignment: List of each document; None without lists.
        relevant: Relevant documents of each query; None without labels.
        encoded: Texts of the queries and the encoder in training, or two None.
    """

    def __init__(
        self,
        queries: Vectors,
        documents: Vectors,
        assignment: Rows | None,
        relevant: Sequence[Sequence[int]] | None,
        encoded: tuple[list[str] | None, Any],
    ) -> None:
        self.queries, self.documents, self.assignment = queries, documents, assignment
        self.relevant, (self.texts, self.encoder) = relevant, encoded

    def batch(self, queries: Rows, documents: Rows, mask: Any) -> dict[str, Any]:
        """Lay one batch out.

        Args:
            queries: Rows of queries.
            documents: Rows of documents, ascending.
            mask: Which document is a candidate of which query.

        Returns:
            What `VQStudent` takes.
        """
        out: dict[str, Any] = {
            "queries": torch.from_numpy(np.asarray(self.queries[queries], np.float32)),
            "documents": torch.from_numpy(np.asarray(self.documents[documents], np.float32)),
            "mask": torch.from_numpy(mask),
        }
        if self.assignment is not None:
            out["lists"] = torch.from_numpy(self.assignment[documents])
        if self.relevant is not None:
            labelled = padded([self.relevant[row] for row in queries])
            out["relevant"] = torch.from_numpy(among(documents, labelled))
        if self.texts is not None:
            out["features"] = self.encoder.preprocess([self.texts[row] for row in queries])
        return out
