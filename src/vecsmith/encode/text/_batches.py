"""Batches of texts of like length with a bound on tokens: next to nothing is padding.

Texts are tokenised once, sorted by length and cut into batches of at most `token_budget` padded
tokens; the vectors come back in the order of the texts.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, Stamp

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKEN_BUDGET = 2048
QUERY, DOCUMENT = "query", "document"


class Encoder(Protocol):
    """What turns texts into unit vectors: an `OpenVinoEncoder` or a `TorchEncoder`."""

    stamp: Stamp

    def encode(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> NDArray[np.float32]:
        """Encode texts to unit vectors, shape (len(texts), dims)."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the model's tokens in each text, special tokens left out."""


def length_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Cut rows into batches of like length, longest first.

    Args:
        lengths: Tokens of each row.
        token_budget: Rows times longest row of a batch stays at or below this (one row at least).

    Yields:
        Row numbers of a batch.
    """
    batch: list[int] = []
    widest = 0
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        widest = widest or lengths[row]
        if batch and (len(batch) + 1) * widest > token_budget:
            yield batch
            batch, widest = [], lengths[row]
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
    texts: Sequence[str],
    tokenizer: "Tokenizer",
    forward: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]],
    *,
    dims: int,
    pad_id: int = 0,
    token_budget: int = TOKEN_BUDGET,
) -> NDArray[np.float32]:
    """Encode texts through a function of padded token ids.

    Args:
        texts: The texts; a lone surrogate is replaced.
        tokenizer: A tokenizer with truncation set and padding off.
        forward: (ids, mask), both (rows, length), -> unit vectors (rows, >= dims).
        dims: Leading dimensions to keep; vectors are normalised again if that cuts any.
        pad_id: Token that fills the rows.
        token_budget: Padded tokens a batch.

    Returns:
        Unit vectors, float32, shape (len(texts), dims).
    """
    encodings = tokenizer.encode_batch_fast(without_surrogates(texts))
    rows = [encoding.ids for encoding in encodings]
    out = np.empty((len(rows), dims), dtype=np.float32)
    for batch in length_batches([len(ids) for ids in rows], token_budget):
        longest = max(1, max(len(rows[row]) for row in batch))
        ids = np.full((len(batch), longest), pad_id, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
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
