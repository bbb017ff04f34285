"""The folder in which a build works: finished steps stay finished, whatever happens.

It lies beside the index as ``.NAME.building``, that of an update as ``.NAME.updating``, so that an
update leaves an unfinished build alone; a lock that both share keeps them from running at a time.
Each step writes its files there and then notes in ``steps.json`` that it is done; a build that is
run again with the same settings goes on after the last noted step (and, within reading, encoding
and training, after the last finished unit).
"""

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vecsmith.core import StoreError, VecsmithError, is_disk_error, read_json, write_json

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def disk_errors_told(doing: str) -> Iterator[None]:
    """Turn whatever a full or absent disk raises into a sentence.

    Args:
        doing: What was being done.

    Raises:
        StoreError: In place of the disk's error.
    """
    try:
        yield
    except VecsmithError:
        raise
    except Exception as error:
        if not is_disk_error(error):
            raise
        raise StoreError(
            f"{doing} could not write or read: {error}; free space and run again, finished steps "
            "are kept"
        ) from error


def _locked(path: Path) -> IO[str]:
    """Take a lock on a file, made for it; whoever lets go of it deletes the file."""
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file that was opened may have been deleted before it was locked.
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()


class WorkFolder:
    """Working folder of one build or update.

    Args:
        out: Folder of the index to come.
        settings: Settings; a folder made with others is begun anew.
        doing: "building" or "updating".

    Raises:
        StoreError: The folder cannot be made, or another build or update of this index is running.
    """

    def __init__(self, out: Path, settings: dict[str, Any], doing: str = "building") -> None:
        self.path = out.with_name(f".{out.name}.{doing}")
        self._lock_path = out.with_name(f".{out.name}.lock")
        self._lock: IO[str] | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._lock_path)
        except BlockingIOError as error:
            raise StoreError(
                f"another build or update is working on {str(out)!r}; wait for it or stop it"
            ) from error
        except OSError as error:
            raise StoreError(
                f"cannot work in {str(self.path)!r}: {error.strerror or error}; "
                "choose an --out in a folder that can be written"
            ) from error
        if self._stored() != settings:
            self._clear()
            write_json(self.path / "steps.json", {"settings": settings, "done": {}})
        self._state = read_json(self.path / "steps.json")

    def _stored(self) -> Any:
        path = self.path / "steps.json"
        return read_json(path)["settings"] if path.exists() else None

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @property
    def resumed(self) -> bool:
        """Whether some step had been finished before."""
        return bool(self._state["done"])

    def result(self, step: str) -> Any:
        """Return what a finished step noted, or None if it is not finished."""
        return self._state["done"].get(step)

    def finish(self, step: str, result: Any) -> Any:
        """Note that a step is finished, with JSON values for later steps.

        Args:
            step: Its name.
            result: What later steps need (not None).

        Returns:
            The result.
        """
        self._state["done"][step] = result
        write_json(self.path / "steps.json", self._state)
        logger.info("%s finished", step)
        return result

    def file(self, *parts: str) -> Path:
        """Return a path in the folder, its parent made."""
        path = self.path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self, *, remove: bool = False) -> None:
        """Let go of the folder.

        Args:
            remove: Delete it, because the index is in place.
        """
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock_path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None
