"""Where text may be cut: sentences, lines, words, and characters as a reader sees them."""

import re
import unicodedata

# A sentence ends at . ! ? (or their CJK forms) and closing quotes, before white space and a
# character that may begin a sentence; "e.g. this" and "p. 3" do not end one.
_SENTENCE = re.compile(
    r"(?<=[.!?…][\"'”’)\]])\s+(?=[\"'“‘(\[]?[A-Z0-9À-ÞĀ-Ж])"
    r"|(?<=[a-z0-9À-ɏ\"'”’)\]\w][.!?…])\s+(?=[\"'“‘(\[]?[^\W\d_a-zß-ÿ])"
    r"|(?<=[。！？｡])"
)
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|cf|vs|etc|[Ff]ig|[Nn]o|[Pp]p?|[Dd]r|[Mm]rs?|St)\.$")
_JOINER = "\u200d"


def split_sentences(text: str) -> list[str]:
    """Split prose at the ends of sentences.

    Args:
        text: One paragraph.

    Returns:
        Sentences without the white space between them.
    """
    sentences: list[str] = []
    for part in _SENTENCE.split(text):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] = f"{sentences[-1]} {part}"
        elif part.strip():
            sentences.append(part.strip())
    return sentences


def cut_at(text: str, position: int) -> int:
    """Move a cut back so that it splits no character as a reader sees it.

    Args:
        text: The text.
        position: Where to cut, 0 < position < len(text).

    Returns:
        A position from 1 to `position` before which no combining mark, joiner, variation selector,
        skin tone, surrogate half or half of a flag stands; `position` itself where none is near.
    """
    for back in range(min(64, position)):
        if not _joined(text, position - back):
            return position - back
    return position


def _joined(text: str, position: int) -> bool:
    before, after = text[position - 1], text[position]
    code = ord(after)
    if code < 0x300:
        return before == "\r" and after == "\n"
    if before == _JOINER or after == _JOINER or unicodedata.category(after) in {"Mn", "Mc", "Me"}:
        return True
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F or 0xDC00 <= code <= 0xDFFF:
        return True
    return _flag(after) and _flags_before(text, position) % 2 == 1


def _flag(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF


def _flags_before(text: str, position: int) -> int:
    count = 0
    while count < position and _flag(text[position - 1 - count]):
        count += 1
    return count


def best_cut(text: str, limit: int) -> int:
    """Find the last good border at or before `limit`: blank line, line, sentence, word, character.

    Args:
        text: Text longer than `limit`.
        limit: Characters that fit.

    Returns:
        A position from 1 to `limit`.
    """
    least = limit // 2
    for border in ("\n\n", "\n", ". ", " "):
        found = text.rfind(border, least, limit)
        if found > 0:
            return found + len(border)
    return cut_at(text, limit)
