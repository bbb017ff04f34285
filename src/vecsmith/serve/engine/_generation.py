"""One state of the index, opened whole: what answers a request comes from one state alone."""

import os
import queue
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import StoreError, read_json, recover_dir, sha256_file
from vecsmith.store import Catalogue, Searcher, Store, model_of

from ._points import MapPoints, map_points

_TRIES = 5
# What is read whole at the start, so that nothing is opened by name later.
_PAGE = "report.html"
_MOST = 500


def identity(folder: Path) -> tuple[int, int, int]:
    """Return what changes when another index is put in the place of a folder.

    Raises:
        OSError: It is not there, as for a moment while an update swaps.
    """
    there = os.stat(folder)  # noqa: PTH116
    manifest = os.stat(folder / "manifest.json")  # noqa: PTH116
    return there.st_dev, there.st_ino, manifest.st_mtime_ns


class Generation:
    """An index as it is now, with everything that a request may need held open.

    Files are opened, mapped or read once, here: an update that swaps the folder leaves this
    generation whole, and it goes on answering until its last request is done.

    Args:
        folder: The index.
        readers: Searches at the same time.
        verify: Compute the checksums of all files.

    Raises:
        StoreError: No index, or a damaged one; the text names the file.
    """

    def __init__(self, folder: str | Path, *, readers: int = 2, verify: bool = True) -> None:
        self.given = Path(folder)
        # The folder that a link points to now, which a swap of the link cannot change under us.
        self.folder = Path(os.path.realpath(folder))
        recover_dir(self.folder)
        for _ in range(_TRIES):
            before = _identity_or_none(self.folder)
            try:
                self._open(readers, verify)
            except StoreError:
                if before == _identity_or_none(self.folder):
                    raise
                continue
            if before == _identity_or_none(self.folder):
                self.identity = before
                return
            self.close()
        raise StoreError(
            f"{str(folder)!r} is replaced again and again while it is opened; "
            "wait for the build or update to end"
        )

    def _open(self, readers: int, verify: bool) -> None:
        self.store = Store(self.folder, verify=verify)
        # People know the collection by its source, not by where the index lies.
        self.name = Path(self.store.settings["source"]).name or self.folder.name
        self.key = sha256_file(self.folder / "checksums.json")[:12]
        self.report: dict[str, Any] = read_json(self.folder / "report.json")
        page = self.folder / _PAGE
        self.page = page.read_bytes() if page.is_file() else None
        self.cards = {name: _card(self.folder / name / "model") for name in self.store.spaces}
        self.catalogue = Catalogue(self.store.passages)
        self.passages = len(self.store.passages)
        self.folders = _folders(self.store, self.catalogue)
        self.built = int((self.folder / "manifest.json").stat().st_mtime)
        self.encoders = {name: space.encoder for name, space in self.store.spaces.items()}
        for encoder in self.encoders.values():
            encoder.load()
        for space in self.store.spaces.values():
            if space.index.ntotal != self.passages:
                raise StoreError(
                    f"{str(space.folder / 'vectors.faiss')!r} holds {space.index.ntotal} vectors "
                    f"for {self.passages} passages; build the index again"
                )
        # One more than searches run, for looking passages up between them.
        self._stores: queue.SimpleQueue[Store] = queue.SimpleQueue()
        for _ in range(readers + 1):
            self._stores.put(self.store.reader())
        self._readers = readers + 1
        self.cutoff = Searcher(self.store, catalogue=self.catalogue).cutoff
        self.users, self.retired = 0, False

    @cached_property
    def points(self) -> MapPoints:
        """The map of the collection; computed at the first call, in about a second."""
        store = self._stores.get()
        try:
            return map_points(store, self.catalogue, self.model)
        finally:
            self._stores.put(store)

    @property
    def model(self) -> str:
        """Name of the model that ships; the base model where words alone do."""
        return model_of(self.store.shipped) or "base"

    def with_store(self, work: Any, *values: Any, **named: Any) -> Any:
        """Call ``work(store, …)`` with a store that no other thread uses meanwhile."""
        store = self._stores.get()
        try:
            return work(store, *values, **named)
        finally:
            self._stores.put(store)

    def search(self, query: str, mode: str | None, vectors: Any, **options: Any) -> Any:
        """Search in the calling thread.

        Args:
            query: Free text.
            mode: As for `Searcher`.
            vectors: The query's vector, or None for words alone.
            **options: As for `Searcher.search`.

        Returns:
            The `Answer`.
        """

        def work(store: Store) -> Any:
            searcher = Searcher(store, mode=mode, catalogue=self.catalogue)
            if searcher.ranking == store.shipped:
                searcher.cutoff = self.cutoff
            return searcher.search(query, vectors=vectors, **options)

        return self.with_store(work)

    def warm_up(self) -> None:
        """Run every model once, so that the first request does not pay for loading it."""
        for encoder in self.encoders.values():
            if not np.isfinite(encoder.encode(["ready"])).all():
                raise StoreError(
                    f"the encoder of {str(self.folder)!r} gives no finite numbers; build it again"
                )

    def close(self) -> None:
        """Close the files; no request may be using them."""
        for _ in range(self._readers):
            self._stores.get().close()
        self.store.close()


def _identity_or_none(folder: Path) -> tuple[int, int, int] | None:
    try:
        return identity(folder)
    except OSError:
        return None


def _folders(store: Store, catalogue: Catalogue) -> list[dict[str, Any]]:
    """List the top folders below what all documents share, by the name that a filter takes."""
    numbers = store.passages.column("document")
    found: dict[str, dict[str, Any]] = {}
    shared = _shared([entry.path for entry in catalogue.entries])
    tops = {}
    for entry in catalogue.entries:
        top, inside, _ = entry.path[len(shared) :].partition("/")
        if inside:
            name = shared + top
            tops[entry.number] = name
            folder = found.setdefault(name, {"name": name, "documents": 0, "passages": 0})
            folder["documents"] += 1
    for number, count in Counter(numbers).items():
        if number in tops:
            found[tops[number]]["passages"] += count
    ranked = sorted(found.values(), key=lambda folder: (-folder["passages"], folder["name"]))
    return ranked[:_MOST]


def _shared(paths: list[str]) -> str:
    folders = [path.rpartition("/")[0] for path in paths]
    shared = os.path.commonpath(folders) if folders and all(folders) else ""
    return shared + "/" if shared else ""


def _card(folder: Path) -> str | None:
    path = folder / "README.md"
    return path.read_text("utf-8", "replace") if path.is_file() else None
