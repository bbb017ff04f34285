"""Batches of texts of one padded length with a bound on tokens.

Texts are tokenised once, padded to the next multiple of `STEP` tokens and cut into batches of one
length and at most `token_budget` tokens; the vectors come back in the order of the texts. So the
shape in which a text is computed depends on the text alone, and its vector is the same, bit for
bit, whatever stands beside it: alone in Python, among thousands in a build, or between the texts of
other people in a server.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, Stamp

TOKEN_BUDGET = 2048
STEP = 8
QUERY, DOCUMENT = "query", "document"


class Encoder(Protocol):
    """What turns texts into unit vectors: an `OpenVinoEncoder` or a `TorchEncoder`."""

    stamp: Stamp

    def encode(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> NDArray[np.float32]:
        """Encode texts to unit vectors, shape (len(texts), dims)."""

    def tokens(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[list[int]]:
        """Return the token ids of each text as they are encoded: prompt, cut, special tokens."""

    def full_lengths(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[int]:
        """Return how many tokens each text would have if none were cut, all included."""

    def load(self) -> None:
        """Read now what is otherwise read when it is first needed."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the model's tokens in each text, special tokens left out."""


def padded_length(length: int, most: int | None = None) -> int:
    """Return the length to which a row is padded, which depends on the row alone.

    Args:
        length: Tokens of the row.
        most: Tokens that the model takes at most.

    Returns:
        The next multiple of `STEP`, at least one step, at most `most`.
    """
    padded = max(STEP, -(-length // STEP) * STEP)
    return padded if most is None else max(length, min(padded, most))


def length_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Cut rows into batches of equal length, longest first.

    Args:
        lengths: Padded tokens of each row.
        token_budget: Rows times length of a batch stays at or below this (one row at least).

    Yields:
        Row numbers of a batch.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        width = lengths[batch[0]] if batch else 0
        if batch and (lengths[row] != width or (len(batch) + 1) * width > token_budget):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def prompt_of(stamp: Stamp, kind: str) -> str:
    """Return the prompt that a stamp prescribes.

    Args:
        stamp: The encoder's stamp.
        kind: "query" or "document".

    Returns:
        Text to put before each text.

    Raises:
        ConfigError: Another kind.
    """
    if kind not in (QUERY, DOCUMENT):
        raise ConfigError(f"kind must be 'query' or 'document'; got {kind!r}")
    return stamp.query_prompt if kind == QUERY else stamp.document_prompt


def without_surrogates(texts: Sequence[str]) -> list[str]:
    """Replace lone surrogates, which tokenizers refuse, with question marks.

    Args:
        texts: The texts.

    Returns:
        Texts that UTF-8 can hold.
    """
    return [text.encode("utf-8", "replace").decode() for text in texts]


def encode_in_batches(
    rows: Sequence[Sequence[int]],
    forward: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]],
    *,
    dims: int,
    pad_id: int = 0,
    most: int | None = None,
    token_budget: int = TOKEN_BUDGET,
) -> NDArray[np.float32]:
    """Encode rows of token ids through a function of padded ids.

    Args:
        rows: Token ids of each text, special tokens included.
        forward: (ids, mask), both (rows, length), -> unit vectors (rows, >= dims).
        dims: Leading dimensions to keep; vectors are normalised again if that cuts any.
        pad_id: Token that fills the rows.
        most: Tokens that the model takes at most.
        token_budget: Padded tokens a batch.

    Returns:
        Unit vectors, float32, shape (len(rows), dims).
    """
    out = np.empty((len(rows), dims), dtype=np.float32)
    lengths = [padded_length(len(ids), most) for ids in rows]
    for batch in length_batches(lengths, token_budget):
        ids = np.full((len(batch), lengths[batch[0]]), pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for line, row in enumerate(batch):
            ids[line, : len(rows[row])] = rows[row]
            mask[line, : len(rows[row])] = 1
        out[batch] = truncate(forward(ids, mask), dims)
    return out


def truncate(vectors: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    """Keep the leading dimensions of unit vectors and normalise again.

    Args:
        vectors: Shape (rows, width).
        dims: At most width.

    Returns:
        Unit vectors, shape (rows, dims).
    """
    if dims == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dims]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.asarray(cut / np.maximum(norms, 1e-12), dtype=np.float32)
