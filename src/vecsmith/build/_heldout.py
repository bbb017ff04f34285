"""Step 2: split by document and by query; training pairs from one side, queries from the other.

Every group (a document; a section where there are few documents) falls by the hash of its name into
train, probe, watch, validation or test. Training pairs come from train alone, the probe serves the
merge, watch the choice of weights during training, validation all later choices, test the
judgement.

A search engine meets two things that it was not trained on: new documents and new questions about
documents that it knows. So the held-out queries are of two sorts. Headings and docstrings are asked
of held-out documents; as they are the document's own words, they are also judged on a copy of the
index in which those words are taken out of it. The words of links, which other authors chose, and
the user's own queries are split by themselves: a share of them, whatever they point to, is kept out
of training.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vecsmith.core import DataError, atomic_path, numpy_generator, read_json
from vecsmith.data import (
    Pair,
    Passage,
    clean_query,
    first_sentence,
    heading_query,
    neighbour_pairs,
    structure_pairs,
)
from vecsmith.evaluate import HeldOut, read_queries
from vecsmith.store import PassageTable, StoredPassage

FEW_DOCUMENTS = 40
SHARES = {"test": 0.15, "validation": 0.15, "watch": 0.05, "probe": 0.05}
MOST_QUERIES = {"test": 800, "validation": 800}
MOST_PAIRS = 40_000
# How many pairs of each kind may be drawn for one of the kind "link".
WEIGHTS = {"pairs": 4.0, "link": 1.0, "summary": 1.0, "heading": 1.0, "crop": 0.3, "neighbour": 0.2}
LEAST_WATCHED = 20
_MOST_TARGETS = 3
# Of more passages than this a share of the groups is looked at, which bounds memory.
MOST_PASSAGES = 100_000
# Passages among which the one of a document that answers a user's query is looked for.
_LOOKED_AT = 2000


@dataclass
class Split:
    """What training and judging work on.

    Attributes:
        unit: "document" or "section": what a group is.
        pairs: Training pairs, in training order.
        probe: Held-out pairs for the merge.
        watch: Held-out pairs for the score during training; validation does not share them.
        queries: "validation" and "test" queries.
        masked: Row -> content without the words that became a query.
        trained: Groups of the training side.
        notes: What was left out of the user's own pairs, one sentence each.
    """

    unit: str
    pairs: list[Pair]
    probe: list[Pair]
    watch: list[Pair]
    queries: dict[str, list[HeldOut]]
    masked: dict[int, str]
    trained: list[int]
    notes: list[str]

    def save(self, path: Path) -> None:
        """Write everything as one JSON file."""
        value = {
            "unit": self.unit,
            "pairs": [asdict(pair) for pair in self.pairs],
            "probe": [asdict(pair) for pair in self.probe],
            "watch": [asdict(pair) for pair in self.watch],
            "queries": {
                name: [[q.text, sorted(q.relevant), q.origin] for q in queries]
                for name, queries in self.queries.items()
            },
            "masked": {str(row): text for row, text in self.masked.items()},
            "trained": self.trained,
            "notes": self.notes,
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(value), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read what `save` wrote."""
        value = read_json(path)
        return cls(
            value["unit"],
            [Pair(**pair) for pair in value["pairs"]],
            [Pair(**pair) for pair in value["probe"]],
            [Pair(**pair) for pair in value["watch"]],
            {
                name: [HeldOut(text, frozenset(ids), origin) for text, ids, origin in queries]
                for name, queries in value["queries"].items()
            },
            {int(row): text for row, text in value["masked"].items()},
            value["trained"],
            value["notes"],
        )

    def seen(self) -> dict[str, list[str]]:
        """List, in small letters, the queries that training or a choice rests on."""
        chosen = {pair.query.lower() for pair in (*self.probe, *self.watch)}
        chosen |= {query.text.lower() for query in self.queries["validation"]}
        return {
            "trained_on": sorted({pair.query.lower() for pair in self.pairs}),
            "chosen_by": sorted(chosen),
        }

    def counts(self) -> dict[str, Any]:
        """Count pairs and queries by kind."""
        kinds: dict[str, int] = defaultdict(int)
        for pair in self.pairs:
            kinds[pair.kind] += 1
        origins: dict[str, dict[str, int]] = {}
        for name, queries in self.queries.items():
            origins[name] = defaultdict(int)
            for query in queries:
                origins[name][query.origin] += 1
        return {
            "unit": self.unit,
            "pairs": dict(kinds),
            "probe": len(self.probe),
            "queries": {name: dict(found) for name, found in origins.items()},
            "masked_passages": len(self.masked),
            "left_out": self.notes,
        }


def side_of(name: str, seed: int) -> str:
    """Tell on which side of the split a group falls.

    Args:
        name: Name of the group.
        seed: Seed of the split.

    Returns:
        "train", "probe", "watch", "validation" or "test".
    """
    point = _point(f"{seed}\x00{name}")
    for side, share in SHARES.items():
        if point < share:
            return side
        point -= share
    return "train"


