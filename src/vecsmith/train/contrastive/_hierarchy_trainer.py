"""Train an encoder of terms on hierarchies: batches of relatives, in turn with synonyms.

Each batch is of one hierarchy, drawn by its number of terms. A share of the batches holds two names
each of random terms, so that the skill of telling synonyms is kept. The loss of both is the
level-wise one with the true distances, so that no relative is ever called a stranger.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vecsmith.core import Budget, ConfigError, FitOptions, fit, numpy_generator
from vecsmith.data import Hierarchy, HierarchyBatch, sample_batch, synonym_batch

from ._hierarchical import HierarchicalMultiSimilarityLoss, HierarchicalRule


def hierarchy_batches(
    hierarchies: Sequence[Hierarchy],
    rng: np.random.Generator,
    size: int,
    *,
    synonym_ratio: float = 0.5,
    **options: Any,
) -> Iterator[HierarchyBatch]:
    """Draw batches without end.

    Args:
        hierarchies: Where from.
        rng: Source of randomness.
        size: Names a batch.
        synonym_ratio: Share of batches that hold synonyms of random terms.
        **options: hops, relatives, names_per_term: see `sample_batch`.

    Yields:
        Batches, each of one hierarchy.
    """
    terms = np.array([len(hierarchy.drawn) for hierarchy in hierarchies], np.float64)
    while True:
        source = int(rng.choice(len(hierarchies), p=terms / terms.sum()))
        hierarchy = hierarchies[source]
        if rng.uniform() < synonym_ratio:
            batch = synonym_batch(hierarchy, size, rng)
        else:
            batch = sample_batch(hierarchy, size, rng, **options)
        yield replace(batch, source=np.full_like(batch.terms, source))


class HierarchyTrainer:
    """Fine-tunes a `SentenceTransformer` so that cosine follows distance in taxonomies.

    Args:
        model: A `SentenceTransformer`, of any pooling.
        hierarchies: What to learn from; `Hierarchy.without` keeps a test's terms out.
        rule: Thresholds and form of the loss.
        synonym_ratio: Share of batches that hold synonyms of random terms.
        batch_size: Names a batch.
        cached_mini_batch: See `Objective`.
        **options: hops, relatives, names_per_term: see `sample_batch`.

    Raises:
        ConfigError: A share outside [0, 1].
    """

    def __init__(
        self,
        model: Any,
        hierarchies: Hierarchy | Sequence[Hierarchy],
        rule: HierarchicalRule | None = None,
        *,
        synonym_ratio: float = 0.5,
        batch_size: int = 64,
        cached_mini_batch: int | None = None,
        **options: Any,
    ) -> None:
        if not 0.0 <= synonym_ratio <= 1.0:
            raise ConfigError(f"synonym_ratio must be from 0 to 1; got {synonym_ratio}")
        self.loss = HierarchicalMultiSimilarityLoss(
            model, hierarchies, rule=rule, cached_mini_batch=cached_mini_batch
        )
        self.model, self.batch_size = model, batch_size
        self.synonym_ratio, self.options = synonym_ratio, options

    def fit(
        self,
        steps: int,
        *,
        lr: float = 3e-5,
        seed: int = 0,
        options: FitOptions | None = None,
        checkpoint: str | Path | None = None,
    ) -> Any:
        """Train.

        Args:
            steps: Optimizer steps.
            lr: Peak learning rate.
            seed: Seed of batches and dropout.
            options: Further settings of the training loop; `lr` and `seed` are set in them.
            checkpoint: Folder to take a stopped run up from.

        Returns:
            The model, trained in place and in eval mode.
        """
        settings = replace(options or FitOptions(description="hierarchies"), lr=lr, seed=seed)

        def batches(epoch: int) -> Iterator[dict[str, Any]]:
            rng = numpy_generator(seed, "hierarchies", str(epoch))
            drawn = hierarchy_batches(
                self.loss.hierarchies,
                rng,
                self.batch_size,
                synonym_ratio=self.synonym_ratio,
                **self.options,
            )
            for batch in drawn:
                features = self.model.preprocess(batch.texts)
                yield {"features": features, "concepts": torch.from_numpy(batch.concepts)}

        fit(
            self.loss,
            lambda loss, batch: loss([dict(batch["features"])], batch["concepts"]),
            batches,
            budget=Budget(steps=steps),
            options=settings,
            checkpoint=checkpoint,
        )
        return self.model.eval()
