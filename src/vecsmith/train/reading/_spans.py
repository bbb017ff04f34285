"""Spans of a context in the tokens of a window, and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Offset = tuple[int, int]


class Span(NamedTuple):
    """A span that a window offers.

    Attributes:
        score: Logit of its start and of its end; the window's own for no answer, if both are None.
        start: First character in the context.
        end: One past the last.
    """

    score: float
    start: int | None
    end: int | None


def span_in_window(
    offsets: Sequence[Offset | None], span: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Find the tokens of an answer in a window.

    Args:
        offsets: Place of each token in the context; None outside of it.
        span: The answer's place; None for no answer.

    Returns:
        Its first and last token; None where the window does not hold all of it.
    """
    if span is None:
        return None
    places = [
        i for i, o in enumerate(offsets) if o is not None and o[0] < span[1] and o[1] > span[0]
    ]
    if not places:
        return None
    first, last = offsets[places[0]], offsets[places[-1]]
    assert first is not None and last is not None
    # white space at the borders of an answer belongs to no token
    whole = first[0] <= span[0] or not _cut_before(offsets, places[0])
    whole = whole and (last[1] >= span[1] or not _cut_after(offsets, places[-1]))
    return (places[0], places[-1]) if whole else None


def _cut_before(offsets: Sequence[Offset | None], place: int) -> bool:
    return place == 0 or offsets[place - 1] is None


def _cut_after(offsets: Sequence[Offset | None], place: int) -> bool:
    return place + 1 == len(offsets) or offsets[place + 1] is None


def best_span(
    starts: NDArray[np.floating],
    ends: NDArray[np.floating],
    offsets: Sequence[Offset | None],
    *,
    max_tokens: int = 30,
    no_answer: bool = False,
) -> Span:
    """Find the span with the highest sum of logits.

    Args:
        starts: Logit of each token as a start, shape (tokens,).
        ends: As an end.
        offsets: Place of each token in the context; None outside of it.
        max_tokens: Tokens of a span at most.
        no_answer: The first token stands for no answer, and may win.

    Returns:
        The span, at its place in the context.
    """
    inside = np.array([o is not None for o in offsets], bool)
    count = len(offsets)
    none = Span(float(starts[0] + ends[0]) if no_answer else -np.inf, None, None)
    if not inside.any():
        return none
    sums = np.where(inside, starts[:count], -np.inf)[:, None] + np.where(
        inside, ends[:count], -np.inf
    )
    length = np.arange(count)[None, :] - np.arange(count)[:, None]
    sums = np.where((length >= 0) & (length < max_tokens), sums, -np.inf)
    first, last = divmod(int(sums.argmax()), count)
    left, right = offsets[first], offsets[last]
    assert left is not None and right is not None
    if no_answer and none.score >= sums[first, last]:
        return none
    return Span(float(sums[first, last]), left[0], right[1])
