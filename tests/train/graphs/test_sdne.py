"""SDNE: the loss against a naive loop, sampled columns, the decoder's scores."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, ModelError
from vecsmith.data.graphs import GraphData
from vecsmith.train.graphs import SDNE, SDNETraining
from vecsmith.train.graphs._autoencoder import (
    _loss,
    _steps,
    before_last,
    codes,
    new_layers,
    train,
)
from vecsmith.train.graphs._sdne import sdne_loss


@pytest.fixture(scope="module")
def graph() -> GraphData:
    rng = np.random.default_rng(2)
    edges = np.c_[rng.integers(0, 15, (40, 2)), rng.random(40) + 0.5]
    return GraphData.from_edges(edges)


@pytest.fixture
def layers(graph):
    made = new_layers(len(graph), (7, 4), 0)
    generator = torch.Generator().manual_seed(1)
    return {
        name: (t + 0.1 * torch.randn(t.shape, generator=generator)).double()
        for name, t in made.items()
    }


def naive(x: np.ndarray, layers) -> tuple[np.ndarray, np.ndarray]:
    w = {name: tensor.detach().numpy() for name, tensor in layers.items()}
    hidden = np.maximum(x @ w["encoder 0 weight"] + w["encoder 0 bias"], 0)
    code = hidden @ w["encoder 1 weight"].T + w["encoder 1 bias"]
    back = np.maximum(code @ w["decoder 0 weight"].T + w["decoder 0 bias"], 0)
    return code, back @ w["decoder 1 weight"].T + w["decoder 1 bias"]


def naive_loss(matrix, rows, edges, layers, beta, alpha) -> float:
    code, output = naive(matrix, layers)
    total = 0.0
    for i in rows:
        for j in range(len(matrix)):
            b = beta if matrix[i, j] else 1.0
            total += ((output[i, j] - matrix[i, j]) * b) ** 2
    for i, j in edges:
        total += alpha * matrix[i, j] * ((code[i] - code[j]) ** 2).sum()
    return total


def test_layers(graph, layers) -> None:
    single = {name: tensor.float() for name, tensor in layers.items()}
    code, _ = naive(graph.adjacency.toarray(), layers)
    np.testing.assert_allclose(codes(graph.adjacency, single).numpy(), code, atol=1e-5)


def test_the_loss_of_a_step(graph, layers) -> None:
    single = {name: tensor.float() for name, tensor in layers.items()}
    matrix = graph.adjacency.toarray()
    cells = graph.adjacency.tocoo()
    ends = list(zip(cells.row, cells.col, strict=True))
    nodes, edges = np.array([3, 0, 9]), np.array([5, 1, 30, 12])
    made = _loss(graph, single, (nodes, edges, None), (4.0, 0.3))
    wanted = naive_loss(matrix, nodes, [ends[e] for e in edges], layers, 4.0, 0.3)
    assert float(made) == pytest.approx(wanted, rel=1e-4)


def test_drawn_columns_are_right_on_average(graph, layers) -> None:
    single = {name: tensor.float() for name, tensor in layers.items()}
    nodes, rng, n = np.arange(8), np.random.default_rng(0), len(graph)
    whole = float(_loss(graph, single, (nodes, np.zeros(0, int), None), (3.0, 0.0)))
    drawn = [
        float(
            _loss(
                graph,
                single,
                (nodes, np.zeros(0, int), rng.choice(n, 5, replace=False)),
                (3.0, 0.0),
            )
        )
        for _ in range(400)
    ]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - whole) < 4 * error < 0.1 * whole


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 5, generator=generator) < 0.4).double()
    x *= torch.rand(3, 5, generator=generator).double() + 0.5
    output = torch.randn(3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    rows, columns = x.nonzero(as_tuple=True)

    def loss(o: torch.Tensor) -> torch.Tensor:
        return sdne_loss((o, o[rows, columns]), x[rows, columns], 3.0)

    b = torch.where(x > 0, 3.0, 1.0)
    torch.testing.assert_close(loss(output), (((output - x) * b) ** 2).sum())
    assert torch.autograd.gradcheck(loss, output)


def test_all_weights_learn(graph) -> None:
    layers = {name: t.requires_grad_() for name, t in new_layers(len(graph), (7, 4), 0).items()}
    _loss(graph, layers, (np.arange(8), np.arange(10), None), (5.0, 0.1)).backward()
    for name, tensor in layers.items():
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0, name


def test_an_epoch_is_all_nodes_and_edges(graph) -> None:
    options = SDNETraining(batch=4, columns=6)
    steps = list(_steps(graph, options, 0, 0))
    assert sorted(np.concatenate([s[0] for s in steps])) == list(range(len(graph)))
    assert sorted(np.concatenate([s[1] for s in steps])) == list(range(graph.adjacency.nnz))
    assert all(len(set(s[2].tolist())) == 6 for s in steps)
    for seed, epoch in ((0, 1), (1, 0)):
        others = _steps(graph, options, seed, epoch)
        assert any((a[0] != b[0]).any() for a, b in zip(steps, others, strict=True))


def test_layers_start_within_glorots_bounds() -> None:
    made = new_layers(50, (20, 4), 3)
    for name, tensor in made.items():
        bound = (6 / sum(tensor.shape)) ** 0.5 if name.endswith("weight") else 0.0
        assert 0.9 * bound <= float(tensor.abs().max()) <= bound, name
    other = new_layers(50, (20, 4), 4)
    assert not torch.equal(made["encoder 0 weight"], other["encoder 0 weight"])


def test_training_is_adam_on_the_mean_loss_and_the_penalty(graph) -> None:
    """Two passes of one step each; the sums do not depend on the order."""
    options = SDNETraining(epochs=2, batch=99, rate=0.05, l1=0.2, l2=0.4)
    made, losses = train(graph, (7, 4), weights=(3.0, 0.3), options=options, seed=5)
    layers = {name: t.requires_grad_() for name, t in new_layers(len(graph), (7, 4), 5).items()}
    optimizer = torch.optim.Adam(layers.values(), lr=0.05)
    everything = (np.arange(len(graph)), np.arange(graph.adjacency.nnz), None)
    for step in range(2):
        loss = _loss(graph, layers, everything, (3.0, 0.3)) / len(graph)
        assert losses[step] == pytest.approx(float(loss.detach()), rel=1e-5)
        weights = [t for name, t in layers.items() if name.endswith("weight")]
        penalty = sum(0.2 * w.abs().sum() + 0.4 * (w * w).sum() for w in weights)
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
    for name, tensor in layers.items():
        np.testing.assert_allclose(made[name], tensor.detach(), atol=1e-4, err_msg=name)


def test_a_second_fit_forgets_the_first(karate, islands) -> None:
    made = SDNE(4, hidden=(6,), options=SDNETraining(epochs=1)).fit(karate)
    made.score_rows([0])
    once = SDNE(4, hidden=(6,), options=SDNETraining(epochs=1)).fit(islands)
    np.testing.assert_array_equal(made.fit(islands).score_rows([0]), once.score_rows([0]))


def test_rows_are_read_back(karate) -> None:
    options = SDNETraining(epochs=400, batch=17)
    made = SDNE(16, hidden=(32,), options=options).fit(karate)
    assert made.losses_[-1] < 0.2 * made.losses_[0]
    scores = made.score_rows(np.arange(34))
    np.testing.assert_allclose(scores, scores.T, atol=1e-5)
    assert not np.diag(scores).any()
    linked = karate.adjacency.toarray() > 0
    assert scores[linked].mean() > scores[~linked].mean() + 0.7
    best = np.argsort(-scores, 1)[:, :1]
    assert linked[np.arange(34)[:, None], best].mean() > 0.95


def test_scores_are_the_decoders_output(karate) -> None:
    made = SDNE(8, hidden=(12, 9), options=SDNETraining(epochs=3)).fit(karate)
    layers = {name: torch.from_numpy(w) for name, w in made.weights_.items()}
    last = "decoder 2"
    output = before_last(torch.from_numpy(made.vectors), layers)
    output = (output @ layers[f"{last} weight"].T + layers[f"{last} bias"]).numpy()
    wanted = (output + output.T) / 2
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(made.score_rows(np.arange(34)), wanted, atol=1e-5)
    one_way = GraphData.from_scipy(karate.adjacency, directed=True)
    other = SDNE(8, hidden=(12, 9), options=SDNETraining(epochs=3)).fit(one_way)
    np.fill_diagonal(output, 0)
    np.testing.assert_allclose(other.score_rows(np.arange(34)), output, atol=1e-5)


def test_neighbours_are_drawn_together(karate) -> None:
    rows, columns, _ = karate.edges()
    gaps = []
    for alpha in (0.0, 5.0):
        made = SDNE(8, hidden=(16,), alpha=alpha, options=SDNETraining(epochs=60)).fit(karate)
        x = made.vectors - made.vectors.mean(0)
        gaps.append(((x[rows] - x[columns]) ** 2).sum(1).mean() / (x**2).sum(1).mean())
    assert gaps[1] < 0.8 * gaps[0]


def test_what_scores_is_counted(karate) -> None:
    options = SDNETraining(epochs=1)
    made = SDNE(8, hidden=(12,), options=options).fit(karate)
    decoder = 8 * 12 + 12 + 12 * 34 + 34
    assert made.n_parameters == 34 * 8 + decoder
    alone = SDNE(8, hidden=(12,), score_by="cosine", options=options).fit(karate)
    assert alone.n_parameters == 34 * 8
    np.testing.assert_array_equal(alone.vectors, made.vectors)
    assert (alone.score_rows([0]) != made.score_rows([0])).any()


def test_no_global_randomness(karate) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    SDNE(8, hidden=(12,), options=SDNETraining(epochs=1)).fit(karate)
    assert torch.equal(before, torch.random.get_rng_state())


def test_wrong_settings(karate) -> None:
    for wrong in ({"hidden": (0,)}, {"beta": 0.5}, {"alpha": -1}, {"score_by": "encoder"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SDNE(4, **wrong).fit(karate)
    for wrong in ({"epochs": 0}, {"rate": 0}, {"l1": -1}, {"columns": 0}, {"batch": 0}):
        with pytest.raises(ConfigError):
            SDNETraining(**wrong)
    with pytest.raises(ModelError, match="rate"):
        SDNE(4, options=SDNETraining(epochs=30, rate=1e30)).fit(karate)
