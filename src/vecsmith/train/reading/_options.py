"""How a reading model is fine-tuned."""

from dataclasses import dataclass

from vecsmith.core import ConfigError


@dataclass(frozen=True)
class ReadingOptions:
    """How to fine-tune and read.

    Attributes:
        lr: Peak rate of AdamW.
        entity_lr: Rate of the input embeddings, entities among them; None takes `lr`.
        epochs: Passes.
        batch_size: Windows (questions, for choices) a step.
        negative_windows: Windows without the answer that are trained on for each that holds it.
        max_length: Tokens of a window.
        stride: Tokens from the start of a window to that of the next.
        answer_tokens: Tokens of a span at most.
        no_answer: A question may have no answer.
        warmup: Part of the steps over which the rate rises.
        decay: Weight decay.
        seed: Seed of order and dropout.
        cpu: Stay on the CPU even where there is a GPU.
    """

    lr: float = 2e-5
    entity_lr: float | None = None
    epochs: float = 2
    batch_size: int = 32
    negative_windows: int = 4
    max_length: int = 384
    stride: int = 196
    answer_tokens: int = 30
    no_answer: bool = False
    warmup: float = 0.1
    decay: float = 0.01
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        least = {"batch_size": 1, "negative_windows": 0, "max_length": 8, "stride": 1}
        for name, low in {**least, "answer_tokens": 1}.items():
            if getattr(self, name) < low:
                raise ConfigError(
                    f"ReadingOptions.{name} must be at least {low}; got {getattr(self, name)!r}"
                )
        if not self.lr > 0 or not (self.entity_lr is None or self.entity_lr > 0):
            raise ConfigError(f"lr and entity_lr must be above 0; got {self.lr}, {self.entity_lr}")
