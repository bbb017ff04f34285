"""Scores, losses and steps of the seven models: by a loop, by finite differences, by kernel."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

import vecsmith.core
from vecsmith.core import ConfigError, MissingExtra
from vecsmith.train.words._corpus import WordCorpus, piece_starts
from vecsmith.train.words._sampling import (
    NoiseWords,
    Unit,
    Vocabulary,
    WindowUnits,
    held_out_pieces,
    keep_shares,
)
from vecsmith.train.words.engines import KernelEngine, TorchEngine, _kernels, new_tables
from vecsmith.train.words.models import MODELS, OBJECTIVES, Shape
from vecsmith.train.words.models._log_counts import Cells, log_count_loss
from vecsmith.train.words.models._table import WINDOW_MODELS

SHAPE = Shape(words=40, dim=3, window=2, hidden=4)
PAD = SHAPE.words
MODELS_OF_WINDOWS = sorted(WINDOW_MODELS)


def tables_for(model, seed=0):
    """Tables with all numbers away from zero, in double precision."""
    tables = new_tables(model, SHAPE, 0)
    rng = np.random.default_rng(seed)
    for name, value in tables.values.items():
        value[...] = rng.normal(size=value.shape) * 0.5
        tables.squares[name][...] = rng.random(value.shape) + 0.1
    return tables


def naive_scores(model, values, context, candidates):
    """Scores of one window, predictions by candidates, word by word."""
    e, k = values["embeddings"].astype(np.float64), SHAPE.window
    side_by_side = np.concatenate([e[c] for c in context])
    found = []
    if model == "skipgram":
        words = [c for c in context if c != PAD]
        return [[e[c] @ values["outputs"][w] for w in candidates] for c in words]
    for w in candidates:
        if model == "cbow":
            x = np.mean([e[c] for c in context if c != PAD], 0)
            found.append(x @ values["outputs"][w])
        elif model == "order":
            found.append(side_by_side @ values["outputs"][w])
        elif model == "lbl":
            found.append(values["hidden"] @ side_by_side @ values["outputs"][w])
        elif model == "nnlm":
            found.append(np.tanh(values["hidden"] @ side_by_side) @ values["outputs"][w])
        else:
            x = np.concatenate([e[c] for c in [*context[:k], w, *context[k:]]])
            found.append(values["top"] @ np.tanh(values["hidden"] @ x))
    return [found]


def naive_loss(model, values, unit, objective):
    total, made = 0.0, 0
    for at, noise in zip(unit.positions, unit.negatives, strict=True):
        context = [unit.stream[at + d] for d in (-2, -1, 1, 2)]
        target = unit.stream[at]
        candidates = [target, *(n for n in noise if n != target)]
        if model in {"skipgram", "cbow"} and all(c == PAD for c in context):
            continue
        for row in naive_scores(model, values, context, candidates):
            made += 1
            if objective == "neg":
                total += np.log1p(np.exp(-row[0])) + sum(np.log1p(np.exp(f)) for f in row[1:])
            else:
                total += sum(max(0.0, 1 - row[0] + f) for f in row[1:])
    return total, made


# a word alone in its text, words at ends, two by themselves; one noise word is the target
STREAM = np.array([PAD, PAD, 1, PAD, PAD, 2, 3, 4, 5, 6, PAD, PAD, 20, 21, PAD, PAD], np.int32)
NOISE = np.array(
    [[9, 8], [7, 9], [11, 12], [4, 13], [14, 15], [16, 17], [18, 19], [22, 23]], np.int32
)
UNIT = Unit(STREAM, np.array([2, 5, 6, 7, 8, 9, 12, 13]), NOISE, 8)


def engine(kind, tables, model, objective="neg", batch=64, rate=0.1):
    options = {"window": SHAPE.window, "objective": objective, "rate": rate}
    if kind is TorchEngine:
        options["batch"] = batch
    return kind(tables, model, **options)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("model", MODELS_OF_WINDOWS)
def test_loss_is_that_of_a_loop(model, objective):
    tables = tables_for(model)
    want = naive_loss(model, tables.values, UNIT, objective)
    for batch in (1, 4, 64):
        got = engine(TorchEngine, tables, model, objective, batch).loss(UNIT)
        np.testing.assert_allclose(got, want, rtol=1e-5)


def numeric_step(model, tables, unit, objective, rate):
    """One AdaGrad step by finite differences of the naive loss, in double precision."""
    values = {n: v.astype(np.float64) for n, v in tables.values.items()}
    after = {}
    for name, value in values.items():
        grad = np.zeros_like(value)
        for place in np.ndindex(*value.shape):
            kept = value[place]
            value[place] = kept + 1e-6
            up = naive_loss(model, values, unit, objective)[0]
            value[place] = kept - 1e-6
            grad[place] = (up - naive_loss(model, values, unit, objective)[0]) / 2e-6
            value[place] = kept
        squares = tables.squares[name].astype(np.float64) + grad**2
        after[name] = (value - rate * grad / np.sqrt(squares), squares)
    return after


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("model", MODELS_OF_WINDOWS)
def test_a_batch_steps_down_its_gradient(model, objective):
    tables = tables_for(model)
    want = numeric_step(model, tables, UNIT, objective, 0.1)
    engine(TorchEngine, tables, model, objective).step(UNIT)
    for name, (value, squares) in want.items():
        np.testing.assert_allclose(tables.values[name], value, atol=3e-5, err_msg=name)
        np.testing.assert_allclose(tables.squares[name], squares, rtol=1e-3, err_msg=name)


@pytest.fixture(scope="module")
def plain_kernels():
    """The kernels as Python, as they are where numba is not installed."""
    before = vecsmith.core.require

    def missing(module, extra):
        raise MissingExtra(module)

    vecsmith.core.require = missing
    try:
        spec = importlib.util.spec_from_file_location("plain_kernels", _kernels.__file__)
        module = importlib.util.module_from_spec(spec)
        sys.modules["plain_kernels"] = module
        spec.loader.exec_module(module)
    finally:
        vecsmith.core.require = before
    assert module.numba is None
    return module


# no word twice, so that window by window and a batch move the same rows alike
APART = Unit(
    np.array([PAD, PAD, 1, 2, 3, 4, 5, PAD, PAD, PAD, PAD], np.int32),
    np.array([4]),
    np.array([[9, 8]], np.int32),
    1,
)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("model", MODELS_OF_WINDOWS)
def test_kernels_do_the_same(model, objective, compiled, plain_kernels, monkeypatch):
    if compiled:
        pytest.importorskip("numba")
    mine, theirs = tables_for(model), tables_for(model)
    steps = engine(KernelEngine, mine, model, objective)
    if not compiled:
        steps._kernel = getattr(plain_kernels, steps._kernel.__name__)
    np.testing.assert_allclose(
        steps.loss(UNIT), naive_loss(model, mine.values, UNIT, objective), rtol=1e-5
    )
    steps.step(APART)
    engine(TorchEngine, theirs, model, objective).step(APART)
    for name in mine.values:
        np.testing.assert_allclose(mine.values[name], theirs.values[name], atol=2e-6, err_msg=name)
        np.testing.assert_allclose(
            mine.squares[name], theirs.squares[name], rtol=2e-5, atol=1e-7, err_msg=name
        )


def test_kernels_go_window_by_window():
    pytest.importorskip("numba")
    mine, theirs = tables_for("cbow"), tables_for("cbow")
    engine(KernelEngine, mine, "cbow").step(UNIT)
    engine(TorchEngine, theirs, "cbow", batch=1).step(UNIT)
    for name in mine.values:
        np.testing.assert_allclose(mine.values[name], theirs.values[name], atol=1e-5)


def test_a_hidden_layer_moves_once_in_some_windows(plain_kernels, monkeypatch):
    monkeypatch.setattr(plain_kernels, "LAYER_STEP", 2)
    moved = []
    real = plain_kernels._move_layer
    monkeypatch.setattr(
        plain_kernels, "_move_layer", lambda *given: (moved.append(1), real(*given))
    )
    for model, windows in (("lbl", 5), ("cw", 6)):
        moved.clear()
        steps = engine(KernelEngine, tables_for(model), model)
        steps._kernel = getattr(plain_kernels, steps._kernel.__name__)
        steps.step(UNIT._replace(positions=UNIT.positions[:windows]))
        assert len(moved) == 3


def test_sigmoid_is_near_enough(plain_kernels):
    x = np.linspace(-15, 15, 4001, dtype=np.float32)
    got = np.array([plain_kernels.sigmoid(value) for value in x])
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-x.astype(np.float64))), atol=1e-6)
    assert 0 <= plain_kernels.sigmoid(np.float32(-99)) < 1e-6


def test_glove_fits_weighted_logarithms(plain_kernels):
    cells = Cells(
        np.array([0, 1, 2], np.int32), np.array([3, 3, 4], np.int32), np.float32([0.5, 20, 300])
    )
    tables = tables_for("glove")
    v = {name: value.astype(np.float64) for name, value in tables.values.items()}
    want = 0.0
    for i, j, x in zip(*(column.tolist() for column in cells), strict=True):
        f = v["embeddings"][i] @ v["outputs"][j] + v["biases"][i] + v["output_biases"][j]
        want += min(1, (x / 100) ** 0.75) * (f - np.log(x)) ** 2
    loss, number = engine(TorchEngine, tables, "glove").loss(cells)
    assert number == 3 and loss == pytest.approx(want, rel=1e-5)
    products = torch.randn(3, dtype=torch.float64, requires_grad=True)
    counts = torch.from_numpy(cells.values).double()
    assert torch.autograd.gradcheck(lambda p: log_count_loss(p, counts), (products,))
    plain, compiled = tables_for("glove"), tables_for("glove")
    engine(TorchEngine, tables, "glove", batch=1).step(cells)
    steps = engine(KernelEngine, compiled, "glove")
    assert steps.loss(cells)[0] == pytest.approx(want, rel=1e-5)
    steps.step(cells)
    steps = engine(KernelEngine, plain, "glove")
    steps._kernel = plain_kernels.glove
    steps.step(cells)
    for name in tables.values:
        np.testing.assert_allclose(plain.values[name], tables.values[name], atol=1e-6)
        np.testing.assert_allclose(compiled.values[name], tables.values[name], atol=1e-6)


@pytest.mark.parametrize("model", MODELS_OF_WINDOWS)
def test_order_counts_where_it_should(model):
    kind, tables = WINDOW_MODELS[model], tables_for(model)
    here = [torch.tensor([[1, 2, 3, 4]]), torch.tensor([[4, 1, 2, 3]])]
    e = torch.from_numpy(tables.values["embeddings"])
    rows = e if kind.joint else torch.from_numpy(tables.values["outputs"])
    weights = {n: torch.from_numpy(a) for n, a in tables.values.items()}
    first, second = (
        kind.scores(
            e[c], torch.ones_like(c, dtype=torch.bool), rows[torch.tensor([[5, 6]])], weights
        ).sum(1)
        for c in here
    )
    assert torch.allclose(first, second, atol=1e-5) is not kind.ordered


def test_models_start_as_they_should():
    shapes = {
        "order": {"outputs": (40, 12)},
        "nnlm": {"outputs": (40, 4), "hidden": (4, 12)},
        "cw": {"hidden": (4, 15), "top": (4,)},
        "glove": {"outputs": (40, 3), "biases": (40,), "output_biases": (40,)},
    }
    for model in MODELS:
        tables = new_tables(model, SHAPE, 1)
        assert tables.values["embeddings"].shape == (41, 3)
        assert 0 < np.abs(tables.values["embeddings"]).max() <= 0.5 / 3
        for name, shape in shapes.get(model, {}).items():
            assert tables.values[name].shape == shape
        assert all((square == np.float32(1e-8)).all() for square in tables.squares.values())
        again, other = new_tables(model, SHAPE, 1), new_tables(model, SHAPE, 2)
        assert (again.values["embeddings"] == tables.values["embeddings"]).all()
        assert (other.values["embeddings"] != tables.values["embeddings"]).any()
    assert "outputs" not in new_tables("cw", SHAPE, 0).values


def test_noise_words_come_by_power_of_counts():
    counts = np.array([1000, 300, 50, 7, 1])
    shares = counts**0.75 / (counts**0.75).sum()
    drawn = NoiseWords(counts).draw(np.random.default_rng(0), (100_000, 2))
    found = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    np.testing.assert_allclose(found, shares, atol=4e-3)
    assert (NoiseWords(np.array([3])).draw(np.random.default_rng(0), (9,)) == 0).all()


def test_subsampling_is_that_of_the_formula():
    counts = np.array([900, 90, 10])
    z = counts / 1000 / 0.1
    np.testing.assert_allclose(keep_shares(counts, 0.1), np.minimum((np.sqrt(z) + 1) / z, 1))
    assert (keep_shares(counts, 0) == 1).all()


def test_windows_end_with_their_pieces(monkeypatch):
    monkeypatch.setattr("vecsmith.train.words._corpus.PIECE", 3)
    corpus = WordCorpus(["a b c d", ["x"], "", "rare a b"])
    words = ["a", "b", "c", "d", "x"]
    vocabulary = Vocabulary(words, np.array([2, 2, 1, 1, 1]))
    pieces = corpus.pieces(vocabulary.places)
    assert list(pieces.words(words)) == [["a", "b", "c"], ["d"], ["x"], ["a", "b"]]
    options = {"window": 2, "negative": 3, "subsample": 0.0, "validation": 0.0, "seed": 0}
    units = WindowUnits(pieces, vocabulary, **options)
    ((number, order),) = units.epoch(0)
    unit = units.unit(order, "0", str(number))
    seen = {
        (words[unit.stream[at]], *(([*words, "-"])[i] for i in context))
        for at, context in zip(unit.positions, unit.contexts(2), strict=True)
    }
    assert seen == {
        ("a", "-", "-", "b", "c"),
        ("b", "-", "a", "c", "-"),
        ("c", "a", "b", "-", "-"),
        ("d", "-", "-", "-", "-"),
        ("x", "-", "-", "-", "-"),
        ("a", "-", "-", "b", "-"),
        ("b", "-", "a", "-", "-"),
    }
    assert unit.negatives.shape == (7, 3) and unit.tokens == units.tokens == 7
    with pytest.raises(ConfigError, match="validation must be"):
        WindowUnits(pieces, vocabulary, **(options | {"validation": 1.0}))


def test_pieces_are_cut_and_held_out():
    np.testing.assert_array_equal(
        piece_starts(np.array([2500, 0, 1000])), [0, 1000, 2000, 2500, 3500]
    )
    held = held_out_pieces(1000, 0.05, 3)
    assert held.sum() == 50 and (held == held_out_pieces(1000, 0.05, 3)).all()
    assert (held != held_out_pieces(1000, 0.05, 4)).any()
    assert not held_out_pieces(1, 0.9, 0).any()
