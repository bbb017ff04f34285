"""What a measurement ran on and how much memory it took."""

import contextlib
import ctypes
import gc
import os
import platform
import sys
from pathlib import Path


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB (10**6 bytes).

    Returns:
        Megabytes; 0.0 where the platform does not tell.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def release_memory() -> None:
    """Give memory that is no longer used back to the system, where it can be told to.

    The C library keeps what a finished training has freed; the next step would come on top of it.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def cores() -> int:
    """Return how many cores this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware() -> str:
    """Describe the machine in a few words, as results record it.

    Returns:
        Processor, number of cores, GPU or "no GPU".
    """
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        rows = info.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [row.split(":", 1)[1].strip() for row in rows if row.startswith("model name")]
        name = models[0] if models else name
    gpu = "no GPU"
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            gpu = torch.cuda.get_device_name(0)
    return f"{name}, {cores()} cores, {gpu}"
