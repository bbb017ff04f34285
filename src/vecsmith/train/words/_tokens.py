"""Texts as streams of word ids: one flat array, and which text each token stands in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError
from vecsmith.encode._texts import split_words as split_words

Ids = NDArray[np.int64]
Text = str | Sequence[str]
Tokenizer = Callable[[str], Sequence[str]]


class TokenBlock(NamedTuple):
    """Tokens of some texts.

    Attributes:
        ids: Word of each token, shape (tokens,); -1 for a word that is not known.
        texts: Text of each token, counted from 0 in this block, shape (tokens,), not falling.
        number: How many texts, those without a token too.
    """

    ids: Ids
    texts: Ids
    number: int


def token_blocks(
    texts: Iterable[Text],
    lookup: Callable[[str], int],
    *,
    tokenizer: Tokenizer = split_words,
    block: int = 1 << 21,
) -> Iterator[TokenBlock]:
    """Turn texts into blocks of ids, as they come.

    Args:
        texts: Each a string, which is split, or a list of words; windows end at its borders.
        lookup: Word -> id, -1 for a word that is not known.
        tokenizer: How strings are split.
        block: About how many tokens a block holds.

    Yields:
        Blocks of whole texts.

    Raises:
        DataError: A text is something else.
    """
    if isinstance(texts, str):
        raise DataError("texts must be a list of texts but is a single string; put it in a list")
    held: list[Sequence[str]] = []
    size = 0
    for number, text in enumerate(texts):
        words = tokenizer(text) if isinstance(text, str) else text
        if not isinstance(words, Sequence) or (words and not isinstance(words[0], str)):
            raise DataError(
                f"text {number} must be a string or a list of words; got {type(text).__name__}"
            )
        held.append(words)
        size += len(words)
        if size >= block:
            yield _block(held, size, lookup)
            held, size = [], 0
    if held:
        yield _block(held, size, lookup)


def _block(texts: list[Sequence[str]], size: int, lookup: Callable[[str], int]) -> TokenBlock:
    ids = np.fromiter(map(lookup, chain.from_iterable(texts)), np.int64, size)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return TokenBlock(ids, np.repeat(np.arange(len(texts)), lengths), len(texts))
