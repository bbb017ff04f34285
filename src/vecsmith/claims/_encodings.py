"""Encodings of fixed texts, kept in the cache under the hash of model and texts.

Claims measure methods, not encoders: their fixed texts are encoded once, and the vectors come back
bit for bit on the next run.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import atomic_path, cache_dir, hash_text, require, sha256_file

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def encode_cached(
    texts: Sequence[str], *, model: str = MINILM, max_tokens: int = 48, batch_size: int = 128
) -> NDArray[np.float32]:
    """Encode texts to unit vectors, or read them back.

    Args:
        texts: What to encode.
        model: Hub id or folder of a sentence-transformers model.
        max_tokens: Length at which texts are cut.
        batch_size: Texts a step.

    Returns:
        Unit vectors, shape (texts, dims).
    """
    from safetensors.numpy import load_file, save_file

    from vecsmith.encode import resolve_model

    folder = Path(resolve_model(model).path)
    weights = "".join(sha256_file(path) for path in sorted(folder.glob("*.safetensors")))
    key = hash_text(model, weights, str(max_tokens), *texts)
    path = cache_dir("claims") / f"encodings-{key}.safetensors"
    if path.exists():
        return load_file(path)["vectors"]
    transformers = require("sentence_transformers", "train")
    encoder = transformers.SentenceTransformer(str(folder), device="cpu")
    encoder.max_seq_length = max_tokens
    vectors = encoder.encode(
        list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
    )
    vectors = np.ascontiguousarray(vectors, np.float32)
    with atomic_path(path) as temporary:
        save_file({"vectors": vectors}, temporary)
    return vectors
