"""The folder that a build replaces: it must be one that nobody misses."""

import os
from pathlib import Path

from vecsmith.core import ConfigError, StoreError, hash_text, read_json, recover_dir


def check_apart(source: str | Path, out: str | Path) -> None:
    """Refuse a target that holds its own source, or lies in it.

    Args:
        source: Folder or file to read.
        out: Folder of the index.

    Raises:
        ConfigError: One of them lies in the other.
    """
    root, place = Path(os.path.realpath(source)), Path(os.path.realpath(out))
    if root == place or root in place.parents:
        raise ConfigError(
            f"out must lie outside of the source, or the index would index itself; "
            f"got {str(out)!r} in {str(source)!r}"
        )
    if place in root.parents:
        raise ConfigError(
            f"out is replaced as a whole, so it must not hold the source; got {str(out)!r} "
            f"around {str(source)!r}; give a folder of its own, such as "
            f"{os.path.join(out, 'index')!r}"  # noqa: PTH118
        )


def check_replaceable(out: Path) -> None:
    """Refuse a target whose replacement would delete something else than an index.

    Args:
        out: Folder of the index.

    Raises:
        ConfigError: It is a file, or a folder with other things in it.
    """
    try:
        if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
            return
    except OSError as error:
        raise ConfigError(
            f"out {str(out)!r} cannot be looked into: {error.strerror or error}; "
            "give another folder"
        ) from error
    if not _is_index(out):
        kind = "a folder with other things in it" if out.is_dir() else "a file"
        raise ConfigError(
            f"out should be a new or empty folder, or an index of vecsmith build, which is "
            f"replaced; {str(out)!r} is {kind}; give another folder, or move it away yourself"
        )


def _is_index(folder: Path) -> bool:
    try:
        manifest = read_json(folder / "manifest.json")
    except StoreError:
        return False
    return isinstance(manifest, dict) and {"format", "vecsmith"} <= manifest.keys()


def resolve_target(out: str | Path) -> Path:
    """Find the folder to replace; where `out` is a link, that is what it points to.

    The link stays: it is the folder behind it that is replaced. A swap of folders that was cut off
    is undone first.

    Args:
        out: Folder of the index.

    Returns:
        A path without links.

    Raises:
        ConfigError: Replacing it would delete something else than an index.
    """
    place = Path(os.path.realpath(out))
    if place.name:
        recover_dir(place)
    check_replaceable(place)
    return place


def fingerprint(folder: Path) -> list[str]:
    """Tell a model from others without reading its weights.

    Args:
        folder: Folder of a saved model.

    Returns:
        The folder's path, and a hash of names, sizes and times of its files.
    """
    root = Path(os.path.realpath(folder))
    rows = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        status = path.stat()
        name = path.relative_to(root).as_posix()
        rows.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return [str(root), hash_text(*rows)]
