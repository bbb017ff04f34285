"""Find blocks of text that many documents of a folder share, such as menus that no tag marks.

A block (a paragraph, digits levelled) is boilerplate when at least `share` of the documents of its
folder and kind that were looked at hold it, and at least `least` do. Counts are kept as 64-bit
hashes in a table of bounded size: when it is full, blocks that were seen once are forgotten, so a
block that is rare so far may be counted low, never high.

Use it over a sample first (`observe`), then on every document (`clean`). Cost: one hash a block.
"""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._documents import Section, SourceFile

_DIGITS = re.compile(r"\d+")
# Kinds of documents that come in frames; rows and code do not.
KINDS = ("html", "pdf", "docx", "text", "markdown")


class RepeatedBlocks:
    """Counts blocks over documents, then drops those that are boilerplate.

    Args:
        share: Share of the documents of a folder that must hold a block.
        least: The least number of documents that must hold it.
        capacity: The most blocks that are counted at a time.
        documents: Documents of one folder and kind that are looked at; later ones are not.
    """

    def __init__(
        self,
        *,
        share: float = 0.3,
        least: int = 5,
        capacity: int = 500_000,
        documents: int = 200,
    ) -> None:
        self.share = share
        self.least = least
        self.capacity = capacity
        self.documents = documents
        self.dropped: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._counts: dict[str, Counter[int]] = {}
        self._held = 0

    @property
    def full(self) -> int:
        """How many groups (folder and kind) have been looked at enough."""
        return sum(count >= self.documents for count in self._seen.values())

    def wants(self, file: SourceFile) -> bool:
        """Tell whether another document of this one's folder and kind should be observed."""
        return file.kind in KINDS and self._seen[self.group(file)] < self.documents

    @staticmethod
    def group(file: SourceFile) -> str:
        """Return a name of a document's folder and kind."""
        return f"{file.path.rpartition('/')[0]}\n{file.kind}"

    def observe(self, file: SourceFile, sections: Iterable[Section]) -> None:
        """Count the blocks of a document once each.

        Args:
            file: The document.
            sections: Its sections.
        """
        group = self.group(file)
        if self._seen[group] >= self.documents:
            return
        self._seen[group] += 1
        counts = self._counts.setdefault(group, Counter())
        before = len(counts)
        counts.update({_hash(group, b) for s in sections for b in _blocks(s)})
        self._held += len(counts) - before
        if self._held > self.capacity:
            self._keep(
                [
                    (n, key, g)
                    for g, found in self._counts.items()
                    for key, n in found.items()
                    if n > 1
                ]
            )
        if self._held > self.capacity:
            held = ((n, key, g) for g, found in self._counts.items() for key, n in found.items())
            self._keep(heapq.nlargest(self.capacity // 2, held))

    def _keep(self, rows: Iterable[tuple[int, int, str]]) -> None:
        self._counts = {group: Counter() for group in self._counts}
        for count, key, group in rows:
            self._counts[group][key] = count
        self._held = sum(map(len, self._counts.values()))

    def recount(
        self,
        files: Sequence[SourceFile],
        sections: Callable[[SourceFile], Iterable[Section]],
    ) -> set[str]:
        """Count anew the folders that hold more documents now than their counts rest on.

        Folders of which `documents` were counted, and those that shrank, keep their counts.

        Args:
            files: All files of the source, in the order of reading.
            sections: Reads a document.

        Returns:
            The groups (see `group`) in which other blocks than before are boilerplate now.
        """
        sizes = Counter(self.group(file) for file in files if file.kind in KINDS)
        grown = {
            group
            for group, size in sizes.items()
            if size >= self.least and min(size, self.documents) > self._seen[group]
        }
        before = {group: self._boilerplate(group) for group in grown}
        for group in grown:
            self._held -= len(self._counts.pop(group, ()))
            self._seen[group] = 0
        for file in files:
            if self.group(file) in grown and self.wants(file):
                self.observe(file, sections(file))
        return {group for group in grown if self._boilerplate(group) != before[group]}

    def _boilerplate(self, group: str) -> set[int]:
        least = self._needed(group)
        return {key for key, n in self._counts.get(group, Counter()).items() if n >= least}

    def _needed(self, group: str) -> float:
        return max(self.least, self.share * self._seen[group])

    def to_dict(self) -> dict[str, Any]:
        """Return what `clean` needs as JSON-ready values: blocks that enough documents hold."""
        groups = {
            group: {
                "seen": seen,
                "counts": {
                    str(key): n
                    for key, n in self._counts.get(group, Counter()).items()
                    if n >= self.least
                },
            }
            for group, seen in self._seen.items()
        }
        return {"share": self.share, "least": self.least, "groups": groups}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "RepeatedBlocks":
        """Make an object that cleans as the one that `to_dict` was called on.

        Args:
            value: What `to_dict` returned.

        Returns:
            The object; documents of folders that it has not seen stay as they are. Counts that
            are not kept by group, as the first indexes have them, are left aside.
        """
        blocks = cls(**{name: value[name] for name in ("share", "least") if name in value})
        for group, found in value.get("groups", {}).items():
            blocks._seen[group] = found["seen"]
            blocks._counts[group] = Counter({int(k): n for k, n in found["counts"].items()})
        blocks._held = sum(map(len, blocks._counts.values()))
        return blocks

    def is_boilerplate(self, file: SourceFile, block: str) -> bool:
        """Tell whether a block is boilerplate in the folder of a document.

        Args:
            file: The document.
            block: A paragraph of it.

        Returns:
            True where enough documents of the folder hold the block.
        """
        group = self.group(file)
        counts = self._counts.get(group)
        return counts is not None and counts[_hash(group, block)] >= self._needed(group)

    def clean(self, file: SourceFile, sections: Iterable[Section]) -> Iterator[Section]:
        """Drop boilerplate from a document, and count it in `dropped`.

        Args:
            file: The document.
            sections: Its sections.

        Yields:
            Sections without boilerplate; those that consisted of nothing else are left out. A
            document that consists of nothing else stays whole: it is its text, not a frame of it.
        """
        if self._seen[self.group(file)] < self.least:
            yield from sections
            return
        dropped, keeps = 0, False
        emptied: list[Section] = []
        for section in sections:
            blocks = section.text.split("\n\n")
            candidates = set(_blocks(section))
            kept = [b for b in blocks if b not in candidates or not self.is_boilerplate(file, b)]
            text = "\n\n".join(kept)
            dropped += len(blocks) - len(kept)
            if text.strip() or section.summary:
                keeps, emptied = True, []
            elif len(kept) < len(blocks):
                if not keeps:
                    emptied.append(section)
                continue
            yield section if len(kept) == len(blocks) else replace(section, text=text)
        if not keeps:
            yield from emptied
        elif dropped:
            self.dropped[file.path] += dropped


def _blocks(section: Section) -> list[str]:
    if section.kind == "record":
        return []
    # Of code only what is long, such as licence headers: short statements repeat by nature.
    least = 80 if section.kind in {"code", "preformatted"} else 1
    return [block for block in section.text.split("\n\n") if len(block.strip()) >= least]


def _hash(group: str, block: str) -> int:
    plain = _DIGITS.sub("0", " ".join(block.split()).lower())
    data = f"{group}\n{plain}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
