"""Before training: how many in-batch negatives are false, and is the guide fit to tell?

`audit_false_negatives` draws batches as a trainer would, counts what the guide would strike out,
and compares guide and student on the data's own task: finding each row's positive among the others.
A guide that does not win there takes useful hard negatives for relevant texts, and training with it
ends *below* training without it. Compare it with a student that is already tuned where there is
one: a guide that only beats the untouched student may still lose to what training would reach.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.core import DataError, Interval, numpy_generator, paired_interval

from ._core import BLOCKS, Columns, Rows, similarity_blocks, structural_masks
from ._guided_negatives import false_negative_masks
from ._negative_filter import NegativeFilter
from ._negative_statistics import NegativeStatistics

if TYPE_CHECKING:
    from datasets import Dataset

    from ._guide_cache import GuideCache


@dataclass(frozen=True)
class FalseNegativeAudit:
    """What the guide sees in the data.

    Attributes:
        rows: Rows looked at.
        masked: Block -> share of its possible negatives that the guide would strike out.
        rows_affected: Share of rows in which it would strike out something.
        rows_without_negatives: Share of rows that would train nothing.
        examples: Query, its positive, and a text struck out as a false negative.
        guide_mrr: Mean reciprocal rank of each row's positive among all positives, by the guide.
        student_mrr: The same by the student; None without one.
        advantage: Guide minus student with its 95% interval; None without a student.
    """

    rows: int
    masked: dict[str, float]
    rows_affected: float
    rows_without_negatives: float
    examples: list[tuple[str, str, str]]
    guide_mrr: float
    student_mrr: float | None
    advantage: Interval | None

    @property
    def guide_is_better(self) -> bool | None:
        """Whether the guide clearly beats the student; None without a student."""
        return None if self.advantage is None else self.advantage.low > 0.0


def audit_false_negatives(
    dataset: "Dataset",
    guide: "GuideCache",
    *,
    student: Any = None,
    rule: NegativeFilter | None = None,
    batch_size: int = 64,
    max_rows: int = 2048,
    seed: int = 0,
) -> FalseNegativeAudit:
    """Look at a data set with the guide's eyes.

    Args:
        dataset: Columns of texts: query, positive, negatives.
        guide: The guide.
        student: The model to be trained, or better one already tuned; a warning is given where the
            guide does not clearly beat it.
        rule: Margin of the filter; none by default.
        batch_size: Rows a batch.
        max_rows: At most so many rows are drawn.
        seed: Seed of the draw.

    Returns:
        The audit.

    Raises:
        DataError: Fewer than two columns or rows.
    """
    names = [name for name in dataset.column_names if name != "label"]
    if len(names) < 2 or len(dataset) < 2 or batch_size < 2:
        raise DataError(
            "the audit needs a query and a positive column, 2 rows, and batches of 2; got "
            f"{len(names)} columns, {len(dataset)} rows, batch_size {batch_size}"
        )
    order = numpy_generator(seed, "audit").permutation(len(dataset))[:max_rows]
    picked = dataset.select(order)
    texts = {name: list(picked[name]) for name in names}
    found = [torch.from_numpy(guide.rows(keys)).float() for keys in guide.labels(texts).T]
    statistics = NegativeStatistics()
    affected = 0
    examples: list[tuple[str, str, str]] = []
    for start in range(0, len(order) - 1, batch_size):
        vectors = [column[start : start + batch_size] for column in found]
        relevant = _audit_batch(vectors, rule or NegativeFilter(), statistics)
        affected += int(torch.cat(list(relevant.values()), dim=1).any(dim=1).sum())
        for row, column in relevant["qp"].nonzero().tolist():
            if len(examples) < 10:
                anchor, positive = texts[names[0]][start + row], texts[names[1]][start + row]
                examples.append((anchor, positive, texts[names[1]][start + column]))
    figures = statistics.figures()
    ranks = reciprocal_ranks(found[0].numpy(), found[1].numpy(), texts[names[1]])
    audit = FalseNegativeAudit(
        rows=len(order),
        masked={name: figures[f"masked_{name}"] for name in BLOCKS if f"masked_{name}" in figures},
        rows_affected=affected / len(order),
        rows_without_negatives=figures["rows_without_negatives"],
        examples=examples,
        guide_mrr=float(ranks.mean()),
        **_against(student, texts, names, ranks),
    )
    if audit.guide_is_better is False:
        warnings.warn(
            f"the guide does not beat the student on this data (MRR {audit.guide_mrr:.3f} against "
            f"{audit.student_mrr:.3f}): it would strike out useful hard negatives; take a guide "
            "that is better on this very task, or train without one",
            stacklevel=2,
        )
    return audit


def _audit_batch(
    vectors: Sequence[torch.Tensor], rule: NegativeFilter, statistics: NegativeStatistics
) -> dict[str, torch.Tensor]:
    query, positive, *negatives = vectors
    blocks = similarity_blocks(Rows(query, positive), Columns(query, positive, tuple(negatives)))
    never = structural_masks(blocks)
    relevant = false_negative_masks(blocks, rule)
    statistics.add(blocks, blocks, never, relevant, 0)
    return {name: relevant[name] & ~never[name] for name in blocks}


def _against(
    student: Any, texts: dict[str, list[str]], names: Sequence[str], ranks: NDArray[np.float64]
) -> dict[str, Any]:
    if student is None:
        return {"student_mrr": None, "advantage": None}
    options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    queries, positives = (student.encode(texts[name], **options) for name in names[:2])
    theirs = reciprocal_ranks(queries, positives, texts[names[1]])
    return {"student_mrr": float(theirs.mean()), "advantage": paired_interval(ranks, theirs)}


def reciprocal_ranks(
    queries: NDArray[np.float32], positives: NDArray[np.float32], texts: Sequence[str]
) -> NDArray[np.float64]:
    """Rank each row's positive among the positives of all rows; equal texts count once.

    Args:
        queries: Unit vectors, shape (n, dims).
        positives: Unit vectors, shape (n, dims).
        texts: Texts of the positives.

    Returns:
        1 / rank, shape (n,); a tie counts as half above.
    """
    _, first, where = np.unique(np.asarray(texts), return_index=True, return_inverse=True)
    scores = queries @ positives[first].T
    own = scores[np.arange(len(queries)), where.reshape(-1)][:, None]
    above = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return np.asarray(1.0 / (1.0 + above))
