"""Find blocks of text that many documents of a folder share, such as menus that no tag marks.

A block (a paragraph, digits levelled) is boilerplate when at least `share` of the documents of its
folder and kind that were looked at hold it, and at least `least` do. Counts are kept as 64-bit
hashes in a table of bounded size: when it is full, blocks that were seen once are forgotten, so a
block that is rare so far may be counted low, never high.

Use it over a sample first (`observe`), then on every document (`clean`). Cost: one hash a block.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ._documents import Section, SourceFile

_DIGITS = re.compile(r"\d+")


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
        self._counts: Counter[int] = Counter()

    @property
    def full(self) -> int:
        """How many groups (folder and kind) have been looked at enough."""
        return sum(count >= self.documents for count in self._seen.values())

    def wants(self, file: SourceFile) -> bool:
        """Tell whether another document of this one's folder and kind should be observed."""
        return self._seen[_group(file)] < self.documents

    def observe(self, file: SourceFile, sections: Iterable[Section]) -> None:
        """Count the blocks of a document once each.

        Args:
            file: The document.
            sections: Its sections.
        """
        group = _group(file)
        if self._seen[group] >= self.documents:
            return
        self._seen[group] += 1
        hashes = {_hash(group, b) for s in sections for b in _blocks(s)}
        self._counts.update(hashes)
        if len(self._counts) > self.capacity:
            self._counts = Counter({k: n for k, n in self._counts.items() if n > 1})
        if len(self._counts) > self.capacity:
            self._counts = Counter(dict(self._counts.most_common(self.capacity // 2)))

    def to_dict(self) -> dict[str, Any]:
        """Return what `clean` needs as JSON-ready values: blocks that enough documents hold."""
        counts = {str(key): n for key, n in self._counts.items() if n >= self.least}
        return {
            "share": self.share,
            "least": self.least,
            "seen": dict(self._seen),
            "counts": counts,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "RepeatedBlocks":
        """Make an object that cleans as the one that `to_dict` was called on.

        Args:
            value: What `to_dict` returned.

        Returns:
            The object; documents of folders that it has not seen stay as they are.
        """
        blocks = cls(share=value["share"], least=value["least"])
        blocks._seen.update(value["seen"])
        blocks._counts.update({int(key): n for key, n in value["counts"].items()})
        return blocks

    def is_boilerplate(self, file: SourceFile, block: str) -> bool:
        """Tell whether a block is boilerplate in the folder of a document.

        Args:
            file: The document.
            block: A paragraph of it.

        Returns:
            True where enough documents of the folder hold the block.
        """
        group = _group(file)
        least = max(self.least, self.share * self._seen[group])
        return self._counts[_hash(group, block)] >= least

    def clean(self, file: SourceFile, sections: Iterable[Section]) -> Iterator[Section]:
        """Drop boilerplate from a document, and count it in `dropped`.

        Args:
            file: The document.
            sections: Its sections.

        Yields:
            Sections without boilerplate; those that consisted of nothing else are left out. A
            document that consists of nothing else stays whole: it is its text, not a frame of it.
        """
        group = _group(file)
        if self._seen[group] < self.least:
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


def _group(file: SourceFile) -> str:
    return f"{file.path.rpartition('/')[0]}\n{file.kind}"


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
