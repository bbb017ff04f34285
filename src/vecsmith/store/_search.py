"""Answer a query from an index: ranked passages with probability, cut-off and highlights."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError

from ._cutoff import CosineAdapter
from ._passages import PassageTable, StoredPassage
from ._selection import Catalogue, Filter, document_key
from ._store import Store, model_of

_WORD = re.compile(r"\w[\w\u0300-\u0331]*")
SNIPPET = 280
MODES = ("lexical", "vector", "hybrid")


@dataclass(frozen=True)
class Hit:
    """One passage found.

    Attributes:
        rank: 1 is best.
        score: Score of the ranking.
        probability: Calibrated probability that it is relevant; None if the index has no cut-off.
        relevant: Whether it passes the cut-off (True where there is none).
        path: Document, relative to the source.
        headings: Heading path.
        anchor: Anchor of the section, or "".
        snippet: Best part of the text.
        highlights: (start, end) of matching words in the snippet.
        row: Row of the passage.
        id: Id of the passage; it stays over updates as long as its text does.
        document_id: Id of the document; it stays as long as the path does.
        kind: Kind of file.
    """

    rank: int
    score: float
    probability: float | None
    relevant: bool
    path: str
    headings: tuple[str, ...]
    anchor: str
    snippet: str
    highlights: tuple[tuple[int, int], ...]
    row: int
    id: str
    document_id: str
    kind: str

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as JSON-ready values; undecodable bytes of a path are replaced."""
        path = self.path.encode("utf-8", "replace").decode()
        return {**asdict(self), "path": path}


