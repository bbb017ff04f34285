"""Search by aspects, weighted as the user likes: 0.7 task and 0.3 data, say.

The unit vectors of all aspects lie side by side in one row, so that one inner product with the
query's vectors, each times its weight, is the weighted sum of cosines. Search is exact.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import (
    ConfigError,
    DataError,
    StoreError,
    atomic_path,
    did_you_mean,
    read_json,
    write_json,
)

# encoded when an index is saved and when it is loaded: another model gives itself away
PROBE, TOLERANCE = "a probe of the model", 1e-3
ROWS, SETTINGS = "vectors.safetensors", "index.json"


class _Encoder(Protocol):
    aspects: tuple[str, ...]

    def encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]: ...


class AspectHit(NamedTuple):
    """A document that was found.

    Attributes:
        id: As it was given to `add`.
        score: Weighted sum of cosines, divided by the sum of the weights.
        cosines: Aspect -> cosine in its space, for every aspect.
    """

    id: str
    score: float
    cosines: dict[str, float]


class AspectIndex:
    """Documents with a vector an aspect.

    Args:
        model: An `AspectEncoder`, or anything with `aspects` and an `encode` like its.
    """

    def __init__(self, model: _Encoder) -> None:
        self.model = model
        self.aspects = tuple(model.aspects)
        self.ids: list[str] = []
        # shape (documents, aspects, dims)
        self.vectors: NDArray[np.float32] = np.zeros((0, len(self.aspects), 0), np.float32)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.ids)

    def add(self, texts: Sequence[str], ids: Sequence[str]) -> "AspectIndex":
        """Encode documents and add them.

        Args:
            texts: The documents.
            ids: One a document, none twice.

        Returns:
            Itself.

        Raises:
            DataError: Lengths do not agree, an id is there already, or the aspects' vectors are not
                of one length.
        """
        if len(texts) != len(ids):
            raise DataError(f"every text needs an id; got {len(texts)} texts and {len(ids)} ids")
        known = set(self.ids)
        twice = [name for name in ids if name in known or known.add(name)]  # type: ignore[func-returns-value]
        if twice:
            raise DataError(f"ids must differ; {twice[0]!r} is there already: give it another id")
        fresh = self._encode(texts)
        self.vectors = np.concatenate([self.vectors, fresh]) if self.ids else fresh
        self.ids.extend(ids)
        return self

    def search(
        self, text: str, *, aspect: str | Mapping[str, float] | None = None, k: int = 10
    ) -> list[AspectHit]:
        """Find the documents that are most similar in the given aspects.

        Args:
            text: The query.
            aspect: One aspect, or weights of several (at least 0); None weighs all alike.
            k: How many.

        Returns:
            The best first; ties go by the order of adding.

        Raises:
            ConfigError: An unknown aspect, a negative weight, only zeros, or k below 1.
            StoreError: The index is empty.
        """
        weights = self._weights(aspect)
        if k < 1:
            raise ConfigError(f"k must be at least 1; got {k}")
        if not self.ids:
            raise StoreError("the index holds no documents; call add first")
        query = self._encode([text])[0]
        cosines = np.einsum("nad,ad->na", self.vectors, query)
        scores = cosines @ weights
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            AspectHit(
                self.ids[row],
                float(scores[row]),
                dict(zip(self.aspects, map(float, cosines[row]), strict=True)),
            )
            for row in order
        ]

    def _weights(self, aspect: str | Mapping[str, float] | None) -> NDArray[np.float32]:
        if aspect is None:
            aspect = dict.fromkeys(self.aspects, 1.0)
        given = {aspect: 1.0} if isinstance(aspect, str) else dict(aspect)
        for name in given:
            if name not in self.aspects:
                raise ConfigError(
                    f"no aspect is called {name!r}; {did_you_mean(name, self.aspects)}"
                )
        if not given or min(given.values()) < 0 or not sum(given.values()) > 0:
            raise ConfigError(f"weights must be at least 0 and not all 0; got {given}")
        row = np.array([given.get(name, 0.0) for name in self.aspects], np.float32)
        return np.asarray(row / row.sum())

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = self.model.encode(list(texts))
        dims = {name: found[name].shape[1] for name in self.aspects}
        if len(set(dims.values())) > 1:
            raise DataError(
                "the encoders of all aspects must give vectors of one length, to lie side by side; "
                f"got {dims}"
            )
        rows = np.stack([found[name] for name in self.aspects], axis=1)
        length = np.linalg.norm(rows, axis=2, keepdims=True)
        return np.asarray(rows / np.maximum(length, 1e-12), np.float32)

    def save(self, folder: str | Path) -> None:
        """Write vectors and ids; the model is saved by itself.

        Args:
            folder: Where to; it is made.
        """
        from safetensors.numpy import save_file

        root = Path(folder)
        with atomic_path(root / ROWS) as temporary:
            rows = {"vectors": self.vectors, "probe": self._encode([PROBE])}
            save_file(
                {name: np.ascontiguousarray(value) for name, value in rows.items()}, temporary
            )
        write_json(root / SETTINGS, {"aspects": list(self.aspects), "ids": self.ids})

    @classmethod
    def load(cls, folder: str | Path, model: _Encoder) -> "AspectIndex":
        """Read what `save` wrote.

        Args:
            folder: That folder.
            model: The encoder that the documents were encoded with.

        Returns:
            The index.

        Raises:
            StoreError: Files are missing, or the model is not the one of the index.
        """
        from safetensors.numpy import load_file

        root = Path(folder)
        settings = read_json(root / SETTINGS)
        if not (root / ROWS).exists():
            raise StoreError(f"{str(root / ROWS)!r} is missing; build the index again")
        made, stored = cls(model), load_file(root / ROWS)
        made.ids, made.vectors = settings["ids"], stored["vectors"]
        same = tuple(settings["aspects"]) == made.aspects
        probe = made._encode([PROBE]) if same else stored["probe"][:, :0]
        if probe.shape != stored["probe"].shape or not np.allclose(
            probe, stored["probe"], atol=TOLERANCE
        ):
            raise StoreError(
                f"the index at {str(root)!r} was built with another model (aspects "
                f"{settings['aspects']}, {made.vectors.shape[2]} dimensions); give that one, or "
                "build the index again"
            )
        return made
