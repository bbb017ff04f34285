"""Which tokens are hidden: whole-word masks, nested masks, a mask of its own for every row.

Everything is drawn from ids alone, so that masks can be made where the ids are: in a collator, or
inside a loss on the accelerator. A word is found by the marks that tokenizers leave on pieces
("##", "▁", "Ġ"); punctuation is a word of its own.

One random order of its words decides all masks of a text. A word's *place* in that order is the
share of tokens at which it becomes masked, so that masks of growing shares are nested::

    place(word r) = (tokens of words before r + half its own) / tokens of all words;   0 for r = 0
    masked at share s:  place < s

The first word has place 0: any share above 0 hides something. The expected share of hidden tokens
is s but for that.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vecsmith.core import ConfigError

NEVER = float("inf")
MOST_MASKS = 256


def word_numbers(ids: Tensor, *, special: Tensor, joins: Tensor, open_end: Tensor) -> Tensor:
    """Number the words of texts.

    Args:
        ids: Token ids, shape (B, L).
        special: Per id: belongs to no word, shape (vocabulary,).
        joins: Per id: goes on with the word of the token before it.
        open_end: Per id: the next token may go on with it.

    Returns:
        Number of each token's word, from 0; -1 for special tokens. Shape (B, L).
    """
    inside = ~special[ids]
    before = torch.zeros_like(inside)
    before[:, 1:] = (inside & open_end[ids])[:, :-1]
    first = inside & ~(joins[ids] & before)
    return torch.where(inside, first.cumsum(1) - 1, -1)


def mask_places(words: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw an order of each text's words, as the share at which each token becomes masked.

    Args:
        words: From `word_numbers`, shape (B, L).
        generator: Source of randomness; None takes the global one, which trainers seed and store.

    Returns:
        Place of each token's word, from 0 to below 1; infinity outside of words. Shape (B, L).
    """
    batch, length = words.shape
    inside = words >= 0
    slots = words.clamp_min(0)
    sizes = torch.zeros(batch, length, device=words.device)
    sizes.scatter_add_(1, slots, inside.float())
    keys = torch.rand(batch, length, generator=generator, device=words.device)
    order = keys.masked_fill(sizes == 0, NEVER).argsort(1)
    in_order = sizes.gather(1, order)
    places = in_order.cumsum(1) - in_order / 2
    places[:, 0] = 0.0
    of_word = torch.empty_like(places).scatter_(1, order, places)
    of_word = of_word / sizes.sum(1, keepdim=True).clamp_min(1.0)
    return of_word.gather(1, slots).masked_fill(~inside, NEVER)


