"""How a graph model is trained."""

from dataclasses import dataclass

from vecsmith.core import ConfigError


@dataclass(frozen=True)
class KGOptions:
    """How to train a graph model.

    Attributes:
        epochs: Passes over the triples.
        batch_size: Triples a step.
        negatives: Wrong entities that a batch draws, for heads and for tails.
        lr: Rate of Adam.
        margin: Of the loss; None takes the model's own (see `KGEmbedder`).
        temperature: How much wrong triples that score high weigh; 0 weighs all alike.
        decay: Weight of the squared entries of the vectors of a batch (N3's simpler sibling);
            keeps products from growing without end.
        seed: Seed of start, order and negatives.
        cpu: Stay on the CPU even where there is a GPU.
    """

    epochs: int = 30
    batch_size: int = 512
    negatives: int = 256
    lr: float = 3e-2
    margin: float | None = None
    temperature: float = 1.0
    decay: float = 0.01
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "negatives"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"KGOptions.{name} must be a whole number from 1; got {value!r}")
        if not self.lr > 0 or not self.temperature >= 0 or not self.decay >= 0:
            raise ConfigError(
                "KGOptions.lr must be above 0, temperature and decay 0 or above; got "
                f"{self.lr!r}, {self.temperature!r}, {self.decay!r}"
            )
