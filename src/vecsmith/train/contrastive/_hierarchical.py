"""Similarity that follows distance in a taxonomy: one multi-similarity loss a level.

Paper: Hierarchical Pretraining for Biomedical Term Embeddings (HiPrBERT; B. Cai and others, 2023),
which changes the contrastive loss of synonym training so that it learns from hierarchies how far
apart terms are. The abstract gives the idea; the exact form here is a stated reading of it. With
S_ik = cos(z_i, z_k), d_ik the distance in steps, levels t = 0 ... T and thresholds
l_0 > l_1 > ... > l_T::

    P_i^t = {k: d_ik <= t},  N_i^t = {k: d_ik > t}
    L_i^t = 1/a log(1 + sum_P e^{-a (S_ik - l_t)}) + 1/b log(1 + sum_N e^{b (S_ik - l_t)})
    loss  = mean_i sum_t w_t L_i^t

A parent is pushed above l_1 but below l_0: similarity becomes graded. One level is the synonym loss
of SapBERT (F. Liu and others, 2021). Pairs of unknown distance are left out. `form="rank"` asks
instead that S_ij > S_ik + m (d_ik - d_ij) wherever d_ij < d_ik, `form="regression"` that
S = 1 - d / (T + 1).

Use when search or features must know that a cousin term is nearer than a stranger, and there is a
taxonomy. Avoid when only "the same or not" is asked. Cost: levels x B x B; "rank" B x B x B.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vecsmith.core import ConfigError, did_you_mean
from vecsmith.data import UNKNOWN, Hierarchy, concept_distances

from ._objective import Batch, Features, Objective, gather

FORMS = ("levels", "rank", "regression")


def multi_similarity_rows(
    similarity: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    threshold: float = 0.5,
    alpha: float = 2.0,
    beta: float = 50.0,
    mine: float | None = None,
) -> Tensor:
    """Multi-similarity loss of each anchor.

    Args:
        similarity: Cosines, shape (rows, C).
        positive: True at an anchor's positives, same shape.
        negative: True at an anchor's negatives.
        threshold: l, the cosine above which positives and below which negatives should be.
        alpha: a, how sharply low positives count.
        beta: b, how sharply high negatives count.
        mine: Keep only negatives above the lowest positive less this, and positives below the
            highest negative plus this, so that anchors without either give nothing; None keeps all.

    Returns:
        Shape (rows,).
    """
    if mine is not None:
        known = similarity.detach()
        lowest = known.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
        highest = known.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
        positive = positive & (known < highest + mine)
        negative = negative & (known > lowest - mine)
    near = _log_one_plus(-alpha * (similarity - threshold), positive) / alpha
    far = _log_one_plus(beta * (similarity - threshold), negative) / beta
    return near + far


def _log_one_plus(exponents: Tensor, kept: Tensor) -> Tensor:
    """Compute log(1 + sum of exp over what is kept), which cannot overflow."""
    terms = exponents.masked_fill(~kept, -torch.inf)
    return torch.logsumexp(functional.pad(terms, (1, 0)), dim=1)


def rank_rows(similarity: Tensor, distance: Tensor, kept: Tensor, *, margin: float) -> Tensor:
    """Mean shortfall of S_ij > S_ik + margin (d_ik - d_ij), over pairs (j, k) with d_ij < d_ik.

    Args:
        similarity: Cosines, shape (rows, C).
        distance: Steps, same shape.
        kept: Which entries count.
        margin: m, of cosine a step.

    Returns:
        Shape (rows,); anchors without such a pair give 0.
    """
    gap = (distance[:, None, :] - distance[:, :, None]).to(similarity.dtype)
    valid = (gap > 0) & kept[:, None, :] & kept[:, :, None]
    short = similarity[:, None, :] - similarity[:, :, None] + margin * gap
    lost = torch.where(valid, short.clamp_min(0.0), 0.0)
    return lost.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp_min(1)


def regression_rows(similarity: Tensor, distance: Tensor, kept: Tensor, *, cap: int) -> Tensor:
    """Squared error of S against 1 - d / cap, each distance of an anchor counting the same.

    Args:
        similarity: Cosines, shape (rows, C).
        distance: Steps, at most `cap`.
        kept: Which entries count.
        cap: What is this far should have cosine 0.

    Returns:
        Shape (rows,).
    """
    target = 1.0 - distance.clamp_max(cap).to(similarity.dtype) / cap
    error = (similarity - target) ** 2
    total, levels = error.new_zeros(len(error)), error.new_zeros(len(error))
    for steps in range(cap + 1):
        here = kept & (distance.clamp_max(cap) == steps)
        count = here.sum(dim=1)
        total = total + torch.where(here, error, 0.0).sum(dim=1) / count.clamp_min(1)
        levels = levels + (count > 0)
    return total / levels.clamp_min(1)


@dataclass(frozen=True)
class HierarchicalRule:
    """How pairs are scored by their distance; call it with vectors and distances.

    Attributes:
        lambdas: Threshold of each level, falling; one alone gives the synonym loss.
        weights: Weight of each level; None gives all 1.
        alpha: See `multi_similarity_rows`.
        beta: See `multi_similarity_rows`.
        mine: See `multi_similarity_rows`.
        form: "levels", "rank" or "regression".
        margin: Of "rank", in cosine a step.
    """

    lambdas: tuple[float, ...] = (0.8, 0.65, 0.5, 0.4, 0.3)
    weights: tuple[float, ...] | None = None
    alpha: float = 2.0
    beta: float = 50.0
    mine: float | None = 0.1
    form: str = "levels"
    margin: float = 0.1

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ConfigError(f"form cannot be {self.form!r}; {did_you_mean(self.form, FORMS)}")
        falling = all(a > b for a, b in zip(self.lambdas, self.lambdas[1:], strict=False))
        if not self.lambdas or not falling:
            raise ConfigError(
                "lambdas must be one threshold a level, falling, since nearer terms belong "
                f"higher; got {self.lambdas}"
            )
        if self.weights is not None and len(self.weights) != len(self.lambdas):
            raise ConfigError(
                f"weights must be as many as lambdas; got {len(self.weights)} and "
                f"{len(self.lambdas)}"
            )
        if not (self.alpha > 0 and self.beta > 0):
            raise ConfigError(f"alpha and beta must be above 0; got {self.alpha} and {self.beta}")

    @property
    def cap(self) -> int:
        """Distance from which on terms are far: one more than the last level."""
        return len(self.lambdas)

    def rows(self, similarity: Tensor, distance: Tensor, own: Tensor) -> Tensor:
        """Score anchors.

        Args:
            similarity: Cosines, shape (rows, C).
            distance: Steps; `UNKNOWN` where not known.
            own: True where an entry is the anchor itself.

        Returns:
            Shape (rows,).
        """
        kept = ~own & (distance != UNKNOWN)
        if self.form == "rank":
            return rank_rows(similarity, distance.clamp_max(self.cap), kept, margin=self.margin)
        if self.form == "regression":
            return regression_rows(similarity, distance, kept, cap=self.cap)
        total = similarity.new_zeros(len(similarity))
        weights = self.weights or (1.0,) * self.cap
        for level, (threshold, weight) in enumerate(zip(self.lambdas, weights, strict=True)):
            total = total + weight * multi_similarity_rows(
                similarity,
                kept & (distance <= level),
                kept & (distance > level),
                threshold=threshold,
                alpha=self.alpha,
                beta=self.beta,
                mine=self.mine,
            )
        return total

    def __call__(self, vectors: Tensor, distances: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            vectors: Shape (B, dims); scaled to length 1 here.
            distances: Steps, shape (B, B); `UNKNOWN` (-1) where not known.

        Returns:
            A scalar.
        """
        unit = functional.normalize(vectors, dim=-1)
        own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        return self.rows(unit @ unit.T, distances, own).mean()


