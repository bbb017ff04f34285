"""Steps of word models window by window, in compiled loops on several threads.

Threads share the tables without locks (F. Niu and others, 2011, Hogwild): now and then one
overwrites another's step, which does no harm, but no two runs are equal. With one thread they are.
"""

from typing import Any

import numpy as np

from .._sampling import Unit
from ..models._log_counts import Cells
from ._tables import Tables

# model -> kernel, its tables in order, and what else it takes
KERNELS: dict[str, tuple[str, tuple[str, ...], tuple[bool, ...]]] = {
    "skipgram": ("skipgram", ("embeddings", "outputs"), ()),
    "cbow": ("cbow", ("embeddings", "outputs"), ()),
    "order": ("order", ("embeddings", "outputs"), ()),
    "lbl": ("hidden", ("embeddings", "outputs", "hidden"), (False,)),
    "nnlm": ("hidden", ("embeddings", "outputs", "hidden"), (True,)),
    "cw": ("cw", ("embeddings", "hidden", "top"), ()),
    "glove": ("glove", ("embeddings", "outputs", "biases", "output_biases"), ()),
}
_TASKS = {("neg", False): 0, ("neg", True): 1, ("rank", False): 2, ("rank", True): 3}


class KernelEngine:
    """Trains tables on units, in place; any thread may call it.

    Args:
        tables: Parameters.
        model: Name of the model.
        window: k.
        objective: "neg" or "rank".
        rate: Learning rate.
    """

    def __init__(
        self, tables: Tables, model: str, *, window: int, objective: str, rate: float
    ) -> None:
        from . import _kernels

        kernel, names, self._extra = KERNELS[model]
        self._kernel = getattr(_kernels, kernel)
        self.window, self.objective, self.rate = window, objective, np.float32(rate)
        self._tables: tuple[Any, ...] = tuple(
            table for name in names for table in (tables.values[name], tables.squares[name])
        )

    def finish(self) -> None:
        """Do nothing: the tables were changed in place."""

    def step(self, unit: Unit | Cells) -> None:
        """Go through a unit once.

        Args:
            unit: Windows, or pairs for GloVe.
        """
        self._run(unit, learn=True)

    def loss(self, unit: Unit | Cells) -> tuple[float, int]:
        """Measure without learning.

        Args:
            unit: As for `step`.

        Returns:
            Sum of losses, and number of predictions.
        """
        return self._run(unit, learn=False)

    def _run(self, unit: Unit | Cells, *, learn: bool) -> tuple[float, int]:
        task = _TASKS[self.objective, learn]
        if isinstance(unit, Cells):
            shares = np.minimum(unit.values / np.float32(100), 1) ** np.float32(0.75)
            given: tuple[Any, ...] = (unit.rows, unit.columns, np.log(unit.values), shares)
        else:
            given = (unit.stream, unit.positions, unit.negatives, self.window)
        loss, made = self._kernel(*given, self._tables, self.rate, task, *self._extra)
        return float(loss), int(made)
