"""A bidirectional language model whose states stand for words in their context (ELMo).

Paper: Deep contextualized word representations (M. Peters and others, 2018). Words come from their
letters (`CharCNN`); two stacks of LSTMs with projections, a residual connection between their
layers, read the text from the left and from the right, and neither sees the other:

    loss = -1/2 mean_t (log p(w_{t+1} | w_1 … w_t) + log p(w_{t-1} | w_t … w_n))

words and softmax are shared by both directions. The layers of word t are

    h_0 = [x_t; x_t],   h_j = [forward_j,t; backward_j,t]   for j = 1 … layers

mixed by a `LayerMix` (`vecsmith.encode`), for a task or evenly. `train_bilm` trains it from text.

Use where word senses count and a transformer is too large, or none reads the language: no word is
unknown to it. Avoid on a GPU, where transformers train faster. Cost: a text's words one after the
other; 8 hidden^2 weights a layer and direction, about.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vecsmith.core import (
    ConfigError,
    ModelError,
    StoreError,
    fresh_dir,
    read_json,
    recover_dir,
    write_json,
)
from vecsmith.encode._texts import checked_texts, unit_rows

from ._char_cnn import ENDS, STARTS, CharCNN, CharSizes, letter_table
from ._splitting import split_tokens

Floats = NDArray[np.float32]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "vecsmith-bilm"
_WORDS = 4096


@dataclass(frozen=True)
class BiLMConfig:
    """Sizes of the model; the defaults are ELMo's.

    Attributes:
        chars: Sizes of the part that reads letters; its output is the width of the projections.
        hidden: Cells of an LSTM.
        layers: LSTMs of each direction.
        dropout: Share dropped of what enters an LSTM, in training.
        vocabulary: Words that are predicted, the most frequent first; the first stands for all
            others.
    """

    chars: CharSizes = field(default_factory=CharSizes)
    hidden: int = 4096
    layers: int = 2
    dropout: float = 0.1
    vocabulary: tuple[str, ...] = ("<unk>",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if self.hidden <= self.chars.output or self.layers < 1:
            raise ConfigError(
                f"hidden must be above the projection's {self.chars.output}, layers at least 1; "
                f"got {self.hidden} and {self.layers}"
            )
        if not 0 <= self.dropout < 1 or not self.vocabulary:
            raise ConfigError(
                f"dropout must be from 0 to below 1, the vocabulary not empty; got {self.dropout} "
                f"and {len(self.vocabulary)} words"
            )


def reversed_rows(states: Tensor, lengths: Tensor) -> Tensor:
    """Turn each row round within its length; padding stays at the end.

    Args:
        states: Shape (texts, words, …).
        lengths: Words of each text, shape (texts,).

    Returns:
        Of the same shape; twice is nothing.
    """
    place = torch.arange(states.shape[1], device=states.device)[None]
    turned = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    index = turned.reshape(*turned.shape, *[1] * (states.ndim - 2)).expand_as(states)
    return states.gather(1, index)


class Stack(nn.Module):
    """LSTMs of one direction, with a residual connection from the second on.

    Args:
        config: Sizes.
    """

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        width = config.chars.output
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            nn.LSTM(width, config.hidden, proj_size=width, batch_first=True)
            for _ in range(config.layers)
        )

    def forward(self, words: Tensor) -> list[Tensor]:
        """Read texts from their first place on.

        Args:
            words: Shape (texts, words, width).

        Returns:
            Of each layer, shape (texts, words, width).
        """
        made: list[Tensor] = []
        for place, layer in enumerate(self.layers):
            below = made[-1] if made else words
            with warnings.catch_warnings():
                # on CPUs torch says once that its fastest kernels know no projections
                warnings.filterwarnings("ignore", "LSTM with projections")
                output, _ = layer(self.dropout(below))
            made.append(output + below if place else output)
        return made


class BiLM(nn.Module):
    """The model.

    Args:
        config: Sizes and vocabulary.
    """

    def __init__(self, config: BiLMConfig) -> None:
        super().__init__()
        self.config = config
        self.words = CharCNN(config.chars)
        self.forwards, self.backwards = Stack(config), Stack(config)
        # shared by both directions
        self.predict = nn.Linear(config.chars.output, len(config.vocabulary))

    def read(self, letters: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Read texts both ways.

        Args:
            letters: Ids of texts with their marks, shape (texts, words, letters).
            lengths: Words of each text, marks included, shape (texts,).

        Returns:
            Words (texts, words, width), and the states of each layer from the left and from the
            right, in the order of the text.
        """
        words = self.words(letters.flatten(0, 1)).unflatten(0, letters.shape[:2])
        ahead = self.forwards(words)
        behind = self.backwards(reversed_rows(words, lengths))
        return words, ahead, [reversed_rows(state, lengths) for state in behind]

    def states(self, letters: Tensor, lengths: Tensor) -> list[Tensor]:
        """Give the states of all layers.

        Args:
            letters: As for `read`.
            lengths: As there.

        Returns:
            h_0, h_1, …; each (texts, words, 2 width), marks and padding included.
        """
        words, ahead, behind = self.read(letters, lengths)
        made = [torch.cat([words, words], 2)]
        return made + [torch.cat(pair, 2) for pair in zip(ahead, behind, strict=True)]

    @property
    def dims(self) -> int:
        """Dimensions of a word's state."""
        return 2 * self.config.chars.output

    @torch.inference_mode()
    def encode_layers(
        self, texts: Sequence[str | Sequence[str]], *, words_at_once: int = _WORDS
    ) -> list[Floats]:
        """Encode the words of texts, all layers apart.

        Args:
            texts: Each a string, which is split into words and punctuation, or a list of words.
            words_at_once: Words of a batch, padding included.

        Returns:
            For each text, shape (layers + 1, words, dims), for `LayerMix` or a choice of layer.

        Raises:
            DataError: A text is something else.
        """
        training = self.training
        self.eval()
        split = split_texts(texts)
        made: list[Floats] = [np.zeros((0, 0, 0), np.float32)] * len(split)
        order = sorted(range(len(split)), key=lambda row: (len(split[row]), row))
        batch: list[int] = []
        for row in order:
            # of one length, so that a text's states do not hang on those beside it
            same = not batch or len(split[batch[0]]) == len(split[row])
            if not same or (len(batch) + 1) * (len(split[row]) + 2) > max(words_at_once, 1):
                self._encode(batch, split, made)
                batch = []
            batch.append(row)
        self._encode(batch, split, made)
        self.train(training)
        return made

    def _encode(self, batch: list[int], split: list[list[str]], made: list[Floats]) -> None:
        if not batch:
            return
        letters, lengths = batch_letters([split[row] for row in batch], self.config.chars.letters)
        device = self.predict.weight.device
        states = torch.stack(self.states(letters.to(device), lengths.to(device)), 1)
        for row, state in zip(batch, states.float().cpu().numpy(), strict=True):
            made[row] = state[:, 1:-1]

    def encode_tokens(
        self, texts: Sequence[str | Sequence[str]], *, mix: Any = None
    ) -> list[Floats]:
        """Encode the words of texts.

        Args:
            texts: As for `encode_layers`.
            mix: A `LayerMix` of `layers` + 1 layers; None averages them.

        Returns:
            For each text, shape (words, dims).

        Raises:
            DataError: A text is something else.
        """
        layers = self.encode_layers(texts)
        if mix is None:
            return [states.mean(0) for states in layers]
        with torch.inference_mode():
            return [
                np.asarray(mix.mix(list(torch.from_numpy(states))).numpy()) for states in layers
            ]

    def encode(
        self,
        texts: Sequence[str],
        *,
        mix: Any = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> Floats:
        """Encode texts by the mean of their words' states.

        Args:
            texts: Texts.
            mix: As for `encode_tokens`.
            normalize_embeddings: Scale rows to length 1.
            show_progress_bar: Not used; hosts give it.

        Returns:
            Float32, shape (texts, dims); zeros for a text without a word.

        Raises:
            DataError: A text is no string.
        """
        found = checked_texts(texts)
        made = np.zeros((len(found), self.dims), np.float32)
        for place, states in enumerate(self.encode_tokens(found, mix=mix)):
            if len(states):
                made[place] = states.mean(0)
        return np.asarray(unit_rows(made)) if normalize_embeddings else made

    def save_pretrained(self, path: str | Path) -> None:
        """Save sizes, vocabulary and weights.

        Args:
            path: Where to; an older folder is replaced.

        Raises:
            StoreError: The place cannot be written.
        """
        config = {"model_type": KIND, "format": 1, **asdict(self.config)}
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        with fresh_dir(path) as fresh:
            save_file(state, str(fresh / WEIGHTS))
            write_json(fresh / CONFIG, config)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "BiLM":
        """Load what `save_pretrained` wrote.

        Args:
            path: Where it lies.

        Returns:
            The model, on the CPU, in evaluation mode.

        Raises:
            ModelError: Missing, damaged, or another model.
        """
        place = Path(path)
        recover_dir(place)
        try:
            values = dict(read_json(place / CONFIG))
            if (values.pop("model_type", None), values.pop("format", None)) != (KIND, 1):
                raise ValueError(f"it is no {KIND} of format 1")
            values["chars"] = CharSizes(**values["chars"])
            model = cls(BiLMConfig(**values))
            model.load_state_dict(load_file(str(place / WEIGHTS)))
        except (
            StoreError,
            ConfigError,
            OSError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
            SafetensorError,
        ) as error:
            raise ModelError(
                f"{str(place)!r} does not load as a bidirectional language model ({error}); give "
                "the folder that save_pretrained wrote"
            ) from error
        return model.eval()


def split_texts(texts: Sequence[str | Sequence[str]]) -> list[list[str]]:
    """Split what are strings.

    Args:
        texts: Strings, or lists of words.

    Returns:
        Words of each.

    Raises:
        DataError: A text is something else.
    """
    if isinstance(texts, str):
        checked_texts(texts)
    made = []
    for text in texts:
        if isinstance(text, str) or not isinstance(text, Sequence):
            made.append(split_tokens(checked_texts([text])[0]))  # type: ignore[list-item]
        else:
            made.append(checked_texts(text))
    return made


def batch_letters(texts: Sequence[Sequence[str]], letters: int) -> tuple[Tensor, Tensor]:
    """Turn texts into ids of letters, between their marks.

    Args:
        texts: Words of each text.
        letters: Ids of a word.

    Returns:
        Ids, padded with zeros at the end, (texts, words, letters), and lengths (texts,).
    """
    marked = [[STARTS, *text, ENDS] for text in texts]
    lengths = [len(text) for text in marked]
    made = np.zeros((len(marked), max(lengths), letters), np.int64)
    for row, text in enumerate(marked):
        made[row, : len(text)] = letter_table(text, letters)
    return torch.from_numpy(made), torch.tensor(lengths)