class HierarchicalMultiSimilarityLoss(Objective):
    """Level-wise loss for `SentenceTransformerTrainer`; labels say of which concept a row is.

    Args:
        model: A `SentenceTransformer`.
        hierarchies: Where the concepts are from: one hierarchy, or several.
        rule: Thresholds and form.
        via: "path" or "ancestor": see `Hierarchy.distances`.
        between: Distance of terms of different hierarchies: -1 leaves such pairs out, a large
            number calls them far.
        cached_mini_batch: See `Objective`.

    Columns of the data set: one with names, or several with further names of the same concepts.
    Labels: number of the concept in its hierarchy, shape (B,); with several hierarchies two
    numbers, (which hierarchy, number), shape (B, 2).
    """

    columns_needed = 1

    def __init__(
        self,
        model: Any,
        hierarchies: Hierarchy | Sequence[Hierarchy],
        *,
        rule: HierarchicalRule | None = None,
        via: str = "path",
        between: int = UNKNOWN,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(model, cached_mini_batch=cached_mini_batch)
        every = [hierarchies] if isinstance(hierarchies, Hierarchy) else hierarchies
        self.hierarchies: tuple[Hierarchy, ...] = tuple(every)
        self.rule = rule or HierarchicalRule()
        self.via, self.between = via, between

    def prepare(self, batch: Batch) -> Batch:
        """Count the steps between all rows of the batch.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with the fact "distances", shape (C, C) over the rows of all processes.

        Raises:
            ConfigError: No labels, or not those of concepts.
        """
        labels = batch.labels
        if labels is not None and labels.ndim == 1 and len(self.hierarchies) == 1:
            labels = torch.stack([torch.zeros_like(labels), labels], dim=1)
        if labels is None or labels.ndim != 2 or labels.shape[1] != 2:
            raise ConfigError(
                "HierarchicalMultiSimilarityLoss needs a column of labels with the number of each "
                "row's concept, or with [number of the hierarchy, number of the concept] where "
                f"there are several; got {None if labels is None else tuple(labels.shape)}"
            )
        concepts = gather(labels).cpu().numpy()
        found = concept_distances(
            self.hierarchies, concepts, cap=self.rule.cap, via=self.via, between=self.between
        )
        return batch.with_facts(distances=torch.from_numpy(found).to(batch.columns[0].device))

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows: each of their names is an anchor among all names of the pool.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,), mean over the names of a row.
        """
        distances = batch.facts["distances"]
        names, rows = len(batch.pool), len(batch.local[0])
        place = torch.arange(batch.start, batch.start + rows, device=distances.device)
        wide = distances[place].repeat(1, names)
        device = batch.columns[0].device
        with torch.autocast(device.type, enabled=False):
            pool = functional.normalize(torch.cat(batch.pool).float(), dim=-1)
            total = pool.new_zeros(rows)
            for number, column in enumerate(batch.local):
                own = torch.zeros_like(wide, dtype=torch.bool)
                own[torch.arange(rows), place + number * len(distances)] = True
                similarity = functional.normalize(column.float(), dim=-1) @ pool.T
                total = total + self.rule.rows(similarity, wide, own)
        return total / names

    def score_texts(self, texts: Sequence[str], concepts: Any) -> Tensor:
        """Compute the loss of names, as a step of training does.

        Args:
            texts: B names.
            concepts: Labels, shape (B,) or (B, 2).

        Returns:
            A scalar.
        """
        model = self.model
        features: Features = {
            name: value.to(model.device) if isinstance(value, Tensor) else value
            for name, value in model.preprocess(list(texts)).items()
        }
        loss: Tensor = self([features], torch.as_tensor(concepts))
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            **asdict(self.rule),
            "via": self.via,
            "between": self.between,
            "hierarchies": len(self.hierarchies),
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{cai2023hierarchical,
    title={Hierarchical Pretraining for Biomedical Term Embeddings},
    author={Bryan Cai and others},
    year={2023}
}
"""
