"""Cipher vectors of a language model's own tokens, as its embedding layer.

Paper: Bit Cipher -- A Simple yet Powerful Word Representation System that Integrates Efficiently
with Language Models (H. Zhao and J. Williams, 2023). The cipher is built on the tokens of the
model's tokenizer over the texts it will be trained on; its vectors, brought to the width of the
model and to the mean and the spread of the table they replace, start a new model, or take the place
of the embeddings of a pre-trained one before it is fine-tuned.

Use when a model is trained from scratch on little text, or moved to a new tokenizer or domain.
Avoid replacing good pre-trained embeddings where the training that follows is short: what they
know and the counts do not is lost. Cost: one pass of the tokenizer, and of the counter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, ModelError, numpy_generator

from ._cipher_vectors import CipherOptions, CipherVectors, standardized

if TYPE_CHECKING:
    from torch import Tensor, nn

Floats = NDArray[np.float32]

FILLS = ("map", "pad")
_TEXTS = 1024


@dataclass(frozen=True)
class EmbeddingOptions:
    """How cipher vectors become an embedding layer.

    Attributes:
        radius: Places on each side that are counted.
        mode: "cat" or "sum", as for `CipherVectors`.
        smoothing: As there.
        fill: What brings 2 r b (or b) dimensions to the width: "map" turns them by a fixed random
            orthonormal map, so that all of the width is used alike; "pad" keeps them as they are
            and leaves the rest at its mean.
        max_tokens: Texts are cut there.
        seed: Seed of the map and of tokens that the texts do not hold.
    """

    radius: int = 2
    mode: str = "cat"
    smoothing: str = "nf"
    fill: str = "map"
    max_tokens: int = 1 << 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise ConfigError(f"fill must be one of {FILLS}; got {self.fill!r}")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1; got {self.max_tokens}")


def cipher_embedding(
    tokenizer: Any,
    texts: Iterable[str],
    dim: int,
    *,
    match: "Tensor | None" = None,
    std: float = 0.02,
    options: EmbeddingOptions | None = None,
) -> "nn.Embedding":
    """Make an embedding layer by counting.

    Args:
        tokenizer: Of transformers or of tokenizers.
        texts: What the model will be trained on; read once.
        dim: Width of the model.
        match: Table whose mean and spread are taken over, dimension by dimension, and whose number
            of rows, shape (rows, dim); None takes mean 0, spread `std` and the tokenizer's size.
        std: Spread without `match`.
        options: How.

    Returns:
        The layer, shape (rows, dim). Tokens that the texts do not hold are drawn with the same mean
        and spread.

    Raises:
        DataError: The texts hold no token.
        ConfigError: The width is too small for a code of each token, or `match` is of another one.
    """
    import torch

    options = EmbeddingOptions() if options is None else options
    vocabulary = tokenizer.get_vocab()
    rows = max(vocabulary.values()) + 1
    if match is not None:
        if match.ndim != 2 or match.shape[1] != dim or match.shape[0] < rows:
            raise ConfigError(
                f"match must have the width {dim} and a row for each of the tokenizer's ids up to "
                f"{rows - 1}; got shape {tuple(match.shape)}"
            )
        rows = match.shape[0]
    ids, vectors = _token_vectors(tokenizer, texts, dim, options)
    old = None if match is None else match.detach().float().cpu().numpy()
    mean = np.zeros(dim) if old is None else old.mean(0, dtype=np.float64)
    spread = np.full(dim, std) if old is None else old.std(0, dtype=np.float64)
    made = numpy_generator(options.seed, "cipher", "unseen").normal(size=(rows, dim))
    made[ids] = widened(vectors, dim, options)
    layer = torch.nn.Embedding(rows, dim)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(made * spread + mean))
    return layer


def widened(vectors: Floats, dim: int, options: EmbeddingOptions) -> Floats:
    """Bring standardised vectors to a width.

    Args:
        vectors: Shape (tokens, at most dim).
        dim: The width.
        options: How.

    Returns:
        Shape (tokens, dim); each dimension that varies has mean 0 and spread 1.
    """
    vectors = standardized(vectors)
    if options.fill == "pad":
        wide = np.zeros((len(vectors), dim), np.float32)
        wide[:, : vectors.shape[1]] = vectors
        return wide
    rng = numpy_generator(options.seed, "cipher", "map")
    turn = np.linalg.qr(rng.normal(size=(dim, vectors.shape[1])))[0]
    return standardized(np.asarray(vectors @ turn.T, np.float32))


def _token_vectors(
    tokenizer: Any, texts: Iterable[str], dim: int, options: EmbeddingOptions
) -> tuple[NDArray[np.int64], Floats]:
    sides = 2 * options.radius if options.mode == "cat" else 1
    bits = dim // sides
    if bits < 1:
        raise ConfigError(
            f"a width of {dim} leaves no bit for each of {sides} places; lower the radius"
        )
    made = CipherVectors(
        bits,
        options.radius,
        mode=options.mode,
        smoothing=options.smoothing,
        options=CipherOptions(floor=0.5),
    )
    table = made.fit(_token_texts(tokenizer, texts, options.max_tokens)).vectors
    if table.dims > dim:
        raise ConfigError(
            f"{len(table)} tokens need {made.cipher.bits} bits, and {sides} places of these "
            f"{table.dims} dimensions, more than the width {dim}; lower the radius, or take 'sum'"
        )
    return np.array([int(word) for word in table.words], np.int64), table.vectors


def _token_texts(tokenizer: Any, texts: Iterable[str], longest: int) -> Iterator[list[str]]:
    """Texts as lists of ids, written as words."""
    if isinstance(texts, str):
        raise DataError("texts must be a list of texts but is a single string; put it in a list")
    stream = iter(texts)
    while batch := list(islice(stream, _TEXTS)):
        if hasattr(tokenizer, "encode_batch"):
            rows = [row.ids for row in tokenizer.encode_batch(batch, add_special_tokens=False)]
        else:
            rows = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
        for row in rows:
            yield [str(i) for i in row[:longest]]


def replace_embeddings(
    model: Any, embedding: "nn.Embedding", *, freeze: bool = False, tie_head: bool = True
) -> Any:
    """Put an embedding layer in place of a model's own, in place.

    Args:
        model: A transformers model.
        embedding: From `cipher_embedding`, of the same shape as the model's table.
        freeze: Whether the table is left out of training.
        tie_head: Whether the output layer shares the table; otherwise it stays what it was.

    Returns:
        The model.

    Raises:
        ModelError: Tables of other shapes, or the model has no embeddings.
    """
    import torch

    old = model.get_input_embeddings()
    if old is None or old.weight.shape != embedding.weight.shape:
        shape = None if old is None else tuple(old.weight.shape)
        raise ModelError(
            f"the model's table has shape {shape}, the new one {tuple(embedding.weight.shape)}; "
            "give cipher_embedding match=model.get_input_embeddings().weight"
        )
    head = model.get_output_embeddings()
    tied = head is not None and head.weight is old.weight
    if tied and not tie_head:
        head.weight = torch.nn.Parameter(old.weight.detach().clone())
        model.config.tie_word_embeddings = False
    with torch.no_grad():
        # the layer stays: some models scale in it, or share it between encoder and decoder
        old.weight.copy_(embedding.weight)
    if head is not None and tie_head and not tied:
        if head.weight.shape != old.weight.shape:
            raise ModelError(
                f"the output layer has shape {tuple(head.weight.shape)} and cannot share a table "
                f"of shape {tuple(old.weight.shape)}; give tie_head=False"
            )
        head.weight = old.weight
        model.config.tie_word_embeddings = True
    old.weight.requires_grad_(not freeze)
    return model
