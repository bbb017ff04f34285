"""Encode with any sentence-transformers model in torch: what no other backend can take."""

import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import Stamp, read_json

from ._batches import DOCUMENT, prompt_of, truncate, without_surrogates
from ._models import load_sentence_transformer, resolve_model, weights_hash
from ._openvino import cut_stamp

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


# what was done to a model after its training, written by `vecsmith.reshape.ReshapeChain`
RESHAPE_RECORD = "reshape.json"


def kind_prompts(model: "SentenceTransformer") -> tuple[str, str]:
    """Return what a model reads before queries and before documents.

    Args:
        model: The loaded model.

    Returns:
        Prompt of queries and prompt of documents, "" for none, chosen by name as its own
        `encode_query` and `encode_document` do.
    """
    prompts = model.prompts or {}
    named = (n for n in ("document", "passage", "corpus") if n in prompts)
    return prompts.get("query") or "", prompts.get(next(named, "")) or ""


def stamp_of(model: "SentenceTransformer", name: str, folder: Path) -> Stamp:
    """Describe a model's embedding space.

    Args:
        model: The loaded model.
        name: Its id, for people.
        folder: Its files.

    Returns:
        The stamp.
    """
    query_prompt, document_prompt = kind_prompts(model)
    record = folder / RESHAPE_RECORD
    steps = read_json(record).get("steps", []) if record.is_file() else []
    pooling = [m for m in model if type(m).__name__ == "Pooling"]
    mode = str(pooling[0].get_config_dict()["pooling_mode"]) if pooling else "none"
    return Stamp(
        model=name,
        weights=weights_hash(folder),
        dims=int(model.get_embedding_dimension() or 0),
        pooling=mode,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        max_tokens=int(model.max_seq_length or 512),
        reshape=tuple(step["label"] for step in steps),
    )


class TorchEncoder:
    """A sentence-transformers model behind the interface of `Encoder`.

    Args:
        name: Hub id or folder.
        dims: Leading dimensions to keep.
        device: Torch device.
        stamp: Stamp of the whole vectors, if it is on record; by default the files are asked.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        dims: int | None = None,
        device: str = "cpu",
        stamp: Stamp | None = None,
    ) -> None:
        found = resolve_model(name)
        self.model = load_sentence_transformer(name, device=device)
        self.stamp = cut_stamp(stamp or stamp_of(self.model, found.id, found.path), dims)
        # A fast tokenizer refuses to be used by two threads at once when both set the length.
        self._tokenizer = copy.deepcopy(self.model.tokenizer)
        self._lock = threading.Lock()

    def encode(
        self, texts: Sequence[str], *, kind: str = DOCUMENT, batch_size: int = 32
    ) -> NDArray[np.float32]:
        """Encode texts to unit vectors.

        Args:
            texts: The texts.
            kind: "query" or "document": which prompt is put before them.
            batch_size: Texts a batch; sentence-transformers sorts them by length.

        Returns:
            Shape (len(texts), dims), float32.
        """
        prompt = prompt_of(self.stamp, kind)
        vectors = self.model.encode(
            without_surrogates(texts),
            batch_size=batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
            prompt=prompt,
        )
        return truncate(np.asarray(vectors, dtype=np.float32), self.stamp.dims)

    def tokens(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[list[int]]:
        """Return the token ids of texts as they are encoded.

        Args:
            texts: The texts; a lone surrogate is replaced.
            kind: "query" or "document": which prompt is put before them.

        Returns:
            Ids of each text, with prompt and special tokens, cut at the model's length.
        """
        prompt = prompt_of(self.stamp, kind)
        clean = without_surrogates([prompt + text for text in texts])
        with self._lock:
            coded = self._tokenizer(clean, truncation=True, max_length=self.stamp.max_tokens)
        return [list(ids) for ids in coded["input_ids"]]

    def full_lengths(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[int]:
        """Return how many tokens each text would have if none were cut.

        Args:
            texts: The texts; a lone surrogate is replaced.
            kind: "query" or "document": which prompt is put before them.

        Returns:
            One number a text, with prompt and special tokens.
        """
        prompt = prompt_of(self.stamp, kind)
        clean = without_surrogates([prompt + text for text in texts])
        with self._lock:
            coded = self._tokenizer(clean, verbose=False)
        return [len(ids) for ids in coded["input_ids"]]

    def load(self) -> None:
        """Read what is needed later; all of it was read at the start."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the model's tokens in each text.

        Args:
            texts: The texts.

        Returns:
            One number a text, special tokens left out.
        """
        clean = without_surrogates(texts)
        with self._lock:
            coded = self._tokenizer(clean, add_special_tokens=False, verbose=False)
        return [len(ids) for ids in coded["input_ids"]]
