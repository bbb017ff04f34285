"""vecsmith's own folder of word vectors: safetensors, the words as JSON, stamp and checksums."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    Stamp,
    StoreError,
    fresh_dir,
    is_disk_error,
    read_json,
    recover_dir,
    verify_checksums,
    write_checksums,
    write_json,
)

from ._word_files import Reading

Floats = NDArray[np.float32]

VERSION = 1
TABLE, WORDS, SETTINGS = "vectors.safetensors", "words.json", "word_vectors.json"


def write_folder(target: Path, words: list[str], vectors: Floats, stamp: Stamp) -> None:
    """Write a folder, whole or not at all.

    Args:
        target: The folder; an older one is replaced.
        words: The words.
        vectors: Shape (words, dims).
        stamp: What they are.

    Raises:
        StoreError: The place cannot be written, or is a file.
    """
    if target.exists() and not target.is_dir():
        raise StoreError(
            f"{str(target)!r} is a file, and vecsmith's format needs a folder; give another path"
        )
    try:
        with fresh_dir(target) as fresh:
            _write_table(fresh / TABLE, vectors)
            write_json(fresh / WORDS, words)
            write_json(fresh / SETTINGS, {"format": VERSION, "stamp": stamp.to_dict()})
            write_checksums(fresh, [TABLE, WORDS, SETTINGS])
    except OSError as error:
        raise StoreError(
            f"cannot write {str(target)!r} ({error}); free space, or choose another folder"
        ) from error


def read_folder(folder: Path, reading: Reading) -> tuple[list[str], Floats, Stamp]:
    """Read a folder.

    Args:
        folder: What `write_folder` wrote.
        reading: What of it.

    Returns:
        Words, vectors of shape (words, dims), and the stamp of the whole.

    Raises:
        StoreError: It is missing or damaged, or of a later format.
    """
    from safetensors import SafetensorError, safe_open

    recover_dir(folder)
    settings = read_json(folder / SETTINGS)
    if not isinstance(settings, dict) or settings.get("format") != VERSION:
        raise StoreError(
            f"{str(folder / SETTINGS)!r} should say format {VERSION} but does not; "
            "load it with a later vecsmith, or save the vectors again"
        )
    verify_checksums(folder)
    stamp, words = Stamp.from_dict(settings.get("stamp", {})), read_json(folder / WORDS)
    count = len(words) if reading.limit is None else min(len(words), reading.limit)
    try:
        with safe_open(folder / TABLE, "np") as file:
            table = file.get_slice("vectors")[:count]
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{str(folder / TABLE)!r} is damaged ({error}); save the vectors again"
        ) from error
    words = words[:count]
    if reading.only is not None:
        rows = [row for row, word in enumerate(words) if word in reading.only]
        words, table = [words[row] for row in rows], table[rows]
    return words, table, stamp


def _write_table(path: Path, vectors: Floats) -> None:
    from safetensors.numpy import save_file

    try:
        save_file({"vectors": vectors}, path)
    except Exception as error:
        if not is_disk_error(error):
            raise
        raise StoreError(
            f"cannot write {str(path)!r} ({error}); free space or choose another folder"
        ) from error
