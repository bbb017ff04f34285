"""Words from their letters: convolutions of several widths, maxima, highway layers.

Papers: Character-Aware Neural Language Models (Y. Kim and others, 2016); Highway Networks (R.
Srivastava, K. Greff and J. Schmidhuber, 2015). With e the embeddings of a word's bytes, between
marks of its beginning and end, F_w the filters of width w,

    c = concat_w max_t relu(F_w e_{t … t + w - 1})
    h <- g * relu(W h + b) + (1 - g) * h,   g = sigmoid(W' h + b')      twice
    x = P h

No word is unknown. Cost: letters x filters a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vecsmith.core import ConfigError

# after the 256 bytes; 0 pads, so that all ids are one higher
WORD_START, WORD_END, TEXT_START, TEXT_END = 257, 258, 259, 260
LETTERS = 261
# no splitter gives a word that begins with a space
STARTS = " start"
ENDS = " end"


def letter_ids(word: str, length: int) -> list[int]:
    """Turn a word into ids of its bytes.

    Args:
        word: Any word, or one of the marks `STARTS` and `ENDS` of a text.
        length: Ids of a word; a longer word is cut.

    Returns:
        Start, bytes, end, padding; `length` ids.
    """
    marks = {STARTS: [TEXT_START], ENDS: [TEXT_END]}
    inner = marks.get(word)
    if inner is None:
        data = word.encode("utf-8", "surrogateescape")[: length - 2]
        inner = [byte + 1 for byte in data]
    ids = [WORD_START, *inner, WORD_END]
    return ids + [0] * (length - len(ids))


def letter_table(words: Sequence[str], length: int) -> NDArray[np.int64]:
    """Turn words into ids of their bytes.

    Args:
        words: Words.
        length: Ids of a word.

    Returns:
        Shape (words, length).
    """
    made = np.zeros((len(words), length), np.int64)
    for row, word in enumerate(words):
        made[row] = letter_ids(word, length)
    return made


@dataclass(frozen=True)
class CharSizes:
    """Sizes of a `CharCNN`; the defaults are ELMo's.

    Attributes:
        letters: Ids of a word: bytes and two marks.
        dims: Of a byte's embedding.
        filters: Width and number of filters, for each width.
        highways: Highway layers.
        output: Of a word.
    """

    letters: int = 50
    dims: int = 16
    filters: tuple[tuple[int, int], ...] = (
        (1, 32),
        (2, 32),
        (3, 64),
        (4, 128),
        (5, 256),
        (6, 512),
        (7, 1024),
    )
    highways: int = 2
    output: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple((int(w), int(n)) for w, n in self.filters))
        if min(self.letters - 2, self.dims, self.output) < 1 or self.highways < 0:
            raise ConfigError(
                "letters must be at least 3, dims and output at least 1, highways not below 0; "
                f"got {self.letters}, {self.dims}, {self.output} and {self.highways}"
            )
        if not self.filters or any(
            not 1 <= width <= self.letters or count < 1 for width, count in self.filters
        ):
            raise ConfigError(
                f"filters must be (width, number), widths from 1 to {self.letters}; got "
                f"{self.filters}"
            )


class Highway(nn.Module):
    """A layer that lets part of its input through.

    Args:
        dims: Of input and output.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.change, self.gate = nn.Linear(dims, dims), nn.Linear(dims, dims)
        # let through at first, as the authors advise
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, states: Tensor) -> Tensor:
        """Run the layer.

        Args:
            states: Shape (…, dims).

        Returns:
            Shape (…, dims).
        """
        gate = torch.sigmoid(self.gate(states))
        made: Tensor = gate * torch.relu(self.change(states)) + (1 - gate) * states
        return made


class CharCNN(nn.Module):
    """Encode words by their letters.

    Args:
        sizes: Sizes.
    """

    def __init__(self, sizes: CharSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.bytes = nn.Embedding(LETTERS, sizes.dims, padding_idx=0)
        self.filters = nn.ModuleList(
            nn.Conv1d(sizes.dims, count, width) for width, count in sizes.filters
        )
        total = sum(count for _, count in sizes.filters)
        self.highways = nn.Sequential(*(Highway(total) for _ in range(sizes.highways)))
        self.project = nn.Linear(total, sizes.output)

    def forward(self, letters: Tensor) -> Tensor:
        """Encode words.

        Args:
            letters: Ids, shape (words, letters).

        Returns:
            Shape (words, output).
        """
        seen = self.bytes(letters).transpose(1, 2)
        found = [torch.relu(filters(seen).amax(2)) for filters in self.filters]
        made: Any = self.project(self.highways(torch.cat(found, 1)))
        return made  # type: ignore[no-any-return]
