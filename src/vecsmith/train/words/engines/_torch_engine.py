"""Steps of word models on batches, in torch: every model, any device, gradients by autograd.

A batch's gradients of one row are summed before AdaGrad's step. `core.fit` does not serve here: its
optimizers step dense parameters of a module, where these tables change in a few rows a step; and
what is drawn here depends on seed, epoch and place alone, so that no random state is to be kept.
"""

from typing import TYPE_CHECKING

from vecsmith.core import require

from .._sampling import Unit
from ..models._log_counts import Cells, log_count_loss
from ..models._objectives import OBJECTIVES
from ..models._table import WINDOW_MODELS
from ._tables import Tables

if TYPE_CHECKING:
    from torch import Tensor


def adagrad_rows(
    table: "Tensor", squares: "Tensor", rows: "Tensor", grads: "Tensor", rate: float
) -> None:
    """Step rows of a table down their gradients, in place; gradients of equal rows are summed.

    Args:
        table: Shape (any, …).
        squares: Sums of squares, of the same shape.
        rows: Shape (n,).
        grads: Shape (n, …).
        rate: Learning rate.
    """
    import torch

    once, place = torch.unique(rows, return_inverse=True)
    total = torch.zeros((len(once), *table.shape[1:]), dtype=table.dtype, device=table.device)
    total.index_add_(0, place, grads)
    seen = squares[once].addcmul_(total, total)
    squares[once] = seen
    table[once] = table[once].addcdiv_(total, seen.sqrt_(), value=-rate)


class TorchEngine:
    """Trains tables on units.

    Args:
        tables: Parameters; on a CPU they are changed in place, elsewhere by `finish`.
        model: Name of the model.
        window: k.
        objective: "neg" or "rank".
        rate: Learning rate.
        batch: Targets (pairs, for GloVe) of a step.
        device: Where to.

    Raises:
        MissingExtra: torch is not installed.
    """

    def __init__(
        self,
        tables: Tables,
        model: str,
        *,
        window: int,
        objective: str,
        rate: float,
        batch: int,
        device: str = "cpu",
    ) -> None:
        torch = require("torch", "train")
        self.model, self.window, self.rate, self.batch = model, window, rate, batch
        self.objective = OBJECTIVES[objective]
        self.tables, self.device = tables, torch.device(device)
        self._values, self._squares = (
            {name: torch.from_numpy(array).to(self.device) for name, array in kind.items()}
            for kind in (tables.values, tables.squares)
        )

    def finish(self) -> None:
        """Bring the tables back from another device."""
        if self.device.type == "cpu":
            return
        for mine, theirs in (
            (self._values, self.tables.values),
            (self._squares, self.tables.squares),
        ):
            for name, tensor in mine.items():
                theirs[name][...] = tensor.cpu().numpy()

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
        total, number = 0.0, 0
        size = len(unit.rows if isinstance(unit, Cells) else unit.positions)
        for start in range(0, size, self.batch):
            if isinstance(unit, Cells):
                loss, made = self._cells(unit, slice(start, start + self.batch), learn)
            else:
                part = unit._replace(
                    positions=unit.positions[start : start + self.batch],
                    negatives=unit.negatives[start : start + self.batch],
                )
                loss, made = self._windows(part, learn)
            total, number = total + loss, number + made
        return total, number

    def _windows(self, unit: Unit, learn: bool) -> tuple[float, int]:
        import torch

        kind = WINDOW_MODELS[self.model]
        contexts = torch.from_numpy(unit.contexts(self.window)).to(self.device).long()
        targets = torch.from_numpy(unit.stream[unit.positions]).to(self.device).long()
        noise = torch.from_numpy(unit.negatives).to(self.device).long()
        candidates = torch.cat([targets[:, None], noise], 1)
        table = "embeddings" if kind.joint else "outputs"
        present = contexts < len(self._values["embeddings"]) - 1
        around, rows = self._values["embeddings"][contexts], self._values[table][candidates]
        weights = {n: self._values[n] for n in self._values if n not in {"embeddings", "outputs"}}
        weights = {name: weight.detach() for name, weight in weights.items()}
        leaves = [around, rows, *weights.values()]
        for leaf in leaves if learn else []:
            leaf.requires_grad_(True)
        scores = kind.scores(around, present, rows, weights)
        made = kind.counted(present)
        differs = torch.cat([torch.ones_like(targets[:, None]), noise != targets[:, None]], 1)
        loss = self.objective(scores, (made[..., None] & differs[:, None].bool()).to(scores.dtype))
        if learn:
            grads = torch.autograd.grad(loss, leaves)
            self._move(table, candidates, contexts, grads[:2])
            for name, grad in zip(weights, grads[2:], strict=True):
                self._squares[name].addcmul_(grad, grad)
                self._values[name].detach().addcdiv_(
                    grad, self._squares[name].sqrt(), value=-self.rate
                )
        return float(loss.detach()), int(made.sum())

    def _move(
        self, table: str, candidates: "Tensor", contexts: "Tensor", grads: "tuple[Tensor, ...]"
    ) -> None:
        import torch

        moves = {table: (candidates.flatten(), grads[1].flatten(0, 1))}
        if table == "embeddings":
            # one word may stand in the context and among the candidates
            rows = torch.cat([contexts.flatten(), moves[table][0]])
            moves = {table: (rows, torch.cat([grads[0].flatten(0, 1), moves[table][1]]))}
        else:
            moves["embeddings"] = contexts.flatten(), grads[0].flatten(0, 1)
        for name, (rows, grad) in moves.items():
            adagrad_rows(self._values[name], self._squares[name], rows, grad, self.rate)

    def _cells(self, cells: Cells, places: slice, learn: bool) -> tuple[float, int]:
        import torch

        first, second, counts = (torch.from_numpy(a[places]).to(self.device) for a in cells)
        rows = {
            "embeddings": first.long(),
            "outputs": second.long(),
            "biases": first.long(),
            "output_biases": second.long(),
        }
        leaves = {name: self._values[name][ids].requires_grad_(learn) for name, ids in rows.items()}
        products = (leaves["embeddings"] * leaves["outputs"]).sum(1)
        loss = log_count_loss(products + leaves["biases"] + leaves["output_biases"], counts)
        if learn:
            grads = torch.autograd.grad(loss, list(leaves.values()))
            for (name, ids), grad in zip(rows.items(), grads, strict=True):
                adagrad_rows(self._values[name], self._squares[name], ids, grad, self.rate)
        return float(loss.detach()), len(counts)
