"""Make training pairs and known-item queries from structure alone: no labels, no language model.

Each passage gives: heading -> body without that heading, docstring -> code without it, first words
of a section -> the rest, a cropped span -> what is left; each link gives: its words -> the passage
it points to. Where the query stands in its own document text to the letter, it is taken out of it,
so that a model must learn meaning and not copying; of headings and docstrings half of the pairs
keep it, because in the index it stands there, and a model that never meets it unlearns to use it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ._documents import Passage

WHOLE_SHARE = 0.5
KINDS = ("link", "heading", "summary", "neighbour", "crop", "pairs")
# Words of links and headings that name no content.
_EMPTY_WORDS = frozenset(
    (
        "back contents description details example examples here home index introduction link more "
        "next note notes overview parameters prev previous reference references returns see source "
        "summary that this top up usage also module"
    ).split()
)
# A letter alone is no number: "C programming" keeps it, "Appendix C" and "C.1" do not.
_NUMBERING = re.compile(
    r"^\s*(?:(?:chapter|section|appendix)\s+(?:\d+|[A-Z])(?:\.\d+)*\.?"
    r"|\d+(?:\.\d+)*\.?|[A-Z](?:\.\d+)+\.?|[A-Z]\.)\s+",
    re.I,
)
_SIGNATURE = re.compile(r"^(async\s+)?(def|class|function|fn|func)\s+|[(:].*$")
_ARGUMENTS = re.compile(r"(?<=\w)\(.+\)$")
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Pair:
    """A query with the text that answers it.

    Attributes:
        query: Short text.
        positive: Content of the passage; mostly without the query where it came from there.
        row: Row of the passage in the index.
        group: Document (or section) that it belongs to.
        kind: One of `KINDS`.
    """

    query: str
    positive: str
    row: int
    group: int
    kind: str


def clean_query(text: str) -> str:
    """Level white space, drop section numbers, paragraph signs and quotes.

    Args:
        text: Heading or link words.

    Returns:
        A query, or "" if the words name no content.
    """
    flat = " ".join(text.replace("¶", " ").split())
    flat = _NUMBERING.sub("", flat).strip(" \t:;,.\"'“”‘’·—–-")
    words = [word.lower() for word in _WORD.findall(flat)]
    meaning = [word for word in words if word not in _EMPTY_WORDS and not word.isdigit()]
    if not meaning or len(flat) < 3 or len(words) > 24:
        return ""
    return flat


def first_sentence(text: str, most: int = 200) -> str:
    """Return the first sentence of a text.

    Args:
        text: Prose.
        most: Characters at most.

    Returns:
        The sentence, white space levelled.
    """
    flat = " ".join(text.split())
    return _SENTENCE.split(flat, maxsplit=1)[0][:most].strip()


def heading_query(heading: str, *, code: bool) -> str:
    """Turn a heading into a query; of a signature only the name is kept.

    Args:
        heading: The heading.
        code: Whether it heads code.

    Returns:
        The query, or "".
    """
    query = clean_query(heading)
    # What is left of a signature may be a word without content again.
    return clean_query(_SIGNATURE.sub("", query)) if code else _ARGUMENTS.sub("()", query)


def without_heading(passage: Passage, heading: str) -> Passage:
    """Take a heading out of a passage's path.

    Args:
        passage: The passage.
        heading: The heading, as it stands in the path.

    Returns:
        The passage without it.
    """
    return replace(passage, headings=tuple(h for h in passage.headings if h != heading))


def without_words(text: str, query: str) -> str:
    """Take a query out of a text wherever it stands in it to the letter, as whole words.

    Args:
        text: Content of a passage.
        query: The query.

    Returns:
        The text without it; white space around it is levelled.
    """
    words = query.split()
    if not words:
        return text
    pattern = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)")
    # What closes up around a gap may spell the query again.
    while (found := pattern.search(text)) is not None:
        text = (text[: found.start()].rstrip(" ") + " " + text[found.end() :].lstrip(" ")).strip()
    return text


def structure_pairs(
    row: int,
    group: int,
    passage: Passage,
    rng: np.random.Generator,
    *,
    whole_share: float = WHOLE_SHARE,
) -> Iterator[Pair]:
    """Make pairs out of one passage.

    Args:
        row: Its row.
        group: Its group.
        passage: The passage.
        rng: Decides where spans are cropped, and which pairs keep the passage whole.
        whole_share: Share of heading and docstring pairs that do.

    Yields:
        Pairs of the kinds "heading", "summary" and "crop".
    """
    for query, rest, kind in _structure(passage, rng):
        if _WORD.search(positive := without_words(rest.content, query)):
            whole = kind != "crop" and rng.random() < whole_share
            yield Pair(query, passage.content if whole else positive, row, group, kind)


def _structure(passage: Passage, rng: np.random.Generator) -> Iterator[tuple[str, Passage, str]]:
    """Give queries, the passage without the part that each was taken from, and their kinds."""
    leaf = passage.headings[-1] if passage.headings else ""
    if query := heading_query(leaf, code=passage.kind == "code"):
        rest = without_heading(passage, leaf)
        yield query, rest, "heading"
        if len(passage.headings) > 1 and (title := clean_query(passage.headings[0])):
            yield f"{title} {query}", without_heading(rest, passage.headings[0]), "heading"
    if query := clean_query(first_sentence(passage.summary)):
        yield query, replace(passage, summary=""), "summary"
    words = passage.text.split()
    if passage.kind == "prose" and len(words) >= 30:
        length = int(rng.integers(4, 13))
        start = int(rng.integers(0, len(words) - length))
        rest_words = " ".join(words[:start] + words[start + length :])
        query = " ".join(words[start : start + length])
        yield query, replace(passage, text=rest_words), "crop"


def neighbour_pairs(rows: Iterable[tuple[int, int, Passage]], *, every: int = 4) -> Iterator[Pair]:
    """Pair the first sentence of a passage with the passage before it in the same section.

    Args:
        rows: (row, group, passage) in the order of rows.
        every: Take one in so many.

    Yields:
        Pairs of the kind "neighbour".
    """
    before: tuple[int, int, Passage] | None = None
    for number, (row, group, passage) in enumerate(rows):
        if (
            before is not None
            and number % every == 0
            and before[1] == group
            and before[2].headings == passage.headings
            and passage.kind == "prose"
            and (query := clean_query(first_sentence(passage.text)))
        ):
            yield Pair(query, before[2].content, before[0], group, "neighbour")
        before = (row, group, passage)
