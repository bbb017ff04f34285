"""Train a `BiLM` from text alone, and measure it.

Texts are cut into pieces, pieces of about one length come in one batch, and the words that are
predicted are the most frequent ones; all words are read, by their letters.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    FitResult,
    fit,
    numpy_generator,
)

from ._bilm import BiLM, BiLMConfig, split_texts
from ._char_cnn import ENDS, STARTS, letter_table
from ._sampled_softmax import draw_words, sampled_loss

Ids = NDArray[np.int64]
Batch = tuple[Tensor, Tensor, Tensor]

UNKNOWN = "<unk>"
# no word stands there
_NOTHING = -100
_POOL = 64


@dataclass(frozen=True)
class BiLMOptions:
    """How to train.

    Attributes:
        min_count: Words that were seen less often are not predicted by name.
        max_words: Nor are more than so many.
        samples: How often words are drawn for the softmax; None takes all words.
        batch_words: Words of a batch, padding included.
        max_tokens: Words of a piece.
        lr: Peak rate of AdamW.
        cpu: Stay on the CPU even where there is a GPU.
    """

    min_count: int = 3
    max_words: int = 200_000
    samples: int | None = 8192
    batch_words: int = 4096
    max_tokens: int = 100
    lr: float = 1e-3
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("min_count", "max_words", "batch_words", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if (self.samples is not None and self.samples < 1) or not self.lr > 0:
            raise ConfigError(
                f"samples must be at least 1 or None, lr above 0; got {self.samples} and {self.lr}"
            )


class Pieces:
    """Texts as pieces of word ids, with letters and targets.

    Args:
        texts: Words of each text.
        vocabulary: Words that are predicted; the first stands for all others.
        letters: Ids of a word.
        max_tokens: Words of a piece.

    Raises:
        DataError: No text has two words.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[str]],
        vocabulary: Sequence[str],
        *,
        letters: int,
        max_tokens: int,
    ) -> None:
        place = {STARTS: 0, ENDS: 1}
        self.rows: list[Ids] = []
        for text in texts:
            for start in range(0, len(text), max_tokens):
                words = [STARTS, *text[start : start + max_tokens], ENDS]
                ids = [place.setdefault(word, len(place)) for word in words]
                self.rows.append(np.array(ids, np.int64))
        if not self.rows or max(map(len, self.rows)) < 4:
            raise DataError(
                f"a language model needs texts of two words or more; got {len(texts)} shorter ones"
            )
        self.letters = letter_table(list(place), letters).astype(np.int16)
        known = {word: i for i, word in enumerate(vocabulary)}
        self.targets = np.array([known.get(word, 0) for word in place], np.int64)
        # the marks are read and not predicted
        self.targets[:2] = _NOTHING

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Make a batch.

        Args:
            chosen: Pieces.

        Returns:
            Letters (pieces, words, letters), lengths (pieces,), targets (pieces, words).
        """
        lengths = [len(self.rows[i]) for i in chosen]
        ids = np.zeros((len(chosen), max(lengths)), np.int64)
        targets = np.full(ids.shape, _NOTHING, np.int64)
        for row, i in enumerate(chosen):
            ids[row, : lengths[row]] = self.rows[i]
            targets[row, : lengths[row]] = self.targets[self.rows[i]]
        letters = torch.from_numpy(self.letters[ids].astype(np.int64))
        return letters, torch.tensor(lengths), torch.from_numpy(targets)

    def batches(self, words: int, order: Ids) -> list[list[int]]:
        """Cut pieces into batches of about one length.

        Args:
            words: Words of a batch, padding included.
            order: Pieces in a random order.

        Returns:
            Pieces of each batch.
        """
        mean = max(1, words // max(4, int(np.mean([len(row) for row in self.rows]))))
        made: list[list[int]] = []
        for start in range(0, len(order), mean * _POOL):
            pool = sorted(order[start : start + mean * _POOL], key=lambda i: -len(self.rows[i]))
            batch: list[int] = []
            for i in pool:
                if batch and (len(batch) + 1) * len(self.rows[batch[0]]) > words:
                    made.append(batch)
                    batch = []
                batch.append(int(i))
            made.append(batch)
        return made


def bilm_loss(model: BiLM, batch: Batch, *, samples: int | None = None) -> Tensor:
    """Mean negative log likelihood of both directions.

    Args:
        model: The model.
        batch: From `Pieces.batch`.
        samples: Words drawn for the softmax; None takes all.

    Returns:
        Nats a word, a scalar.
    """
    letters, lengths, targets = batch
    _, ahead, behind = model.read(letters, lengths)
    drop = model.forwards.dropout
    # what stands at t has seen up to t, and tells of the next, or of the one before
    states = torch.cat([drop(ahead[-1])[:, :-1], drop(behind[-1])[:, 1:]])
    wanted = torch.cat([targets[:, 1:], targets[:, :-1]])
    kept = wanted != _NOTHING
    states, wanted = states[kept], wanted[kept]
    words = model.predict.weight
    if samples is None or samples >= len(words):
        return F.cross_entropy(model.predict(states), wanted)
    drawn = draw_words(samples, len(words), device=words.device)
    bias = model.predict.bias
    return sampled_loss(states, wanted, words, bias, drawn=drawn, tries=samples).mean()


class _Trained(torch.nn.Module):
    """The model as `fit` wants it: called with a batch, it gives the loss."""

    def __init__(self, model: BiLM, samples: int | None) -> None:
        super().__init__()
        self.model, self.samples = model, samples

    def forward(self, batch: Batch) -> Tensor:
        return bilm_loss(self.model, batch, samples=self.samples if self.training else None)


def train_bilm(
    texts: Sequence[str | Sequence[str]],
    config: BiLMConfig | None = None,
    *,
    budget: Budget,
    options: BiLMOptions | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Train a model from text.

    Args:
        texts: Each a string, which is split into words and punctuation, or a list of words; one
            sentence or paragraph a text is best.
        config: Sizes; its vocabulary is replaced by that of the texts.
        budget: How long.
        options: How.
        seed: Seed of the start and of the order.
        checkpoint: Folder for a checkpoint, from which a killed run goes on.

    Returns:
        The `BiLM` as `model`, in evaluation mode, and how the training went.

    Raises:
        DataError: No texts, or none of two words.
    """
    o, split = options or BiLMOptions(), split_texts(texts)
    counts = Counter(word for text in split for word in text)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    names = [word for word in ranked if counts[word] >= o.min_count and word != UNKNOWN]
    sizes = replace(config or BiLMConfig(), vocabulary=(UNKNOWN, *names[: o.max_words]))
    pieces = Pieces(split, sizes.vocabulary, letters=sizes.chars.letters, max_tokens=o.max_tokens)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BiLM(sizes)

    def batches(epoch: int) -> EpochBatches:
        rng = numpy_generator(seed, "bilm", str(epoch))
        made = pieces.batches(o.batch_words, rng.permutation(len(pieces.rows)))
        mixed = [made[i] for i in rng.permutation(len(made))]
        return EpochBatches(len(mixed), (pieces.batch(chosen) for chosen in mixed))

    result = fit(
        _Trained(model, o.samples),
        lambda net, batch: net(batch),
        batches,
        budget=budget,
        options=FitOptions(lr=o.lr, seed=seed, cpu=o.cpu),
        checkpoint=checkpoint,
    )
    result.model = model.eval()
    return result


@torch.inference_mode()
def bilm_perplexity(
    model: BiLM, texts: Sequence[str | Sequence[str]], *, batch_words: int = 4096
) -> float:
    """Measure a model on texts that it was not trained on.

    Args:
        model: The model.
        texts: As for `train_bilm`.
        batch_words: Words of a batch.

    Returns:
        exp of the mean negative log likelihood of a word, both directions together; words without a
        name count as the one that stands for them.

    Raises:
        DataError: No text has two words.
    """
    training = model.training
    model.eval()
    config = model.config
    pieces = Pieces(
        split_texts(texts), config.vocabulary, letters=config.chars.letters, max_tokens=100
    )
    total, count = 0.0, 0
    device = model.predict.weight.device
    for letters, lengths, targets in _all(pieces, batch_words):
        words = 2 * int((targets != _NOTHING).sum())
        batch = (letters.to(device), lengths.to(device), targets.to(device))
        total, count = total + words * float(bilm_loss(model, batch)), count + words
    model.train(training)
    return float(np.exp(total / count))


def _all(pieces: Pieces, words: int) -> Iterator[Batch]:
    for chosen in pieces.batches(words, np.arange(len(pieces.rows))):
        yield pieces.batch(chosen)
