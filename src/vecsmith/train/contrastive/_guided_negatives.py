"""Guided in-sample selection of negatives (GIST): a stronger model strikes out false negatives.

In a batch, texts of other rows serve as negatives although some of them answer the query. A frozen
guide compares each of them with the row's own positive: what it finds nearer is left out.

Paper: GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding Fine-tuning
(A. V. Solatorio, 2024).

Formula, with f the student, g the guide, T the temperature and t_i = cos(g(q_i), g(p_i))::

    drop an entry of row i in qp, qn, qq, pp where the guide's similarity > t_i  (never qp_ii;
    always the diagonals of qq and pp)
    loss = mean_i CE( [qp_i | qn_i | qq_i | pp_i] / T without the dropped ones, target i )

Without guide the same four blocks are the loss of GTE (Z. Li and others, 2023), the baseline to
compare with. `negatives="hard"` keeps only what the student ranks above the positive while the
guide calls it negative. "triplet" adds a margin loss on the hardest positive and the hardest
negative of the pool that the guide splits; "soft-triplet" takes means of both sides weighted by a
softmax.

Use when pairs are mined or duplicated and the guide is better *on this data* than the student will
be after training. Avoid a guide that is merely bigger: a weak one strikes out the useful hard
negatives and does harm; `audit_false_negatives` tells. Cost: one lookup of cached guide vectors and
four B x B products a step; the guide itself runs once over the texts, in `GuideCache.attach`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError, did_you_mean

from ._contrastive import ContrastiveLoss
from ._core import BLOCKS, Columns, Rows, diagonal, similarity_blocks
from ._negative_filter import NegativeFilter
from ._negative_statistics import NegativeStatistics
from ._objective import Batch, gather

if TYPE_CHECKING:
    from ._guide_cache import GuideCache

MODES = ("all", "hard", "triplet", "soft-triplet")
TRIPLET_MARGIN = 0.1


def false_negative_masks(
    guide_blocks: Mapping[str, Tensor], rule: NegativeFilter, offset: int = 0
) -> dict[str, Tensor]:
    """Mark what the guide finds nearer to the query than the row's own positive.

    Args:
        guide_blocks: Similarity blocks of the guide's vectors, "qp" among them.
        rule: Margin and its kind.
        offset: Column of the first row.

    Returns:
        Name -> True where the entry is no negative; the target in qp is never marked.
    """
    with torch.autocast(guide_blocks["qp"].device.type, enabled=False):
        target = diagonal(guide_blocks["qp"], offset)
        thresholds = guide_blocks["qp"][target]
        marked = {name: rule.dropped(block, thresholds) for name, block in guide_blocks.items()}
    marked["qp"] = marked["qp"] & ~target
    return marked


def keep_hard(
    blocks: Mapping[str, Tensor], dropped: Mapping[str, Tensor], offset: int = 0
) -> dict[str, Tensor]:
    """Drop also what the student already ranks below the positive.

    Args:
        blocks: Similarity blocks of the student.
        dropped: Name -> True where the entry is left out already.
        offset: Column of the first row.

    Returns:
        Name -> True where the entry is left out; the target in qp stays.
    """
    target = diagonal(blocks["qp"], offset)
    positive = blocks["qp"].detach()[target][:, None]
    easy = {name: block.detach() <= positive for name, block in blocks.items()}
    easy["qp"] = easy["qp"] & ~target
    return {name: dropped[name] | easy[name] for name in blocks}


def guided_triplet(
    blocks: Mapping[str, Tensor],
    relevant: Mapping[str, Tensor],
    excluded: Mapping[str, Tensor],
    *,
    offset: int = 0,
    margin: float = TRIPLET_MARGIN,
    soft_temperature: float | None = None,
) -> Tensor:
    """Margin loss between the two sides of the pool that the guide splits.

    Args:
        blocks: Similarity blocks of the student.
        relevant: Name -> True where the guide calls an entry relevant.
        excluded: Name -> True where an entry is on neither side (a row's own vector).
        offset: Column of the first row.
        margin: By how much the positive side must win.
        soft_temperature: None takes the hardest of each side; a number takes means weighted by a
            softmax with this temperature, towards the hardest.

    Returns:
        Shape (B,); a row without negatives counts 0.
    """
    target = diagonal(blocks["qp"], offset)
    scores = torch.cat([blocks[name] for name in blocks], dim=1)
    right = torch.cat([relevant[n] | target if n == "qp" else relevant[n] for n in blocks], dim=1)
    out = torch.cat([excluded[name] for name in blocks], dim=1)
    right, wrong = right & ~out, ~right & ~out
    if soft_temperature is None:
        near = scores.masked_fill(~right, torch.inf).amin(dim=1)
        far = scores.masked_fill(~wrong, -torch.inf).amax(dim=1)
    else:
        near = _soft_mean(scores, right, -soft_temperature)
        far = _soft_mean(scores, wrong, soft_temperature)
    return (far - near + margin).clamp_min(0.0) * wrong.any(dim=1)


def _soft_mean(scores: Tensor, kept: Tensor, temperature: float) -> Tensor:
    weights = (scores / temperature).masked_fill(~kept, -torch.inf).softmax(dim=1)
    # a row with nothing kept has no weights; it is left out by the caller
    return (torch.where(kept, weights, 0.0) * torch.where(kept, scores, 0.0)).sum(dim=1)


class GuidedContrastiveLoss(ContrastiveLoss):
    """Contrastive loss for `SentenceTransformerTrainer` with guided selection of negatives.

    Args:
        model: The student, a `SentenceTransformer`.
        guide: A `GuideCache`, whose `attach` was called on the data set; None gives GTE's
            unguided loss.
        temperature: What cosines are divided by.
        rule: Margin, threshold and duplicates: see `NegativeFilter`; GIST's own by default.
        blocks: Which of "qp", "qn", "qq", "pp" to use; ("qp", "qn") is the plain in-batch loss.
        negatives: "all", "hard", "triplet" or "soft-triplet".
        **options: in_batch, weighting, cached_mini_batch: see `ContrastiveLoss`; margin and
            margin_kind are short for a `rule` of them.

    Columns of the data set: query, positive, and any number of negatives, in this order.
    """

    triplet_margin: float = TRIPLET_MARGIN

    def __init__(
        self,
        model: Any,
        guide: "GuideCache | None" = None,
        *,
        temperature: float = 0.01,
        rule: NegativeFilter | None = None,
        blocks: Sequence[str] = BLOCKS,
        negatives: str = "all",
        **options: Any,
    ) -> None:
        if negatives not in MODES:
            raise ConfigError(
                f"negatives cannot be {negatives!r}; {did_you_mean(negatives, MODES)}"
            )
        margins = {name: options.pop(name) for name in ("margin", "margin_kind") if name in options}
        if rule is not None and margins:
            raise ConfigError("give either rule or margin and margin_kind, not both")
        super().__init__(model, temperature=temperature, blocks=blocks, **options)
        self.rule = rule or NegativeFilter(**margins)
        self.guide = guide
        self.negatives = negatives
        self.statistics = NegativeStatistics()

    def prepare(self, batch: Batch) -> Batch:
        """Look up the guide's vectors of all rows, and what `ContrastiveLoss` needs.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts "guide": the guide's vectors, one tensor a column, (C, dims).

        Raises:
            DataError: There are no keys of texts, though there is a guide.
        """
        if self.guide is not None:
            device = batch.columns[0].device
            vectors = (found.to(device) for found in self.guide.lookup(self.keys(batch)))
            batch = batch.with_facts(guide=tuple(gather(column) for column in vectors))
        return super().prepare(batch)

    def relevant(self, batch: Batch, blocks: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark entries that answer the query: equal texts, and what the guide strikes out.

        Args:
            batch: The rows to be scored.
            blocks: Their similarity blocks.

        Returns:
            Name -> True where the entry is no negative; never the target in qp.
        """
        marked = super().relevant(batch, blocks)
        if "guide" not in batch.facts:
            return marked
        query, positive, *negatives = batch.facts["guide"]
        rows = slice(batch.start, batch.start + len(batch.local[0]))
        columns = Columns(query, positive, tuple(negatives), batch.start)
        guide = similarity_blocks(Rows(query[rows], positive[rows]), columns, tuple(blocks))
        struck = false_negative_masks(guide, self.rule, batch.start)
        if torch.is_grad_enabled():
            self.statistics.add(blocks, guide, self.never(batch, blocks), struck, batch.start)
        return {name: marked[name] | struck[name] for name in blocks}

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
        kept = relevant
        if self.negatives == "hard":
            kept = keep_hard(blocks, relevant, batch.start)
        losses = super().from_blocks(batch, blocks, kept)
        if "triplet" in self.negatives:
            losses = losses + guided_triplet(
                blocks,
                relevant,
                self.never(batch, blocks),
                offset=batch.start,
                margin=self.triplet_margin,
                soft_temperature=self.temperature if self.negatives == "soft-triplet" else None,
            )
        return losses

    def stats(self, *, reset: bool = False) -> dict[str, float]:
        """Tell what the guide did since the start or the last reset.

        Args:
            reset: Begin anew afterwards.

        Returns:
            ``masked_qp`` and so on: share of possible negatives struck out in each block;
            ``rows_without_negatives``: share of rows that trained nothing; ``agreement``:
            correlation of student's and guide's similarities in qp beside the diagonal;
            ``student_top1`` and ``guide_top1``: share of rows whose positive is the nearest in qp;
            ``batches``. Empty without a guide.
        """
        figures = self.statistics.figures()
        if reset:
            self.statistics = NegativeStatistics()
        return figures

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "guide": None if self.guide is None else self.guide.name,
            "negatives": self.negatives,
            **super().get_config_dict(),
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{solatorio2024gistembed,
    title={GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding
        Fine-tuning},
    author={Aivin V. Solatorio},
    year={2024}
}
"""
