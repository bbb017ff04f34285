"""Files of word vectors that other programs write: word2vec (text and binary) and GloVe.

Read as a stream into one table that grows in place, so that memory holds the vectors once. A file
that ends in ".gz" is unpacked on the way. gensim's own ".kv" files hold pickled Python and are
refused.
"""

import gzip
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, atomic_path, shown

Floats = NDArray[np.float32]

OWN = "vecsmith"
BINARY = "word2vec-binary"
TEXT = "word2vec-text"
GLOVE = "glove"
FORMATS = (OWN, BINARY, TEXT, GLOVE)
DUPLICATES = ("error", "first")
_BLOCK = 1 << 22
_SUFFIXES = {".bin": BINARY, ".txt": TEXT, ".vec": TEXT}


@dataclass(frozen=True)
class Reading:
    """What of a file is read.

    Attributes:
        limit: At most so many rows of the file, from the top; None reads all.
        only: Words to keep; None keeps all.
        duplicates: "error", or "first" to keep the first row of a word that comes again.
    """

    limit: int | None = None
    only: Collection[str] | None = None
    duplicates: str = "error"

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be at least 1, or None for all; got {self.limit}")
        if self.duplicates not in DUPLICATES:
            raise ConfigError(f"duplicates must be one of {DUPLICATES}; got {self.duplicates!r}")


def format_of(path: Path) -> str:
    """Tell the format of a file or folder by its name, and of text by its first line.

    Args:
        path: What `WordVectors.load` was given.

    Returns:
        One of `FORMATS`.

    Raises:
        DataError: Not there, or of a kind that is not read.
    """
    if path.is_dir():
        return OWN
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix in {".kv", ".model", ".pkl", ".pickle", ".npy", ".pt"}:
        raise DataError(
            f"{str(path)!r} may hold pickled Python, which is never loaded; load it where you "
            "trust it and write word2vec's format: "
            'KeyedVectors.load("…").save_word2vec_format("vectors.bin", binary=True)'
        )
    if not path.is_file():
        raise DataError(f"no file or folder {str(path)!r} of word vectors is there; check the path")
    if suffix not in _SUFFIXES:
        raise DataError(
            f"the format of {str(path)!r} cannot be told by its name; known: "
            f"{', '.join(sorted(_SUFFIXES))}, .gz after it, or a folder; give format=, "
            f"one of {FORMATS}"
        )
    if _SUFFIXES[suffix] == BINARY:
        return BINARY
    with _open(path) as stream:
        return TEXT if _header(stream.readline()) else GLOVE


def read_words(path: Path, kind: str, reading: Reading) -> tuple[list[str], Floats]:
    """Read a file.

    Args:
        path: The file.
        kind: `BINARY`, `TEXT` or `GLOVE`.
        reading: What of it.

    Returns:
        Words, and their vectors of shape (words, dims).

    Raises:
        DataError: The file is empty, cut short or damaged; the text says where.
    """
    with _open(path) as stream:
        table = _Table(path, reading)
        try:
            rows = _binary_rows if kind == BINARY else _text_rows
            rows(stream, table, kind == TEXT)
        except (EOFError, OSError, gzip.BadGzipFile) as error:
            raise DataError(
                f"{str(path)!r} cannot be read after {table.seen} words ({error}); "
                "it may be cut short: fetch it again"
            ) from error
    return table.done()


def write_words(path: Path, words: list[str], vectors: Floats, kind: str) -> None:
    """Write a file, whole or not at all.

    Args:
        path: The file; ".gz" at its end packs it.
        words: The words.
        vectors: Shape (words, dims).
        kind: `BINARY`, `TEXT` or `GLOVE`.

    Raises:
        DataError: A word holds white space, which ends a word in these formats.
        StoreError: The file cannot be written.
    """
    for word in words:
        if not word or len(word.split()) != 1 or word != word.strip():
            raise DataError(
                f"the word {shown(word)!r} is empty or holds white space, which {kind} cannot "
                "hold; save to a folder (vecsmith's own format), or rename the word"
            )
    pattern = " %.9g" * vectors.shape[1] + "\n"
    with atomic_path(path) as temporary:
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(temporary, "wb") as stream:
            if kind != GLOVE:
                stream.write(f"{len(words)} {vectors.shape[1]}\n".encode())
            for word, row in zip(words, vectors, strict=True):
                stream.write(_bytes(word))
                if kind == BINARY:
                    stream.write(b" " + row.astype("<f4").tobytes() + b"\n")
                else:
                    stream.write((pattern % tuple(row)).encode())


