"""Cut sections into passages that fit a token budget, along the document's own structure.

Sections are taken in windows of bounded size. Within a window every length that is needed is
counted in a few batched calls: heading paths, then paragraphs, then the sentences, lines, words of
only those pieces that are still too long. Pieces are packed into passages of about equal length;
neighbouring tiny sections under one heading become one passage. A last batched count checks every
passage as it will be encoded, and halves those that a tokenizer makes longer than their parts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from vecsmith.core import ConfigError

from ._borders import best_cut, cut_at, split_sentences
from ._documents import Link, Passage, Section, SourceFile, join_content

WINDOW = 1 << 18  # characters of sections that are cut together
FILL = 0.8  # passages aim at this share of the budget
HEADING_SHARE = 0.35  # the most that headings may take of the budget
SUMMARY_SHARE = 0.25  # the most that a summary may take
TINY_SHARE = 0.125  # a section below this share is merged with its neighbours
SURE_SHARE = 0.9  # passages whose parts add up to more than this share are counted once more
SMALLEST_BUDGET = 16
LEAD_IN = 16  # words of a sentence that only announces what follows

Count = Callable[[Sequence[str]], list[int]]


@dataclass
class _Piece:
    text: str
    before: str  # what stands between the piece before and this one
    tokens: int = 0
    level: int = 0  # 0 paragraph, 1 sentence or line, 2 line, 3 words


@dataclass
class _Unit:
    headings: tuple[str, ...]
    kind: str
    summary: str
    anchor: str
    links: list[Link]
    pieces: list[_Piece]
    overhead: int = 0
    summary_tokens: int = 0
    alone: bool = field(default=False)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)


@dataclass(eq=False)
class _Draft:
    """A passage in the making; the first of its unit carries the summary."""

    unit: _Unit
    text: str
    tokens: int
    first: bool

    @property
    def content(self) -> str:
        return join_content(self.unit.headings, self.unit.summary if self.first else "", self.text)

    def halves(self, tokens: int) -> list["_Draft"]:
        if len(self.text) < 2:
            return [self]
        position = best_cut(self.text, max(1, int(len(self.text) * 0.6)))
        before, after = self.text[:position].rstrip(), self.text[position:].strip("\n")
        if not (before.strip() and after.strip()):
            return [self]
        more = tokens + 1  # counted again
        return [_Draft(self.unit, before, more, self.first), _Draft(self.unit, after, more, False)]


def split_passages(
    file: SourceFile,
    sections: Iterable[Section],
    count_tokens: Count,
    *,
    max_tokens: int = 256,
) -> Iterator[Passage]:
    """Cut the sections of one document into passages.

    Args:
        file: The document.
        sections: What `read_sections` gives; taken as a stream.
        count_tokens: Counts the tokens of many texts in one call, special tokens included or not.
        max_tokens: The most tokens of `Passage.content`; passages aim at 0.8 of it.

    Yields:
        Passages, numbered from 0; the same for the same sections.

    Raises:
        ConfigError: `max_tokens` is below 16.
    """
    if max_tokens < SMALLEST_BUDGET:
        raise ConfigError(
            f"max_tokens must be at least {SMALLEST_BUDGET}, got {max_tokens}; "
            "the usual encoders take 128 to 512"
        )
    cutter = _Cutter(count_tokens, max_tokens)
    position = 0
    for window in _windows(sections):
        for passage in cutter.cut(file.path, window):
            yield replace(passage, position=position)
            position += 1


def _windows(sections: Iterable[Section]) -> Iterator[list[Section]]:
    window: list[Section] = []
    size = 0
    for section in sections:
        window.append(section)
        size += len(section.text) + len(section.summary) + 64
        if size > WINDOW:
            yield window
            window, size = [], 0
    if window:
        yield window


class _Cutter:
    def __init__(self, count: Count, max_tokens: int) -> None:
        self.count = count
        self.max = max_tokens
        self.special = count([""])[0]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out; equal texts are counted once."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return []
        found = dict(zip(distinct, self.count(distinct), strict=True))
        return [max(0, found[text] - self.special) for text in texts]

    def cut(self, path: str, window: list[Section]) -> list[Passage]:
        units = _units(window)
        self.fit_headings(units)
        self.fit_summaries(units)
        self.measure([piece for unit in units for piece in unit.pieces])
        units = self.merge_tiny(_without_lead_ins(units))
        self.refine(units)
        drafts = [draft for unit in units for draft in self.pack(unit)]
        return _finish(path, self.checked(drafts))

    def fit_headings(self, units: list[_Unit]) -> None:
        """Shorten heading paths that would leave too little room for text."""
        paths = list(dict.fromkeys(unit.headings for unit in units))
        limit = int(self.max * HEADING_SHARE)
        tokens = dict(zip(paths, self.lengths([" > ".join(path) for path in paths]), strict=True))
        short: dict[tuple[str, ...], tuple[str, ...]] = {}
        for path in paths:
            if tokens[path] > limit:
                short[path], tokens[path] = self.shortened(path, limit)
        for unit in units:
            unit.overhead = tokens[unit.headings] + self.special + 2
            unit.headings = short.get(unit.headings, unit.headings)

    def shortened(self, path: tuple[str, ...], limit: int) -> tuple[tuple[str, ...], int]:
        if len(path) > 2:
            path = (path[0], path[-1])
            length = self.lengths([" > ".join(path)])[0]
            if length <= limit:
                return path, length
        each = max(2, limit // len(path) - 1)
        path = tuple(self.cropped(text, each) for text in path)
        return path, self.lengths([" > ".join(path)])[0]

    def cropped(self, text: str, limit: int) -> str:
        """Cut a text at a word so that it has at most `limit` tokens."""
        tokens = self.lengths([text])[0]
        while tokens > limit and len(text) > 1:
            keep = max(1, min(len(text) - 1, int(len(text) * limit / tokens)))
            space = text.rfind(" ", keep // 2, keep + 1)
            text = text[: space if space > 0 else cut_at(text, keep)].rstrip() or text[0]
            tokens = self.lengths([text])[0]
        return text

    def fit_summaries(self, units: list[_Unit]) -> None:
        """Keep of a long summary its first paragraph or sentence; the rest becomes text."""
        lengths = self.lengths([unit.summary for unit in units])
        limit = int(self.max * SUMMARY_SHARE)
        for unit, tokens in zip(units, lengths, strict=True):
            unit.summary_tokens = tokens
            if tokens > limit:
                self.fit_summary(unit, limit)

    def fit_summary(self, unit: _Unit, limit: int) -> None:
        first, _, rest = unit.summary.partition("\n\n")
        if self.lengths([first])[0] > limit:
            sentences = split_sentences(first)
            rest = unit.summary
            first = sentences[0] if sentences else ""
            if self.lengths([first])[0] > limit:
                first = ""
        unit.summary = first
        unit.summary_tokens = self.lengths([first])[0]
        paragraphs = [_Piece(part, "\n\n") for part in rest.split("\n\n") if part.strip()]
        unit.pieces = paragraphs + unit.pieces

    def measure(self, pieces: list[_Piece]) -> None:
        lengths = self.lengths([piece.text for piece in pieces])
        for piece, tokens in zip(pieces, lengths, strict=True):
            # What joins it to the one before may be a token a character.
            piece.tokens = tokens + max(1, len(piece.before))

    def merge_tiny(self, units: list[_Unit]) -> list[_Unit]:
        """Join runs of tiny sections that have one parent heading."""
        limit = self.max * TINY_SHARE
        merged: list[_Unit] = []
        for (tiny, _, _), run in groupby(
            units,
            key=lambda unit: (
                not unit.alone and len(unit.headings) > 1 and unit.tokens <= limit,
                unit.kind,
                unit.headings[:-1],
            ),
        ):
            group = list(run)
            merged.extend(self.joined(group) if tiny and len(group) > 1 else group)
        return merged

    def joined(self, group: list[_Unit]) -> list[_Unit]:
        names = self.lengths([unit.headings[-1] for unit in group])
        target = self.max * FILL - max(unit.overhead for unit in group)
        batches: list[list[_Unit]] = []
        room = 0.0
        for unit, tokens in zip(group, names, strict=True):
            size = tokens + unit.tokens + unit.summary_tokens + 2
            if not batches or size > room:
                batches.append([])
                room = target
            batches[-1].append(unit)
            room -= size
        return [batch[0] if len(batch) == 1 else self.one(batch) for batch in batches]

    def one(self, batch: list[_Unit]) -> _Unit:
        pieces = []
        for unit in batch:
            body = "".join(_joined_text(unit.pieces))
            lines = [unit.headings[-1], unit.summary, body]
            pieces.append(_Piece("\n".join(line for line in lines if line), "\n\n"))
        self.measure(pieces)
        first = batch[0]
        links = [link for unit in batch for link in unit.links]
        return replace(
            first,
            headings=first.headings[:-1],
            summary="",
            summary_tokens=0,
            links=links,
            pieces=pieces,
        )

    def refine(self, units: list[_Unit]) -> None:
        """Split pieces that are too long for a passage at ever smaller borders."""
        for _ in range(4):
            fresh: list[_Piece] = []
            for unit in units:
                budget = self.max - unit.overhead - unit.summary_tokens
                if all(piece.tokens <= budget for piece in unit.pieces):
                    continue
                pieces: list[_Piece] = []
                for piece in unit.pieces:
                    if piece.tokens <= budget:
                        pieces.append(piece)
                        continue
                    parts = _split_piece(piece, budget, unit.kind)
                    pieces.extend(parts)
                    fresh.extend(parts)
                unit.pieces = pieces
            if not fresh:
                return
            self.measure(fresh)

    def pack(self, unit: _Unit) -> Iterator[_Draft]:
        """Pack the pieces of a unit into texts of about equal length."""
        fixed = unit.overhead + unit.summary_tokens
        budget = self.max - fixed
        target = max(1.0, self.max * FILL - fixed)
        ideal = unit.tokens / max(1, round(unit.tokens / target + 0.35))
        groups: list[list[_Piece]] = [[]]
        size = 0
        for piece in unit.pieces:
            full = size + piece.tokens > budget
            if groups[-1] and (full or size + piece.tokens / 2 > ideal):
                groups.append([])
                size = 0
            groups[-1].append(piece)
            size += piece.tokens
        _feed_last(groups, ideal / 2, budget)
        for number, group in enumerate(groups):
            tokens = fixed + sum(piece.tokens for piece in group)
            yield _Draft(unit, "".join(_joined_text(group)), tokens, number == 0)

    def checked(self, drafts: list[_Draft]) -> list[_Draft]:
        """Halve the texts that are too long once they stand under their headings.

        Those whose parts add up to clearly less than the budget need no second count.
        """
        while True:
            doubtful = [draft for draft in drafts if draft.tokens > SURE_SHARE * self.max]
            counts = self.count([draft.content for draft in doubtful]) if doubtful else []
            lengths = {id(d): n for d, n in zip(doubtful, counts, strict=True)}
            fitted: list[_Draft] = []
            for draft in drafts:
                draft.tokens = 0 if id(draft) in lengths else draft.tokens
                fitted.extend(
                    [draft] if lengths.get(id(draft), 0) <= self.max else draft.halves(self.max)
                )
            if len(fitted) == len(drafts):
                return fitted
            drafts = fitted


def _units(window: list[Section]) -> list[_Unit]:
    units: list[_Unit] = []
    for section in window:
        pieces = [_Piece(part, "\n\n") for part in section.text.split("\n\n") if part.strip()]
        record = section.kind == "record"
        last = units[-1] if units else None
        if (
            last is not None
            and not (record or section.summary)
            and (last.headings, last.kind, last.anchor)
            == (section.headings, section.kind, section.anchor)
        ):
            last.pieces.extend(pieces)
            last.links.extend(section.links)
            continue
        units.append(
            _Unit(
                section.headings,
                section.kind,
                section.summary,
                section.anchor,
                list(section.links),
                pieces,
                alone=record,
            )
        )
    return units


def _without_lead_ins(units: list[_Unit]) -> list[_Unit]:
    """Drop "The module defines these functions:" where the functions follow as units."""
    kept = []
    for unit, after in zip(units, [*units[1:], None], strict=True):
        text = unit.pieces[0].text if len(unit.pieces) == 1 and not unit.summary else ""
        lead_in = text.endswith(":") and len(text.split()) <= LEAD_IN and unit.kind == "prose"
        deeper = after is not None and after.headings[: len(unit.headings)] == unit.headings
        if not (lead_in and deeper):
            kept.append(unit)
    return kept


def _joined_text(pieces: list[_Piece]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        if number:
            yield piece.before
        yield piece.text


def _feed_last(groups: list[list[_Piece]], least: float, budget: int) -> None:
    """Leave no scrap at the end: join it to the group before, or give it pieces of that."""
    if len(groups) < 2:
        return
    before, last = groups[-2:]
    size = sum(piece.tokens for piece in last)
    if size + sum(piece.tokens for piece in before) <= budget and size < least:
        groups[-2:] = [before + last]
        return
    while size < least and len(before) > 1 and size + before[-1].tokens <= budget:
        size += before[-1].tokens
        last.insert(0, before.pop())


def _split_piece(piece: _Piece, budget: int, kind: str) -> list[_Piece]:
    """Split a piece at the next smaller kind of border."""
    level, text = piece.level, piece.text
    parts: list[str] = []
    separator = "\n"
    if level == 0 and kind == "prose" and "\n" not in text:
        parts, separator = split_sentences(text), " "
    elif level <= 1 and "\n" in text:
        parts = [line for line in text.split("\n") if line.strip()]
    elif level <= 1 and kind != "code":
        parts, separator = split_sentences(text), " "
    if len(parts) > 1:
        return [
            _Piece(part, separator if number else piece.before, level=level + 1)
            for number, part in enumerate(parts)
        ]
    return _cut_evenly(piece, budget)


def _cut_evenly(piece: _Piece, budget: int) -> list[_Piece]:
    limit = max(1, int(len(piece.text) * max(1, budget) * 0.9 / max(1, piece.tokens)))
    parts: list[_Piece] = []
    rest, before = piece.text, piece.before
    while len(rest) > limit:
        position = max(1, best_cut(rest, limit))
        part = rest[:position]
        if part.strip():
            parts.append(_Piece(part.rstrip(), before, level=3))
        before = " " if part[-1].isspace() else ""
        rest = rest[position:].lstrip(" \n")
    if rest.strip():
        parts.append(_Piece(rest, before, level=3))
    return parts


def _finish(path: str, drafts: list[_Draft]) -> list[Passage]:
    passages: list[Passage] = []
    for _, run in groupby(drafts, key=lambda draft: id(draft.unit)):
        group = list(run)
        unit = group[0].unit
        texts = [draft.text for draft in group]
        links = _share_links(unit.links, texts)
        for number, draft in enumerate(group):
            passages.append(
                Passage(
                    document=path,
                    position=0,
                    headings=unit.headings,
                    text=draft.text,
                    kind=unit.kind,
                    summary=unit.summary if draft.first else "",
                    anchor=unit.anchor,
                    links=tuple(links[number]),
                )
            )
    return passages


def _share_links(links: list[Link], texts: list[str]) -> list[list[Link]]:
    """Give every link to the passage that holds its words, in reading order."""
    shares: list[list[Link]] = [[] for _ in texts]
    at = 0
    for link in links:
        found = next((n for n in range(at, len(texts)) if link.text in texts[n]), None)
        if found is None:
            found = next((n for n in range(at) if link.text in texts[n]), at)
        else:
            at = found
        shares[found].append(link)
    return shares
