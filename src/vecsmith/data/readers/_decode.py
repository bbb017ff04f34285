"""Bytes -> text: byte order mark, UTF-8, else a guess on a bounded sample.

A file that is UTF-8 but for some bytes is read as UTF-8 with those bytes taken as Windows-1252,
which is what they nearly always are.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vecsmith.core import require

FEW_BYTES = 12
SAMPLE = 1 << 15  # bytes given to the guesser
SCAN = 1 << 24  # bytes searched for the first that is not ASCII
JAPANESE = "iso2022_jp_ext"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return bad.decode("cp1252", errors="replace"), error.end


codecs.register_error("vecsmith-windows", _as_windows)


def looks_like_utf16(head: bytes) -> str:
    """Recognise UTF-16 without a byte order mark by the zero bytes of ASCII letters.

    Args:
        head: First bytes.

    Returns:
        "utf-16-le", "utf-16-be" or "".
    """
    pairs = min(len(head), 4096) // 2
    if pairs < 8:
        return ""
    even = head[0 : 2 * pairs : 2].count(0)
    odd = head[1 : 2 * pairs : 2].count(0)
    for little, big, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if little > 0.6 * pairs and big == 0:
            text = head[: 2 * pairs].decode(name, errors="replace")
            plain = sum(letter.isprintable() or letter.isspace() for letter in text)
            return name if plain > 0.95 * len(text) else ""
    return ""


def detect_encoding(path: Path) -> str:
    """Find the encoding of a text file.

    Args:
        path: The file.

    Returns:
        A codec name of Python.
    """
    with path.open("rb") as handle:
        head = handle.read(SAMPLE)
        for mark, name in MARKS:
            if head.startswith(mark):
                return name
        wide = looks_like_utf16(head)
        if wide:
            return wide
        sample, seen = head, len(head)
        while sample.isascii() and seen < SCAN:
            if is_escaped_japanese(sample):
                return JAPANESE
            sample = handle.read(SAMPLE)
            seen += len(sample)
            if not sample:
                return "utf-8"
    return guess_encoding(sample)


def guess_encoding(sample: bytes) -> str:
    """Find the encoding of bytes.

    Args:
        sample: Bytes from within a text; may begin and end inside a character.

    Returns:
        A codec name of Python; "utf-8" where it is valid or nothing fits better.
    """
    if is_escaped_japanese(sample):
        return JAPANESE
    if sample.isascii() or _mostly_utf8(sample):
        return "utf-8"
    matches = list(require("charset_normalizer", "documents").from_bytes(sample))
    # KOI8 reads a text in Windows-1251 as the same letters with upper and lower case exchanged.
    best = next((match for match in matches if not _case_exchanged(str(match))), None)
    if best is None or best.encoding in {"utf_8", "ascii"}:
        return "utf-8"
    # A few bytes beyond ASCII tell nothing about multibyte encodings; accented Latin is likelier.
    if best.multi_byte_usage > 0 and sum(byte > 127 for byte in sample) < FEW_BYTES:
        return "cp1252"
    # The two differ in typographic quotes only, which Latin-1 texts in the wild do use.
    return {"latin_1": "cp1252", "iso8859_1": "cp1252"}.get(best.encoding, str(best.encoding))


def is_escaped_japanese(data: bytes) -> bool:
    """Recognise ISO-2022-JP, which is ASCII by its bytes, by its escape sequences.

    Args:
        data: Bytes of a text; may end inside a character.

    Returns:
        Whether it is ISO-2022-JP. Escape sequences of terminals are others.
    """
    if not (b"\x1b$B" in data or b"\x1b$@" in data) or not data.isascii():
        return False
    text = data.decode(JAPANESE, errors="replace")
    return text.count("\ufffd") < 0.02 * len(text)


def _case_exchanged(text: str) -> bool:
    upper = sum(letter.isupper() for letter in text)
    starts = sum(
        word[:1].islower() and word[1:].isupper() for word in text.split() if len(word) > 2
    )
    return upper > 0.6 * len(text) and starts > 0


def _mostly_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", errors="replace")
    # A character may be cut at either end of the sample.
    bad = text[4:-4].count("\ufffd") if len(text) > 64 else text.count("\ufffd")
    good = sum(1 for letter in text if letter > "\x7f" and letter != "\ufffd")
    return bad == 0 or good > 20 * bad


def open_text(path: Path) -> IO[str]:
    """Open a text file in its own encoding, line ends unified.

    Args:
        path: The file.

    Returns:
        A text stream that never fails on a byte.
    """
    name = detect_encoding(path)
    errors = "vecsmith-windows" if name.startswith("utf-8") else "replace"
    return path.open("r", encoding=name, errors=errors)


def read_text(path: Path) -> str:
    """Read a whole small text file; NUL characters are dropped.

    Args:
        path: The file.

    Returns:
        Its text.
    """
    with open_text(path) as handle:
        return handle.read().replace("\x00", "")


def read_pieces(path: Path, *, size: int) -> Iterator[str]:
    """Read a text file in pieces that end at line ends.

    Args:
        path: The file.
        size: Characters a piece, about; a line that is longer is cut.

    Yields:
        Pieces of at most `size` characters and a line.
    """
    with open_text(path) as handle:
        while True:
            piece = handle.read(size)
            if not piece:
                return
            yield (piece + handle.readline(size)).replace("\x00", "")
