"""Walk a folder: which files are read, in a fixed order, and why the others are not."""

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vecsmith.core import DataError

from ._documents import Skipped, SourceFile
from .readers._table import HEAD, sniff

SAME_CONTENT = "same content as "
LOOP = "symbolic link that is broken or loops"
# The year 2262, which is as far as a 64-bit number of nanoseconds goes.
_LATEST_NS = 2**63 - 1
# Folders that tools make and nobody wrote.
CACHES = {
    "__pycache__": "compiled Python",
    "node_modules": "installed packages",
    "bower_components": "installed packages",
    "site-packages": "installed packages",
    "venv": "a Python environment",
    "CVS": "version control",
}
# Beside a manual that Sphinx made: its sources a second time, scripts and styles.
SPHINX_MARKS = ("objects.inv", ".buildinfo", "searchindex.js")
SPHINX_FOLDERS = {"_sources": "sources of the pages beside it", "_static": "scripts and styles"}


def list_files(
    source: str | Path,
    *,
    skipped: Callable[[Skipped], None],
    exclude: Sequence[str] = (),
) -> Iterator[SourceFile]:
    """List the files of a folder that can be read, sorted by path, each content once.

    Args:
        source: A folder, or one file.
        skipped: Called with every file or folder that is left out, and why.
        exclude: Glob patterns on the relative path or the name (``*`` matches ``/`` too).

    Returns:
        An iterator over files. Its last step raises `DataError` when it has given none.

    Raises:
        DataError: The source does not exist, or holds nothing that can be read.
    """
    root = Path(source)
    if not os.path.lexists(root):
        raise DataError(f"source {str(source)!r} does not exist; give a folder or a file")
    try:
        root = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"source {str(source)!r} cannot be opened ({error}); give a folder or a file"
        ) from error
    return _Walk(root, skipped, tuple(exclude)).files(str(source))


class _Walk:
    def __init__(
        self, root: Path, skipped: Callable[[Skipped], None], exclude: tuple[str, ...]
    ) -> None:
        self.root = root
        self.report = skipped
        self.exclude = exclude
        self.seen: dict[bytes, str] = {}
        self.left_out = 0
        self.example = ""

    def skip(self, path: str, reason: str) -> None:
        self.left_out += 1
        self.example = self.example or f"{path!r}: {reason}"
        self.report(Skipped(path, reason))

    def files(self, source: str) -> Iterator[SourceFile]:
        count = 0
        pairs: Iterator[tuple[str, Path]] = (
            self.walk() if self.root.is_dir() else iter([(self.root.name, self.root)])
        )
        for path, absolute in pairs:
            file = self.examine(path, absolute)
            if file is not None:
                count += 1
                yield file
        if not count:
            why = f"{self.left_out} skipped, first {self.example}" if self.left_out else "empty"
            raise DataError(
                f"source {source!r} holds no file that can be read ({why}); "
                "give a folder with documents"
            )

    def walk(self) -> Iterator[tuple[str, Path]]:
        stack: list[Iterator[tuple[str, Path]]] = [self.entries("", self.root)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif entry[0].endswith("/"):
                stack.append(self.entries(*entry))
            else:
                yield entry

    def entries(self, prefix: str, folder: Path) -> Iterator[tuple[str, Path]]:
        """Give the entries of a folder that are not left out; folders end in "/"."""
        try:
            with os.scandir(folder) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            self.skip(prefix, f"folder cannot be read: {error.strerror or error}")
            return
        sphinx = any(entry.name in SPHINX_MARKS for entry in found)
        for entry in found:
            path = prefix + entry.name
            try:
                linked = entry.is_symlink()
                folder_like = entry.is_dir()
            except OSError as error:
                loops = error.errno == errno.ELOOP
                self.skip(path, LOOP if loops else f"cannot be read: {error.strerror or error}")
                continue
            reason = self.why_not(path, entry.name, folder_like=folder_like, sphinx=sphinx)
            if linked and not reason:
                reason = self.why_not_link(Path(entry.path), folder_like=folder_like)
            if reason:
                self.skip(path, reason)
            else:
                yield (f"{path}/" if folder_like else path), Path(entry.path)

    def why_not(self, path: str, name: str, *, folder_like: bool, sphinx: bool) -> str:
        if name.startswith("."):
            return "hidden folder" if folder_like else "hidden file"
        for pattern in self.exclude:
            plain = pattern.rstrip("/")
            if fnmatch.fnmatchcase(path, plain) or fnmatch.fnmatchcase(name, plain):
                return f"excluded by the pattern {pattern!r}"
        if folder_like and name in CACHES:
            return f"folder of a tool: {CACHES[name]}"
        if folder_like and sphinx and name in SPHINX_FOLDERS:
            return f"folder of a Sphinx manual: {SPHINX_FOLDERS[name]}"
        return ""

    def why_not_link(self, link: Path, *, folder_like: bool) -> str:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            return LOOP
        if target == self.root or target in link.parent.resolve().parents:
            return "symbolic link to a folder above it"
        if not target.is_relative_to(self.root):
            return "symbolic link out of the source"
        inside = target.relative_to(self.root).as_posix()
        if folder_like or not any(part.startswith(".") for part in inside.split("/")):
            return f"symbolic link to {inside}, which lies in the source itself"
        return ""

    def examine(self, path: str, absolute: Path) -> SourceFile | None:
        try:
            return self.hashed(path, absolute)
        except OSError as error:
            self.skip(path, f"cannot be read: {error.strerror or error}")
            return None

    def hashed(self, path: str, absolute: Path) -> SourceFile | None:
        status = absolute.stat()
        if not stat.S_ISREG(status.st_mode):
            self.skip(path, "no regular file (a pipe, socket or device)")
            return None
        if not status.st_size:
            self.skip(path, "empty file")
            return None
        with absolute.open("rb") as handle:
            head = handle.read(HEAD)
            kind, reason = sniff(absolute.name, head)
            if reason:
                self.skip(path, reason)
                return None
            state = hashlib.sha256(head)
            while block := handle.read(1 << 20):
                state.update(block)
        first = self.seen.setdefault(state.digest()[:16], path)
        if first != path:
            self.skip(path, f"{SAME_CONTENT}{first}")
            return None
        return SourceFile(
            path,
            absolute,
            kind,
            status.st_size,
            min(status.st_mtime_ns, _LATEST_NS),
            state.hexdigest(),
        )
