"""Exact match and F1 of words of found spans (P. Rajpurkar and others, 2016), in any script.

Case, punctuation, English articles and white space do not count. Texts without spaces are cut into
characters. A question without an answer is right where nothing was found.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError
from vecsmith.encode.knowledge import folded_words

_ARTICLES = re.compile(r"\b(a|an|the)\b")


class SpanScores(NamedTuple):
    """Scores of each question.

    Attributes:
        exact: 1 where an answer was found exactly, shape (questions,).
        f1: Overlap in words with the best answer, shape (questions,).
    """

    exact: NDArray[np.float64]
    f1: NDArray[np.float64]


def normal_answer(text: str) -> str:
    """Leave out what does not count.

    Args:
        text: An answer.

    Returns:
        Words in lower case, a space between.
    """
    lowered = unicodedata.normalize("NFC", text).casefold()
    bare = "".join(c for c in lowered if unicodedata.category(c)[0] != "P")
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(found: str, answers: Sequence[str]) -> float:
    """Tell whether an answer was found exactly.

    Args:
        found: What was found; "" for nothing.
        answers: Right ones; none where there is no answer.

    Returns:
        1.0 or 0.0.
    """
    own = normal_answer(found)
    return float(any(own == normal_answer(answer) for answer in answers or ("",)))


def token_f1(found: str, answers: Sequence[str]) -> float:
    """Overlap in words with the best of the answers.

    Args:
        found: What was found.
        answers: Right ones.

    Returns:
        From 0 to 1.
    """
    return max(_f1(_words(found), _words(answer)) for answer in answers or ("",))


def span_scores(found: Sequence[str], answers: Sequence[Sequence[str]]) -> SpanScores:
    """Score all questions.

    Args:
        found: What was found for each.
        answers: Right answers of each.

    Returns:
        Both scores.

    Raises:
        DataError: No questions, or numbers that differ.
    """
    if len(found) != len(answers) or not len(found):
        raise DataError(
            f"found and answers must pair up, at least one; got {len(found)} and {len(answers)}"
        )
    pairs = list(zip(found, answers, strict=True))
    return SpanScores(
        np.array([exact_match(a, b) for a, b in pairs]),
        np.array([token_f1(a, b) for a, b in pairs]),
    )


def _words(text: str) -> list[str]:
    return [word.text for word in folded_words(normal_answer(text))]


def _f1(found: list[str], right: list[str]) -> float:
    if not found or not right:
        return float(found == right)
    both = sum((Counter(found) & Counter(right)).values())
    return 2 * both / (len(found) + len(right))
