"""The auto-encoder of SDNE on sparse rows, in torch: layers, training, states.

Layers are ReLU but for the code's and the last one, which are linear: a last layer of ReLU can stop
learning where it is 0, and codes of any sign tell more in as many dimensions.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vecsmith.core import ModelError, numpy_generator, progress, require, torch_generator
from vecsmith.data.graphs import GraphData

from ._scores import Floats

if TYPE_CHECKING:
    from torch import Tensor

    from ._sdne import SDNETraining

Ids = NDArray[np.int64]
Weights = dict[str, Floats]

_ROWS = 4096


def new_layers(nodes: int, widths: Sequence[int], seed: int) -> "dict[str, Tensor]":
    """Start the layers (X. Glorot and Y. Bengio, 2010), biases at 0.

    Args:
        nodes: n.
        widths: Units of the encoder's layers, the code last.
        seed: Seed.

    Returns:
        Name -> tensor; weights of shape (out, in), the first layer's (in, out).
    """
    torch = require("torch", "graphs")
    generator = torch_generator(seed, "sdne")
    made = {}
    for kind, sizes in (("encoder", (nodes, *widths)), ("decoder", (*widths[::-1], nodes))):
        for place, (into, out) in enumerate(itertools.pairwise(sizes)):
            reach = (6 / (into + out)) ** 0.5
            # a row of the graph sums up rows of the first layer
            shape = (into, out) if kind == "encoder" and place == 0 else (out, into)
            weight = torch.rand(shape, generator=generator) * 2 * reach - reach
            made[f"{kind} {place} weight"] = weight
            made[f"{kind} {place} bias"] = torch.zeros(out)
    return made


def codes(rows: csr_array, layers: "Mapping[str, Tensor]") -> "Tensor":
    """Encode sparse rows.

    Args:
        rows: Shape (rows, n).
        layers: As `new_layers` made them.

    Returns:
        Codes, shape (rows, d).
    """
    import torch

    weight = layers["encoder 0 weight"]
    indices, starts, values = (
        torch.from_numpy(array).to(weight.device)
        for array in (
            rows.indices.astype(np.int64),
            rows.indptr[:-1].astype(np.int64),
            rows.data.astype(np.float32),
        )
    )
    made = torch.nn.functional.embedding_bag(
        indices, weight, starts, mode="sum", per_sample_weights=values
    )
    made = made + layers["encoder 0 bias"]
    place = 1
    while f"encoder {place} weight" in layers:
        made = torch.nn.functional.linear(
            made.relu(), layers[f"encoder {place} weight"], layers[f"encoder {place} bias"]
        )
        place += 1
    return made


def before_last(made: "Tensor", layers: "Mapping[str, Tensor]") -> "Tensor":
    """Decode as far as the last layer.

    Args:
        made: Codes, shape (rows, d).
        layers: As `new_layers` made them.

    Returns:
        What the last layer multiplies, shape (rows, hidden[0]).
    """
    import torch

    place = 0
    while f"decoder {place + 1} weight" in layers:
        made = torch.nn.functional.linear(
            made, layers[f"decoder {place} weight"], layers[f"decoder {place} bias"]
        ).relu()
        place += 1
    return made


def train(
    graph: GraphData,
    widths: Sequence[int],
    *,
    weights: tuple[float, float],
    options: "SDNETraining",
    seed: int,
) -> tuple[Weights, NDArray[np.float64]]:
    """Train the layers.

    Args:
        graph: The graph.
        widths: Units of the encoder's layers, the code last.
        weights: beta and alpha.
        options: Further settings.
        seed: Seed.

    Returns:
        Name -> weights, and the loss of each pass.

    Raises:
        ModelError: The loss became infinite or NaN.
    """
    import torch

    layers = {
        name: tensor.to(options.device).requires_grad_()
        for name, tensor in new_layers(len(graph), widths, seed).items()
    }
    optimizer = torch.optim.Adam(layers.values(), lr=options.rate)
    losses = []
    for epoch in progress(range(options.epochs), "sdne"):
        total = 0.0
        for nodes, edges, columns in _steps(graph, options, seed, epoch):
            loss = _loss(graph, layers, (nodes, edges, columns), weights)
            penalty = sum(
                options.l1 * w.abs().sum() + options.l2 * (w**2).sum()
                for name, w in layers.items()
                if name.endswith("weight")
            )
            optimizer.zero_grad()
            (loss / len(nodes) + penalty).backward()
            optimizer.step()
            total += float(loss.detach())
        losses.append(total / len(graph))
        if not np.isfinite(total):
            raise ModelError(
                f"the loss of 'sdne' became {total} in pass {epoch + 1}; give a lower rate, or "
                "weights of edges nearer to 1"
            )
    done = {name: tensor.detach().cpu().numpy() for name, tensor in layers.items()}
    return done, np.array(losses)


def _steps(
    graph: GraphData, options: "SDNETraining", seed: int, epoch: int
) -> Iterator[tuple[Ids, Ids, Ids | None]]:
    rng = numpy_generator(seed, "sdne", "order", str(epoch))
    n, edges = len(graph), graph.adjacency.nnz
    steps = -(-n // options.batch)
    parts = zip(
        np.array_split(rng.permutation(n), steps),
        np.array_split(rng.permutation(edges), steps),
        strict=True,
    )
    for nodes, cells in parts:
        columns = None
        if options.columns is not None and options.columns < n:
            columns = rng.choice(n, options.columns, replace=False)
        yield nodes, cells, columns


def _loss(
    graph: GraphData,
    layers: "Mapping[str, Tensor]",
    step: tuple[Ids, Ids, Ids | None],
    weights: tuple[float, float],
) -> "Tensor":
    import torch

    from ._sdne import sdne_loss

    (nodes, edges, columns), (beta, alpha) = step, weights
    matrix = graph.adjacency
    place = len([name for name in layers if name.startswith("decoder")]) // 2 - 1
    last, bias = layers[f"decoder {place} weight"], layers[f"decoder {place} bias"]
    rows = matrix[nodes]
    states = before_last(codes(rows, layers), layers)
    cells = rows.tocoo()
    row, column = (torch.from_numpy(a.astype(np.int64)).to(last.device) for a in cells.coords)
    values = torch.from_numpy(cells.data.astype(np.float32)).to(last.device)
    if columns is None:
        everywhere = torch.nn.functional.linear(states, last, bias)
        there, scale = everywhere[row, column], 1.0
    else:
        taken = torch.from_numpy(columns).to(last.device)
        everywhere = torch.nn.functional.linear(states, last[taken], bias[taken])
        there = (states[row] * last[column]).sum(1) + bias[column]
        scale = len(bias) / len(columns)
    loss = sdne_loss((everywhere, there), values, beta, scale=scale)
    return loss + alpha * _neighbour_gaps(matrix, layers, edges) if alpha else loss


def _neighbour_gaps(matrix: csr_array, layers: "Mapping[str, Tensor]", edges: Ids) -> "Tensor":
    import torch

    first = np.searchsorted(matrix.indptr, edges, side="right") - 1
    ends, places = np.unique(np.r_[first, matrix.indices[edges]], return_inverse=True)
    made = codes(matrix[ends], layers)
    left, right = (torch.from_numpy(p).to(made.device) for p in np.split(places, 2))
    weights = torch.from_numpy(matrix.data[edges].astype(np.float32)).to(made.device)
    return (weights[:, None] * (made[left] - made[right]) ** 2).sum()


def encode(matrix: csr_array, weights: Weights) -> Floats:
    """Encode all rows.

    Args:
        matrix: Shape (n, n).
        weights: As `train` gave them.

    Returns:
        Shape (n, d).
    """
    import torch

    layers: Any = {name: torch.from_numpy(array) for name, array in weights.items()}
    with torch.no_grad():
        parts = [
            codes(matrix[start : start + _ROWS], layers).numpy()
            for start in range(0, matrix.shape[0], _ROWS)
        ]
    return np.concatenate(parts)


def decoder_states(vectors: Floats, weights: Weights) -> Floats:
    """Decode codes as far as the last layer.

    Args:
        vectors: Shape (n, d).
        weights: As `train` gave them.

    Returns:
        Shape (n, hidden[0]).
    """
    import torch

    layers: Any = {name: torch.from_numpy(array) for name, array in weights.items()}
    with torch.no_grad():
        return before_last(torch.from_numpy(vectors), layers).numpy()
