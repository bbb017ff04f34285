"""Tokenizers that look whole words up, as a `transformers` tokenizer, so that hosts can use them.

Row 0 is padding, row 1 stands for every word that has no vector; the words follow in their order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from vecsmith.core import DataError
from vecsmith.train.words import split_words

PAD, UNKNOWN = "[PAD]", "[UNK]"
SPECIAL = (PAD, UNKNOWN)
# as `split_words`: letters with inner apostrophes, or digits
_WORD = Regex(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")

Text = str | Sequence[str]


def word_tokenizer(words: Sequence[str], *, lower_case: bool = True) -> Any:
    """Make a tokenizer of words.

    Args:
        words: The vocabulary, each word once.
        lower_case: Whether texts are lowered.

    Returns:
        A `PreTrainedTokenizerFast` that splits texts as `split_words` does.

    Raises:
        DataError: A word comes twice, or is "[PAD]" or "[UNK]".
    """
    rows = {word: row for row, word in enumerate([*SPECIAL, *words])}
    if len(rows) < len(words) + len(SPECIAL):
        raise DataError(
            f"the vocabulary must hold each word once, and neither {PAD!r} nor {UNKNOWN!r}; "
            f"of {len(words)} words {len(words) + len(SPECIAL) - len(rows)} are too many"
        )
    plain = Tokenizer(models.WordLevel(rows, unk_token=UNKNOWN))
    if lower_case:
        plain.normalizer = normalizers.Lowercase()
    # the pattern is what stays
    plain.pre_tokenizer = pre_tokenizers.Split(_WORD, behavior="removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=PAD, unk_token=UNKNOWN)


def learn_words(
    texts: Iterable[Text], *, minimum: int = 1, most: int | None = None, lower_case: bool = True
) -> list[str]:
    """Collect the words of texts.

    Args:
        texts: Strings, or lists of words.
        minimum: Least number of occurrences.
        most: At most so many words, the most frequent ones.
        lower_case: Whether strings are lowered.

    Returns:
        Words, the most frequent first, then by the alphabet.

    Raises:
        DataError: There are none.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_split(text, lower_case=lower_case))
    for word in SPECIAL:
        counts.pop(word, None)
    words = sorted((w for w, n in counts.items() if n >= minimum), key=lambda w: (-counts[w], w))
    if not words:
        raise DataError(
            f"the texts hold no word that comes {minimum} times; give texts, or a lower minimum"
        )
    return words[:most]


def _split(text: Text, *, lower_case: bool) -> Sequence[str]:
    if not isinstance(text, str):
        return text
    if lower_case:
        return split_words(text)
    plain = pre_tokenizers.Split(_WORD, behavior="removed", invert=True)
    return [word for word, _ in plain.pre_tokenize_str(text)]


def encode_words(tokenizer: Any, texts: Sequence[Text], most: int | None) -> list[list[int]]:
    """Look the words of texts up.

    Args:
        tokenizer: From `word_tokenizer`, or any other fast one.
        texts: Strings, or lists of words that are looked up as they stand.
        most: Words of a text that are kept, from its beginning; None keeps all.

    Returns:
        Ids of each text; a text without words is one unknown word.

    Raises:
        DataError: `texts` is a string, or a text is neither a string nor a list of words.
    """
    if isinstance(texts, str):
        raise DataError("texts must be a list of texts but is a single string; put it in a list")
    strings = [row for row, text in enumerate(texts) if isinstance(text, str)]
    found: list[list[int]] = [[] for _ in texts]
    backend = tokenizer.backend_tokenizer
    encoded = backend.encode_batch([texts[r] for r in strings], add_special_tokens=False)
    for row, encoding in zip(strings, encoded, strict=True):
        found[row] = encoding.ids
    for row, text in enumerate(texts):
        if isinstance(text, str):
            continue
        if not isinstance(text, Sequence) or not all(isinstance(word, str) for word in text):
            raise DataError(
                f"text {row} must be a string or a list of words; got {type(text).__name__}"
            )
        found[row] = tokenizer.convert_tokens_to_ids(list(text))
    unknown = tokenizer.unk_token_id
    return [ids[:most] or [unknown] for ids in found]


def pad_ids(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Lay ids of several texts out as one tensor.

    Args:
        rows: Ids of each text, none of them empty.
        pad: The padding's id.

    Returns:
        Ids and mask (1: a word), both of shape (texts, longest).
    """
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad)
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    ids[mask] = torch.tensor([i for row in rows for i in row])
    return ids, mask.long()
