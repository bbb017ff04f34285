"""Answer a query from an index: ranked passages with probability, cut-off and highlights."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vecsmith.core import ConfigError

from ._cutoff import CosineAdapter
from ._store import Store, model_of

_WORD = re.compile(r"\w[\w\u0300-\u0331]*")
SNIPPET = 280


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
    """

    query: str
    hits: tuple[Hit, ...]
    nothing_relevant: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values."""
        hits = [hit.to_dict() for hit in self.hits]
        return {"query": self.query, "nothing_relevant": self.nothing_relevant, "hits": hits}


class Searcher:
    """Search an index that `vecsmith build` made.

    Args:
        store: The index, or its folder.
        ranking: One of the index's rankings; by default the one that ships.

    Example:
        >>> Searcher("index").search("open a file")            # doctest: +SKIP
    """

    def __init__(self, store: Store | str | Path, *, ranking: str | None = None) -> None:
        self.store = store if isinstance(store, Store) else Store(store)
        self.ranking = ranking or self.store.shipped
        self._model = model_of(self.ranking)
        if self.ranking not in self.store.rankings():
            raise ConfigError(
                f"this index cannot rank by {self.ranking!r}: it holds no {self._model!r} model; "
                f"it has {', '.join(self.store.rankings())}"
            )

    @cached_property
    def cutoff(self) -> CosineAdapter | None:
        """The calibrated cut-off; None if the index has none for this ranking."""
        folder = self.store.folder / "cutoff"
        if self.ranking != self.store.shipped or not folder.is_dir():
            return None
        stamp = self.store.spaces[self._model].stamp if self._model else None
        return CosineAdapter.from_pretrained(folder, stamp=stamp)

    def search(self, query: str, *, k: int = 10, keep_all: bool = False) -> Answer:
        """Find passages.

        Args:
            query: Free text.
            k: The most passages to return.
            keep_all: Also return passages that do not pass the cut-off.

        Returns:
            The answer; empty if nothing is relevant.

        Raises:
            ConfigError: An empty query, or k below 1.
        """
        if not query.strip():
            raise ConfigError("query must hold a word; got an empty text")
        if k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        vectors = None
        if self._model is not None:
            vectors = self.store.spaces[self._model].encoder.encode([query], kind="query")
        (ranked,) = self.store.rank([query], self.ranking, k=k, vectors=vectors)
        probabilities: list[float | None] = [None] * len(ranked.rows)
        relevant = np.ones(len(ranked.rows), bool)
        if self.cutoff is not None and vectors is not None and len(ranked.rows):
            values = self.cutoff.scores(vectors, ranked.scores[None])[0]
            probabilities = [float(value) for value in values]
            relevant = values >= (self.cutoff.tau or 0.0)
        hits = [
            self._hit(rank, query, stored, float(score), probability, bool(passes))
            for rank, (stored, score, probability, passes) in enumerate(
                zip(
                    self.store.passages.take(ranked.rows.tolist()),
                    ranked.scores,
                    probabilities,
                    relevant,
                    strict=True,
                ),
                start=1,
            )
        ]
        shown = hits if keep_all else [hit for hit in hits if hit.relevant]
        return Answer(query, tuple(shown), not relevant.any())

    def _hit(
        self,
        rank: int,
        query: str,
        stored: Any,
        score: float,
        probability: float | None,
        relevant: bool,
    ) -> Hit:
        passage = stored.passage
        body = "\n".join(part for part in (passage.summary, passage.text) if part)
        stems = set(self.store.passages.telling_stems(query))
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
