"""Several processes that train together: what only the main one does, while the others wait."""

from collections.abc import Callable
from typing import Any, TypeVar

from vecsmith.core import VecsmithError, leave_processes_at_exit, require

Result = TypeVar("Result")


def _state() -> Any:
    import torch

    leave_processes_at_exit()
    # without a GPU the processes find each other only when this is said
    return require("accelerate", "train").PartialState(cpu=not torch.cuda.is_available())


def process_count() -> int:
    """Count the processes that train together; joins them at the first call."""
    return int(_state().num_processes)


def is_main_process() -> bool:
    """Tell whether this is the process that writes files and reports."""
    return bool(_state().is_main_process)


def on_main(do: Callable[[], Result]) -> Result | None:
    """Do something in the main process; the others wait until it is done.

    Args:
        do: What to do.

    Returns:
        Its result; None in the other processes.

    Raises:
        VecsmithError: In the other processes, where the main one failed with whatever error.
    """
    if process_count() == 1:
        return do()
    import torch

    result: Result | None = None
    error: Exception | None = None
    if is_main_process():
        try:
            result = do()
        except Exception as caught:
            error = caught
    failed = torch.tensor([float(error is not None)], device=_state().device)
    torch.distributed.broadcast(failed, 0)
    if error is not None:
        raise error
    if failed.item():
        raise VecsmithError("the main process failed; its message says why")
    return result
