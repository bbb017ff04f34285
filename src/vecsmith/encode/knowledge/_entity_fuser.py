"""Entities of a question as tokens of their own in a reading model, with vectors from a graph.

The linker finds the entities of the question (never of the context). Each is a new token whose
input embedding is its vector and is trained on with the model; the architecture stays as it is
(S. Sengupta and others, 2024, on layouts of N. Poerner and others, 2020, and Y. Xu and others,
2021). The tokens are put in by number, not by text: all places still point into the texts as given.

    fuser = EntityFuser(tokenizer, linker=linker, vectors=vectors, layout="dekcor")
    model = fuser.extend(AutoModelForQuestionAnswering.from_pretrained(...))

Use where a graph knows what the text does not tell. Avoid without a control: random vectors in the
same slots (`matched_random`) often bring most of the gain. Cost: one row an entity, and its state
in the optimizer.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, fresh_dir, require

from .._state import read_state, reading, write_state_into
from ..text import quiet_hosts
from ._dictionary_linker import DictionaryLinker
from ._growth import grow_embeddings
from ._ids import packed, unpacked
from ._layouts import LAYOUTS, Mention, Offset, Piece

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KIND = "entity fuser"
_TOKENIZER = "tokenizer"


@dataclass(frozen=True)
class FusedWindow:
    """Inputs of a model for a question and a stretch of its context.

    Attributes:
        input_ids: Token ids.
        token_type_ids: 0 up to the context, 1 in it, where the tokenizer tells them apart.
        offsets: Place of each token in the context as given; None outside of it.
        question_offsets: Place of each token in the question as given; None outside of it.
        entities: Positions of the entities' tokens.
    """

    input_ids: list[int]
    token_type_ids: list[int]
    offsets: list[Offset | None]
    question_offsets: list[Offset | None]
    entities: list[int]


class EntityFuser:
    """Linker, vectors and layout around a tokenizer.

    Args:
        tokenizer: Fast tokenizer of the reading model; it is copied, and the copy grows.
        linker: Anything with `link(text)` that gives spans with start, end and id.
        vectors: Entity to vector, of the width of the model's input embeddings; mentions of other
            entities are left out.
        layout: "bertram", "dekcor", "replace", or "plain", the question as it is.

    Attributes:
        tokenizer: The grown tokenizer.
        token_ids: Entity to its token's number.

    Raises:
        ConfigError: Unknown layout, or no linker or vectors with a layout that needs them.
        DataError: Vectors of several widths, or that are not finite.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        linker: Any = None,
        vectors: Mapping[Any, NDArray[np.floating]] | None = None,
        layout: str = "dekcor",
    ) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"layout {layout!r} is unknown; {did_you_mean(layout, LAYOUTS)}")
        if layout != "plain" and (linker is None or not vectors):
            raise ConfigError(
                f"layout {layout!r} needs a linker and the vectors of at least one entity; give "
                "both, or take layout='plain'"
            )
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(
                f"tokenizer must be a fast one, which tells places; got {type(tokenizer).__name__}"
            )
        import copy

        self.layout, self.linker = layout, linker
        self.vectors = _table({} if layout == "plain" else vectors or {})
        self.tokenizer = copy.deepcopy(tokenizer)
        self.token_ids = _add_tokens(self.tokenizer, list(self.vectors))
        # windows are cut and padded here
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        self._frame = _frame(self.tokenizer)
        self._slash = self._tokens("/")[0]

    def extend(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """Give a model the rows of the entities, trainable; output embeddings stay as they are.

        Args:
            model: Any model of transformers whose tokenizer this is; changed in place.

        Returns:
            The model.

        Raises:
            DataError: Vectors of another width than its input embeddings.
            ModelError: The model has no table of input embeddings.
        """
        ids = np.array(list(self.token_ids.values()), np.int64)
        if not len(ids):
            return model
        return grow_embeddings(model, ids, np.stack(list(self.vectors.values())))

    def mentions(self, question: str) -> list[Any]:
        """Find the entities of a question that have a vector.

        Args:
            question: Any text.

        Returns:
            Spans, from left to right.
        """
        if self.layout == "plain":
            return []
        return [span for span in self.linker.link(question) if span.id in self.token_ids]

    def encode(
        self,
        question: str,
        context: str | None = None,
        *,
        max_length: int = 384,
        stride: int | None = 196,
    ) -> list[FusedWindow]:
        """Make the inputs of a question, and of its context in windows that overlap.

        Args:
            question: As the user wrote it.
            context: Text that is read with it; None for a question alone.
            max_length: Tokens of a window, all counted.
            stride: Tokens from the start of a window to that of the next; None takes the first
                window alone and cuts the rest of the context off.

        Returns:
            The windows, at least one; every token of the context is in one of them, unless cut.

        Raises:
            DataError: No text, or a question that leaves no room.
            ConfigError: A stride that steps over tokens.
        """
        for name, text in (("question", question), ("context", context)):
            if not isinstance(text, str) and not (name == "context" and text is None):
                raise DataError(f"{name} must be a string; got {type(text).__name__}")
        inside, appended = LAYOUTS[self.layout](*self._pieces(question), self._slash)
        start, middle, end = self._frame[context is not None]
        sep = [Piece(self.tokenizer.sep_token_id, (0, 0))] if appended else []
        ahead = [*_marks(start), *inside, *sep, *appended]
        if context is None:
            room = max_length - len(end)
            self._check_room(len(ahead), room)
            return [self._window(ahead, [], [], _marks(end))]
        ahead += _marks(middle)
        room = max_length - len(ahead) - len(end)
        self._check_room(1, room)
        if stride is not None and not 1 <= stride <= room:
            raise ConfigError(
                f"stride must be from 1 to {room}, the tokens of context that a window has beside "
                f"this question; got {stride}: lower it, or raise max_length"
            )
        ids, offsets = self._tokens(context)
        last = max(len(ids) - room, 0)
        step = stride or room
        starts = [0] if stride is None else [*range(0, last, step), last]
        windows = []
        for first in dict.fromkeys(starts):
            part = slice(first, first + room)
            windows.append(self._window(ahead, ids[part], offsets[part], _marks(end)))
        return windows

    def collate(self, windows: Sequence[FusedWindow]) -> dict[str, Any]:
        """Pad windows to one length.

        Args:
            windows: At least one.

        Returns:
            input_ids, attention_mask and, where the tokenizer has them, token_type_ids.
        """
        import torch

        width = max(len(window.input_ids) for window in windows)
        pad = self.tokenizer.pad_token_id or 0

        def padded(rows: list[list[int]], value: int) -> Any:
            return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])

        found = {
            "input_ids": padded([w.input_ids for w in windows], pad),
            "attention_mask": padded([[1] * len(w.input_ids) for w in windows], 0),
        }
        if "token_type_ids" in self.tokenizer.model_input_names:
            found["token_type_ids"] = padded([w.token_type_ids for w in windows], 0)
        return found

    def save(self, folder: str | Path) -> None:
        """Write tokenizer, linker and vectors to a folder.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ConfigError: A linker other than `DictionaryLinker`, or ids that JSON cannot hold.
            StoreError: The place cannot be written.
        """
        if self.linker is not None and not isinstance(self.linker, DictionaryLinker):
            raise ConfigError(
                f"only a DictionaryLinker is saved with the fuser; got {type(self.linker).__name__}"
                ": save yours by itself, and build the fuser anew"
            )
        values = {
            "layout": self.layout,
            "ids": [packed(key) for key in self.vectors],
            "linker": None if self.linker is None else self.linker.state(),
        }
        rows = np.stack(list(self.vectors.values())) if self.vectors else np.zeros((0, 0))
        with fresh_dir(folder) as fresh:
            write_state_into(fresh, KIND, values, {"vectors": rows.astype(np.float32)})
            self.tokenizer.save_pretrained(fresh / _TOKENIZER)

    @classmethod
    def load(cls, folder: str | Path) -> "EntityFuser":
        """Read what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fuser; its tokens have the numbers they had.

        Raises:
            StoreError: Missing, damaged, or of another kind.
        """
        values, arrays = read_state(folder, KIND)
        transformers = require("transformers", "train")
        with reading(folder):
            with quiet_hosts():
                tokenizer = transformers.AutoTokenizer.from_pretrained(Path(folder) / _TOKENIZER)
            linker = values["linker"] and DictionaryLinker.from_state(values["linker"])
            ids = [unpacked(key) for key in values["ids"]]
            vectors = dict(zip(ids, arrays["vectors"], strict=True))
            return cls(tokenizer, linker=linker, vectors=vectors, layout=values["layout"])

    def _tokens(self, text: str) -> tuple[list[int], list[Offset]]:
        found = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return list(found.ids), list(found.offsets)

    def _pieces(self, question: str) -> tuple[list[Piece], list[Mention]]:
        ids, offsets = self._tokens(question)
        pieces = [Piece(i, offset) for i, offset in zip(ids, offsets, strict=True)]
        mentions: list[Mention] = []
        for span in self.mentions(question):
            places = [i for i, (a, b) in enumerate(offsets) if a < span.end and b > span.start]
            # a token may reach over two mentions; the first has it
            if places and (not mentions or places[0] > mentions[-1].last):
                offset = (span.start, span.end)
                mentions.append(Mention(places[0], places[-1], self.token_ids[span.id], offset))
        return pieces, mentions

    def _check_room(self, needed: int, room: int) -> None:
        if room < needed:
            raise DataError(
                f"the question with its entities leaves {max(room, 0)} tokens where at least "
                f"{needed} are needed; shorten it, or raise max_length"
            )

    def _window(
        self,
        ahead: list[Piece],
        ids: list[int],
        offsets: list[Offset],
        end: list[Piece],
    ) -> FusedWindow:
        kinds = [0] * len(ahead) + [1] * (len(ids) + len(end) if ids else 0)
        nothing: list[Offset | None] = [None] * len(end)
        owned = set(self.token_ids.values())
        known = [piece.id for piece in ahead]
        own: list[Offset | None] = [p.offset if p.offset != (0, 0) else None for p in ahead]
        return FusedWindow(
            input_ids=[*known, *ids, *(piece.id for piece in end)],
            token_type_ids=kinds + [0] * (len(known) + len(ids) + len(end) - len(kinds)),
            offsets=[None] * len(ahead) + list(offsets) + nothing,
            question_offsets=own + [None] * len(ids) + nothing,
            entities=[i for i, p in enumerate(ahead) if p.entity and p.id in owned],
        )