class _Table:
    """Words and rows as they come, in one array that grows in place."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = path, reading
        self.words: dict[str, int] = {}
        self.rows: Floats = np.empty((0, 0), np.float32)
        self.seen = 0

    def start(self, dims: int, expected: int = 0) -> None:
        wanted = [n for n in (expected, self.reading.limit) if n]
        if self.reading.only is not None:
            wanted.append(len(self.reading.only))
        try:
            self.rows = np.empty((min(wanted, default=1 << 12), dims), np.float32)
        except (MemoryError, ValueError) as error:
            raise DataError(
                f"{str(self.path)!r} says that it holds {expected} vectors of {dims} dimensions, "
                "for which memory does not suffice; read a part of it with limit="
            ) from error

    def full(self) -> bool:
        return self.reading.limit is not None and self.seen >= self.reading.limit

    def wants(self, word: str) -> bool:
        self.seen += 1
        if self.reading.only is not None and word not in self.reading.only:
            return False
        if word not in self.words:
            return True
        if self.reading.duplicates == "error":
            raise DataError(
                f"word {self.seen} of {str(self.path)!r}, {shown(word)!r}, is also word "
                f"{self.words[word] + 1}; give duplicates='first' to keep the first of equal words"
            )
        return False

    def add(self, word: str, row: Floats) -> None:
        place = len(self.words)
        if place == len(self.rows):
            self.rows.resize((max(1 << 12, place + place // 2), self.rows.shape[1]), refcheck=False)
        self.rows[place] = row
        self.words[word] = place

    def done(self) -> tuple[list[str], Floats]:
        if not self.seen:
            raise DataError(f"{str(self.path)!r} holds no vectors; give another file")
        self.rows.resize((len(self.words), self.rows.shape[1]), refcheck=False)
        return list(self.words), self.rows


def _open(path: Path) -> IO[bytes]:
    try:
        opened: Any = gzip.open if path.suffix == ".gz" else open
        return opened(path, "rb")
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be opened ({error}); check the path") from error


def _header(line: bytes) -> tuple[int, int] | None:
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _needed_header(stream: IO[bytes], table: _Table) -> tuple[int, int]:
    found = _header(stream.readline(200))
    if found is None or min(found) < 1:
        raise DataError(
            f"{str(table.path)!r} should begin with two numbers above 0, of words and of "
            "dimensions, but does not; give format=, another file, or one that holds vectors"
        )
    count, dims = found
    size = table.path.stat().st_size
    if table.path.suffix != ".gz" and table.reading.limit is None and count * (2 * dims + 1) > size:
        raise DataError(
            f"{str(table.path)!r} says that it holds {count} vectors of {dims} dimensions but has "
            f"{size} bytes: it is damaged or cut short; fetch it again, or read a part with limit="
        )
    return found


def _binary_rows(stream: IO[bytes], table: _Table, _: bool) -> None:
    count, dims = _needed_header(stream, table)
    table.start(dims, count)
    width, buffer, place = 4 * dims, b"", 0
    while table.seen < count and not table.full():
        end = buffer.find(b" ", place)
        if end < 0 or len(buffer) < end + 1 + width:
            more = stream.read(max(_BLOCK, width))
            if not more:
                raise _cut_short(table, count)
            buffer, place = buffer[place:] + more, 0
            continue
        word = _text(buffer[place:end].lstrip(b"\n"))
        if table.wants(word):
            table.add(word, np.frombuffer(buffer, "<f4", dims, end + 1))
        place = end + 1 + width


def _text_rows(stream: IO[bytes], table: _Table, header: bool) -> None:
    count, dims = _needed_header(stream, table) if header else (0, 0)
    for number, line in _lines(stream, 2 if header else 1):
        if table.full() or (count and table.seen == count):
            return
        if not table.seen:
            dims = dims or len(line.split()) - 1
            table.start(max(dims, 1), count)
        # the vector is the last fields: some words of GloVe hold spaces
        parts = line.rstrip().rsplit(None, dims)
        word = _text(parts[0])
        if not table.wants(word):
            continue
        row = _numbers(parts, dims)
        if row is None:
            raise DataError(
                f"line {number} of {str(table.path)!r} should hold a word and {dims} numbers, but "
                f"begins {shown(_text(line[:60]))!r} and has {len(line.split()) - 1} fields after "
                "its word; fetch the file again, or correct the line"
            )
        table.add(word, row)
    if table.seen < count and not table.full():
        raise _cut_short(table, count)


def _numbers(parts: list[bytes], dims: int) -> Floats | None:
    if dims < 1 or len(parts) != dims + 1:
        return None
    with warnings.catch_warnings():
        # text that is no number is noticed by the size
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            row = np.fromstring(b" ".join(parts[1:]), np.float32, sep=" ")
        except ValueError:
            return None
    return row if len(row) == dims else None


def _lines(stream: Iterable[bytes], first: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(stream, first):
        if line.strip():
            yield number, line


def _cut_short(table: _Table, count: int) -> DataError:
    return DataError(
        f"{str(table.path)!r} should hold {count} vectors but ends after {table.seen}: it is cut "
        f"short; fetch it again, or read what is there with limit={max(table.seen, 1)}"
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