@dataclass(frozen=True)
class Answer:
    """What a search found.

    Attributes:
        query: The query.
        hits: Passages, best first.
        nothing_relevant: True if no passage passes the cut-off.
        ranking: The ranking that answered.
        cutoff: Probability at which the cut-off lies; None if the ranking has no cut-off.
    """

    query: str
    hits: tuple[Hit, ...]
    nothing_relevant: bool
    ranking: str
    cutoff: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values."""
        return {
            "query": self.query,
            "ranking": self.ranking,
            "nothing_relevant": self.nothing_relevant,
            "cutoff": self.cutoff,
            "hits": [hit.to_dict() for hit in self.hits],
        }


def passage_key(table: PassageTable, stored: StoredPassage) -> str:
    """Return the id by which people ask for a passage.

    Args:
        table: The table that it is from.
        stored: The passage.

    Returns:
        Hash of its text, then of its path, then its place among equal ones of the document.
    """
    passage = stored.passage
    place = table.twins_before(stored)
    key = f"{passage.hash}-{document_key(passage.document)[:8]}"
    return f"{key}-{place + 1}" if place else key


def ranking_for(store: Store, mode: str | None) -> str:
    """Return the ranking that a way of searching stands for.

    Args:
        store: The index.
        mode: One of `MODES`; None for the ranking that ships.

    Returns:
        A ranking; "vector" and "hybrid" use the model that ships, or the base model.

    Raises:
        ConfigError: Another mode.
    """
    if mode is None:
        return store.shipped
    if mode not in MODES:
        raise ConfigError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    model = model_of(store.shipped) or "base"
    return {"lexical": "bm25", "vector": model, "hybrid": f"{model}_hybrid"}[mode]


class Searcher:
    """Search an index that `vecsmith build` made.

    One searcher serves one thread at a time; `Store.reader` gives the store for another.

    Args:
        store: The index, or its folder.
        ranking: One of the index's rankings; by default the one that ships.
        mode: Instead of a ranking, a way of searching: one of `MODES`.
        catalogue: The documents of the index, where they are at hand.

    Raises:
        ConfigError: Unknown ranking or mode, or both given.

    Example:
        >>> Searcher("index").search("open a file")            # doctest: +SKIP
    """

    def __init__(
        self,
        store: Store | str | Path,
        *,
        ranking: str | None = None,
        mode: str | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        if ranking and mode:
            raise ConfigError(f"give ranking or mode, not both; got {ranking!r} and {mode!r}")
        self.store = store if isinstance(store, Store) else Store(store)
        self.ranking = ranking or ranking_for(self.store, mode)
        self.model = model_of(self.ranking)
        if self.ranking not in self.store.rankings():
            raise ConfigError(
                f"this index cannot rank by {self.ranking!r}: it holds no {self.model!r} model; "
                f"it has {', '.join(self.store.rankings())}"
            )
        if catalogue is not None:
            self.catalogue = catalogue

    @cached_property
    def catalogue(self) -> Catalogue:
        """The documents of the index."""
        return Catalogue(self.store.passages)

    @cached_property
    def cutoff(self) -> CosineAdapter | None:
        """The calibrated cut-off; None if the index has none for this ranking."""
        folder = self.store.folder / "cutoff"
        if self.ranking != self.store.shipped or not folder.is_dir():
            return None
        stamp = self.store.spaces[self.model].stamp if self.model else None
        return CosineAdapter.from_pretrained(folder, stamp=stamp)

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        keep_all: bool = False,
        filter: Filter | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> Answer:
        """Find passages.

        Args:
            query: Free text.
            k: The most passages to return.
            keep_all: Also return passages that do not pass the cut-off.
            filter: Which documents to look in.
            vectors: The query's vector, shape (1, dims), if it is at hand.

        Returns:
            The answer; empty if nothing is relevant.

        Raises:
            ConfigError: An empty query, or k below 1.
        """
        if not query.strip():
            raise ConfigError("query must hold a word; got an empty text")
        if k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        if self.model is not None and vectors is None:
            vectors = self.store.spaces[self.model].encoder.encode([query], kind="query")
        documents = None if filter in (None, Filter()) else self.catalogue.choose(filter)
        (ranked,) = self.store.rank(
            [query], self.ranking, k=k, vectors=vectors, documents=documents
        )
        probabilities: list[float | None] = [None] * len(ranked.rows)
        relevant = np.ones(len(ranked.rows), bool)
        if self.cutoff is not None and vectors is not None and len(ranked.rows):
            values = self.cutoff.scores(vectors, ranked.scores[None])[0]
            probabilities = [float(value) for value in values]
            relevant = values >= (self.cutoff.tau or 0.0)
        found = zip(
            self.store.passages.take(ranked.rows.tolist()),
            ranked.scores.tolist(),
            probabilities,
            relevant.tolist(),
            strict=True,
        )
        stems = set(self.store.passages.telling_stems(query))
        hits = tuple(
            self._hit(rank, stems, *one)
            for rank, one in enumerate(found, start=1)
            if keep_all or one[-1]
        )
        tau = self.cutoff.tau if self.cutoff is not None else None
        return Answer(query, hits, not relevant.any(), self.ranking, tau)

    def _hit(
        self,
        rank: int,
        stems: set[str],
        stored: StoredPassage,
        score: float,
        probability: float | None,
        relevant: bool,
    ) -> Hit:
        passage = stored.passage
        body = "\n".join(part for part in (passage.summary, passage.text) if part)
        snippet, marks = highlight(body, stems, self.store.passages.stems)
        return Hit(
            rank,
            score,
            probability,
            relevant,
            passage.document,
            passage.headings,
            passage.anchor,
            snippet,
            marks,
            stored.row,
            passage_key(self.store.passages, stored),
            document_key(passage.document),
            self.catalogue.by_number[stored.group].kind,
        )


def highlight(
    text: str, stems: set[str], stem: Any, *, width: int = SNIPPET
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Cut the part of a text that holds most of the query's words, and mark them.

    Args:
        text: The passage.
        stems: Stemmed words of the query.
        stem: Function from a text to its stems.
        width: Characters to keep.

    Returns:
        The part, white space levelled, and (start, end) of each matching word in it.
    """
    flat = " ".join(text.split())
    matches = [m.span() for m in _WORD.finditer(flat) if not stems.isdisjoint(stem(m.group()))]
    best, most, first = 0, -1, (0, 0)
    for start, stop in matches:
        inside = sum(start <= other < start + width - 40 for other, _ in matches)
        if inside > most:
            best, most, first = max(0, start - 40), inside, (start, stop)
    if best and (space := flat.find(" ", best, first[0])) >= 0:
        best = space + 1
    end = min(len(flat), best + width)
    # Cut between words, unless that would cut the first match off (text without spaces).
    if end < len(flat) and (space := flat.rfind(" ", max(best + 1, first[1]), end)) >= 0:
        end = space
    lead, tail = ("… " if best else ""), (" …" if end < len(flat) else "")
    shift = len(lead) - best
    inside_part = (m for m in matches if m[0] >= best and m[1] <= end)
    marks = tuple((a + shift, b + shift) for a, b in inside_part)
    return lead + flat[best:end] + tail, marks
