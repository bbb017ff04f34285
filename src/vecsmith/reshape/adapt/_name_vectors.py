"""Where the name of an entity lies among a language model's input embeddings.

    z_e = mean_k E[tok_k(name_e)]

The look-up table alone, no context: so a name of any length has a vector, and a fused vector
stands where the model expects words.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError


class NameVectors(NamedTuple):
    """Names in the input space of a model.

    Attributes:
        vectors: Mean rows of the sub-words, shape (names, width).
        pieces: How many sub-words each name has.
        unknown: Names of which the model knows no sub-word.
    """

    vectors: NDArray[np.float32]
    pieces: NDArray[np.int64]
    unknown: NDArray[np.bool_]


def name_vectors(names: Sequence[str], model: Any, tokenizer: Any) -> NameVectors:
    """Look names up.

    Args:
        names: At least one.
        model: Of transformers.
        tokenizer: Its tokenizer.

    Returns:
        Their vectors; the tokenizer's unknown token counts where a name has nothing else.

    Raises:
        DataError: No names, or one that is empty.
    """
    if not len(names) or not all(isinstance(n, str) and n.strip() for n in names):
        raise DataError("names must be texts, at least one and none empty; give each entity a name")
    table = model.get_input_embeddings().weight.detach().float().cpu().numpy()
    rows = tokenizer(list(names), add_special_tokens=False)["input_ids"]
    nothing = [name for name, row in zip(names, rows, strict=True) if not row]
    if nothing:
        raise DataError(f"the tokenizer makes no sub-word of these names: {nothing[:5]!r}")
    pieces = np.array([len(row) for row in rows], np.int64)
    starts = np.concatenate([[0], np.cumsum(pieces)[:-1]])
    flat = np.concatenate([np.asarray(row, np.int64) for row in rows])
    sums = np.add.reduceat(table[flat], starts, axis=0)
    nowhere = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    strange = np.add.reduceat((flat == nowhere).astype(np.int64), starts)
    return NameVectors(
        (sums / pieces[:, None]).astype(np.float32), pieces, np.asarray(strange == pieces)
    )
