"""A classifier that is taught new classes at any time, without old data and without forgetting.

Zhou et al. (2024), *Revisiting Class-Incremental Learning with Pre-Trained Models: Generalizability
and Adaptivity are All You Need*. Two methods::

    SimpleCIL  (adapt=None)   prototypes of the frozen encoder: phi(x)
    ADAM, later APER          the first session adapts a copy phi* of the encoder; prototypes of
                              [phi(x) ; phi*(x)], raw vectors side by side

Nothing is trained after the first session. Use when labels keep arriving and data may not be kept.
Avoid when all classes are known at once: train a classifier on all of them. Cost: one forward pass
an example (two with ADAM) and one vector a class.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vecsmith.core import ConfigError, DataError
from vecsmith.encode import load_sentence_transformer
from vecsmith.encode.images import evaluating

from .._body import Body, body_of
from ._adapt import METHODS, AdaptOptions, adapt
from ._prototypes import Prototypes, unit

HALVES = ("both", "adapted")
Items = Sequence[Any] | NDArray[Any]


class Guess(NamedTuple):
    """One candidate.

    Attributes:
        label: The class.
        cosine: Of the example with its prototype.
    """

    label: Hashable
    cosine: float


class IncrementalClassifier:
    """SimpleCIL and ADAM over any frozen encoder.

    Args:
        encoder: A SentenceTransformer (or its id or folder), a `VisionEncoder`, a transformers
            model with `tokenizer`, any function of items that returns vectors, or None where items
            are vectors already.
        adapt: None (SimpleCIL), or how the first session adapts a copy: one of "adapter", "bn",
            "finetune", "lora", "ssf", "vpt-deep", "vpt-shallow".
        halves: "both" (ADAM), or "adapted" alone.
        normalised: Put halves of unit length side by side in place of raw ones, so that none
            outweighs the other by its length.
        options: How the first session adapts.
        tokenizer: Of a transformers model.
        batch: Items a forward pass.

    Attributes:
        classes: Known classes, in the order they came.
        adapted: The adapted encoder; None before the first session, or without `adapt`.

    Raises:
        ConfigError: Unknown `adapt` or `halves`, or an encoder that cannot be adapted.
    """

    def __init__(
        self,
        encoder: Any = None,
        *,
        adapt: str | None = None,
        halves: str = "both",
        normalised: bool = False,
        options: AdaptOptions | None = None,
        tokenizer: Any = None,
        batch: int = 64,
    ) -> None:
        if adapt is not None and adapt not in METHODS:
            raise ConfigError(f"adapt must be None or one of {', '.join(METHODS)}; got {adapt!r}")
        if halves not in HALVES or (halves == "adapted" and adapt is None):
            raise ConfigError(
                f"halves must be 'both', or 'adapted' with adapt=; got {halves!r} with {adapt!r}"
            )
        if isinstance(encoder, str | Path):
            encoder = load_sentence_transformer(encoder)
        self.encoder, self.adapt, self.halves = encoder, adapt, halves
        self.normalised, self.options, self.batch = normalised, options, batch
        self.adapted: nn.Module | None = None
        self._body: Body | None = None
        if isinstance(encoder, nn.Module):
            self._body = body_of(encoder, tokenizer)
            encoder.eval()
        elif adapt is not None:
            raise ConfigError(
                f"adapt={adapt!r} needs a model to adapt; got {type(encoder).__name__}: give one, "
                "or adapt=None"
            )
        self._prototypes: Prototypes | None = None

    @property
    def classes(self) -> list[Hashable]:
        """Known classes, in the order they came."""
        return [] if self._prototypes is None else list(self._prototypes.labels)

    def learn(self, items: Items, labels: Sequence[Hashable]) -> "IncrementalClassifier":
        """Take in a session: new classes, or more examples of known ones.

        The first call adapts the encoder, if that was asked for; later ones only add to prototypes.

        Args:
            items: Texts, pictures, or vectors, as the encoder takes them.
            labels: Their classes.

        Returns:
            The classifier.

        Raises:
            DataError: Nothing to learn, unequal numbers, or vectors that are not finite.
        """
        if len(items) != len(labels) or len(items) == 0:
            raise DataError(
                f"items and labels must be equally many, at least one; got {len(items)} and "
                f"{len(labels)}"
            )
        if self.adapt is not None and self.adapted is None:
            assert self._body is not None
            self.adapted = adapt(
                self.encoder, self._body, list(items), labels, self.adapt, self.options
            )
        vectors = self.vectors(items)
        if self._prototypes is None:
            self._prototypes = Prototypes(vectors.shape[1])
        self._prototypes.add(vectors, labels)
        return self

    def partial_fit(
        self, items: Items, labels: Sequence[Hashable], classes: Any = None
    ) -> "IncrementalClassifier":
        """Do what `learn` does, by the name that scikit-learn has for it.

        Args:
            items: As for `learn`.
            labels: As for `learn`.
            classes: Not used: classes need not be known beforehand.

        Returns:
            The classifier.
        """
        return self.learn(items, labels)

    def predict(self, items: Items, k: int | None = None) -> list[Any]:
        """Name the class of items, among all that are known.

        Args:
            items: As for `learn`.
            k: How many candidates each; None gives the label of the best alone.

        Returns:
            A label an item; with `k` a list of `Guess`, nearest first.

        Raises:
            DataError: No class is known yet.
            ConfigError: `k` is below 1.
        """
        if k is not None and k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        cosines = self.cosines(items)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : k or 1]
        known = self.classes
        if k is None:
            return [known[row[0]] for row in order]
        return [
            [Guess(known[place], float(cosines[row, place])) for place in places]
            for row, places in enumerate(order)
        ]

    def cosines(self, items: Items) -> NDArray[np.float64]:
        """Compare items with all classes.

        Args:
            items: As for `learn`.

        Returns:
            Shape (items, classes), in the order of `classes`.

        Raises:
            DataError: No class is known yet.
        """
        if self._prototypes is None:
            raise DataError("the classifier knows no class yet; teach it some with learn")
        return self._prototypes.cosines(self.vectors(items))

    def score(self, items: Items, labels: Sequence[Hashable]) -> float:
        """Return the part of items whose class is named rightly.

        Args:
            items: As for `learn`.
            labels: Their classes.
        """
        guesses = self.predict(items)
        return float(np.mean([a == b for a, b in zip(guesses, labels, strict=True)]))

    def forget(self, label: Hashable) -> None:
        """Take a class out; the others are as they would be without it.

        Args:
            label: A known class.

        Raises:
            DataError: It is not known.
        """
        if self._prototypes is None:
            raise DataError(f"no class is called {label!r}: none is known yet")
        self._prototypes.forget(label)

    def vectors(self, items: Items) -> NDArray[np.float64]:
        """Return what prototypes are made of.

        Args:
            items: As for `learn`.

        Returns:
            Shape (items, dims), with ADAM twice the encoder's dims.
        """
        if self._body is None:
            return np.asarray(items if self.encoder is None else self.encoder(items), np.float64)
        models = [self.encoder] if self.halves == "both" else []
        models += [self.adapted] if self.adapted is not None else []
        found = [self._encoded(model, items) for model in models]
        if self.normalised:
            found = [unit(half) for half in found]
        return np.concatenate(found, axis=1)

    def _encoded(self, model: Any, items: Items) -> NDArray[np.float64]:
        assert self._body is not None
        order = sorted(range(len(items)), key=lambda row: _length(items[row]))
        found: list[Any] = [None] * len(order)
        with evaluating(model):
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                batch = self._body.prepare([items[row] for row in rows])
                vectors = self._body.read(model, batch).vector.double().cpu().numpy()
                for row, vector in zip(rows, vectors, strict=True):
                    found[row] = vector
        return np.stack(found)

    def save(self, folder: str | Path) -> None:
        """Write prototypes, labels and the adapted encoder, whole or not at all.

        Args:
            folder: Where to; an older one is replaced. The frozen encoder is named, not copied.

        Raises:
            DataError: Nothing was learned yet.
            ConfigError: Labels are neither texts nor whole numbers.
        """
        from ._files import save_classifier

        save_classifier(self, folder)

    @classmethod
    def load(
        cls, folder: str | Path, encoder: Any = None, *, tokenizer: Any = None
    ) -> "IncrementalClassifier":
        """Read what `save` wrote.

        Args:
            folder: Where it lies.
            encoder: The frozen encoder; None loads the one on record, if it has a name.
            tokenizer: Of a transformers model.

        Returns:
            The classifier.

        Raises:
            StoreError: Missing or damaged, or the encoder has other weights than it had.
        """
        from ._files import load_classifier

        return load_classifier(folder, encoder, tokenizer=tokenizer)


def _length(item: Any) -> int:
    return len(item) if isinstance(item, str) else 0
