"""Vectors of entities from their definitions, read by the language model that is to be fused.

The pooler's output (after tanh), as the authors take it; a model without a trained pooler is
better read by "cls" or "mean". Its scale is not that of the input embeddings among which the
vectors will stand: `norm` brings each to a length (the mean length of a word's row, say).

Cost: one pass of the model over the definitions.
"""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, ModelError, progress, require

from ..text import quiet_hosts, resolve_model

POOLINGS = ("pooler", "cls", "mean")


class DefinitionVectors:
    """A language model that reads definitions.

    Args:
        lm: Hub id or folder of a model of transformers, or a pair of model and tokenizer.
        pooling: "pooler", "cls" or "mean".
        norm: Length of each vector; None leaves it.
        max_tokens: Where definitions are cut.
        batch_size: Definitions a pass.

    Raises:
        ConfigError: Unknown pooling, or a norm that is not above 0.
        ModelError: The model cannot be found.
    """

    def __init__(
        self,
        lm: Any,
        *,
        pooling: str = "pooler",
        norm: float | None = None,
        max_tokens: int = 128,
        batch_size: int = 64,
    ) -> None:
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling must be one of {POOLINGS}; got {pooling!r}")
        if norm is not None and not norm > 0:
            raise ConfigError(f"norm must be above 0, or None; got {norm!r}")
        self.model, self.tokenizer = load_reader(lm)
        self.pooling, self.norm = pooling, norm
        self.max_tokens, self.batch_size = max_tokens, batch_size

    def encode(self, definitions: Mapping[Any, str]) -> dict[Hashable, NDArray[np.float32]]:
        """Read definitions.

        Args:
            definitions: Entity to its definition; empty ones get no vector.

        Returns:
            Entity to vector, of the model's width, in the order given.

        Raises:
            DataError: No entity has a definition.
            ModelError: The model has no pooler, and its output was asked for.
        """
        import torch

        kept = {key: text for key, text in definitions.items() if text and text.strip()}
        if not kept:
            raise DataError("definitions must hold at least one text; got none: check the source")
        keys = list(kept)
        # texts of like length together, so that little is padding
        order = sorted(range(len(keys)), key=lambda i: len(kept[keys[i]]))
        rows = np.empty((len(keys), self.model.get_input_embeddings().embedding_dim), np.float32)
        training = self.model.training
        self.model.eval()
        for start in progress(range(0, len(order), self.batch_size), "definitions", unit="batch"):
            places = order[start : start + self.batch_size]
            inputs = self.tokenizer(
                [kept[keys[i]] for i in places],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.no_grad():
                rows[places] = self._pooled(self.model(**inputs), inputs["attention_mask"])
        self.model.train(training)
        if self.norm is not None:
            rows *= self.norm / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return dict(zip(keys, rows, strict=True))

    def _pooled(self, output: Any, mask: Any) -> NDArray[np.float32]:
        if self.pooling == "pooler":
            found = getattr(output, "pooler_output", None)
            if found is None:
                raise ModelError(
                    f"{type(self.model).__name__} has no pooler; use pooling='cls' or 'mean'"
                )
        elif self.pooling == "cls":
            found = output.last_hidden_state[:, 0]
        else:
            weights = mask[..., None].to(output.last_hidden_state)
            found = (output.last_hidden_state * weights).sum(1) / weights.sum(1)
        return np.asarray(found.float().cpu().numpy(), np.float32)


def load_reader(lm: Any) -> tuple[Any, Any]:
    """Load a language model and its tokenizer.

    Args:
        lm: Hub id or folder (also of sentence-transformers), or a pair of model and tokenizer.

    Returns:
        The model without a head, and the tokenizer.

    Raises:
        ModelError: It cannot be found or loaded.
    """
    if isinstance(lm, tuple):
        return lm
    transformers = require("transformers", "train")
    folder: str | Path = resolve_model(lm).path
    try:
        with quiet_hosts():
            model = transformers.AutoModel.from_pretrained(folder)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(lm)!r} is no model of transformers ({error})") from error
    return model, tokenizer
