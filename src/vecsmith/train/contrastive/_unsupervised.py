"""Contrastive training from raw sentences: a text and itself, seen twice.

The family of SimCSE (T. Gao, X. Yao, D. Chen, 2021): two passes with different dropout are a
positive pair, the other texts of the batch are negatives. Its members here::

    SimCSE        UnsupervisedContrastiveLoss(model)
    WhitenedCSE   views=3, head=ProjectionHead(D, before=ShuffledGroupWhitening(G))
    ESimCSE       views=[None, SubwordRepetition(tokenizer)], queue=MomentumQueue(model, 160)

Papers: WhitenedCSE (W. Zhuo and others, 2023); ESimCSE (X. Wu and others, 2022).

Formula, with z_m the view m of the batch after the head, and Q the queue::

    loss = mean_i sum_{m > 1} -log exp(cos(z_1^i, z_m^i) / T)
                       / ( sum_j exp(cos(z_1^i, z_m^j) / T) + sum_{q in Q} exp(cos(z_1^i, q) / T) )

Use when there is text but no pairs. Avoid on a finished sentence encoder: it only unlearns. Cost:
one pass a view, and one of the slow copy with a queue. The head, the whitening and the queue are
for training alone; what is saved is the encoder.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

from ._core import cross_entropy_rows, unit
from ._momentum_queue import MomentumQueue
from ._objective import Batch, Features, Objective

SPLITS = ("paper", "released")


class ProjectionHead(nn.Module):
    """What stands between encoder and loss in training: whitening, a linear layer, tanh.

    Args:
        dim: Size of the embedding.
        before: What comes first, for instance `ShuffledGroupWhitening`.
    """

    def __init__(self, dim: int, *, before: nn.Module | None = None) -> None:
        super().__init__()
        self.before = before
        self.linear = nn.Linear(dim, dim)

    def forward(self, vectors: Tensor) -> Tensor:
        """Project embeddings.

        Args:
            vectors: Shape (B, dim).

        Returns:
            Shape (B, dim).
        """
        if self.before is not None:
            vectors = self.before(vectors)
        projected: Tensor = self.linear(vectors.to(self.linear.weight.dtype))
        return projected.tanh()


class UnsupervisedContrastiveLoss(Objective):
    """SimCSE and its kin for `SentenceTransformerTrainer`; the data set has one column of texts.

    Args:
        model: The encoder, a `SentenceTransformer` with dropout.
        views: How often each text is read, or one change of the inputs a view (None for none).
        head: What stands between encoder and loss, or None.
        queue: Further negatives, or None.
        temperature: What cosines are divided by.
        split: "paper" sends each view through the head on its own; "released" mixes the views of a
            third of the texts, as the released code of WhitenedCSE does, to compare with.
        cached_mini_batch: See `Objective`.

    Raises:
        ConfigError: Fewer than two views, or a temperature of 0 or less.
    """

    columns_needed = 1

    def __init__(
        self,
        model: Any,
        *,
        views: int | Sequence[Callable[[Features], Features] | None] = 2,
        head: nn.Module | None = None,
        queue: MomentumQueue | None = None,
        temperature: float = 0.05,
        split: str = "paper",
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(model, cached_mini_batch=cached_mini_batch)
        changes = [None] * views if isinstance(views, int) else list(views)
        if len(changes) < 2 or not temperature > 0.0 or split not in SPLITS:
            raise ConfigError(
                "needs 2 views or more, a temperature above 0 and split 'paper' or 'released'; got "
                f"{len(changes)}, {temperature} and {split!r}"
            )
        self.views = changes
        self.head = head if head is None or model is None else head.to(model.device)
        self.queue = queue
        self.temperature, self.split = temperature, split

    @property
    def sliceable(self) -> bool:  # type: ignore[override]
        """Whether a cut of the embeddings can be scored by itself: not behind a head."""
        return self.head is None

    def inputs(self, features: list[Features]) -> list[Features]:
        """Repeat the first column once a view.

        Args:
            features: Model inputs; columns after the first are not read.

        Returns:
            One dictionary a view.
        """
        first = features[0]
        return [dict(first) if change is None else change(first) for change in self.views]

    def transform(self, columns: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Send the views through the head.

        Args:
            columns: One tensor a view, shape (B, dims).

        Returns:
            The same shapes.
        """
        if self.head is None:
            return columns
        if self.split == "paper":
            return tuple(self.head(column) for column in columns)
        count, (rows, dims) = len(columns), columns[0].shape
        if rows % count:
            raise ConfigError(f"split='released' needs batches of a multiple of {count} rows")
        flat = torch.stack(columns, dim=1).reshape(count, rows, dims)
        mixed = torch.stack([self.head(part) for part in flat]).reshape(rows, count, -1)
        return tuple(mixed.unbind(dim=1))

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows: the first view against each of the others.

        Args:
            batch: Views, and the rows to be scored.

        Returns:
            Shape (rows,).
        """
        with torch.autocast(batch.columns[0].device.type, enabled=False):
            anchor = unit(batch.local[0])
            extra = self._queued(anchor)
            losses = torch.zeros_like(anchor[:, 0])
            for view in batch.pool[1:]:
                logits = torch.cat([anchor @ unit(view).T, extra], dim=1) / self.temperature
                losses = losses + cross_entropy_rows(logits, batch.start)
        return losses

    def _queued(self, anchor: Tensor) -> Tensor:
        if self.queue is None or not self.queue.vectors.numel():
            return anchor.new_zeros(len(anchor), 0)
        # as wide as the anchors, which a wrapper may have cut
        return anchor @ unit(self.queue.vectors[:, : anchor.shape[1]].to(anchor)).T

    def after(self, features: list[Features]) -> None:
        """Let the queue's copy follow the encoder, and take the texts of the step.

        Args:
            features: Model inputs; columns after the first are not read.
        """
        if self.queue is not None:
            self.queue.follow(self.model)
            self.queue.enqueue(features[0], self.head)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        before = getattr(self.head, "before", None)
        return {
            "views": len(self.views),
            "augmented": sum(change is not None for change in self.views),
            "head": self.head is not None,
            "groups": getattr(before, "groups", None),
            "queue": None if self.queue is None else self.queue.size,
            "temperature": self.temperature,
            "split": self.split,
            "cached_mini_batch": self.mini_batch_size or None,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the papers that the parts come from."""
        found = [_SIMCSE]
        if getattr(self.head, "before", None) is not None:
            found.append(_WHITENED)
        if self.queue is not None or any(change is not None for change in self.views):
            found.append(_ESIMCSE)
        return "\n".join(found)


_SIMCSE = """
@inproceedings{gao2021simcse,
    title={SimCSE: Simple Contrastive Learning of Sentence Embeddings},
    author={Tianyu Gao and Xingcheng Yao and Danqi Chen},
    booktitle={Proceedings of EMNLP},
    year={2021}
}"""
_WHITENED = """
@inproceedings{zhuo2023whitenedcse,
    title={WhitenedCSE: Whitening-based Contrastive Learning of Sentence Embeddings},
    author={Wenjie Zhuo and Yifan Sun and Xiaohan Wang and Linchao Zhu and Yi Yang},
    booktitle={Proceedings of ACL},
    year={2023}
}"""
_ESIMCSE = """
@inproceedings{wu2022esimcse,
    title={ESimCSE: Enhanced Sample Building Method for Contrastive Learning of Unsupervised
        Sentence Embedding},
    author={Xing Wu and Chaochen Gao and Liangjun Zang and Jizhong Han and Zhongyuan Wang and
        Songlin Hu},
    booktitle={Proceedings of COLING},
    year={2022}
}"""
