"""A larger input-embedding matrix for a model of transformers, its output embeddings as they were.

`resize_token_embeddings` would resize a tied output layer too and give it rows for tokens that
must never be predicted. Here only the input table grows, E' = [E ; V]; it is trainable, and a tied
output layer keeps the old table for itself.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def grow_embeddings(
    model: "PreTrainedModel", ids: NDArray[np.int64], vectors: NDArray[np.floating]
) -> "PreTrainedModel":
    """Give a model rows for new tokens.

    Args:
        model: Any model of transformers; changed in place.
        ids: Token ids of the new rows; rows that the table has to spare are overwritten.
        vectors: Their vectors, shape (ids, width of the input embeddings).

    Returns:
        The model.

    Raises:
        DataError: Vectors of another shape, or not finite.
        ModelError: The model has no table of input embeddings.
    """
    import torch

    old = model.get_input_embeddings()
    if not isinstance(old, torch.nn.Embedding):
        raise ModelError(
            f"model must have a table of input embeddings; {type(model).__name__} has "
            f"{type(old).__name__}"
        )
    rows = np.asarray(vectors, np.float32)
    if rows.shape != (len(ids), old.embedding_dim) or not np.isfinite(rows).all():
        raise DataError(
            f"vectors must be finite and of shape ({len(ids)}, {old.embedding_dim}), the width of "
            f"the model's input embeddings; got {rows.shape}: align them to this model first"
        )
    if not len(ids):
        return model
    size = max(old.num_embeddings, int(np.max(ids)) + 1)
    new = torch.nn.Embedding(size, old.embedding_dim, padding_idx=old.padding_idx)
    new.to(old.weight.device, old.weight.dtype)
    with torch.no_grad():
        new.weight[: old.num_embeddings] = old.weight
        new.weight[torch.from_numpy(ids)] = torch.from_numpy(rows).to(new.weight)
    output = model.get_output_embeddings()
    model.set_input_embeddings(new)
    if output is None:
        model.config.get_text_config().vocab_size = size
    else:
        # the old table is now the output layer's alone
        model.config.tie_word_embeddings = False
    return model
