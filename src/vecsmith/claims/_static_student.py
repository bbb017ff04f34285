"""A student that trains in seconds: static word vectors, started from MiniLM's word embeddings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.claims._encodings import MINILM


class StartWeights(NamedTuple):
    """What a static student starts from.

    Attributes:
        tokenizer: The tokenizer as JSON.
        vectors: Shape (pieces, 384).
    """

    tokenizer: str
    vectors: NDArray[np.float32]


def cut_word_vectors(texts: Sequence[str]) -> StartWeights:
    """Cut MiniLM's tokenizer and word embeddings to the pieces that texts use.

    Args:
        texts: All texts the student will read.

    Returns:
        Tokenizer and vectors.
    """
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    from vecsmith.encode import resolve_model

    folder = Path(resolve_model(MINILM).path)
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole.no_padding()
    whole.no_truncation()
    used = {i for row in whole.encode_batch(list(texts), add_special_tokens=False) for i in row.ids}
    settings = json.loads(whole.to_str())
    by_id = {i: piece for piece, i in settings["model"]["vocab"].items()}
    kept = sorted(used | {settings["model"]["vocab"]["[UNK]"]})
    settings["model"]["vocab"] = {by_id[i]: place for place, i in enumerate(kept)}
    settings["added_tokens"], settings["post_processor"] = [], None
    weights = load_file(folder / "model.safetensors")
    name = next(n for n in weights if n.endswith("word_embeddings.weight"))
    return StartWeights(json.dumps(settings), weights[name][kept].astype(np.float32))


def static_student(start: StartWeights) -> Any:
    """Build an untrained student.

    Args:
        start: From `cut_word_vectors`.

    Returns:
        A `SentenceTransformer` of static word vectors.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    module = StaticEmbedding(
        Tokenizer.from_str(start.tokenizer), embedding_weights=start.vectors.copy()
    )
    return SentenceTransformer(modules=[module], device="cpu")
