"""Coherence and diversity of topics, from their words alone.

*Coherence* is the mean normalised pointwise mutual information of pairs of a topic's words (G.
Bouma, 2009; J. Lau, D. Newman and T. Baldwin, 2014), counted in sliding windows or whole texts,

    NPMI(a, b) = log(p(a, b) / (p(a) p(b))) / -log p(a, b)

from -1 (never together, unseen words too) over 0 (by chance) to 1 (never apart). *Diversity* is the
share of different words among the top words of all topics (A. Dieng, F. Ruiz and D. Blei, 2020):
without it, one good topic given many times would win. Count on texts that the topics were not
learned from, where there are some. Cost: one pass over the texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, shown
from vecsmith.encode._texts import checked_texts, split_words

Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

_BLOCK = 1 << 20


@dataclass(frozen=True)
class CoherenceScore:
    """Coherence of topics.

    Attributes:
        mean: Mean over topics.
        topics: Of each topic, shape (topics,).
        windows: Windows that were counted in.
        unseen: Words of topics that stand in no text.
    """

    mean: float
    topics: Doubles = field(repr=False, compare=False)
    windows: int
    unseen: int


def _checked_topics(topics: Sequence[Sequence[str]], top_k: int, least: int) -> list[list[str]]:
    if top_k < least:
        raise ConfigError(f"top_k must be at least {least}; got {top_k}")
    found = [list(topic)[:top_k] for topic in topics]
    if not found or any(isinstance(topic, str) for topic in topics):
        raise DataError("topics must be at least one list of words; got none, or a string")
    for place, topic in enumerate(found):
        if len(topic) < least or len({*topic}) < len(topic):
            raise DataError(
                f"topic {place} must hold at least {least} words, each once; got "
                f"{shown(' '.join(topic))!r}"
            )
    return found


def topic_diversity(topics: Sequence[Sequence[str]], *, top_k: int = 25) -> float:
    """Share of different words among the top words of all topics.

    Args:
        topics: Words of each topic, the heaviest first.
        top_k: How many of each count.

    Returns:
        In (0, 1]; 1 where no word comes twice.

    Raises:
        DataError: No topics, or a topic without words, or with a word twice.
        ConfigError: `top_k` is below 1.
    """
    words = [word for topic in _checked_topics(topics, top_k, 1) for word in topic]
    return len({*words}) / len(words)


def topic_coherence(
    topics: Sequence[Sequence[str]],
    texts: Sequence[str],
    *,
    top_k: int = 10,
    window: int | None = 10,
    tokenizer: Callable[[str], Sequence[str]] = split_words,
) -> CoherenceScore:
    """Score how well the words of topics go together in texts.

    Args:
        topics: Words of each topic, the heaviest first.
        texts: Texts to count in.
        top_k: How many words of each topic count.
        window: Tokens of a sliding window; None takes whole texts.
        tokenizer: How texts are split; words must come out as the topics have them.

    Returns:
        The score.

    Raises:
        DataError: No topics or texts, a topic of fewer than two words, or no word of a topic in
            any text.
        ConfigError: `top_k` is below 2, or `window` below 1.
    """
    if window is not None and window < 1:
        raise ConfigError(f"window must be at least 1, or None for whole texts; got {window}")
    found = _checked_topics(topics, top_k, 2)
    place = {word: i for i, word in enumerate(dict.fromkeys(w for t in found for w in t))}
    counted = checked_texts(texts, some=True)
    together, windows = _window_counts(counted, place, window, tokenizer)
    alone = together.diagonal()
    if not alone.any():
        raise DataError(
            f"no word of {len(found)} topics stands in {len(counted)} texts; give a tokenizer that "
            "splits texts as the topics were"
        )
    scores = []
    for topic in found:
        rows = np.array([place[word] for word in topic])
        pairs = [(a, b) for i, a in enumerate(rows) for b in rows[:i]]
        first, second = np.array(pairs).T
        scores.append(npmi(together[first, second], alone[first], alone[second], windows).mean())
    values = np.array(scores)
    return CoherenceScore(float(values.mean()), values, windows, int((alone == 0).sum()))


def npmi(both: Any, first: Any, second: Any, total: int) -> Doubles:
    """Normalised pointwise mutual information.

    Args:
        both: How often pairs were seen together, shape (pairs,).
        first: How often their first words were.
        second: How often their second words were.
        total: How often anything could be.

    Returns:
        Shape (pairs,), in [-1, 1]; -1 for pairs that never were, 1 for those that always were.
    """
    pair, a, b = (np.asarray(x, np.float64) / total for x in (both, first, second))
    seen, always = pair > 0, pair >= 1
    safe = np.where(seen & ~always, pair, 0.5)
    product = np.where(a * b > 0, a * b, 1.0)
    value = np.log(safe / product) / -np.log(safe)
    return np.asarray(np.where(always, 1.0, np.where(seen, value, -1.0)))


def _window_counts(
    texts: list[str],
    place: dict[str, int],
    window: int | None,
    tokenizer: Callable[[str], Sequence[str]],
) -> tuple[Ids, int]:
    """Count windows that hold each pair of words, and on the diagonal each word."""
    together = np.zeros((len(place), len(place)), np.int64)
    rows: list[Ids] = []
    columns: list[Ids] = []
    windows = start = held = 0
    for text in texts:
        ids = np.array([place.get(word, -1) for word in tokenizer(text)], np.int64)
        size = len(ids) if window is None else min(window, len(ids))
        if not size:
            continue
        count = len(ids) - size + 1
        at = np.flatnonzero(ids >= 0)
        first = np.maximum(at - size + 1, 0)
        spans = np.minimum(at, count - 1) - first + 1
        # all windows that cover each place
        steps = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        rows.append(start + np.repeat(first, spans) + steps)
        columns.append(np.repeat(ids[at], spans))
        start, windows, held = start + count, windows + count, held + int(spans.sum())
        if held > _BLOCK:
            together += _pair_counts(rows, columns, (start, len(place)))
            rows, columns, start, held = [], [], 0, 0
    if held:
        together += _pair_counts(rows, columns, (start, len(place)))
    return together, windows


def _pair_counts(rows: list[Ids], columns: list[Ids], shape: tuple[int, int]) -> Ids:
    from scipy.sparse import csr_array

    places = (np.concatenate(rows), np.concatenate(columns))
    found = csr_array((np.ones(len(places[0]), np.int64), places), shape=shape)
    found.sum_duplicates()
    # a word twice in a window is there once
    found.data[:] = 1
    return np.asarray((found.T @ found).toarray())
