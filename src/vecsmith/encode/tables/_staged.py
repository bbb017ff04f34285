"""What a table may need of its training: stages, extra losses, what follows a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One part of a method's training.

    Attributes:
        name: "train", "warm up", "search" or "retrain".
        share: Epochs as part of those of a whole training, at least one epoch.
        search: What `architecture()` returns learns on validation batches, by turns with the rest.
        fresh: Start the network above the table anew.
        early_stop: Stop when the validation score has not grown for some epochs.
        select: Train nothing; `select` is called with the validation score.
    """

    name: str
    share: float = 1.0
    search: bool = False
    fresh: bool = False
    early_stop: bool = True
    select: bool = False


class StagedTable(nn.Module):
    """A table whose training has stages; most methods need no more than this default.

    Attributes:
        second_pass: Function that returns the loss of the last batch anew, for methods that need
            it after a step (`alpt`); the training sets it.
    """

    second_pass: Callable[[], Tensor] | None = None
    # False where a method moves numbers by itself, which no other process would hear of
    several_processes: ClassVar[bool] = True

    def stages(self) -> tuple[Stage, ...]:
        """The parts of the training, in order."""
        return (Stage("train"),)

    def begin(self, stage: Stage, steps: int) -> None:
        """Prepare for a stage.

        Args:
            stage: One of `stages()`.
            steps: Optimizer steps it may take.
        """

    def end(self, stage: Stage) -> None:
        """Finish a stage, with the best weights in place.

        Args:
            stage: One of `stages()`.
        """

    def select(self, score: Callable[[], float]) -> None:
        """Choose what is to be trained further, in a stage that trains nothing.

        Args:
            score: Validation score of the model with this table as it is.
        """

    def penalty(self) -> Tensor | None:
        """What is added to the loss after a lookup in train mode; None for nothing."""
        return None

    def architecture(self) -> list[nn.Parameter]:
        """Parameters that a search stage trains on validation batches."""
        return []

    def search_step(self, lr: float) -> None:
        """Move `architecture()` along the gradients it holds.

        Args:
            lr: Learning rate of the weights.
        """

    def after_step(self, lr: float) -> None:
        """Do what follows a step of the optimizer.

        Args:
            lr: Its learning rate.
        """

    def readiness(self) -> float:
        """How far the table is on the way to its budget, 1.0 when its scores count."""
        return 1.0

    def attach(self, optimizer: torch.optim.Optimizer) -> Any:
        """Call `after_step` after each step of an optimizer.

        Args:
            optimizer: The one that trains this table.

        Returns:
            A handle whose `remove()` undoes it.
        """

        def hook(given: torch.optim.Optimizer, *_: Any) -> None:
            self.after_step(float(given.param_groups[0]["lr"]))

        return optimizer.register_step_post_hook(hook)
