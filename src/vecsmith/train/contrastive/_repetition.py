"""Repeat sub-words: positives of another length with the same meaning.

Paper: ESimCSE: Enhanced Sample Building Method for Contrastive Learning of Unsupervised Sentence
Embedding (X. Wu, C. Gao, L. Zang, J. Han, Z. Wang, S. Hu, 2022).

Of a text of N tokens (specials included) k are drawn, k uniform in 0 .. max(2, int(rate N)), never
a special one, and written twice in place. Works on token ids, after truncation, so that nothing is
cut away again. The modes besides "subword" are the paper's weaker alternatives, to compare with.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vecsmith.core import ConfigError, did_you_mean

MODES = ("subword", "word", "mask", "delete", "none")


def changed_ids(ids: Sequence[int], picked: Sequence[int], mode: str, mask_id: int) -> list[int]:
    """Change the tokens of a text at some places.

    Args:
        ids: Token ids.
        picked: Places.
        mode: "subword" and "word" write them twice, "mask" puts a mask before them, "delete" leaves
            them out.
        mask_id: Id of the mask.

    Returns:
        New token ids.
    """
    there = set(picked)
    out: list[int] = []
    for place, token in enumerate(ids):
        if place in there and mode == "delete":
            continue
        if place in there and mode == "mask":
            out.append(mask_id)
        out.append(token)
        if place in there and mode == "subword":
            out.append(token)
    return out


def repeated_words(ids: Sequence[int], words: Sequence[Sequence[int]]) -> list[int]:
    """Write whole words twice.

    Args:
        ids: Token ids.
        words: The places of each word to repeat.

    Returns:
        New token ids.
    """
    ends = {places[-1]: places for places in words}
    out: list[int] = []
    for place, token in enumerate(ids):
        out.append(token)
        out += [ids[other] for other in ends.get(place, ())]
    return out


class SubwordRepetition:
    """Changes the model inputs of a batch; new draws at every call, from torch's global generator.

    Args:
        tokenizer: The model's tokenizer; says which ids are special.
        rate: Share of a text's tokens that is repeated at most.
        mode: One of `MODES`.
        limit: Length that no text may exceed; the tokenizer's own by default.

    Raises:
        ConfigError: Unknown mode, or a rate outside [0, 1].
    """

    def __init__(
        self, tokenizer: Any, rate: float = 0.32, *, mode: str = "subword", limit: int | None = None
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"mode cannot be {mode!r}; {did_you_mean(mode, MODES)}")
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"rate must be a share in [0, 1]; got {rate}")
        self.tokenizer, self.rate, self.mode = tokenizer, rate, mode
        self.limit = limit or int(tokenizer.model_max_length)
        self.special = set(tokenizer.all_special_ids)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.mask_id = int(tokenizer.mask_token_id) if mode == "mask" else -1

    def __call__(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change a batch.

        Args:
            features: Model inputs with input_ids and attention_mask, shape (B, length).

        Returns:
            New model inputs, padded on the right; other entries that have a length are made anew
            (token types) or left out.
        """
        if self.mode == "none":
            return dict(features)
        ids, mask = features["input_ids"], features["attention_mask"].bool()
        rows = [self._row(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True)]
        longest = max(len(row) for row in rows)
        out = {
            name: value
            for name, value in features.items()
            if not isinstance(value, Tensor) or value.shape[:2] != ids.shape
        }
        padded = [row + [self.pad_id] * (longest - len(row)) for row in rows]
        kept = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        out["input_ids"] = torch.tensor(padded, dtype=ids.dtype, device=ids.device)
        out["attention_mask"] = torch.tensor(
            kept, dtype=features["attention_mask"].dtype, device=ids.device
        )
        if "token_type_ids" in features:
            out["token_type_ids"] = torch.zeros_like(out["input_ids"])
        return out

    def _row(self, ids: list[int]) -> list[int]:
        free = [place for place, token in enumerate(ids) if token not in self.special]
        room = self.limit - len(ids) if self.mode != "delete" else len(free) - 1
        most = max(2, int(self.rate * len(ids)))
        count = min(int(torch.randint(most + 1, ())), len(free), max(room, 0))
        if not count:
            return ids
        if self.mode == "word":
            return self._words(ids, free, count)
        order = torch.randperm(len(free))[:count].tolist()
        return changed_ids(ids, [free[i] for i in order], self.mode, self.mask_id)

    def _words(self, ids: list[int], free: list[int], count: int) -> list[int]:
        """Repeat whole words until `count` tokens are written twice."""
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        marked = any(token.startswith(("Ġ", "▁")) for token in tokens)
        words: list[list[int]] = []
        for place in free:
            token = tokens[place]
            goes_on = not token.startswith(("Ġ", "▁")) if marked else token.startswith("##")
            if goes_on and words and words[-1][-1] == place - 1:
                words[-1].append(place)
            else:
                words.append([place])
        picked: list[list[int]] = []
        for i in torch.randperm(len(words)).tolist():
            if len(words[i]) <= count:
                picked.append(words[i])
                count -= len(words[i])
        return repeated_words(ids, picked)
