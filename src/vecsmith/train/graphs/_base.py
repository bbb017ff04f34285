"""What all node embedders share: an estimator of scikit-learn over a graph.

`fit` takes a `GraphData`, a matrix of scipy.sparse, a graph of networkx, or edges; afterwards
`embedding_` holds a vector a node in the order of `node_ids_`. Scores are of pairs or of rows
against all nodes, so that nothing of n x n is ever made.
"""

import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, DataError, ModelError, StoreError, require
from vecsmith.data.graphs import GraphData, as_graph
from vecsmith.encode._state import read_state, reading, write_state

from ._scores import Floats, block_scores, pair_scores

Ids = NDArray[np.int64]
Embedder = TypeVar("Embedder", bound="GraphEmbedder")

KIND = "node embedder"

_sklearn: Any = require("sklearn.base", "graphs")


class GraphEmbedder(_sklearn.BaseEstimator):  # type: ignore[misc]
    """Base of all node embedders.

    Attributes:
        embedding_: Vector of each node, shape (n, dim), float32.
        node_ids_: Id of each node.
        labels_: Text of each node.
        directed_: Whether the graph had directions.
    """

    name: ClassVar[str] = ""
    # how far vectors tell of an edge, where no setting says it
    measure: str = "dot"
    # what is saved besides the vectors: numbers that fit sets, and arrays
    kept: ClassVar[tuple[str, ...]] = ()

    dim: int
    random_state: int

    def fit(self: Embedder, graph: Any, y: object = None) -> Embedder:
        """Learn vectors; what was learned before is forgotten.

        Args:
            graph: A `GraphData`, a sparse matrix, a graph of networkx, or edges.
            y: Not used.

        Returns:
            Itself.

        Raises:
            DataError: No graph, or one without edges.
            ConfigError: A setting is out of its range.
        """
        taken = as_graph(graph)
        self._check(taken)
        if len(taken.isolated):
            first = taken.node_ids[taken.isolated[0]]
            warnings.warn(
                f"{len(taken.isolated)} of {len(taken)} nodes have no edge to another node, the "
                f"first {first!r}: nothing can be learned of them, and their vectors are zeros",
                stacklevel=2,
            )
        vectors = self._embed(taken)
        vectors[taken.isolated] = 0
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"vectors of {self.name!r} became infinite or NaN; give a lower rate or weights "
                "nearer to 1"
            )
        self.embedding_ = np.ascontiguousarray(vectors, np.float32)
        self.node_ids_, self.labels_ = taken.node_ids, taken.labels
        self.directed_ = taken.directed
        self._places = taken.places
        return self

    def _embed(self, graph: GraphData) -> NDArray[Any]:
        raise NotImplementedError

    def _check(self, graph: GraphData) -> None:
        for setting in ("dim", "random_state"):
            value, least = getattr(self, setting), int(setting == "dim")
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ConfigError(f"{setting} must be a whole number from {least}; got {value!r}")
        if len(graph) == len(graph.isolated):
            raise DataError(
                f"the graph has {len(graph)} nodes and no edge between two of them; there is "
                "nothing to learn: give edges"
            )

    def _fitted(self) -> None:
        if not hasattr(self, "embedding_"):
            raise ModelError(f"{self.name!r} has no vectors yet; call fit with a graph")

    @property
    def vectors(self) -> Floats:
        """Vector of each node, shape (n, dim)."""
        self._fitted()
        return self.embedding_

    @property
    def n_parameters(self) -> int:
        """Numbers that scores are made from."""
        return self.vectors.size

    @property
    def scored_by(self) -> str:
        """How vectors tell of an edge."""
        return self._measure()

    def fit_transform(self, graph: Any, y: object = None) -> Floats:
        """Learn vectors and give them.

        Args:
            graph: As for `fit`.
            y: Not used.

        Returns:
            Shape (n, dim).
        """
        return self.fit(graph).embedding_

    def index_of(self, ids: Iterable[Hashable]) -> Ids:
        """Find nodes.

        Args:
            ids: Their ids.

        Returns:
            Their numbers, shape (ids,).

        Raises:
            DataError: An id is unknown.
        """
        from vecsmith.data.graphs._graph import find_places

        self._fitted()
        return find_places(self._places, ids)

    def transform(self, ids: Iterable[Hashable]) -> Floats:
        """Give the vectors of some nodes.

        Args:
            ids: Their ids, all of the graph that was fitted.

        Returns:
            Shape (ids, dim).

        Raises:
            DataError: An id is unknown.
        """
        return self.embedding_[self.index_of(ids)]

    def score(self, i: Any, j: Any) -> Floats:
        """Say how likely edges are.

        Args:
            i: Numbers of the first ends, shape (pairs,); see `index_of`.
            j: Numbers of the second ends, shape (pairs,).

        Returns:
            Higher is likelier, shape (pairs,).

        Raises:
            DataError: A number out of range, or other lengths.
        """
        first, second = self._numbers(i), self._numbers(j)
        if first.shape != second.shape:
            raise DataError(
                f"i and j must be as many; got {len(first)} and {len(second)} numbers of nodes"
            )
        return self._pair_scores(first, second)

    def score_rows(self, idx: Any) -> Floats:
        """Score all edges that lead out of some nodes.

        Args:
            idx: Numbers of nodes, shape (rows,); n numbers a row are made.

        Returns:
            Higher is likelier, shape (rows, n).

        Raises:
            DataError: A number out of range.
        """
        return self._row_scores(self._numbers(idx))

    def _numbers(self, numbers: Any) -> Ids:
        self._fitted()
        made = np.atleast_1d(np.asarray(numbers))
        n = len(self.embedding_)
        if made.ndim != 1 or (made.size and made.dtype.kind not in "iu"):
            raise DataError(
                f"nodes are given by whole numbers here; got {made.dtype} of shape {made.shape}: "
                "index_of(ids) finds them"
            )
        if made.size and (made.min() < 0 or made.max() >= n):
            raise DataError(
                f"numbers of nodes are from 0 to {n - 1}; got {made.min()} to {made.max()}"
            )
        return made.astype(np.int64)

    def _sides(self) -> tuple[Floats, Floats]:
        return self.embedding_, self.embedding_

    def _pair_scores(self, first: Ids, second: Ids) -> Floats:
        left, right = self._sides()
        return pair_scores(left[first], right[second], self._measure())

    def _row_scores(self, rows: Ids) -> Floats:
        left, right = self._sides()
        return block_scores(left[rows], right, self._measure())

    def _measure(self) -> str:
        return self.measure

    def save_pretrained(self, folder: str | Path) -> None:
        """Save settings, ids and vectors.

        Args:
            folder: Where to; an older one is replaced.

        Raises:
            ModelError: Nothing was fitted.
            DataError: Ids are neither text nor numbers, or tuples of these.
            StoreError: The place cannot be written.
        """
        self._fitted()
        settings = {
            key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for key, value in self.get_params(deep=False).items()
        }
        values = {
            "method": self.name,
            "settings": settings,
            "node_ids": [_as_json(node) for node in self.node_ids_],
            "labels": list(self.labels_),
            "directed": self.directed_,
        }
        write_state(folder, KIND, values, {"embedding": self.embedding_, **self._arrays()})

    @classmethod
    def from_pretrained(cls: type[Embedder], folder: str | Path) -> Embedder:
        """Load what `save_pretrained` wrote.

        Args:
            folder: Where it lies.

        Returns:
            The fitted embedder; `GraphEmbedder.from_pretrained` loads any.

        Raises:
            StoreError: Missing, damaged, or another method's.
        """
        from ._table import EMBEDDERS

        values, arrays = read_state(folder, KIND)
        method = values.get("method")
        if method not in EMBEDDERS or not issubclass(EMBEDDERS[method], cls):
            raise StoreError(
                f"{str(folder)!r} should hold vectors of {cls.name or 'any method'!r} but holds "
                f"those of {method!r}; load it with GraphEmbedder.from_pretrained"
            )
        with reading(folder):
            made: Any = EMBEDDERS[method](**EMBEDDERS[method]._settings(values["settings"]))
            made.embedding_ = arrays.pop("embedding")
            made.node_ids_ = tuple(_from_json(node) for node in values["node_ids"])
            made.labels_, made.directed_ = tuple(values["labels"]), bool(values["directed"])
            made._places = {node: place for place, node in enumerate(made.node_ids_)}
            n, places = len(made.embedding_), len(made._places)
            if made.embedding_.ndim != 2 or not n == places == len(made.labels_):
                raise ValueError(f"{made.embedding_.shape} vectors of {places} nodes")
            made._restore(arrays)
        return made

    @classmethod
    def _settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Turn saved settings back into those of the class."""
        return dict(values)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.asarray(getattr(self, name)) for name in self.kept}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for name in self.kept:
            setattr(self, name, arrays[name] if arrays[name].ndim else arrays[name].item())


def _as_json(node: Any) -> Any:
    if isinstance(node, tuple):
        return {"tuple": [_as_json(part) for part in node]}
    if isinstance(node, np.generic):
        node = node.item()
    if isinstance(node, str | int | float):
        return node
    raise DataError(
        f"ids that are saved must be text or numbers, or tuples of these; got {node!r} of type "
        f"{type(node).__name__}: fit the graph with such ids"
    )


def _from_json(node: Any) -> Hashable:
    if isinstance(node, dict):
        return tuple(_from_json(part) for part in node["tuple"])
    if isinstance(node, str | int | float):
        return node
    raise ValueError(f"{node!r} is no id")
