"""Graph vectors in the input space of a language model, by one of four maps.

What an entity is mapped to is the mean input embedding of the sub-words of its name
(`name_vectors`), so that every entity is a training pair and phrases work.

    "mlp"         a small network, MSE (the paper's homogenisation)
    "linear"      min_W sum |W x - z|^2 (T. Mikolov and others, 2013, as in E-BERT, 2020)
    "procrustes"  W with orthogonal rows, of one scale (C. Xing and others, 2015)
    "iternorm"    the same after iterative normalisation (M. Zhang and others, 2019)

The last three are fitted on names of one sub-word by default, the words that both vocabularies
have; `pairs="all"` gives them every entity.

Use "mlp" where the graph is rich and names are phrases. What no map can do is to say of an entity
what its graph vector does not hold: `hit_at_k` on entities that were held out tells how much it
does. Cost: 10,000 entities train in 10 s; the others are one solve.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, did_you_mean, numpy_generator
from vecsmith.encode._state import read_state, reading, write_state
from vecsmith.encode.knowledge._definition_vectors import load_reader

from ._alignment import orthogonal_map
from ._homogeniser import MLPOptions, homogeniser, network_outputs, train_homogeniser
from ._name_vectors import NameVectors, name_vectors

Vectors = NDArray[np.float32]
Doubles = NDArray[np.float64]
KIND = "embedding aligner"
KINDS = ("mlp", "linear", "procrustes", "iternorm")
_ROUNDS = 5


class EmbeddingAligner:
    """A map from graph vectors to input embeddings.

    Args:
        kind: "mlp", "linear", "procrustes" or "iternorm".
        pairs: "all" entities, or those whose name is a "single" sub-word; None is "all" for the
            network and "single" for the others.
        options: Of the network.
        seed: Seed of the network.

    Attributes:
        pairs_: How many pairs were fitted.
        targets_: Names in the input space, from the last `fit`; not saved.

    Raises:
        ConfigError: Unknown kind or pairs.
    """

    def __init__(
        self,
        kind: str = "mlp",
        *,
        pairs: str | None = None,
        options: MLPOptions | None = None,
        seed: int = 0,
    ) -> None:
        if kind not in KINDS:
            raise ConfigError(f"kind {kind!r} is unknown; {did_you_mean(kind, KINDS)}")
        if pairs not in (None, "all", "single"):
            raise ConfigError(f"pairs must be 'all', 'single' or None; got {pairs!r}")
        self.kind, self.seed, self.options = kind, seed, options or MLPOptions()
        self.pairs = pairs or ("all" if kind == "mlp" else "single")
        self.pairs_ = 0
        self.targets_: NameVectors | None = None
        self._arrays: dict[str, NDArray[Any]] = {}

    def fit(
        self,
        graph: Any,
        *,
        lm: Any,
        names: Sequence[str] | None = None,
        leave_out: Sequence[int] = (),
    ) -> "EmbeddingAligner":
        """Fit the map.

        Args:
            graph: A fitted `KGEmbedder`, or vectors of shape (entities, width).
            lm: Hub id or folder of a language model, or a pair of model and tokenizer.
            names: Name of each row; None takes those of the embedder.
            leave_out: Rows that are not fitted, for `hit_at_k`.

        Returns:
            Itself.

        Raises:
            DataError: Vectors and names that do not pair up, or too few pairs.
            ModelError: The language model cannot be found.
        """
        source = vectors_of(graph)
        texts = list(graph.names if names is None and hasattr(graph, "names") else names or ())
        if len(texts) != len(source):
            raise DataError(
                f"names must name each of the {len(source)} rows; got {len(texts)} names"
            )
        model, tokenizer = load_reader(lm)
        self.targets_ = found = name_vectors(texts, model, tokenizer)
        usable = ~found.unknown
        usable[np.asarray(leave_out, np.int64)] = False
        if self.pairs == "single":
            usable &= found.pieces == 1
        rows = np.flatnonzero(usable)
        if len(rows) < 2:
            raise DataError(
                f"{self.kind!r} needs at least 2 entities with a name that the language model "
                f"knows{' as one sub-word' if self.pairs == 'single' else ''}; got {len(rows)}: "
                "give pairs='all', or another language model"
            )
        self._fit_pairs(source[rows], found.vectors[rows])
        return self

    def _fit_pairs(self, x: Vectors, z: Vectors) -> None:
        if self.kind == "mlp":
            rng = numpy_generator(self.seed, "aligner", "sample")
            kept = np.sort(rng.permutation(len(x))[: self.options.sample])
            x, z = x[kept], z[kept]
            # one scale for all models of graphs, so that one rate suits them
            mean, scale = _scale(x)
            centre, spread = (
                _scale(z) if self.options.scaled else (0 * z[0], np.ones(1, np.float32))
            )
            left = np.asarray((x - mean) / scale, np.float32)
            right = np.asarray((z - centre) / spread, np.float32)
            net = train_homogeniser(left, right, self.options, self.seed)
            if self.options.stretched:
                middle, own_spread = _scale(network_outputs(net, left))
                factor = _scale(right)[1] / own_spread
                centre = (right.mean(axis=0) - factor * middle) * spread + centre
                spread = spread * factor
            own = {"mean": mean, "scale": scale, "centre": centre, "spread": spread}
            self._arrays = own | {f"net.{k}": v.numpy() for k, v in net.state_dict().items()}
        elif self.kind == "linear":
            self._arrays = {"matrix": linear_map(x, z).astype(np.float32)}
        else:
            self._arrays = orthogonal_state(x, z, rounds=_ROUNDS * (self.kind == "iternorm"))
        self.pairs_ = len(x)

    def transform(self, graph: Any) -> Vectors:
        """Map graph vectors.

        Args:
            graph: A fitted `KGEmbedder`, or vectors of shape (n, width).

        Returns:
            Shape (n, width of the input embeddings).

        Raises:
            ConfigError: Not fitted.
            DataError: Vectors of another width.
        """
        if not self._arrays:
            raise ConfigError("this EmbeddingAligner holds no map yet; call fit first")
        x, own = vectors_of(graph), self._arrays
        width = len(own["mean"]) if "mean" in own else len(own["matrix"])
        if x.shape[1] != width:
            raise DataError(f"vectors must have {width} dimensions; got shape {x.shape}")
        if self.kind == "mlp":
            import torch

            out = own["net.4.bias"].shape[0]
            net = homogeniser(width, out, self.options)
            net.load_state_dict(
                {k.removeprefix("net."): torch.from_numpy(v) for k, v in own.items() if "net." in k}
            )
            made = network_outputs(net, (x - own["mean"]) / own["scale"])
            return np.asarray(made * own["spread"] + own["centre"], np.float32)
        if self.kind == "linear":
            return np.asarray(x @ own["matrix"], np.float32)
        return apply_orthogonal(x, own)

    def save(self, folder: str | Path) -> None:
        """Write the map to a folder.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ConfigError: Not fitted.
            StoreError: The place cannot be written.
        """
        if not self._arrays:
            raise ConfigError("this EmbeddingAligner holds no map yet; call fit first")
        values = {
            "map": self.kind,
            "pairs": self.pairs,
            "seed": self.seed,
            "options": asdict(self.options),
            "fitted": self.pairs_,
        }
        write_state(folder, KIND, values, self._arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "EmbeddingAligner":
        """Read what `save` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The aligner.

        Raises:
            StoreError: Missing, damaged, or of another kind.
        """
        values, arrays = read_state(folder, KIND)
        with reading(folder):
            options = MLPOptions(**values["options"])
            kind, pairs, seed = values["map"], values["pairs"], values["seed"]
            made = cls(kind, pairs=pairs, options=options, seed=seed)
            made.pairs_, made._arrays = values["fitted"], arrays
        return made


def vectors_of(graph: Any) -> Vectors:
    """Take the vectors of a graph embedder, or a table as it is.

    Args:
        graph: Anything with `entity_vectors`, or a table.

    Returns:
        Shape (entities, width).

    Raises:
        DataError: No table of finite numbers.
    """
    rows = np.asarray(getattr(graph, "entity_vectors", graph), np.float32)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise DataError(
            f"vectors must be a table of finite numbers, shape (entities, width); got {rows.shape}"
        )
    return rows


def linear_map(x: Vectors, z: Vectors) -> Doubles:
    """Solve min_W sum |x W - z|^2; of many solutions, the smallest.

    Args:
        x: Shape (pairs, width).
        z: Shape (pairs, out).

    Returns:
        W, shape (width, out).
    """
    return np.asarray(np.linalg.lstsq(x.astype(np.float64), z.astype(np.float64), rcond=None)[0])


def iterative_normal(x: Doubles, rounds: int) -> tuple[Doubles, Doubles]:
    """Make rows of unit length and the mean zero, in turn, so that in the end both hold.

    Args:
        x: Shape (rows, dims).
        rounds: How often; 0 only takes the mean off.

    Returns:
        The rows, and the means that were taken off, shape (rounds or 1, dims).
    """
    means = []
    for _ in range(rounds):
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        means.append(x.mean(axis=0))
        x = x - means[-1]
    if not rounds:
        means.append(x.mean(axis=0))
        x = x - means[-1]
    return x, np.stack(means)


def orthogonal_state(x: Vectors, z: Vectors, *, rounds: int) -> dict[str, NDArray[Any]]:
    """Fit a map with orthogonal rows.

    Args:
        x: Shape (pairs, width); narrower than `z`, or as wide.
        z: Shape (pairs, out).
        rounds: Of iterative normalisation; 0 for none.

    Returns:
        What `apply_orthogonal` needs.

    Raises:
        DataError: Graph vectors wider than the input embeddings.
    """
    if x.shape[1] > z.shape[1]:
        raise DataError(
            f"an orthogonal map cannot lead from {x.shape[1]} to {z.shape[1]} dimensions; "
            'use narrower graph vectors, or kind="linear"'
        )
    left, means = iterative_normal(x.astype(np.float64), rounds)
    right, _ = iterative_normal(z.astype(np.float64), rounds)
    padded = np.pad(left, ((0, 0), (0, z.shape[1] - x.shape[1])))
    matrix = orthogonal_map(padded, right)[: x.shape[1]]
    centre = z.mean(axis=0)
    # back to the lengths of the input embeddings
    length = np.linalg.norm(z - centre, axis=1).mean()
    scale = length / max(np.linalg.norm(left, axis=1).mean(), 1e-12)
    return {
        "matrix": matrix.astype(np.float32),
        "means": means.astype(np.float32),
        "centre": centre.astype(np.float32),
        "factor": np.array([scale], np.float32),
        "rounds": np.array([rounds], np.int64),
    }


def apply_orthogonal(x: Vectors, state: dict[str, NDArray[Any]]) -> Vectors:
    """Map vectors by what `orthogonal_state` fitted.

    Args:
        x: Shape (n, width).
        state: Its outcome.

    Returns:
        Shape (n, out).
    """
    for mean in state["means"]:
        if int(state["rounds"][0]):
            x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        x = x - mean
    return np.asarray(x @ state["matrix"] * state["factor"] + state["centre"], np.float32)


def hit_at_k(
    mapped: NDArray[np.floating], targets: NDArray[np.floating], rows: Sequence[int], *, k: int = 10
) -> float:
    """Tell how often a mapped vector finds its own name among all names, by cosine.

    Args:
        mapped: Shape (entities, width).
        targets: Vectors of the names, same shape.
        rows: Entities that are asked for: those that were left out of the fit.
        k: How many names may come.

    Returns:
        Part of the rows; equal names count as found together.

    Raises:
        DataError: Shapes that differ, or no rows.
    """
    if np.shape(mapped) != np.shape(targets) or not len(rows):
        raise DataError(
            f"mapped and targets must have one shape, and rows at least one; got "
            f"{np.shape(mapped)}, {np.shape(targets)} and {len(rows)}"
        )
    centre = np.asarray(targets, np.float64).mean(axis=0)
    names, found = (_unit(np.asarray(v, np.float64) - centre) for v in (targets, mapped))
    asked = np.asarray(rows, np.int64)
    hits = 0
    for start in range(0, len(asked), 512):
        part = asked[start : start + 512]
        cosines = found[part] @ names.T
        own = cosines[np.arange(len(part)), part][:, None]
        hits += int(((cosines > own + 1e-9).sum(axis=1) < k).sum())
    return hits / len(asked)


def _unit(rows: Doubles) -> Doubles:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _scale(rows: Vectors) -> tuple[Vectors, Vectors]:
    """Mean of rows, and one number for their spread."""
    mean = rows.mean(axis=0)
    spread = np.sqrt(np.square(rows - mean).mean())
    return mean, np.array([max(float(spread), 1e-12)], np.float32)
