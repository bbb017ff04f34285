"""SDNE: an auto-encoder of the rows of the adjacency matrix, with neighbours drawn together.

Paper: Structural Deep Network Embedding (D. Wang, P. Cui and W. Zhu, 2016). With x_i the row of
node i, y_i its code and x^_i what the decoder makes of it, b_ij = beta where a_ij is not 0, else 1:

    sum_i ||(x^_i - x_i) * b_i||^2  +  alpha * sum_ij a_ij ||y_i - y_j||^2  +  l1 |W| + l2 W^2

An epoch goes through each node once for the first sum and each edge once for the second; a step
takes a batch of nodes and as large a part of the edges. Rows stay sparse: the encoder multiplies
them as such, and the squares of the decoder's output over all columns (or a sample of them,
`columns`) are put right at the edges alone. Divided by the size of the batch, summed over steps of
an epoch, that is the loss above.

Two different scores: the decoder's output, ((A^ + A^T) / 2 with a diagonal of 0 where the graph is
undirected), which needs the decoder's weights, and that of the vectors alone, which is much weaker.
`score_by` chooses; say which one was used.

Use to store a graph of up to some 100,000 nodes so that direct edges can be read back. Avoid where
the vectors alone are wanted (node2vec, HOPE). Cost: n * n * hidden[0] multiplications an epoch, or
n * columns * hidden[0].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, did_you_mean
from vecsmith.data.graphs import GraphData

from ._base import GraphEmbedder, Ids
from ._scores import MEASURES, Floats

if TYPE_CHECKING:
    from torch import Tensor

SCORES = ("decoder", *MEASURES)


@dataclass(frozen=True)
class SDNETraining:
    """How SDNE is trained.

    Attributes:
        epochs: Passes over the nodes.
        batch: Nodes of a step.
        rate: Learning rate of Adam.
        l1: Weight of the absolute values of the layers' weights.
        l2: Weight of their squares.
        columns: Columns of the adjacency that are drawn for each step; None takes all.
        device: Where torch computes.
    """

    epochs: int = 100
    batch: int = 256
    rate: float = 1e-3
    l1: float = 1e-6
    l2: float = 1e-6
    columns: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "columns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value!r}")
        for name in ("rate", "l1", "l2"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0 or (name == "rate" and value == 0):
                raise ConfigError(f"{name} must be finite and not below 0; got {value!r}")


class SDNE(GraphEmbedder):
    """Node vectors from an auto-encoder.

    Args:
        dim: Dimensions.
        hidden: Units of the encoder's layers between; the decoder has them in turn.
        beta: How much more a missed edge counts than a wrong one, above 1.
        alpha: Weight of drawing neighbours together.
        score_by: "decoder", or how the vectors alone tell of an edge: "dot", "cosine" or
            "euclidean".
        options: Further settings of the training.
        random_state: Seed.

    Attributes:
        losses_: Loss of each pass, a node's mean.
    """

    name: ClassVar[str] = "sdne"

    def __init__(
        self,
        dim: int = 128,
        *,
        hidden: Sequence[int] = (500, 300),
        beta: float = 10.0,
        alpha: float = 1e-2,
        score_by: str = "decoder",
        options: SDNETraining | None = None,
        random_state: int = 0,
    ) -> None:
        self.dim, self.hidden, self.beta, self.alpha = dim, hidden, beta, alpha
        self.score_by, self.options, self.random_state = score_by, options, random_state

    def _check(self, graph: GraphData) -> None:
        super()._check(graph)
        if not all(isinstance(units, int) and units >= 1 for units in self.hidden):
            raise ConfigError(f"hidden must hold whole numbers from 1; got {self.hidden!r}")
        if not (np.isfinite(self.beta) and self.beta >= 1):
            raise ConfigError(f"beta must be finite and at least 1; got {self.beta!r}")
        if not (np.isfinite(self.alpha) and self.alpha >= 0):
            raise ConfigError(f"alpha must be finite and not below 0; got {self.alpha!r}")
        if self.score_by not in SCORES:
            raise ConfigError(
                f"score_by cannot be {self.score_by!r}; {did_you_mean(str(self.score_by), SCORES)}"
            )

    def _embed(self, graph: GraphData) -> Floats:
        from ._autoencoder import encode, train

        options = SDNETraining() if self.options is None else self.options
        self.weights_, self.losses_ = train(
            graph,
            (*self.hidden, self.dim),
            weights=(self.beta, self.alpha),
            options=options,
            seed=self.random_state,
        )
        self.__dict__.pop("_states", None)
        return encode(graph.adjacency, self.weights_)

    @property
    def n_parameters(self) -> int:
        """Numbers that scores are made from: the vectors, and the decoder's layers if it scores."""
        layers = sum(self.weights_[name].size for name in self._decoder())
        return self.vectors.size + (layers if self.score_by == "decoder" else 0)

    def _decoder(self) -> list[str]:
        return [name for name in getattr(self, "weights_", {}) if name.startswith("decoder")]

    def _measure(self) -> str:
        return self.score_by

    def _last(self) -> tuple[Floats, Floats, Floats]:
        """States before the last layer, and that layer."""
        from ._autoencoder import decoder_states

        if "_states" not in self.__dict__:
            self._states = decoder_states(self.embedding_, self.weights_)
        last = len(self.hidden)
        return (
            self._states,
            self.weights_[f"decoder {last} weight"],
            self.weights_[f"decoder {last} bias"],
        )

    def _pair_scores(self, first: Ids, second: Ids) -> Floats:
        if self.score_by != "decoder":
            return super()._pair_scores(first, second)
        states, weight, bias = self._last()
        made = np.einsum("ij,ij->i", states[first], weight[second]) + bias[second]
        if not self.directed_:
            back = np.einsum("ij,ij->i", states[second], weight[first]) + bias[first]
            made = (made + back) / 2
        return np.where(first == second, 0, made).astype(np.float32)

    def _row_scores(self, rows: Ids) -> Floats:
        if self.score_by != "decoder":
            return super()._row_scores(rows)
        states, weight, bias = self._last()
        made = states[rows] @ weight.T + bias
        if not self.directed_:
            made = (made + weight[rows] @ states.T + bias[rows][:, None]) / 2
        made[np.arange(len(rows)), rows] = 0
        return made.astype(np.float32, copy=False)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"losses": self.losses_, **self.weights_}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.losses_ = arrays["losses"]
        self.weights_ = {name: array for name, array in arrays.items() if name != "losses"}
        last = self.weights_[f"decoder {len(self.hidden)} weight"]
        if len(last) != len(self.embedding_):
            raise ValueError(f"a decoder of {len(last)} nodes")

    @classmethod
    def _settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        options = values["options"]
        return {
            **values,
            "hidden": tuple(values["hidden"]),
            "options": None if options is None else SDNETraining(**options),
        }


def sdne_loss(
    outputs: "tuple[Tensor, Tensor]",
    edges: "Tensor",
    beta: float,
    *,
    scale: float = 1.0,
) -> "Tensor":
    """Sum up ||(x^ - x) * b||^2 from the output and what stands at the edges.

    Args:
        outputs: Output at the columns that were taken, shape (rows, columns), and at the edges of
            these rows, shape (edges,).
        edges: Weights of those edges, shape (edges,).
        beta: Weight of a missed edge.
        scale: n / columns, where not all columns were taken.

    Returns:
        The sum.
    """
    everywhere, there = outputs
    gaps = beta**2 * (there - edges) ** 2 - there**2
    return scale * (everywhere**2).sum() + gaps.sum()
