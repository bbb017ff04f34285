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

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin, has_static_embedding_input
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor, nn

from vecsmith.core import ConfigError, DataError, did_you_mean

from ._core import (
    BLOCKS,
    Columns,
    Rows,
    check_blocks,
    contrastive_cross_entropy,
    contrastive_logits,
    diagonal,
    similarity_blocks,
    structural_masks,
)
from ._negative_filter import NegativeFilter
from ._negative_statistics import NegativeStatistics

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
        A scalar, mean over rows; a row without negatives counts 0.
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
    return ((far - near + margin).clamp_min(0.0) * wrong.any(dim=1)).mean()


def _soft_mean(scores: Tensor, kept: Tensor, temperature: float) -> Tensor:
    weights = (scores / temperature).masked_fill(~kept, -torch.inf).softmax(dim=1)
    # a row with nothing kept has no weights; it is left out by the caller
    return (torch.where(kept, weights, 0.0) * torch.where(kept, scores, 0.0)).sum(dim=1)


class GuidedContrastiveLoss(CachedLossMixin, nn.Module):
    """Contrastive loss for `SentenceTransformerTrainer` with guided selection of negatives.

    Args:
        model: The student, a `SentenceTransformer`.
        guide: A `GuideCache`, whose `attach` was called on the data set; None gives GTE's
            unguided loss.
        temperature: What cosines are divided by.
        margin: See `NegativeFilter`.
        margin_kind: "absolute" or "relative".
        blocks: Which of "qp", "qn", "qq", "pp" to use; ("qp", "qn") is the plain in-batch loss.
        negatives: "all", "hard", "triplet" or "soft-triplet".
        cached_mini_batch: Rows a step of gradient caching, for batches larger than memory; None
            embeds the batch in one go.

    Columns of the data set: query, positive, and any number of negatives, in this order. Wrap it in
    `sentence_transformers`' `MatryoshkaLoss` as any other loss. Over several processes every row is
    set against the rows of all of them.
    """

    triplet_margin: float = TRIPLET_MARGIN

    def __init__(
        self,
        model: Any,
        guide: "GuideCache | None" = None,
        *,
        temperature: float = 0.01,
        margin: float = 0.0,
        margin_kind: str = "absolute",
        blocks: Sequence[str] = BLOCKS,
        negatives: str = "all",
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__()
        if negatives not in MODES:
            raise ConfigError(
                f"negatives cannot be {negatives!r}; {did_you_mean(negatives, MODES)}"
            )
        if temperature <= 0.0 or (cached_mini_batch is not None and cached_mini_batch < 1):
            raise ConfigError(
                "temperature must be above 0 and cached_mini_batch at least 1; "
                f"got {temperature} and {cached_mini_batch}"
            )
        if cached_mini_batch is not None and has_static_embedding_input(model):
            raise ConfigError(
                "cached_mini_batch cannot be used with a StaticEmbedding model, whose input has no "
                "batch axis to cut; leave it out: such a model fits in memory anyway"
            )
        self.model = model
        self.guide = guide
        self.temperature = temperature
        self.rule = NegativeFilter(margin, margin_kind)
        self.blocks = check_blocks(blocks)
        self.negatives = negatives
        # read by the machinery of gradient caching, and by MatryoshkaLoss
        self.mini_batch_size = cached_mini_batch or 0
        self.uses_gradient_cache = cached_mini_batch is not None
        self.statistics = NegativeStatistics()

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            sentence_features: One dictionary of model inputs a column.
            labels: The text keys that `GuideCache.attach` put into the data set's label column,
                shape (B, columns).

        Returns:
            A scalar.

        Raises:
            DataError: Fewer than two columns, or keys are missing though there is a guide.
        """
        features = list(sentence_features)
        if len(features) < 2:
            raise DataError(
                "the data set needs a column of queries and one of positives, and may have columns "
                f"of negatives after them; {len(features)} text columns came"
            )
        if self.uses_gradient_cache:
            return CachedLossMixin.forward_cached(self, features, labels)
        model: Any = self.model
        return self.score([model(column)["sentence_embedding"] for column in features], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Compute the loss from embeddings in mini-batches (the step between the two passes).

        Args:
            reps: Column -> mini-batches of embeddings.
            labels: As in `forward`.
            with_backward: Send gradients back to the embeddings, and return the loss detached.

        Returns:
            A scalar.
        """
        loss = self.score([torch.cat(column) for column in reps], labels)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss

    def score(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Compute the loss from the embeddings of a whole batch.

        Args:
            embeddings: Queries, positives, negatives, shape (B, dims) each.
            labels: As in `forward`.

        Returns:
            A scalar.
        """
        blocks, offset = _blocks(embeddings, self.blocks)
        never = structural_masks(blocks, offset)
        relevant = {name: torch.zeros_like(mask) for name, mask in never.items()}
        if self.guide is not None:
            with torch.no_grad():
                guide_vecs = self._guide_vectors(self.guide, embeddings, labels)
                guide_blocks, _ = _blocks(guide_vecs, self.blocks)
                relevant = false_negative_masks(guide_blocks, self.rule, offset)
                self.statistics.add(blocks, guide_blocks, never, relevant, offset)
        dropped = {name: never[name] | relevant[name] for name in blocks}
        if self.negatives == "hard":
            dropped = keep_hard(blocks, dropped, offset)
        with torch.autocast(embeddings[0].device.type, enabled=False):
            logits = contrastive_logits(blocks, dropped, temperature=self.temperature)
            loss = contrastive_cross_entropy(logits, offset)
            if self.negatives in {"triplet", "soft-triplet"}:
                loss = loss + guided_triplet(
                    blocks,
                    relevant,
                    never,
                    offset=offset,
                    margin=self.triplet_margin,
                    soft_temperature=self.temperature if self.negatives == "soft-triplet" else None,
                )
        return loss

    def _guide_vectors(
        self, guide: "GuideCache", embeddings: Sequence[Tensor], labels: Tensor | None
    ) -> list[Tensor]:
        rows, device = embeddings[0].shape[0], embeddings[0].device
        want = (rows, len(embeddings))
        if labels is None or tuple(labels.shape) != want or labels.is_floating_point():
            came = "none" if labels is None else f"{tuple(labels.shape)}, {labels.dtype}"
            raise DataError(
                f"a guide needs the keys of the texts as labels of shape {want}, int64; {came} "
                "came: train on guide.attach(dataset), whose columns must be the loss's columns"
            )
        return [vectors.to(device) for vectors in guide.lookup(labels)]

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
            "temperature": self.temperature,
            "margin": self.rule.margin,
            "margin_kind": self.rule.margin_kind,
            "blocks": list(self.blocks),
            "negatives": self.negatives,
            "cached_mini_batch": self.mini_batch_size or None,
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


def _blocks(vectors: Sequence[Tensor], names: Sequence[str]) -> tuple[dict[str, Tensor], int]:
    gathered, offset = list(vectors), 0
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gathered = [all_gather_with_grad(column) for column in vectors]
        offset = torch.distributed.get_rank() * vectors[0].shape[0]
    query, positive, *negatives = gathered
    columns = Columns(query, positive, tuple(negatives), offset)
    return similarity_blocks(Rows(vectors[0], vectors[1]), columns, names), offset
