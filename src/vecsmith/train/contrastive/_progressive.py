"""Progressive contrastive loss: a huge pool of negatives, and rows weighed from easy to hard.

Paper: PEG: Towards Robust Text Retrieval with Progressive Learning (T. Wu and others, 2023): every
query is set against all positives and all mined hard negatives of a batch of tens of thousands
(gradient caching makes that possible on any memory), and the rows are weighed by how hard their
negatives are, progressively. The formula of the weights is our reading: see `_row_weights`.

    loss = mean_i w_i(d_i, progress) CE( [qp_i | qn_i] / T, target i )

`curricular=True` adds the rule of Y. Huang and others (CurricularFace, 2020) inside the rows: a
negative c nearer to the query than its positive is scaled, s -> s (t + s), with t a running mean of
the positives' cosines, so that hard negatives gain weight as the model gets better.

Use with many, mixed and noisy pairs, five or so mined negatives a query (`MinedNegatives`), and the
largest batch there is time for. Avoid it for a few clean pairs: weights need a batch to compare
with. Cost: one product of the batch with its pool besides the loss's own.
"""

from typing import Any

import torch
from torch import Tensor

from ._contrastive import ContrastiveLoss
from ._core import diagonal
from ._objective import Batch, gather
from ._row_weights import ProgressiveWeights, RowWeights

MOMENTUM = 0.99
EASY_TO_HARD = ProgressiveWeights()
QUANTILES = (0.1, 0.5, 0.9)


def curricular_blocks(
    blocks: dict[str, Tensor], mean_positive: Tensor, offset: int = 0
) -> dict[str, Tensor]:
    """Scale the negatives that lie nearer to the query than the row's positive.

    Args:
        blocks: Cosines.
        mean_positive: t, a running mean of the positives' cosines, a scalar.
        offset: Column of the first row.

    Returns:
        Name -> cosines, the hard ones of them scaled; the target stays.
    """
    positive = blocks["qp"].detach()[diagonal(blocks["qp"], offset)][:, None]
    return {
        name: torch.where(block.detach() > positive, block * (mean_positive + block), block)
        for name, block in blocks.items()
    }


class ProgressiveContrastiveLoss(ContrastiveLoss):
    """PEG's loss for `SentenceTransformerTrainer`; give it `callbacks=[loss.progress_callback()]`.

    Args:
        model: The student, a `SentenceTransformer`.
        temperature: What cosines are divided by.
        weighting: Weights of the rows; None weighs all alike.
        curricular: Whether hard negatives gain weight inside their row, too.
        **options: in_batch, rule, blocks, cached_mini_batch: see `ContrastiveLoss`.

    Columns of the data set: query, positive, and any number of negatives, in this order.
    """

    mean_positive: Tensor

    def __init__(
        self,
        model: Any,
        *,
        temperature: float = 0.02,
        weighting: RowWeights | None = EASY_TO_HARD,
        curricular: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model, temperature=temperature, weighting=weighting, **options)
        self.curricular = curricular
        self.register_buffer("mean_positive", torch.zeros(()))
        self._history: list[dict[str, float]] = []

    def prepare(self, batch: Batch) -> Batch:
        """Weigh the rows, and renew the running mean of the positives' cosines.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts.
        """
        if self.curricular and self.training:
            cosines = torch.cosine_similarity(batch.columns[0].float(), batch.columns[1].float())
            mean = gather(cosines.contiguous()).mean()
            known = self.mean_positive
            self.mean_positive = MOMENTUM * known + (1.0 - MOMENTUM) * mean.to(known.device)
        return super().prepare(batch)

    def from_blocks(
        self, batch: Batch, blocks: dict[str, Tensor], relevant: dict[str, Tensor]
    ) -> Tensor:
        """Turn similarity blocks into losses.

        Args:
            batch: The rows to be scored.
            blocks: Their similarity blocks.
            relevant: Name -> True where the entry is no negative.

        Returns:
            Shape (rows,).
        """
        if self.curricular:
            blocks = curricular_blocks(blocks, self.mean_positive, batch.start)
        return super().from_blocks(batch, blocks, relevant)

    def weigh(self, batch: Batch) -> Tensor:
        """Weigh this process's rows, and keep what `history` tells.

        Args:
            batch: All rows of this process.

        Returns:
            Shape (B,), mean 1 over all processes.
        """
        difficulty = self.difficulties(batch)
        assert self.weighting is not None
        weights = self.weighting(difficulty, self.progress)
        if self.training:
            self._history.append(_figures(self.step, difficulty, weights))
        return weights[batch.offset : batch.offset + batch.columns[0].shape[0]]

    def history(self) -> list[dict[str, float]]:
        """Tell how the weights went.

        Returns:
            One row a batch: ``step``; ``entropy`` of the weights as a share of the greatest
            possible; ``heaviest`` weight; ``solved``: share of rows whose positive is nearest;
            ``difficulty_10``, ``_50``, ``_90``: quantiles of the difficulty, in cosine units.
        """
        return list(self._history)


def _figures(step: int, difficulty: Tensor, weights: Tensor) -> dict[str, float]:
    shares = (weights / weights.sum()).double()
    entropy = -(shares * shares.clamp_min(1e-12).log()).sum()
    most = torch.tensor(float(max(len(shares), 2))).log()
    levels = torch.quantile(difficulty.float(), torch.tensor(QUANTILES, device=difficulty.device))
    found = {
        "step": float(step),
        "entropy": float(entropy / most),
        "heaviest": float(weights.max()),
        "solved": float((difficulty <= 0).double().mean()),
    }
    names = [f"difficulty_{round(100 * q)}" for q in QUANTILES]
    return {**found, **dict(zip(names, levels.tolist(), strict=True))}
