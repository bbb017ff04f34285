"""Which documents a search looks in: filters by path, kind and date, and the list they choose from.

Paths are relative to the source, with forward slashes. A path pattern is a folder (all below it), a
file, or a shell pattern, whose ``*`` also crosses folders: ``*.md``, ``docs/*``, ``*/test_*.py``.
"""

import datetime
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from vecsmith.core import ConfigError, did_you_mean, hash_text

from ._passages import PassageTable

_MOST_KEPT = 64


def document_key(path: str) -> str:
    """Return the id by which people ask for a document: 16 hexadecimal digits, by its path."""
    return hash_text(path)[:16]


class Entry(NamedTuple):
    """A document of an index.

    Attributes:
        number: Its id in the table.
        key: Its id for people, which stays over updates.
        path: Posix path relative to the source.
        kind: Kind of file.
        bytes: Size.
        mtime_ns: Time of its last change.
    """

    number: int
    key: str
    path: str
    kind: str
    bytes: int
    mtime_ns: int

    @property
    def modified(self) -> datetime.datetime:
        """Time of its last change, UTC."""
        return datetime.datetime.fromtimestamp(self.mtime_ns / 1e9, datetime.timezone.utc)


@dataclass(frozen=True)
class Filter:
    """Which documents pass; all conditions must hold.

    Attributes:
        paths: Folders, files or shell patterns, any of which passes; empty for all.
        kinds: Kinds of files, any of which passes; empty for all.
        after: First day of last change that passes (UTC).
        before: Last day of last change that passes (UTC).
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: datetime.date | None = None
    before: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.after and self.before and self.after > self.before:
            raise ConfigError(
                f"filter: after ({self.after}) should not lie past before ({self.before})"
            )

    def passes(self, entry: Entry) -> bool:
        """Tell whether a document passes."""
        if self.kinds and entry.kind not in self.kinds:
            return False
        day = entry.modified.date()
        if (self.after and day < self.after) or (self.before and day > self.before):
            return False
        return not self.paths or any(matches(entry.path) for matches in _matchers(self.paths))


@lru_cache(maxsize=64)
def _matchers(patterns: tuple[str, ...]) -> tuple[Callable[[str], bool], ...]:
    return tuple(map(_matcher, patterns))


def _matcher(pattern: str) -> Callable[[str], bool]:
    folder = pattern.strip("/")
    shell = re.compile(translate(pattern)) if any(sign in pattern for sign in "*?[") else None

    def matches(path: str) -> bool:
        # A name may hold the signs of patterns itself, so it is taken to the letter first.
        if not folder or path == folder or path.startswith(folder + "/"):
            return True
        return shell is not None and shell.match(path) is not None

    return matches


class Catalogue:
    """The documents of an index, in memory.

    Args:
        table: The passages.
    """

    def __init__(self, table: PassageTable) -> None:
        numbers = table.document_ids()
        self.entries = [
            Entry(numbers[d.path], document_key(d.path), d.path, d.kind, d.bytes, d.mtime_ns)
            for d in table.documents()
        ]
        self.by_number = {entry.number: entry for entry in self.entries}
        self.by_key = {entry.key: entry for entry in self.entries}
        self.kinds = sorted({entry.kind for entry in self.entries})
        self._chosen: OrderedDict[Filter, list[int]] = OrderedDict()
        # Searches of several threads share the catalogue.
        self._lock = threading.Lock()

    def choose(self, wanted: Filter) -> Sequence[int]:
        """Return the ids of the documents that pass a filter.

        Args:
            wanted: The filter.

        Returns:
            Ids in the table.

        Raises:
            ConfigError: It asks for a kind that no document has.
        """
        with self._lock:
            if wanted in self._chosen:
                self._chosen.move_to_end(wanted)
                return self._chosen[wanted]
        for kind in wanted.kinds:
            if kind not in self.kinds:
                raise ConfigError(
                    f"filter: no document is of kind {kind!r}; {did_you_mean(kind, self.kinds)}"
                )
        found = [entry.number for entry in self.entries if wanted.passes(entry)]
        with self._lock:
            self._chosen[wanted] = found
            while len(self._chosen) > _MOST_KEPT:
                self._chosen.popitem(last=False)
        return found
