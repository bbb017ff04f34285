"""Folders of fitted encoders: settings as JSON, numbers as safetensors, whole or not there."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    DataError,
    MissingExtra,
    StoreError,
    fresh_dir,
    read_json,
    recover_dir,
    write_json,
)

Arrays = Mapping[str, NDArray[Any]]

SETTINGS, ARRAYS = "settings.json", "arrays.safetensors"


def write_state(folder: str | Path, kind: str, values: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: Where to; an older one is replaced.
        kind: What it is.
        values: What JSON can hold.
        arrays: Numbers.

    Raises:
        StoreError: The place cannot be written.
    """
    with fresh_dir(folder) as fresh:
        write_state_into(fresh, kind, values, arrays)


def write_state_into(folder: Path, kind: str, values: Mapping[str, Any], arrays: Arrays) -> None:
    """Write the files into a folder that is new, as for a part of something larger.

    Args:
        folder: An existing folder.
        kind: What it is.
        values: What JSON can hold.
        arrays: Numbers.

    Raises:
        StoreError: The place cannot be written.
    """
    from safetensors.numpy import save_file

    try:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / ARRAYS)
        write_json(folder / SETTINGS, {"kind": kind, "format": 1, **values})
    except OSError as error:
        raise StoreError(
            f"cannot write {str(folder)!r} ({error}); free space, or choose another folder"
        ) from error


def read_state(folder: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
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

    place = Path(folder)
    recover_dir(place)
    values = read_json(place / SETTINGS)
    if not isinstance(values, dict) or values.get("kind") != kind or values.get("format") != 1:
        found = values.get("kind") if isinstance(values, dict) else None
        raise StoreError(
            f"{str(place)!r} should hold a {kind} of format 1 but holds {found!r}; "
            "give the folder that save wrote"
        )
    try:
        arrays = load_file(place / ARRAYS)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{str(place / ARRAYS)!r} is missing or damaged ({error}); save it again"
        ) from error
    return values, arrays


@contextlib.contextmanager
def reading(folder: str | Path) -> Iterator[None]:
    """Turn what damaged values of a folder bring about into one error that names it.

    Args:
        folder: Where the values were read.

    Yields:
        Nothing.

    Raises:
        StoreError: A value is missing, or of another kind than was written.
    """
    try:
        yield
    except MissingExtra:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, DataError, ConfigError) as error:
        raise StoreError(
            f"{str(folder)!r} is damaged: what it holds does not fit together ({error!r}); "
            "save it again"
        ) from error
