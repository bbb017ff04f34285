"""What a guide cache is made of: text keys, mapped files, a model's fingerprint, truncation."""

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import StoreError, hash_text

Keys = NDArray[np.int64]
_KINDS: dict[str, str] = {"I64": "<i8", "F16": "<f2", "F32": "<f4"}


def text_keys(texts: Iterable[str], prompt: str = "") -> Keys:
    """Hash texts to keys.

    Args:
        texts: Any texts.
        prompt: What the guide reads before each of them.

    Returns:
        Signed 64-bit keys, shape (texts,).
    """
    return np.array(
        [int(hash_text(prompt, text)[:16], 16) - (1 << 63) for text in texts], dtype=np.int64
    )


@dataclass(frozen=True)
class TruncationReport:
    """How much of the texts guide and student read.

    Attributes:
        texts: Number of texts looked at.
        guide_cut: Share of them that the guide cuts off.
        student_cut: Share that the student cuts off.
        guide_sees_less: Share of which the guide reads fewer characters than the student.
    """

    texts: int
    guide_cut: float
    student_cut: float
    guide_sees_less: float


def characters_read(model: Any, texts: Sequence[str]) -> NDArray[np.int64]:
    """Find where a model's tokenizer cuts each text off.

    Args:
        model: A `SentenceTransformer`.
        texts: Texts.

    Returns:
        Number of characters before the cut (the whole text where the model has no limit or its
        tokenizer cannot tell), shape (texts,).
    """
    whole = np.array([len(text.rstrip()) for text in texts], np.int64)
    limit, tokenizer = model.max_seq_length, getattr(model, "tokenizer", None)
    if limit is None or not np.isfinite(limit) or not getattr(tokenizer, "is_fast", False):
        return whole
    batch = tokenizer(  # type: ignore[misc]
        list(texts), truncation=True, max_length=int(limit), return_offsets_mapping=True
    )
    ends = [max((end for _, end in row), default=0) for row in batch["offset_mapping"]]
    # a tokenizer may drop trailing characters; only a full row is a cut one
    full = np.array([len(row) >= int(limit) for row in batch["input_ids"]])
    return np.where(full, np.minimum(np.array(ends, np.int64), whole), whole)


def map_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Map the arrays of a safetensors file into memory without reading them.

    Args:
        path: The file.

    Returns:
        Name -> read-only array.

    Raises:
        StoreError: The file is damaged.
    """
    try:
        with path.open("rb") as handle:
            (size,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(size))
        return {
            name: np.memmap(
                path,
                dtype=np.dtype(_KINDS[row["dtype"]]),
                mode="r",
                offset=8 + size + row["data_offsets"][0],
                shape=tuple(row["shape"]),
            )
            for name, row in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise StoreError(
            f"{str(path)!r} should hold guide vectors but cannot be read ({error}); delete it, and "
            "the guide will encode its texts again"
        ) from error


def fingerprint(model: Any) -> str:
    """Hash a model's weights, length and prompts, so that no other's vectors are taken for its.

    Args:
        model: A `SentenceTransformer`.

    Returns:
        Hexadecimal digits.
    """
    import torch

    state = hashlib.blake2b(digest_size=16)
    settings = (str(model), model.max_seq_length, getattr(model, "prompts", {}))
    state.update(repr((*settings, getattr(model, "default_prompt_name", None))).encode())
    for name, tensor in sorted(model.state_dict().items()):
        state.update(name.encode())
        # bfloat16 has no NumPy counterpart: hash the bytes
        state.update(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return state.hexdigest()


def find_keys(known: Keys, wanted: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Find keys in a sorted list.

    Args:
        known: Sorted, at least one.
        wanted: Any keys.

    Returns:
        Place of each wanted key, and whether it is there.
    """
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def model_name(guide: Any) -> str:
    """Name a guide for model cards.

    Args:
        guide: A `SentenceTransformer` or None.

    Returns:
        Its base model, its class, or "precomputed".
    """
    if guide is None:
        return "precomputed"
    card = getattr(guide, "model_card_data", None)
    return str(getattr(card, "base_model", None) or type(guide).__name__)
