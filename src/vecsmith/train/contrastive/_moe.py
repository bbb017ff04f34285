"""Contrastive losses for encoders with experts, with what trains the router.

Paper: Contrastive Learning and Mixture of Experts Enables Precise Vector Embeddings (L. Hallee,
R. Kapur, A. Patel, J. P. Gleghorn, B. Khomtchouk, 2024).

Formula, with A and B the embeddings of both columns, dot products and no scaling::

    mnr:       loss = mean_i CE( A_i B^T, target i )
    mnr_plus:  y_i = argmax_j softmax( (A A^T + B B^T) / 2 )_ij
               loss = mean_i [ CE( A_i B^T, y_i ) + CE( B_i A^T, y_i ) ] / 2

Where a router chooses (p: its probabilities, f: the share of tokens it sends to an expert), one
of::

    ce:        w mean_i -log p_i(own domain)
    balance:   w E sum_e mean(p_e) mean(f_e)
    mi:        -w sum_te P(t, e) log( P(t, e) / (P(t) P(e)) )      P from running counts, with
        gradient

Use with `MoEExtension`; with any other model "mnr" and "mnr_plus" work as well. The usual cosine
loss (`ContrastiveLoss`, or any other of the family) may be given as `base` instead: unscaled dot
products need a head that learns the size of embeddings. Cost: that of the base.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import ConfigError, DataError, did_you_mean

from ._objective import Batch, Features, Objective, gather

BASES = ("mnr", "mnr_plus")
ROUTER_LOSSES = ("none", "ce", "balance", "mi")
# log-probabilities, probabilities, share of tokens sent
KINDS = 3


def dot_product_rows(batch: Batch) -> Tensor:
    """Cross-entropy of each row's query against all positives, by dot products.

    Args:
        batch: Embeddings, and the rows to be scored.

    Returns:
        Shape (rows,).
    """
    query, texts = batch.local[0], torch.cat(batch.pool[1:])
    return F.cross_entropy(_products(query, texts), _places(batch), reduction="none")


def agreement_rows(batch: Batch) -> Tensor:
    """Cross-entropy in both directions against the row that both columns call nearest.

    Args:
        batch: Embeddings of two columns, and the rows to be scored.

    Returns:
        Shape (rows,).
    """
    (left, right), (lefts, rights) = batch.local[:2], batch.pool[:2]
    with torch.no_grad():
        nearest = (_products(left, lefts) + _products(right, rights)).argmax(dim=1)
    directions = ((left, rights), (right, lefts))
    losses = [F.cross_entropy(_products(a, b), nearest, reduction="none") for a, b in directions]
    return (losses[0] + losses[1]) / 2


def _products(rows: Tensor, texts: Tensor) -> Tensor:
    with torch.autocast(rows.device.type, enabled=False):
        wide = torch.promote_types(rows.dtype, torch.float32)
        return rows.to(wide) @ texts.to(wide).T


def _places(batch: Batch) -> Tensor:
    first = batch.local[0]
    return batch.start + torch.arange(first.shape[0], device=first.device)


def balance_loss(probabilities: Tensor, sent: Tensor) -> Tensor:
    """Penalty of uneven use of the experts; 1 when even.

    Args:
        probabilities: Mean probabilities of each text, shape (texts, experts).
        sent: Share of each text's tokens that went to each expert, shape (texts, experts).

    Returns:
        A scalar.
    """
    experts = probabilities.shape[1]
    return experts * (probabilities.mean(dim=0) * sent.mean(dim=0)).sum()


def mutual_information(joint: Tensor) -> Tensor:
    """Mutual information of domains and experts.

    Args:
        joint: Probabilities that add up to 1, shape (domains, experts).

    Returns:
        A scalar, in nats; gradients reach `joint`.
    """
    domains, experts = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    # cells of domains that have not been seen are zero, and count zero
    ratio = (joint / (domains * experts).clamp_min(1e-12)).clamp_min(1e-12)
    return (joint * ratio.log()).sum()


class MoEContrastiveLoss(Objective):
    """Contrastive loss for a model with experts.

    Args:
        model: A `SentenceTransformer`, usually from `MoEExtension.apply`.
        base: "mnr", "mnr_plus", or another `Objective` of the same model.
        router_loss: "none", "ce" (to the domain), "balance" (even use), "mi" (experts that tell the
            domain); the last three need a model whose router chooses.
        router_weight: w of the formula; the authors take .01 to .1.
        memory: Share of the running counts in "mi".
        cached_mini_batch: See `Objective`.

    The texts carry their domain's marker, see `with_domain`.

    Raises:
        ConfigError: An unknown setting, or a router loss without router.
    """

    counts: Tensor

    def __init__(
        self,
        model: Any,
        *,
        base: "str | Objective" = "mnr",
        router_loss: str = "none",
        router_weight: float = 0.05,
        memory: float = 0.9,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(model, cached_mini_batch=cached_mini_batch)
        for name, value, known in (
            ("base", base, BASES),
            ("router_loss", router_loss, ROUTER_LOSSES),
        ):
            if isinstance(value, str) and value not in known:
                raise ConfigError(f"{name} cannot be {value!r}; {did_you_mean(value, known)}")
        if router_weight < 0 or not 0 <= memory < 1:
            raise ConfigError(
                f"router_weight must be from 0 and memory in [0, 1); got {router_weight}, {memory}"
            )
        settings = getattr(model[0], "moe", {"routing": "enforced", "blocks": [], "experts": []})
        self.blocks, self.experts = len(settings["blocks"]), len(settings["experts"])
        if router_loss != "none" and (settings["routing"] == "enforced" or not self.blocks):
            raise ConfigError(
                f"router_loss={router_loss!r} trains a router, and this model has none; use "
                "MoEExtension(routing='token_topk' or 'sentence_topk'), or router_loss='none'"
            )
        routed = bool(self.blocks) and settings["routing"] != "enforced"
        if routed and settings["k"] == 1 and router_loss == "none":
            raise ConfigError(
                "a router that picks one expert has no gradient from the texts' loss (its "
                "weight is 1 whichever it picks); set router_loss, or MoEExtension(k=2)"
            )
        if isinstance(base, Objective):
            if type(base).embed is not Objective.embed:
                raise ConfigError(
                    f"base={type(base).__name__} embeds texts in its own way, and here the model "
                    "with experts does; wrap this loss in it, not the other way round"
                )
            self.columns_needed = base.columns_needed
        self.base, self.router_loss = base, router_loss
        self.router_weight, self.memory = router_weight, memory
        self.register_buffer("counts", torch.zeros(self.blocks, self.experts, self.experts))
        self._domains: Tensor | None = None

    @property
    def extra(self) -> int:
        """How many numbers about the router's choices travel with an embedding."""
        return self.blocks * KINDS * self.experts if self.router_loss != "none" else 0

    @property
    def sliceable(self) -> bool:  # type: ignore[override]
        """Whether a cut of the embeddings can be scored by itself: not with a router's choices."""
        return not self.extra and (not isinstance(self.base, Objective) or self.base.sliceable)

    def inputs(self, features: list[Features]) -> list[Features]:
        """Choose what is embedded, and note the domains of the rows.

        Args:
            features: One dictionary of model inputs a text column.

        Returns:
            The same, as the base chooses.
        """
        self._domains = features[0].get("domains")
        return self.base.inputs(features) if isinstance(self.base, Objective) else features

    def embed(self, features: Features) -> Tensor:
        """Embed texts; what the router chose is put behind each embedding.

        Args:
            features: Model inputs of B texts.

        Returns:
            Shape (B, dims + extra).
        """
        passed = self.model(dict(features))
        embeddings: Tensor = passed["sentence_embedding"]
        if not self.extra:
            return embeddings
        choices = passed["router_choices"].flatten(1).to(embeddings.dtype)
        return torch.cat([embeddings, choices], dim=1)

    def transform(self, columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change the embeddings as the base does; the router's choices stay behind them.

        Args:
            columns: Shape (B, dims + extra) each.

        Returns:
            As many columns.
        """
        if not isinstance(self.base, Objective):
            return columns
        if not self.extra:
            return self.base.transform(columns)
        changed = self.base.transform(tuple(column[:, : -self.extra] for column in columns))
        chosen = (column[:, -self.extra :] for column in columns)
        return tuple(torch.cat(pair, dim=1) for pair in zip(changed, chosen, strict=True))

    def after(self, features: list[Features]) -> None:
        """Do what the base does after a step.

        Args:
            features: Model inputs as the step began.
        """
        if isinstance(self.base, Objective):
            self.base.after(features)

    def prepare(self, batch: Batch) -> Batch:
        """Gather the domains, move the running counts, and let the base prepare.

        Args:
            batch: All rows of this process.

        Returns:
            The batch with facts "domains", shape (C,), "counts", and the base's.

        Raises:
            DataError: A router is to learn the domains and rows have none.
        """
        facts: dict[str, Any] = {}
        if isinstance(self.base, Objective):
            self.base.step, self.base.max_steps = self.step, self.max_steps
            facts["base"] = self.base.prepare(self._plain(batch)).facts
        if self.router_loss in {"ce", "mi"}:
            domains = self._domains
            if domains is None or int(domains.min()) < 0:
                raise DataError(
                    f"router_loss={self.router_loss!r} needs the domain of every row: mark the "
                    "texts with with_domain(texts, name)"
                )
            facts["domains"] = gather(domains.to(batch.columns[0].device))
        if self.router_loss == "mi":
            facts["counts"] = self.counts.clone()
            if self.training:
                fresh = self._joint(batch.with_facts(**facts))
                self.counts.copy_(self.memory * facts["counts"] + (1 - self.memory) * fresh)
        return batch.with_facts(**facts)

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,).
        """
        plain = self._plain(batch)
        if isinstance(self.base, Objective):
            losses = self.base.row_losses(plain)
        else:
            losses = dot_product_rows(plain) if self.base == "mnr" else agreement_rows(plain)
        if self.router_loss == "none":
            return losses
        return losses + self.router_weight * self._router(batch).to(losses.dtype)

    def _plain(self, batch: Batch) -> Batch:
        """The batch without what the router chose, with the base's facts."""
        extra = self.extra
        cut = batch.map(lambda vectors: vectors[:, :-extra]) if extra else batch
        return replace(cut, facts=batch.facts.get("base", {}))

    def _choices(self, columns: tuple[Tensor, ...]) -> Tensor:
        """What the router chose, shape (columns, rows, blocks, kinds, experts), float32."""
        parts = [column[:, -self.extra :].float() for column in columns]
        return torch.stack(parts).unflatten(2, (self.blocks, KINDS, self.experts))

    def _router(self, batch: Batch) -> Tensor:
        """The router's loss, shape (rows,), or a scalar of the whole batch."""
        if self.router_loss == "ce":
            own = self._choices(batch.local)[:, :, :, 0]
            rows = own.shape[1]
            domains = batch.facts["domains"][batch.start : batch.start + rows]
            picked = own.gather(3, domains[None, :, None, None].expand(*own.shape[:3], 1))
            return -picked.mean(dim=(0, 2, 3))
        if self.router_loss == "balance":
            chosen = self._choices(batch.pool).flatten(0, 1)
            terms = [balance_loss(block[:, 1], block[:, 2]) for block in chosen.unbind(dim=1)]
            return torch.stack(terms).mean()
        joint = (1 - self.memory) * self._joint(batch) + self.memory * batch.facts["counts"]
        terms = [mutual_information(block / block.sum()) for block in joint]
        return -torch.stack(terms).mean()

    def _joint(self, batch: Batch) -> Tensor:
        """Joint probabilities in the batch, shape (blocks, domains, experts)."""
        chosen = self._choices(batch.pool)[:, :, :, 1].mean(dim=0)
        domains = F.one_hot(batch.facts["domains"], self.experts).to(chosen.dtype)
        return torch.einsum("bt,bne->nte", domains, chosen) / domains.shape[0]

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "base": self.base if isinstance(self.base, str) else type(self.base).__name__,
            "router_loss": self.router_loss,
            "router_weight": self.router_weight,
            "memory": self.memory,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@misc{hallee2024contrastive,
    title={Contrastive Learning and Mixture of Experts Enables Precise Vector Embeddings},
    author={Logan Hallee and Rohan Kapur and Arjun Patel and Jason P. Gleghorn and
        Bohdan Khomtchouk},
    year={2024}
}
"""
