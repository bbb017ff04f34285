"""Matryoshka: the leading dimensions of an embedding are good embeddings of their own.

Paper: Matryoshka Representation Learning (A. Kusupati and others, 2022).

Formula, with X the embeddings and d the sizes::

    loss = sum_d  w_d  base(X[:, :d])

Use when one model is to serve several index sizes. Avoid when the time of the encoder is what
hurts: all blocks still run (see `TwoDMatryoshkaLoss`). Cost: one base loss a size, on embeddings;
nothing in the encoder.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vecsmith.core import ConfigError, numpy_generator
from vecsmith.train.contrastive._objective import Batch

from ._grid import check_dims
from ._sliced import SlicedObjective


class MatryoshkaLoss(SlicedObjective):
    """Score several leading slices of the embeddings with one loss.

    Args:
        base: The loss to be wrapped: an `Objective`, or a loss of sentence-transformers.
        dims: Sizes; the whole size should be among them.
        weights: One number a size, in the order of `dims`; all 1 by default.
        dims_per_step: How many sizes to draw each step; None takes all.
        seed: Seed of the draw, which depends on it and on the step alone.
        cached_mini_batch: See `Objective`; by default that of `base`.

    Raises:
        ConfigError: Sizes, weights or the number of sizes a step are out of range.
    """

    def __init__(
        self,
        base: nn.Module,
        dims: Sequence[int],
        *,
        weights: Sequence[float] | None = None,
        dims_per_step: int | None = None,
        seed: int = 0,
        cached_mini_batch: int | None = None,
    ) -> None:
        super().__init__(base, cached_mini_batch=cached_mini_batch)
        self.dims = check_dims(dims, self.width)
        given = [1.0] * len(dims) if weights is None else list(weights)
        if len(given) != len(dims) or len(set(dims)) != len(dims):
            raise ConfigError(
                "weights must be one number a size, and sizes must differ; "
                f"got {len(given)} weights for dims {tuple(dims)}"
            )
        if dims_per_step is not None and not 1 <= dims_per_step <= len(self.dims):
            raise ConfigError(
                f"dims_per_step must be from 1 to {len(self.dims)}, or None; got {dims_per_step}"
            )
        self.weights = dict(zip(map(int, dims), given, strict=True))
        self.dims_per_step = dims_per_step
        self.seed = seed

    def drawn_dims(self) -> tuple[int, ...]:
        """Return the sizes of this step, the same on all processes and after a resume."""
        if self.dims_per_step is None:
            return self.dims
        rng = numpy_generator(self.seed, "matryoshka", str(self.step))
        return tuple(sorted(rng.choice(self.dims, self.dims_per_step, replace=False).tolist()))

    def row_losses(self, batch: Batch) -> Tensor:
        """Score rows at every size.

        Args:
            batch: Embeddings, and the rows to be scored.

        Returns:
            Shape (rows,).
        """
        terms = [self.weights[d] * self.cut_losses(batch, dim=d) for d in self.drawn_dims()]
        total: Tensor = sum(terms[1:], start=terms[0])
        return total

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, as model cards show them."""
        return {
            "base": type(self.base).__name__,
            "dims": list(self.dims),
            "weights": [self.weights[dim] for dim in self.dims],
            "dims_per_step": self.dims_per_step,
            "seed": self.seed,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return """
@inproceedings{kusupati2022matryoshka,
    title={Matryoshka Representation Learning},
    author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and
        Aditya Sinha and Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and
        Sham Kakade and Prateek Jain and Ali Farhadi},
    booktitle={Advances in Neural Information Processing Systems},
    year={2022}
}
"""
