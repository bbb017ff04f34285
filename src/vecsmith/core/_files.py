"""Files that are whole or not there: atomic writes, folder swaps, checksums, the cache folder."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ._errors import StoreError

_DISK = re.compile(r"os error \d|iostream|No space left|disk is full|disk I/O|File too large", re.I)

CHECKSUMS = "checksums.json"


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder of the user's cache.

    ``VECSMITH_CACHE`` names it; otherwise ``$XDG_CACHE_HOME/vecsmith`` or ``~/.cache/vecsmith``.

    Args:
        *parts: Sub-folders.

    Returns:
        An existing folder.
    """
    root = os.environ.get("VECSMITH_CACHE")
    if not root:
        root = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "vecsmith")  # noqa: PTH118
    path = Path(root).expanduser().joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the place of `path` at once.

    Args:
        path: The file to write.

    Yields:
        The temporary path to write to.

    Raises:
        StoreError: The folder cannot be written (read-only, disk full).
        OSError: What the block raises about other files.
    """
    target = Path(path)
    handle: str | None = None
    inside = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, handle = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(descriptor)
        inside = True
        yield Path(handle)
        inside = False
        with open(handle, "rb+") as written:  # noqa: PTH123
            os.fsync(written.fileno())
        os.chmod(handle, 0o644)  # noqa: PTH101 - mkstemp gives 0600
        os.replace(handle, target)  # noqa: PTH105
    except OSError as error:
        if inside and isinstance(error.filename, str) and error.filename != handle:
            # an input that cannot be read is no fault of the target
            raise
        raise StoreError(
            f"cannot write {str(target)!r}: {error.strerror or error}; "
            "free space or choose a folder that can be written; nothing there was changed"
        ) from error
    finally:
        if handle is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(handle)  # noqa: PTH108


def is_disk_error(error: BaseException) -> bool:
    """Tell whether an exception says that a file could not be written or read.

    The compiled libraries under us raise errors of their own when a disk is full or away.

    Args:
        error: Any exception.

    Returns:
        True for `OSError` and for what safetensors, OpenVINO, faiss and SQLite raise in its place.
    """
    return isinstance(error, OSError) or bool(_DISK.search(str(error)))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given, NaN refused.

    A lone surrogate, as file names that are not UTF-8 bring it, becomes its JSON escape, which
    `read_json` turns back.

    Args:
        path: The file to write.
        value: What `json.dumps` takes.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file to read.

    Returns:
        The decoded value.

    Raises:
        StoreError: The file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"file {str(path)!r} is missing; build or restore it") from error
    except (OSError, ValueError) as error:
        raise StoreError(
            f"file {str(path)!r} should hold JSON but cannot be read ({error}); build it again"
        ) from error


def replace_dir(fresh: Path, target: Path) -> None:
    """Put folder `fresh` where folder `target` is; the old one is there until the new one is.

    Both must lie on one file system. A crash between the two renames leaves the old folder as
    ``.NAME.old`` beside it; the next call, or `recover_dir`, puts it back.

    Args:
        fresh: The complete new folder.
        target: Its final place.

    Raises:
        StoreError: The folder cannot be renamed.
    """
    old = _aside(target)
    try:
        with _swapping(target):
            _swap(fresh, target, old)
    except OSError as error:
        raise StoreError(
            f"cannot put the new folder at {str(target)!r}: {error.strerror or error}; "
            f"the finished one lies at {str(fresh)!r}"
        ) from error
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def fresh_dir(target: str | Path) -> Iterator[Path]:
    """Fill a new folder, which takes its place when the block ends without an error.

    Args:
        target: The final place; what lies there is replaced, parents are made.

    Yields:
        An empty folder beside it.

    Raises:
        StoreError: The folder cannot be renamed.
    """
    place = Path(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        # its name is taken as a title by some hosts' cards
        fresh = Path(scratch) / place.name
        fresh.mkdir()
        yield fresh
        replace_dir(fresh, place)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _swap(fresh: Path, target: Path, old: Path) -> None:
    try:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(target, old)  # noqa: PTH104
        os.rename(fresh, target)  # noqa: PTH104
    except OSError:
        if old.exists() and not target.exists():
            os.rename(old, target)  # noqa: PTH104
        raise


@contextlib.contextmanager
def _swapping(target: Path) -> Iterator[None]:
    """Keep others from undoing a swap that is under way, by a lock on the folder above."""
    descriptor: int | None = None
    try:
        # Not every system and file system has such locks; the renames are as safe without.
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(target.parent, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def recover_dir(target: Path) -> None:
    """Undo a folder swap that was cut off between its two renames.

    Args:
        target: The folder that `replace_dir` was to replace.

    Raises:
        StoreError: The old folder is there but cannot be renamed.
    """
    if target.exists() or not (old := _aside(target)).exists():
        return
    with _swapping(target):
        if target.exists() or not old.exists():
            return
        try:
            os.rename(old, target)  # noqa: PTH104
        except OSError as error:
            raise StoreError(
                f"{str(target)!r} lies at {str(old)!r} since a run was cut off, and cannot be put "
                f"back: {error.strerror or error}; rename it yourself"
            ) from error


def hash_text(*parts: str) -> str:
    """Return a 32-digit hexadecimal content hash of several strings (BLAKE2b, 128 bits).

    Args:
        *parts: Strings; their borders count, so ("ab", "c") differs from ("a", "bc").

    Returns:
        Lower-case hexadecimal digits.
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file, read in pieces.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    with Path(path).open("rb") as handle:
        state = hashlib.sha256()
        while block := handle.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def last_checkpoint(folder: str | Path) -> str | None:
    """Find the last checkpoint of a trainer that was written whole, and delete those that were not.

    Args:
        folder: Holds folders ``checkpoint-STEP``; a whole one has an empty file ``whole`` in it.

    Returns:
        The checkpoint's folder, or None.
    """
    whole = [path.parent for path in Path(folder).glob("checkpoint-*/whole")]
    for path in Path(folder).glob("checkpoint-*"):
        if path not in whole:
            # Cut off while it was written; the trainer must not find it.
            shutil.rmtree(path)
    last = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return None if last is None else str(last)


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write ``checksums.json``: size and SHA-256 of files in a folder.

    Args:
        folder: The folder.
        names: Paths relative to it.
    """
    rows = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
        for name in sorted(names)
    }
    write_json(folder / CHECKSUMS, rows)


def verify_checksums(folder: Path, *, content: bool = False) -> None:
    """Check the files that ``checksums.json`` names.

    Args:
        folder: The folder.
        content: Also compute each SHA-256; otherwise only presence and size.

    Raises:
        StoreError: A file is missing, truncated or changed; the text names it.
    """
    rows = read_json(folder / CHECKSUMS)
    whole = isinstance(rows, dict) and all(
        isinstance(row, dict) and {"bytes", "sha256"} <= row.keys() for row in rows.values()
    )
    if not whole:
        raise StoreError(
            f"{str(folder / CHECKSUMS)!r} should give bytes and sha256 of each file, but is "
            "damaged; build the index again or restore the file"
        )
    for name, row in rows.items():
        path = folder / name
        if not path.is_file():
            raise StoreError(f"{str(path)!r} is missing from the index; build it again")
        size = path.stat().st_size
        if size != row["bytes"]:
            raise StoreError(
                f"{str(path)!r} should have {row['bytes']} bytes but has {size}: "
                "it is damaged; build the index again or restore the file"
            )
        if content and sha256_file(path) != row["sha256"]:
            raise StoreError(
                f"{str(path)!r} does not match its checksum: it is damaged; "
                "build the index again or restore the file"
            )
