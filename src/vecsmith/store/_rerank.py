"""Put given texts in the order of a query, by the cosine of their vectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError


def order_by_cosine(
    query: NDArray[np.float32], documents: NDArray[np.float32], top_n: int | None = None
) -> list[tuple[int, float]]:
    """Order documents by their cosine with a query.

    Args:
        query: Unit vector, shape (1, dims).
        documents: Unit vectors, shape (documents, dims).
        top_n: How many to keep; by default all.

    Returns:
        (place, cosine), best first, equal ones in their order. A cosine depends on the two vectors
        alone, not on how many documents there are.
    """
    # Not a matrix product, whose rounding would depend on the number of documents.
    cosines = np.einsum("rd,d->r", documents, query[0], dtype=np.float64, optimize=False)
    order = np.argsort(-cosines, kind="stable")[:top_n]
    return [(int(place), float(cosines[place])) for place in order]


def rerank(
    encoder: Any, query: str, documents: Sequence[str], *, top_n: int | None = None
) -> list[tuple[int, float]]:
    """Put texts in the order of a query.

    Args:
        encoder: An `Encoder`.
        query: Free text.
        documents: The texts.
        top_n: How many to keep; by default all.

    Returns:
        (place, cosine), best first.

    Raises:
        ConfigError: An empty query, or top_n below 1.

    Example:
        >>> rerank(store.spaces["base"].encoder, "red", ["a dog", "crimson"])  # doctest: +SKIP
    """
    if not query.strip():
        raise ConfigError("query must hold a word; got an empty text")
    if top_n is not None and top_n < 1:
        raise ConfigError(f"top_n must be at least 1; got {top_n}")
    asked = encoder.encode([query], kind="query")
    return order_by_cosine(asked, encoder.encode(list(documents), kind="document"), top_n)
