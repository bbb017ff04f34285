"""Words of a text in any script, folded, with the places they have in the text as it was."""

import unicodedata
from typing import NamedTuple

# scripts that put no space between words: each character stands as a word of its own
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# accents of Latin, Greek and Cyrillic; vowel signs of other scripts are letters of their words
_ACCENTS = range(0x0300, 0x0370)
_JOINERS = {"\u200c", "\u200d"}


class Word(NamedTuple):
    """A folded word or mark of a text.

    Attributes:
        text: The word without case and accents.
        start: Its first character in the text as it was.
        end: One past its last.
    """

    text: str
    start: int
    end: int


def folded_words(text: str) -> list[Word]:
    """Cut a text into words and marks, folded by compatibility, case and accent.

    Args:
        text: Any text.

    Returns:
        Words in their order; white space is left out, each other mark is one.
    """
    words: list[Word] = []
    place, length = 0, len(text)
    while place < length:
        end = place + 1
        if text[place].isspace():
            place = end
            continue
        if _in_word(text[place]):
            while end < length and _goes_on(text[place], text[end]):
                end += 1
        folded = fold(text[place:end])
        if folded:
            words.append(Word(folded, place, end))
        place = end
    return words


def fold(text: str) -> str:
    """Take case, accents and compatibility forms away.

    Args:
        text: Any text.

    Returns:
        The folded text; its length may differ.
    """
    apart = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c for c in apart if ord(c) not in _ACCENTS and c not in _JOINERS)
    return unicodedata.normalize("NFKC", kept)


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _unspaced(character: str) -> bool:
    code = ord(character)
    return any(low <= code <= high for low, high in _UNSPACED)


def _goes_on(first: str, character: str) -> bool:
    if unicodedata.category(character)[0] == "M" or character in _JOINERS:
        return True
    if _unspaced(first) or _unspaced(character):
        return False
    return character.isalnum()
