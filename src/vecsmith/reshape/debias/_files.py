"""Folders of what debiasing learned: settings as JSON, numbers as safetensors."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import StoreError, fresh_dir, read_json, recover_dir, write_json

Doubles = NDArray[np.float64]

SETTINGS, ARRAYS = "debias.json", "debias.safetensors"


def write_state(
    folder: Path, kind: str, values: dict[str, Any], arrays: dict[str, Doubles]
) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: Where to; an older one is replaced.
        kind: What it is.
        values: What JSON can hold.
        arrays: Numbers.

    Raises:
        StoreError: The place cannot be written.
    """
    from safetensors.numpy import save_file

    try:
        with fresh_dir(folder) as fresh:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, fresh / ARRAYS)
            write_json(fresh / SETTINGS, {"kind": kind, "format": 1, **values})
    except OSError as error:
        raise StoreError(
            f"cannot write {str(folder)!r} ({error}); free space, or choose another folder"
        ) from error


def read_state(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Doubles]]:
    """Read what `write_state` wrote.

    Args:
        folder: Where it lies.
        kind: What it must be.

    Returns:
        Values and arrays.

    Raises:
        StoreError: Missing, damaged, or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    recover_dir(folder)
    values = read_json(folder / SETTINGS)
    if not isinstance(values, dict) or values.get("kind") != kind or values.get("format") != 1:
        found = values.get("kind") if isinstance(values, dict) else None
        raise StoreError(
            f"{str(folder)!r} should hold a {kind} of format 1 but holds {found!r}; "
            "give the folder that save wrote"
        )
    try:
        arrays = load_file(folder / ARRAYS)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{str(folder / ARRAYS)!r} is missing or damaged ({error}); save it again"
        ) from error
    return values, arrays
