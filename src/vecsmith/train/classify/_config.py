"""Shape of the classifiers with max pooling, and how they are trained."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig

from vecsmith.core import ConfigError

from ._word_tokenizer import SPECIAL

OPTIMIZERS = {"adam": torch.optim.AdamW, "sgd": torch.optim.SGD}


class MaxPooledConfig(PreTrainedConfig):
    """Shape of a classifier with max pooling.

    Args:
        vocab_size: Rows of the word table, padding and unknown word included.
        dims: Dimensions of a word vector.
        hidden: Units that are pooled.
        dropout: Share of the pooled units that is left out in training.
        max_words: Words of a text that are read; None reads all.
        lower_case: Whether texts are lowered.
        **kwargs: Of `PreTrainedConfig`: num_labels, id2label, …
    """

    model_type = "vecsmith-max-pooled"

    def __init__(
        self,
        vocab_size: int = len(SPECIAL),
        dims: int = 50,
        hidden: int = 100,
        *,
        dropout: float = 0.0,
        max_words: int | None = None,
        lower_case: bool = True,
        **kwargs: Any,
    ) -> None:
        for name, value in (("vocab_size", vocab_size), ("dims", dims), ("hidden", hidden)):
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1; got {value!r}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout must be from 0 to below 1; got {dropout!r}")
        if max_words is not None and max_words < 1:
            raise ConfigError(f"max_words must be at least 1, or None; got {max_words!r}")
        self.vocab_size, self.dims, self.hidden = vocab_size, dims, hidden
        self.dropout, self.max_words, self.lower_case = dropout, max_words, lower_case
        super().__init__(**{"pad_token_id": 0, **kwargs})


@dataclass(frozen=True)
class ClassifierTraining:
    """How to train.

    Attributes:
        epochs: Passes over the texts, at most.
        batch_size: Texts a step.
        lr: Learning rate, constant.
        optimizer: "adam", or "sgd" as the paper has it (lr .01, batch_size 1).
        patience: Passes without a better development score before training stops.
        share: Part of the training texts that is the development data where none is given; 0 uses
            none, and takes the weights of the last pass.
        balanced: Whether labels weigh alike, however many texts they have.
        seed: Seed of the split, the order and dropout.
    """

    epochs: int = 20
    batch_size: int = 32
    lr: float = 1e-3
    optimizer: str = "adam"
    patience: int = 3
    share: float = 0.1
    balanced: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(
                f"optimizer must be one of {tuple(OPTIMIZERS)}; got {self.optimizer!r}"
            )
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ConfigError(f"lr must be above 0; got {self.lr!r}")
        if not 0.0 <= self.share < 1.0:
            raise ConfigError(f"share must be from 0 to below 1; got {self.share!r}")
