"""Word embeddings of the pieces that a claim's texts use, in place of a whole vocabulary.

Rows of pieces that never occur get no gradient, so that training is the same; but an optimizer
walks through all of them in every step, which for a small encoder takes most of the time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class CutEmbedding(nn.Module):
    """An embedding table of some of the ids; any other id reads the row of the unknown piece.

    Args:
        whole: The whole table.
        used: Ids that are kept.
        unknown: Id of the unknown piece, kept too.
    """

    place: Tensor

    def __init__(self, whole: nn.Embedding, used: Sequence[int], unknown: int) -> None:
        super().__init__()
        kept = torch.tensor(sorted({*used, unknown}))
        place = torch.full((whole.num_embeddings,), int((kept == unknown).nonzero()))
        place[kept] = torch.arange(len(kept))
        self.register_buffer("place", place)
        self.table = nn.Embedding.from_pretrained(whole.weight.detach()[kept].clone(), freeze=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up.

        Args:
            ids: Any shape.

        Returns:
            That shape and the size of the embedding.
        """
        found: Tensor = self.table(self.place[ids])
        return found


def cut_vocabulary(model: Any, texts: Sequence[str]) -> None:
    """Keep the word embeddings of the pieces that texts use; changes the model in place.

    Args:
        model: A `SentenceTransformer` on a BERT.
        texts: All texts that it will read.
    """
    tokenizer = model.tokenizer
    found = tokenizer(list(texts), add_special_tokens=True, truncation=False, verbose=False)
    used = np.unique(np.concatenate([np.asarray(ids) for ids in found["input_ids"]])).tolist()
    used += tokenizer.all_special_ids
    layer = model[0].auto_model.embeddings
    layer.word_embeddings = CutEmbedding(layer.word_embeddings, used, tokenizer.unk_token_id)
