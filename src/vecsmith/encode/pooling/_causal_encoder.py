"""Texts from a causal language model as it is: pooled states, and echo.

Paper of echo: Repetition Improves Language Model Embeddings (J. Springer and others, 2024). A token
of a causal model has seen what stands before it alone; so the text is given twice, and the second
copy is pooled, each token of which has seen the whole text:

    Rewrite the sentence: TEXT, rewritten sentence: TEXT
                                                    ^^^^ pooled

Pooling is that of `pool_tokens`. Use to get vectors from a language model without training, as the
base line of one that is trained (`vecsmith.train.LLMEmbedder`). Avoid where a small trained encoder
is at hand: it is better and a hundred times faster. Cost: one pass of the model, with echo over
twice the tokens.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vecsmith.core import ConfigError, ModelError, StoreError, fresh_dir, read_json, write_json

from .._texts import checked_texts, unit_rows
from ..text import padded_length, quiet_hosts, resolve_model
from ..text._batches import length_batches
from ._token_pooling import TOKEN_POOLINGS, pool_tokens

Floats = NDArray[np.float32]

SETTINGS = "causal_encoder.json"


@dataclass(frozen=True)
class Echo:
    """What stands around the two copies of a text.

    Attributes:
        before: Before the first copy.
        between: Between the copies.
    """

    before: str = "Rewrite the sentence: "
    between: str = ", rewritten sentence: "


class CausalEncoder:
    """Encode with a decoder-only model.

    Args:
        model: A model of transformers; with a language-modelling head, its body is used.
        tokenizer: Its tokenizer.
        how: One of `TOKEN_POOLINGS`.
        echo: What stands around the copies; None gives the text once.
        max_tokens: A text (each copy) is cut at so many tokens.

    Raises:
        ConfigError: A setting out of its range.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        how: str = "weighted",
        echo: Echo | None = None,
        max_tokens: int = 256,
    ) -> None:
        if how not in TOKEN_POOLINGS or max_tokens < 1:
            raise ConfigError(
                f"how must be one of {TOKEN_POOLINGS} and max_tokens at least 1; got {how!r} and "
                f"{max_tokens}"
            )
        self.model = getattr(model, "base_model", model).eval()
        self.tokenizer = tokenizer
        self.how, self.echo, self.max_tokens = how, echo, max_tokens

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        how: str | None = None,
        echo: Echo | None = None,
        max_tokens: int | None = None,
        device: str = "cpu",
    ) -> "CausalEncoder":
        """Load a model, or what `save_pretrained` wrote.

        Args:
            name: Hub id or folder, GGUF included.
            how: As for the class; None takes what was saved, or "weighted".
            echo: Likewise; None takes what was saved, or none.
            max_tokens: Likewise; 256 where nothing was saved.
            device: Torch device.

        Returns:
            The encoder.

        Raises:
            ModelError: Not found, or not loadable.
            StoreError: Saved settings are damaged.
        """
        from transformers import AutoModel, AutoTokenizer

        found = resolve_model(name)
        saved: dict[str, Any] = {}
        if (found.path / SETTINGS).exists():
            saved = read_json(found.path / SETTINGS)
        extra: dict[str, Any] = {"gguf_file": found.gguf} if found.gguf else {}
        try:
            with quiet_hosts():
                model = AutoModel.from_pretrained(str(found.path), **extra)
                tokenizer = AutoTokenizer.from_pretrained(str(found.path), **extra)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(
                f"model {str(name)!r} does not load as a language model: {error}"
            ) from error
        if found.gguf:
            # its weights are unpacked already; what is left of the packing only forbids saving
            model.hf_quantizer = None
            del model.config.quantization_config
        try:
            if echo is None and saved.get("echo"):
                echo = Echo(**saved["echo"])
            how = how or saved.get("how", "weighted")
            max_tokens = max_tokens or saved.get("max_tokens", 256)
        except (TypeError, AttributeError) as error:
            raise StoreError(
                f"{str(found.path / SETTINGS)!r} is damaged ({error}); save the encoder again"
            ) from error
        return cls(model.to(device), tokenizer, how=how, echo=echo, max_tokens=max_tokens)

    def save_pretrained(self, path: str | Path) -> None:
        """Save model, tokenizer and settings; transformers loads the folder as well.

        Args:
            path: Where to; an older one is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        settings = {
            "format": 1,
            "how": self.how,
            "echo": None if self.echo is None else asdict(self.echo),
            "max_tokens": self.max_tokens,
        }
        with fresh_dir(path) as fresh, quiet_hosts():
            self.model.save_pretrained(fresh)
            self.tokenizer.save_pretrained(fresh)
            write_json(fresh / SETTINGS, settings)

    @property
    def dims(self) -> int:
        """Dimensions of a vector."""
        return int(self.model.config.get_text_config().hidden_size)

    def _pieces(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return found

    def _tokens(self, text: str) -> tuple[list[int], int]:
        """Return ids, and from where on they are pooled."""
        start = self.tokenizer.bos_token_id
        ids = [] if start is None else [start]
        own = self._pieces(text)[: self.max_tokens]
        if self.echo is None:
            # the start alone stands for an empty text
            return ids + own, len(ids) if own else 0
        before = ids + self._pieces(self.echo.before) + own + self._pieces(self.echo.between)
        return before + own, len(before) if own else len(before) - 1

    def encode(
        self,
        texts: Sequence[str],
        *,
        token_budget: int = 2048,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts.

        Args:
            texts: Texts.
            token_budget: Tokens of a batch, padding included.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Float32, shape (texts, dims); the same for a text whatever stands beside it.

        Raises:
            DataError: A text is no string.
            ModelError: A text is longer than the model can take, or it cannot take an empty one.
        """
        rows = [self._tokens(text) for text in checked_texts(texts)]
        most = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        longest = max((len(ids) for ids, _ in rows), default=0)
        if most is not None and longest > most:
            raise ModelError(
                f"the model takes {most} tokens and a text has {longest}, echo included; lower "
                "max_tokens"
            )
        if any(not ids for ids, _ in rows):
            raise ModelError("the model has no start token for an empty text; leave it out")
        made = np.zeros((len(rows), self.dims), np.float32)
        lengths = [padded_length(len(ids), most) for ids, _ in rows]
        for batch in length_batches(lengths, token_budget):
            made[batch] = self._batch([rows[row] for row in batch], lengths[batch[0]])
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    @torch.inference_mode()
    def _batch(self, rows: list[tuple[list[int], int]], length: int) -> Floats:
        # any id does: nothing looks ahead at padding on the right, and it is not pooled
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        seen, pooled = torch.zeros_like(ids), torch.zeros_like(ids)
        for place, (row, start) in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            seen[place, : len(row)] = 1
            pooled[place, start : len(row)] = 1
        device = self.model.device
        output = self.model(
            input_ids=ids.to(device), attention_mask=seen.to(device), use_cache=False
        )
        states = pool_tokens(output.last_hidden_state, pooled.to(device), self.how)
        return np.asarray(states.float().cpu().numpy())
