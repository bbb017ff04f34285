"""The contrastive loss of the family: in-batch and own negatives, filters, row weights.

Formula, with the blocks of `_core` and T the temperature::

    loss = mean_i w_i CE( [qp_i | qn_i | qq_i | pp_i] / T without the dropped entries, target i )

Dropped are: a row's own vector in qq and pp; what a `NegativeFilter` calls no negative (by a guide,
see `GuidedContrastiveLoss`, or by equal text); with ``in_batch=False`` everything of other rows, so
that only a row's own negatives are left (NV-Embed, C. Lee and others, 2024: for classification and
clustering data, where other rows are often of the same class). The weights w_i have mean 1 and come
from `ProgressiveWeights` or any function like it.

Use as the plain loss for pairs and triplets, and as the base of the others. With its default blocks
it equals sentence-transformers' `MultipleNegativesRankingLoss` with ``scale = 1 / temperature``.
Cost: one B x C product a block.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vecsmith.core import ConfigError, DataError

from ._core import (
    check_blocks,
    contrastive_logits,
    cross_entropy_rows,
    diagonal,
    other_rows,
    structural_masks,
)
from ._guide_files import text_keys
from ._negative_filter import NegativeFilter, same_text
from ._objective import Batch, Objective, gather

if TYPE_CHECKING:
    from datasets import Dataset

    from ._row_weights import RowWeights

PLAIN = ("qp", "qn")


def with_text_keys(dataset: "Dataset", columns: Sequence[str] | None = None) -> "Dataset":
    """Add keys of the texts as the label column, so that a loss can tell equal texts.

    A data set that went through `GuideCache.attach` has them already.

    Args:
        dataset: Columns of texts, in the order the loss takes them.
        columns: Which columns, by default all.

    Returns:
        Those columns and "label".

    Raises:
        DataError: A column of that name is there already.
    """
    names = list(columns or dataset.column_names)
    if "label" in dataset.column_names:
        raise DataError(
            "keys of texts go into column 'label', and the data set has one already: a contrastive "
            "loss reads no labels: remove that column"
        )
    kept = dataset.select_columns(names)
    keys = np.stack([text_keys(kept[name]) for name in names], axis=1)
    return kept.add_column("label", keys.tolist())


class ContrastiveLoss(Objective):
    """Contrastive loss over in-batch and own negatives.

    Args:
        model: The student, a `SentenceTransformer`.
        temperature: What cosines are divided by.
        blocks: Which of "qp", "qn", "qq", "pp" to use.
        in_batch: Whether texts of other rows are negatives.
        rule: Which candidates are no negatives; by itself it can tell equal texts
            (``NegativeFilter(duplicates=True)``, on a data set from `with_text_keys`).
        weighting: Weights of the rows, for instance `ProgressiveWeights`.
        cached_mini_batch: Rows a step of gradient caching; see `Objective`.

    Columns of the data set: query, positive, and any number of negatives, in this order.

    Raises:
        ConfigError: A temperature of 0 or less, or an unknown block.
    """

    def __init__(
        self,
        model: Any,
        *,
        temperature: float = 0.05,
        blocks: Sequence[str] = PLAIN,
        in_batch: bool = True,
        rule: NegativeFilter | None = None,
        weighting: "RowWeights | None" = None,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(model, cached_mini_batch=cached_mini_batch)
        if not temperature > 0.0:
            raise ConfigError(f"temperature must be above 0; got {temperature}")
        self.temperature = temperature
        self.blocks = check_blocks(blocks)
        self.in_batch = in_batch
        self.rule = rule or NegativeFilter()
        self.weighting = weighting

    def prepare(self, batch: Batch) -> Batch:
        """Gather keys of texts where equal texts are dropped, and weigh the rows.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts "keys", shape (C, columns), and "weights", shape (B,).

        Raises:
            DataError: Equal texts are to be dropped and there are no keys, or rows have no
                negatives at all.
        """
        if not self.in_batch and len(batch.columns) < 3:
            raise DataError(
                "in_batch=False takes only a row's own negatives, and the data set has none: add "
                "columns of negatives after query and positive, or set in_batch=True"
            )
        if self.rule.duplicates:
            keys = self.keys(batch)
            batch = batch.with_facts(keys=gather(keys.contiguous()))
        if self.weighting is not None:
            batch = batch.with_facts(weights=self.weigh(batch))
        return batch

    def keys(self, batch: Batch) -> Tensor:
        """Return the keys of the texts that the label column carries.

        Args:
            batch: All rows of this process.

        Returns:
            Shape (B, columns), int64.

        Raises:
            DataError: There are none.
        """
        labels, want = batch.labels, (batch.columns[0].shape[0], len(batch.columns))
        if labels is None or tuple(labels.shape) != want or labels.is_floating_point():
            came = "none" if labels is None else f"{tuple(labels.shape)}, {labels.dtype}"
            raise DataError(
                f"keys of the texts are needed as labels of shape {want}, int64; {came} came: "
                "train on guide.attach(dataset) or with_text_keys(dataset), with the "
                "columns of the loss"
            )
        return labels

    def relevant(self, batch: Batch, blocks: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark entries that answer the query as well as the positive: equal texts here.

        Args:
            batch: The rows to be scored.
            blocks: Their similarity blocks.

        Returns:
            Name -> True where the entry is no negative; never the target in qp.
        """
        if "keys" in batch.facts:
            return _same(batch, blocks)
        return {name: torch.zeros_like(block, dtype=torch.bool) for name, block in blocks.items()}

    def never(self, batch: Batch, blocks: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark entries that are on neither side: own vectors; other rows without `in_batch`.

        Args:
            batch: The rows to be scored.
            blocks: Their similarity blocks.

        Returns:
            Name -> True where the entry is left out; never the target in qp.
        """
        out = structural_masks(blocks, batch.start)
        if not self.in_batch:
            others = other_rows(blocks, batch.start, batch.pool[0].shape[0])
            out = {name: out[name] | others[name] for name in blocks}
        return out

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Weighted cross-entropies, shape (rows,).
        """
        blocks = batch.blocks(self.blocks)
        with torch.autocast(batch.columns[0].device.type, enabled=False):
            losses = self.from_blocks(batch, blocks, self.relevant(batch, blocks))
        return losses * batch.facts["weights"][batch.rows] if "weights" in batch.facts else losses

    def from_blocks(
        self, batch: Batch, blocks: dict[str, Tensor], relevant: dict[str, Tensor]
    ) -> Tensor:
        """Turn similarity blocks into losses.

        Args:
            batch: The rows to be scored.
            blocks: Their similarity blocks.
            relevant: Name -> True where the entry is no negative.

        Returns:
            Cross-entropies, shape (rows,).
        """
        never = self.never(batch, blocks)
        dropped = {name: never[name] | relevant[name] for name in blocks}
        logits = contrastive_logits(blocks, dropped, temperature=self.temperature)
        return cross_entropy_rows(logits, batch.start)

    def difficulties(self, batch: Batch) -> Tensor:
        """Say how hard the negatives of all rows of all processes are.

        Args:
            batch: All rows of this process, with keys where equal texts are dropped.

        Returns:
            Cosine of the nearest negative less that of the positive, shape (C,).
        """
        rows = batch.columns[0].shape[0]
        step = self.mini_batch_size or rows
        found = []
        for start in range(0, rows, step):
            part = replace(batch, rows=slice(start, min(start + step, rows)))
            blocks = part.blocks(self.blocks)
            never, relevant = self.never(part, blocks), self.relevant(part, blocks)
            dropped = {name: never[name] | relevant[name] for name in blocks}
            found.append(_difficulty(blocks, dropped, part.start))
        return gather(torch.cat(found))

    def weigh(self, batch: Batch) -> Tensor:
        """Weigh this process's rows by how hard their negatives are.

        Args:
            batch: All rows of this process.

        Returns:
            Shape (B,), mean 1 over all processes.
        """
        assert self.weighting is not None
        weights = self.weighting(self.difficulties(batch), self.progress)
        return weights[batch.offset : batch.offset + batch.columns[0].shape[0]]

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "temperature": self.temperature,
            "blocks": list(self.blocks),
            "in_batch": self.in_batch,
            "rule": vars(self.rule),
            "weighting": None if self.weighting is None else self.weighting.settings(),
            "cached_mini_batch": self.mini_batch_size or None,
        }


def _same(batch: Batch, blocks: dict[str, Tensor]) -> dict[str, Tensor]:
    keys = batch.facts["keys"]
    rows = keys[batch.start : batch.start + len(batch.local[0])]
    columns = {
        "qp": keys[:, 1],
        "qn": keys[:, 2:].T.reshape(-1),
        "qq": keys[:, 0],
        "pp": keys[:, 1],
    }
    marked = {name: same_text(rows, columns[name]) for name in blocks}
    marked["qp"] = marked["qp"] & ~diagonal(blocks["qp"], batch.start)
    return marked


def _difficulty(blocks: dict[str, Tensor], dropped: dict[str, Tensor], start: int) -> Tensor:
    """Nearest negative's cosine less the positive's; a row without negatives counts as solved."""
    target = diagonal(blocks["qp"], start)
    positive = blocks["qp"][target]
    nearest = torch.full_like(positive, -1.0)
    for name, block in blocks.items():
        out = dropped[name] | target if name == "qp" else dropped[name]
        nearest = torch.maximum(nearest, block.masked_fill(out, -1.0).amax(dim=1))
    return nearest - positive
