"""Debiasing of encoders: a projection behind the pooling, or an edit of the token table.

`debias_encoder` takes a subspace out of sentence vectors by a linear layer (I - B^T B) that
sentence-transformers has itself, so that the model loads without vecsmith. It reaches all that the
vector says along B, whatever the context. `debias_token_table` applies hard debiasing to the input
embeddings of a language model, by pieces of words, on a copy.

Use the projection where vectors are compared. Avoid the edit as a remedy by itself: what the layers
above learned from contexts stays as it is; measure the model's vectors before and after
(`vecsmith.evaluate.bias_report` on `vectors_of_words`).
"""

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode import WordVectors

from .._modules import appended, linear_layer
from ._hard import HardDebias, _named, spelling_variants
from ._subspace import BiasSubspace

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# how tokenizers mark that a piece starts a word, or goes on with one
MARKS = ("Ġ", "▁", "##")


def debias_encoder(model: "SentenceTransformer", subspace: BiasSubspace) -> "SentenceTransformer":
    """Add a layer that takes a subspace out of sentence vectors.

    Args:
        model: An encoder.
        subspace: Of its vectors: `BiasSubspace.from_pairs` on `vectors_of_words(model.encode, …)`,
            or `NullspaceProjection.subspace_`.

    Returns:
        A new model that shares the old one's modules; unit length is restored where the old one
        gave it.

    Raises:
        ModelError: The model gives vectors of other dimensions.
    """
    dims = model.get_embedding_dimension()
    if dims != subspace.dims:
        raise ModelError(
            f"the model gives {dims} dimensions, the subspace has {subspace.dims}; "
            "find the subspace in vectors of this model"
        )
    matrix = np.eye(dims) - subspace.basis.T @ subspace.basis
    return appended(model, linear_layer(matrix))[0]


def plain_pieces(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Split each piece of a tokenizer into its mark and its letters.

    Args:
        pieces: Tokens as the tokenizer spells them.

    Returns:
        Mark ("Ġ", "▁", "##" or "") and the rest of each.
    """
    found = []
    for piece in pieces:
        mark = next((m for m in MARKS if piece.startswith(m) and len(piece) > len(m)), "")
        found.append((mark, piece[len(mark) :]))
    return found


def with_marks(sets: Iterable[Sequence[str]], pieces: WordVectors) -> list[tuple[str, ...]]:
    """Spell sets of words as a tokenizer spells pieces.

    Args:
        sets: Sets of words.
        pieces: Token vectors.

    Returns:
        Sets of pieces that have vectors and begin with the same mark, in every case they come in.
    """
    given = [tuple(words) for words in sets]
    marked = []
    for mark in ("", *MARKS):
        spelled = [tuple(mark + case(w) for w in s) for s in given for case in (str, *_CASES)]
        marked += spelled
    return [
        s for s in spelling_variants(marked, pieces) if len({m for m, _ in plain_pieces(s)}) == 1
    ]


_CASES = (str.lower, str.title, str.upper)


def debias_token_table(
    model: Any,
    tokenizer: Any,
    *,
    pairs: str | Sequence[Sequence[str]] = "gender",
    specific: str | Iterable[str] = "gender",
    equalize: str | Iterable[Sequence[str]] = "gender",
    k: int = 1,
) -> Any:
    """Apply hard debiasing to the input embeddings of a transformers model.

    Args:
        model: With `get_input_embeddings`.
        tokenizer: Its tokenizer.
        pairs: Defining pairs, as words; those that are whole tokens count.
        specific: Words that are not neutralised, in any case and as any piece.
        equalize: Sets that must stand alike, as words.
        k: Directions of the subspace, which is found in the table itself.

    Returns:
        A copy of the model; lengths of the rows stay, special tokens too, and a head that is tied
        to the table stays tied (one that is not is left as it is).

    Raises:
        DataError: No defining pair is among the tokens.
        ConfigError: An unknown name.
    """
    import torch

    made = copy.deepcopy(model)
    weight = made.get_input_embeddings().weight
    pieces = WordVectors.from_embedding(weight, tokenizer)
    if isinstance(pairs, str):
        if pairs != "gender":
            raise ConfigError(f"pairs must be 'gender' or a list of pairs; got {pairs!r}")
        from vecsmith.data.samples import load_gender_lists

        pairs = load_gender_lists().definitional_pairs
    defining = with_marks(pairs, pieces)
    if not defining:
        raise DataError(
            "none of the defining pairs has both its words among the tokens; "
            "give pairs= of frequent words"
        )
    subspace = BiasSubspace.from_sets(pieces, defining, k=k, name="tokens")
    words = {word.lower() for word in _named("specific", specific)}
    special = set(getattr(tokenizer, "all_special_tokens", ()))
    kept = [
        piece
        for piece, (_, rest) in zip(pieces.words, plain_pieces(pieces.words), strict=True)
        if rest.lower() in words or piece in special
    ]
    method = HardDebias(
        subspace,
        specific=kept,
        equalize=with_marks(_named("equalize", equalize), pieces),
        lengths="keep",
    )
    after = torch.from_numpy(method.transform(pieces).vectors)
    vocabulary = tokenizer.get_vocab()
    rows = torch.tensor([vocabulary[piece] for piece in pieces.words])
    with torch.no_grad():
        # in place: what is tied to it sees the change
        weight[rows.to(weight.device)] = after.to(weight.device, weight.dtype)
    return made