def visible_keys(
    words: Tensor, attention: Tensor, share: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw what each row of a decoder may look at (RetroMAE's position-specific mask).

    Up to 256 whole-word masks are drawn for a text, and each of its rows takes one of them.

    Args:
        words: From `word_numbers`, shape (B, L).
        attention: 1 for tokens, 0 for padding, shape (B, L).
        share: Share of tokens hidden from a row.
        generator: Source of randomness; None takes the global one.

    Returns:
        True where row i sees position j, shape (B, L, L): never itself, always position 0, where
        the sentence vector stands.
    """
    batch, length = words.shape
    masks = min(length, MOST_MASKS)
    places = mask_places(words.repeat_interleave(masks, 0), generator=generator)
    seen = (places >= share).view(batch, masks, length)
    picked = torch.randint(masks, (batch, length), generator=generator, device=words.device)
    rows = seen.gather(1, picked[:, :, None].expand(-1, -1, length))
    rows = rows & attention.bool()[:, None]
    itself = torch.eye(length, dtype=torch.bool, device=words.device)
    rows = rows & ~itself
    rows[:, :, 0] = True
    return rows


class WordMasker(nn.Module):
    """Whole-word masks for one tokenizer.

    Args:
        tokenizer: Any fast tokenizer of transformers with a mask token.
        vocabulary: Number of ids; random replacements are drawn below it. By default the
            tokenizer's size.

    Raises:
        ConfigError: No fast tokenizer, or one without mask token.
    """

    special: Tensor
    joins: Tensor
    open_end: Tensor
    ordinary: Tensor

    def __init__(self, tokenizer: Any, *, vocabulary: int | None = None) -> None:
        super().__init__()
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ConfigError(
                f"tokenizer must be a fast one of transformers; got {type(tokenizer).__name__}"
            )
        if tokenizer.mask_token_id is None:
            raise ConfigError(
                "tokenizer must have a mask token, as those of masked language models have; "
                f"{type(tokenizer).__name__} has none: add one with add_special_tokens"
            )
        size = max(len(tokenizer), vocabulary or 0)
        special = torch.zeros(size, dtype=torch.bool)
        special[torch.tensor(sorted(tokenizer.all_special_ids))] = True
        joins, open_end = torch.zeros_like(special), torch.zeros_like(special)
        tests = _piece_tests(tokenizer)
        for piece, number in tokenizer.get_vocab().items():
            joins[number], open_end[number] = tests(piece)
        known = torch.zeros_like(special)
        known[torch.tensor(sorted(tokenizer.get_vocab().values()))] = True
        self.mask_id = int(tokenizer.mask_token_id)
        for name, values in (("special", special), ("joins", joins), ("open_end", open_end)):
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("ordinary", (known & ~special).nonzero()[:, 0], persistent=False)

    def words(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Number the words of texts.

        Args:
            ids: Token ids, shape (B, L).
            attention: 1 for tokens, 0 for padding, shape (B, L).

        Returns:
            As `word_numbers`; -1 for padding too.
        """
        numbers = word_numbers(ids, special=self.special, joins=self.joins, open_end=self.open_end)
        return numbers.masked_fill(~attention.bool(), -1)

    def corrupt(
        self,
        ids: Tensor,
        hidden: Tensor,
        *,
        shares: Sequence[float] = (0.8, 0.1),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Replace hidden tokens.

        Args:
            ids: Token ids, shape (B, L).
            hidden: True where a token is hidden, shape (B, L).
            shares: Of the hidden tokens, which share becomes the mask token, and which an ordinary
                token drawn at random; the rest stays as it is.
            generator: Source of randomness; None takes the global one.

        Returns:
            The ids an encoder sees, shape (B, L).
        """
        chance = torch.rand(ids.shape, generator=generator, device=ids.device)
        drawn = torch.randint(len(self.ordinary), ids.shape, generator=generator, device=ids.device)
        masked, replaced = shares
        ids = torch.where(hidden & (chance < masked), self.mask_id, ids)
        swap = hidden & (chance >= masked) & (chance < masked + replaced)
        return torch.where(swap, self.ordinary[drawn], ids)


def _piece_tests(tokenizer: Any) -> Any:
    """Return a function of a piece: does it join the word before, may the next piece join it?"""
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    prefix = spec["model"].get("continuing_subword_prefix")
    if prefix:
        return lambda piece: (piece.startswith(prefix), True)
    layout = json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")])
    if "Metaspace" not in layout and "ByteLevel" not in layout:
        # pieces carry no mark of words: each stands for itself
        return lambda piece: (False, False)
    spaces = "▁" if "Metaspace" in layout else "ĠĊ"
    # a piece that is a space mark alone opens the word behind it
    return lambda piece: (
        _is_letter(piece[:1], spaces),
        _is_letter(piece[-1:], spaces) or piece[-1:] in spaces,
    )


def _is_letter(char: str, spaces: str) -> bool:
    # beyond ASCII a byte-level piece shows bytes, not characters; most belong to letters
    return bool(char) and char not in spaces and (char.isalnum() or ord(char) > 127)


class TextCollator:
    """Tokenise texts into a batch of features, cut to a length.

    Args:
        preprocess: Function of a list of texts that gives features, `SentenceTransformer`'s
            ``preprocess``.
        tokenizer: Its tokenizer.
        random_crop: Take a random stretch of a text that is too long, not its start.
    """

    def __init__(self, preprocess: Any, tokenizer: Any, *, random_crop: bool = False) -> None:
        self.preprocess = preprocess
        self.tokenizer = tokenizer
        self.random_crop = random_crop

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Make a batch.

        Args:
            texts: B texts.

        Returns:
            ``input_ids``, ``attention_mask`` and what else the tokenizer gives, shape (B, L).
        """
        features = self.preprocess(self.cut(texts))
        return {name: value for name, value in features.items() if isinstance(value, Tensor)}

    def cut(self, texts: Sequence[str], *, generator: torch.Generator | None = None) -> list[str]:
        """Take a random stretch of each text that is too long.

        Args:
            texts: B texts.
            generator: Source of randomness; None takes the global one.

        Returns:
            B texts; the same without `random_crop`.
        """
        return [self._cropped(t, generator) for t in texts] if self.random_crop else list(texts)

    def _cropped(self, text: str, generator: torch.Generator | None) -> str:
        room = self.tokenizer.model_max_length - self.tokenizer.num_special_tokens_to_add()
        found = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        offsets = found["offset_mapping"]
        if len(offsets) <= room:
            return text
        start = int(torch.randint(len(offsets) - room + 1, (), generator=generator))
        return text[offsets[start][0] : offsets[start + room - 1][1]]