def _table(vectors: Mapping[Any, NDArray[np.floating]]) -> dict[Hashable, NDArray[np.float32]]:
    rows = {key: np.asarray(vector, np.float32) for key, vector in vectors.items()}
    shapes = {row.shape for row in rows.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise DataError(f"vectors must all have one width; got shapes {sorted(shapes)[:5]}")
    broken = [key for key, row in rows.items() if not np.isfinite(row).all()]
    if broken:
        raise DataError(f"vectors must be finite; these are not: {broken[:5]!r}")
    return rows


def _add_tokens(tokenizer: Any, ids: list[Hashable]) -> dict[Hashable, int]:
    """Add a token for each entity, or find those that a loaded tokenizer has."""
    from tokenizers import AddedToken

    if not ids:
        return {}
    # a text that holds such a name by chance must not become the entity: no one types this mark
    texts = [f"\ue000{key}\ue001" for key in ids]
    if len(set(texts)) < len(texts):
        texts = [f"\ue000{key!r}\ue001" for key in ids]
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in texts])
    numbers = tokenizer.convert_tokens_to_ids(texts)
    return dict(zip(ids, numbers, strict=True))


def _frame(tokenizer: Any) -> dict[bool, tuple[list[int], list[int], list[int]]]:
    """Find the special tokens around a question alone, and around a question with a context."""
    backend = tokenizer.backend_tokenizer
    found = {}
    for paired in (False, True):
        encoded = backend.encode("a", "a") if paired else backend.encode("a")
        special = [i for i, kind in enumerate(encoded.special_tokens_mask) if kind == 0]
        first, last = special[0], special[-1]
        middle = encoded.ids[first + 1 : last] if paired else []
        found[paired] = (encoded.ids[:first], middle, encoded.ids[last + 1 :])
    return found


def _marks(ids: Sequence[int]) -> list[Piece]:
    return [Piece(i, (0, 0)) for i in ids]