def _point(name: str) -> float:
    """Place a name between 0 and 1, by its hash."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape")) / 2**32


def make_split(table: PassageTable, *, seed: int, pairs_file: str | None, source: str) -> Split:
    """Make pairs and queries from the structure of the passages and the user's own pairs.

    Args:
        table: The passages.
        seed: Seed of split and sampling.
        pairs_file: The user's JSONL file, or None.
        source: The source, for absolute paths in that file.

    Returns:
        The split.
    """
    return _Maker(table, seed).split(pairs_file, source)


class _Maker:
    def __init__(self, table: PassageTable, seed: int) -> None:
        self.table, self.seed = table, seed
        self.share = MOST_PASSAGES / max(1, len(table))
        self.ids = table.document_ids()
        self.unit = "document" if len(self.ids) >= FEW_DOCUMENTS else "section"
        self.rng = numpy_generator(seed, "pairs")
        self.side: dict[int, str] = {}
        self.made: dict[str, list[Pair]] = defaultdict(list)
        self.anchors: dict[tuple[str, str], tuple[int, int]] = {}
        self.headings: dict[str, set[int]] = defaultdict(set)
        self.given: dict[str, set[int]] = {}
        self.notes: list[str] = []

    def passages(self) -> Iterator[StoredPassage]:
        """Passages of the groups that are looked at; documents of the user's pairs always are."""
        asked_for = set().union(*self.given.values())
        for stored in self.table.passages():
            if (
                self.share >= 1
                or stored.group in asked_for
                or _point(f"{self.seed}\x00drawn\x00{self.group(stored)}") < self.share
            ):
                yield stored

    def group(self, stored: StoredPassage) -> int:
        return stored.group if self.unit == "document" else stored.section

    def survey(self) -> None:
        """First pass: sides of groups, places of anchors, headings that several groups share."""
        for stored in self.passages():
            group, passage = self.group(stored), stored.passage
            if group not in self.side:
                name = passage.document
                name += "" if self.unit == "document" else f"\x00{stored.section}"
                self.side[group] = side_of(name, self.seed)
            self.anchors.setdefault((passage.document, ""), (stored.row, group))
            if passage.anchor:
                self.anchors.setdefault((passage.document, passage.anchor), (stored.row, group))
            for heading in passage.headings:
                self.headings[clean_query(heading).lower()].add(group)

    def structure(self) -> None:
        """Second pass: pairs of every passage."""
        for stored in self.passages():
            group = self.group(stored)
            for pair in structure_pairs(stored.row, group, stored.passage, self.rng):
                rare = len(self.headings.get(pair.query.lower(), ())) <= _MOST_TARGETS
                if rare or pair.kind not in ("heading",):
                    self.made[pair.kind].append(pair)
        rows = ((s.row, self.group(s), s.passage) for s in self.passages())
        self.made["neighbour"] = list(neighbour_pairs(rows))

    def links(self) -> None:
        """Link words -> the passage that the link points to, links within a group left out."""
        targets: dict[str, set[tuple[int, int]]] = defaultdict(set)
        spelling: dict[str, str] = {}
        for stored in self.passages():
            for link in stored.passage.links:
                place = self.anchors.get((link.target, link.fragment)) or self.anchors.get(
                    (link.target, "")
                )
                text = clean_query(link.text)
                if place is None or not text or place[1] == self.group(stored):
                    continue
                targets[text.lower()].add(place)
                spelling.setdefault(text.lower(), text)
        for key, places in targets.items():
            if len({group for _, group in places}) > _MOST_TARGETS:
                continue
            for row, group in sorted(places):
                self.made["link"].append(Pair(spelling[key], "", row, group, "link"))

    def own(self) -> None:
        """The user's own pairs: a query with the best passage of each of its documents."""
        documents = self.table.column("document")
        groups = documents if self.unit == "document" else self.table.column("section")
        first: dict[int, int] = {}
        for row, document in enumerate(documents):
            first.setdefault(document, row)
        for text, relevant in self.given.items():
            best = {document: first[document] for document in relevant}
            near, _ = self.table.search(text, _LOOKED_AT)
            for row in reversed(near.tolist()):
                if documents[row] in best:
                    best[documents[row]] = row
            for row in sorted(best.values()):
                self.made["pairs"].append(Pair(text, "", row, groups[row], "pairs"))

    def split(self, pairs_file: str | None, source: str) -> Split:
        if pairs_file is not None:
            given = read_queries(
                pairs_file,
                self.ids,
                skipped=self.notes.append,
                source=source,
                duplicates=self.table.duplicates(),
            )
            for query in given:
                self.given.setdefault(query.text, set()).update(query.relevant)
        self.survey()
        self.structure()
        self.links()
        self.own()
        queries = {side: self.queries(side) for side in ("validation", "test")}
        asked = {q.text.lower() for part in queries.values() for q in part}
        # A query with any target outside of train is left out of training altogether.
        outside = {
            pair.query.lower()
            for pairs in self.made.values()
            for pair in pairs
            if self.side_of_pair(pair.kind, pair.query, pair.group) != "train"
        }
        train = self.sample("train", MOST_PAIRS, asked | outside)
        probe = self.sample("probe", 512, asked)
        watch = self.sample("watch", 128, asked)
        if len(watch) < LEAST_WATCHED:
            # Of a few documents none may fall on that side.
            watch = self.sample("probe", 128, asked)
        masked = self.mask(queries)
        train, probe, watch = (self.filled(pairs) for pairs in (train, probe, watch))
        trained = sorted(group for group, side in self.side.items() if side == "train")
        return Split(self.unit, train, probe, watch, queries, masked, trained, self.notes)

    def sample(self, side: str, most: int, forbidden: set[str]) -> list[Pair]:
        """Draw pairs of one side, kinds in the proportion of `WEIGHTS`, and shuffle them."""
        rng = numpy_generator(self.seed, "sample", side)
        drawn: list[Pair] = []
        total = sum(WEIGHTS[kind] for kind, pairs in self.made.items() if pairs) or 1.0
        for kind in sorted(self.made):
            here = [
                pair
                for pair in self.made[kind]
                if self.side_of_pair(kind, pair.query, pair.group) == side
                and (side != "train" or self.side[pair.group] == "train")
                and pair.query.lower() not in forbidden
            ]
            limit = int(most * WEIGHTS[kind] / total) + 1
            order = rng.permutation(len(here))[:limit]
            drawn.extend(here[place] for place in order)
        return [drawn[place] for place in rng.permutation(len(drawn))]

    def filled(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Give link and user pairs the content of their passage."""
        rows = sorted({pair.row for pair in pairs if not pair.positive})
        passages = self.table.take(rows)
        content = {stored.row: stored.passage.content for stored in passages}
        return [
            pair if pair.positive else replace(pair, positive=content[pair.row]) for pair in pairs
        ]

    def queries(self, side: str) -> list[HeldOut]:
        """Choose known-item queries: the user's first, then links, docstrings and headings."""
        rng = numpy_generator(self.seed, "queries", side)
        most = MOST_QUERIES[side]
        chosen: dict[str, HeldOut] = {}
        for kind, share in (("pairs", 1.0), ("link", 0.6), ("summary", 0.5), ("heading", 1.0)):
            found = self.given if kind == "pairs" else self.targets(kind)
            here = sorted(q for q, groups in found.items() if self.held(kind, q, groups, side))
            room = int((most - len(chosen)) * share)
            per_group: dict[int, int] = defaultdict(int)
            for place in rng.permutation(len(here)):
                text = here[place]
                first = min(found[text])
                if room <= 0:
                    break
                if text.lower() in chosen or (kind != "pairs" and per_group[first] >= 3):
                    continue
                per_group[first] += 1
                room -= 1
                chosen[text.lower()] = HeldOut(text, frozenset(found[text]), kind)
        return list(chosen.values())

    def held(self, kind: str, query: str, groups: Iterable[int], side: str) -> bool:
        return all(self.side_of_pair(kind, query, group) == side for group in groups)

    def side_of_pair(self, kind: str, query: str, group: int) -> str:
        """Side of a pair: that of its group, or of the words where others chose them."""
        if kind in ("link", "pairs"):
            by_words = side_of(f"{kind}\x00{query.lower()}", self.seed)
            if kind == "pairs" or by_words in ("validation", "test"):
                return by_words
        return self.side[group]

    def targets(self, kind: str) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for pair in self.made.get(kind, ()):
            found[pair.query].add(pair.group)
        return {text: groups for text, groups in found.items() if len(groups) <= _MOST_TARGETS}

    def mask(self, queries: dict[str, list[HeldOut]]) -> dict[int, str]:
        """Take each heading or docstring that became a query out of its own group's passages."""
        words: dict[int, set[str]] = defaultdict(set)
        for part in queries.values():
            for query in part:
                if query.origin in ("heading", "summary"):
                    for group in query.relevant:
                        words[group].add(query.text.lower())
        masked: dict[int, str] = {}
        for stored in self.table.passages():
            gone = words.get(self.group(stored))
            if gone:
                bare = _without(stored.passage, gone)
                if bare.content != stored.passage.content:
                    masked[stored.row] = bare.content
        return masked


def _without(passage: Passage, gone: set[str]) -> Passage:
    title = clean_query(passage.headings[0]).lower() if passage.headings else ""

    def stays(heading: str) -> bool:
        query = heading_query(heading, code=passage.kind == "code").lower()
        return query not in gone and f"{title} {query}" not in gone

    headings = tuple(h for h in passage.headings if stays(h))
    summary = clean_query(first_sentence(passage.summary)).lower()
    kept = "" if summary in gone else passage.summary
    return replace(passage, headings=headings, summary=kept)


def general_pairs(path: Path | None = None) -> list[tuple[str, str]]:
    """Read the general pairs that watch over what a model knew before.

    Args:
        path: JSONL file with ``query`` and ``document``; by default WordNet lemmas and glosses.

    Returns:
        (query, document) pairs.

    Raises:
        DataError: The file holds no such line.
    """
    file = path or Path(__file__).with_name("general_pairs.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not rows:
        raise DataError(f"{str(file)!r} holds no pairs")
    return [(row["query"], row["document"]) for row in rows]
