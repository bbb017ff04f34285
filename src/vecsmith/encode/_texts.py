"""What encoders that need no transformer share: the protocol, words, checks, unit length."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError

Floats = NDArray[np.float32]


# letters of any script, with inner apostrophes; digits by themselves
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words and numbers; punctuation is left out.

    Args:
        text: Any text.

    Returns:
        Its words.
    """
    return _WORD.findall(text.lower())


class TextEncoder(Protocol):
    """Anything that turns texts into rows of numbers.

    A `SentenceTransformer` is one, and so is every encoder of the rooms lexical, pooling and words.
    Rows are float32, shape (texts, dims), or a sparse array of that shape.
    """

    def encode(self, texts: list[str], /) -> Any:
        """Encode texts, shape (texts, dims)."""


def checked_texts(texts: Sequence[str], *, some: bool = False) -> list[str]:
    """Check texts.

    Args:
        texts: A list of strings.
        some: Whether an empty list is refused.

    Returns:
        The list.

    Raises:
        DataError: A single string, something that is no string, or no texts where some are needed.
    """
    if isinstance(texts, str):
        raise DataError("texts must be a list of strings but is a single string; put it in a list")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(
                f"text {place} must be a string; got {type(text).__name__}: leave it out, or give "
                "an empty string"
            )
    if some and not found:
        raise DataError("texts must hold at least one text but is empty; give some")
    return found


def unit_rows(rows: Any) -> Any:
    """Scale rows to length 1; sparse ones stay sparse.

    Args:
        rows: Shape (n, dims), an array or a sparse array.

    Returns:
        Of the same kind; a row of zeros stays one.
    """
    if isinstance(rows, np.ndarray):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    from scipy.sparse import csr_array

    made = csr_array(rows, copy=True)
    lengths = np.sqrt(np.asarray(made.multiply(made).sum(axis=1)).ravel())
    made.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(made.indptr))
    return made
