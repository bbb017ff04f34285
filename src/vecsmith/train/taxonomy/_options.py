"""Settings of Text2Node."""

from dataclasses import dataclass

from vecsmith.core import ConfigError, did_you_mean

MAPPER_NAMES = ("bilstm", "cnn", "linear")
LOSS_NAMES = ("cosine", "mse", "infonce")


@dataclass(frozen=True)
class Text2NodeOptions:
    """How the mapping is shaped and learned.

    Attributes:
        hidden: Units: of each direction of the Bi-LSTM, or of each width of the CNN.
        widths: Words that the CNN's filters see at a time.
        dropout: On word vectors and on what is pooled.
        epochs: Passes over the phrases.
        batch_size: Phrases of a step. Large batches leave too few steps on small taxonomies.
        lr: Peak learning rate of Adam, falling to 0.
        temperature: Of InfoNCE.
        max_tokens: Tokens of a phrase that are read, from its beginning.
        lexical: Weight of the TF-IDF similarity with the training phrases, added to the cosine in
            node space; 0 leaves it out.
        share: Part of the phrases that is held out to calibrate confidences, at most: a concept
            keeps one of its phrases where it can. 0 gives none, until `calibrate` is called.
        device: Where torch computes.
        seed: Seed of everything random.
    """

    hidden: int = 256
    widths: tuple[int, ...] = (1, 2, 3, 5)
    dropout: float = 0.2
    epochs: int = 25
    batch_size: int = 32
    lr: float = 2e-3
    temperature: float = 0.05
    max_tokens: int = 64
    lexical: float = 1.0
    share: float = 0.1
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for name in ("hidden", "epochs", "batch_size", "max_tokens"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1; got {value!r}")
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"widths must be whole numbers from 1; got {self.widths}")
        for name in ("lr", "temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be finite, above 0; got {getattr(self, name)!r}")
        if not 0 <= self.lexical < float("inf"):
            raise ConfigError(f"lexical must be finite, not below 0; got {self.lexical!r}")
        for name in ("dropout", "share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be from 0 to below 1; got {getattr(self, name)!r}")


def check_name(argument: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not known.

    Args:
        argument: What it names.
        value: The name.
        known: Those there are.

    Raises:
        ConfigError: Another one.
    """
    if value not in known:
        raise ConfigError(f"{argument} cannot be {value!r}; {did_you_mean(str(value), known)}")
