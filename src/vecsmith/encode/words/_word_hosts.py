"""Word vectors from and to other libraries: torch, encoders, gensim, sentence-transformers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vecsmith.core import ConfigError, DataError, require, shown

if TYPE_CHECKING:
    from gensim.models import KeyedVectors
    from sentence_transformers import SentenceTransformer

    from ._word_vectors import WordVectors

Floats = NDArray[np.float32]


def token_table(embedding: Any, tokenizer: Any) -> tuple[list[str], Floats]:
    """Read the vectors of a tokenizer's tokens.

    Args:
        embedding: An `nn.Embedding`, or its weight of shape (rows, dims).
        tokenizer: Of transformers or of tokenizers.

    Returns:
        Tokens in the order of their ids, and a copy of their vectors.

    Raises:
        DataError: The table has fewer rows than the tokenizer has tokens.
    """
    weight = getattr(embedding, "weight", embedding)
    if hasattr(weight, "detach"):
        weight = weight.detach().float().cpu().numpy()
    table = np.asarray(weight, np.float32)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if not vocabulary:
        raise DataError("the tokenizer must have tokens but has none; load one that is trained")
    if table.ndim != 2 or vocabulary[-1][1] >= len(table):
        raise DataError(
            f"the table must have a row for each of the tokenizer's ids up to {vocabulary[-1][1]}; "
            f"got shape {table.shape}: use the tokenizer of the same model"
        )
    return [token for token, _ in vocabulary], table[[row for _, row in vocabulary]]


def vectors_of_words(
    encode: Callable[[list[str]], ArrayLike],
    words: Sequence[str],
    *,
    templates: Sequence[str] = ("{}",),
    name: str = "encoder",
) -> "WordVectors":
    """Give words the vectors that an encoder gives to sentences with them.

    Args:
        encode: Texts to vectors of shape (texts, dims), for example `model.encode`.
        words: The words; "_" becomes a space, as phrases of word2vec are written.
        templates: Sentences with "{}" where the word goes ("This is {}."); the unit vectors of a
            word's sentences are averaged.
        name: What the vectors are.

    Returns:
        Word vectors, which all that works on words works on.

    Raises:
        ConfigError: A template lacks "{}".
        DataError: No words, or vectors that are not finite.
    """
    from ._word_vectors import WordVectors

    if not templates or isinstance(templates, str) or any("{}" not in t for t in templates):
        raise ConfigError(
            f'templates must be a list of sentences with "{{}}" for the word; got {templates!r}'
        )
    words = list(dict.fromkeys(words))
    if not words:
        raise DataError("words must hold at least one word but is empty; give words")
    total: NDArray[np.float64] | None = None
    for template in templates:
        texts = [template.replace("{}", word.replace("_", " ")) for word in words]
        vectors = np.asarray(encode(texts), np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths == 0, 1, lengths)
        total = unit if total is None else total + unit
    assert total is not None
    return WordVectors(words, total / len(templates), name=name)


def keyed_vectors(table: "WordVectors") -> "KeyedVectors":
    """Copy to gensim.

    Args:
        table: Word vectors.

    Returns:
        gensim's `KeyedVectors` with the same words and vectors.

    Raises:
        MissingExtra: gensim is not installed.
    """
    gensim = require("gensim.models", "words")
    made: KeyedVectors = gensim.KeyedVectors(table.dims, count=0)
    made.add_vectors(table.words, table.vectors)
    return made


def sentence_transformer(
    table: "WordVectors", tokenizer: Any = None, *, lower_case: bool = False
) -> "SentenceTransformer":
    """Make a sentence encoder from word or token vectors.

    Args:
        table: Word vectors.
        tokenizer: As `WordVectors.to_sentence_transformer` says.
        lower_case: As there.

    Returns:
        A model of modules that sentence-transformers has itself.

    Raises:
        DataError: A token of the tokenizer has no vector.
    """
    st = require("sentence_transformers", "train")
    modules = require("sentence_transformers.sentence_transformer.modules", "train")
    if tokenizer is not None:
        module = modules.StaticEmbedding(tokenizer, embedding_weights=_by_id(table, tokenizer))
        return st.SentenceTransformer(modules=[module], device="cpu")
    tokens = require("sentence_transformers.sentence_transformer.modules.tokenizer", "train")
    splitter = tokens.WhitespaceTokenizer(table.words, stop_words=(), do_lower_case=lower_case)
    words = modules.WordEmbeddings(splitter, table.vectors)
    pooling = modules.Pooling(table.dims, "mean")
    return st.SentenceTransformer(modules=[words, pooling], device="cpu")


def _by_id(table: "WordVectors", tokenizer: Any) -> Floats:
    vocabulary = tokenizer.get_vocab()
    rows = table.ids(vocabulary, unknown="mark")
    if (rows < 0).any():
        lost = [token for token, row in zip(vocabulary, rows, strict=True) if row < 0]
        raise DataError(
            f"{len(lost)} tokens of the tokenizer, {shown(lost[0])!r} first, have no vector here; "
            "give the tokenizer that the token vectors come from"
        )
    made = np.zeros((max(vocabulary.values()) + 1, table.dims), np.float32)
    made[list(vocabulary.values())] = table.vectors[rows]
    return made
