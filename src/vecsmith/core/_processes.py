"""Several processes that train together leave one another in good order."""

import atexit
import functools


@functools.cache
def leave_processes_at_exit() -> None:
    """See to it that this process leaves its group, if it has one then, before it ends.

    torch's worker threads may hold the last tensors still; freed after the interpreter has ended,
    these abort the process, whose work was done.
    """
    atexit.register(_leave)


def _leave() -> None:
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
