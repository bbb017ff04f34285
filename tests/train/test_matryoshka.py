"""Losses over several sizes: terms by hand, draws, gradients, gradient caching, foreign losses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer import losses as host

from vecsmith.core import ConfigError
from vecsmith.encode import cut, layer_embeddings
from vecsmith.encode.text._layers import backbone_of
from vecsmith.train import (
    ContrastiveLoss,
    Grid2D,
    MatryoshkaLoss,
    Menu,
    StarbucksLoss,
    TwoDMatryoshkaLoss,
)
from vecsmith.train.contrastive import gathered_batch
from vecsmith.train.matryoshka import (
    compression,
    entry_kl,
    geometric_dims,
    principal_basis,
    score_kl,
)

MENU = [(1, 4), (2, 8), (4, 32)]
# steps 0 and 1 draw other layers: a second pass that drew anew would be noticed
SEED = 3
QUERIES = ["open the valve", "red sensor cable", "pump", "close door", "read file"]
ANSWERS = ["how to open a valve", "cable of the sensor", "pumps", "door closed", "reading a file"]


def batch(model):
    return [model.preprocess(QUERIES), model.preprocess(ANSWERS)]


def fresh(features):
    return [dict(column) for column in features]


def views_of(model, features):
    with torch.no_grad():
        return [layer_embeddings(model, column, [1, 2, 3, 4]).double() for column in features]


def nce(query, answer, temperature=0.05):
    """Naive in-batch loss in float64."""
    total = 0.0
    for i in range(len(query)):
        cosines = [float(torch.cosine_similarity(query[i], a, dim=0)) for a in answer]
        total += math.log(sum(math.exp((c - cosines[i]) / temperature) for c in cosines))
    return total / len(query)


def naive_kl(teacher, student, temperature=1.0):
    """KL of two softmaxes over a list, by the definition."""
    p, q = ([math.exp(float(v) / temperature) for v in values] for values in (teacher, student))
    p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def mean_kl(columns, teacher, student, dim=32, temperature=1.0):
    rows = [
        naive_kl(row[teacher, :dim], row[student, :dim], temperature)
        for column in columns
        for row in column
    ]
    return sum(rows) / len(rows)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def trained_blocks(model):
    return [
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
        for block in backbone_of(model).blocks
    ]


# Functions


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_kl_by_the_definition(plain, temperature) -> None:
    teacher, student = plain.draw(3, 6), plain.draw(3, 6, seed=1)
    expected = [naive_kl(t, s, temperature) for t, s in zip(teacher, student, strict=True)]
    assert entry_kl(teacher, student, temperature).tolist() == pytest.approx(expected)
    assert score_kl(teacher, student, temperature).tolist() == pytest.approx(expected)
    assert entry_kl(teacher, teacher).abs().max() < 1e-12


def test_kl_has_exact_gradients(plain) -> None:
    teacher, student = (plain.draw(3, 5, seed=s).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda t, s: entry_kl(t, s, 0.7), (teacher, student))


def test_principal_basis_spans_the_svd(plain) -> None:
    vectors = plain.draw(20, 6)
    basis = principal_basis(vectors, 6)
    related = torch.softmax(vectors.T @ vectors / 6**0.5, dim=-1)
    left, values, _ = torch.linalg.svd(related)
    assert basis.norm(dim=0).tolist() == pytest.approx(values.tolist(), rel=1e-6)
    cosines = (basis * left).sum(0).abs() / values
    assert cosines.tolist() == pytest.approx([1.0] * 6, rel=1e-5)
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    assert (largest > 0).all()
    state = torch.get_rng_state()
    assert torch.equal(principal_basis(vectors, 3), principal_basis(vectors, 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_compression_by_hand(plain) -> None:
    vectors, basis = plain.draw(4, 6).requires_grad_(), plain.draw(6, 3, seed=1)
    found = compression(vectors, basis)
    target = vectors.detach() @ basis
    leading = vectors.detach()[:, :3]
    for row in range(4):
        mse = float((leading[row] - target[row]).square().sum()) / 3
        expected = mse + naive_kl(target[row], leading[row])
        assert float(found[row].detach()) == pytest.approx(expected)
    found.sum().backward()
    # the target is a constant: only the leading entries move
    assert vectors.grad[:, 3:].abs().max() == 0 and vectors.grad[:, :3].abs().min() > 0


def test_geometric_dims() -> None:
    assert geometric_dims(768) == (8, 16, 32, 64, 128, 256, 512)
    assert geometric_dims(8) == ()


# Matryoshka


def test_matryoshka_is_the_weighted_sum_of_slices(layered_model) -> None:
    model = layered_model()
    features = batch(model)
    query, answer = (v[:, 3] for v in views_of(model, features))
    loss = MatryoshkaLoss(ContrastiveLoss(model), [4, 32, 16], weights=[2.0, 1.0, 0.5])
    expected = (
        2.0 * nce(query[:, :4], answer[:, :4])
        + nce(query, answer)
        + 0.5 * nce(query[:, :16], answer[:, :16])
    )
    assert float(loss(fresh(features)).detach()) == pytest.approx(expected, rel=1e-5)


def test_matryoshka_equals_that_of_sentence_transformers(layered_model) -> None:
    model = layered_model(normalise=True)
    features = batch(model)
    ours = MatryoshkaLoss(host.MultipleNegativesRankingLoss(model), [4, 16, 32])
    theirs = host.MatryoshkaLoss(model, host.MultipleNegativesRankingLoss(model), [32, 16, 4])
    ours(fresh(features)).backward()
    found = gradients(model)
    model.zero_grad()
    theirs(fresh(features), None).backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


def test_matryoshka_draws_sizes_by_seed_and_step(layered_model) -> None:
    model = layered_model()

    def draws(seed):
        loss = MatryoshkaLoss(ContrastiveLoss(model), [4, 8, 16, 32], dims_per_step=2, seed=seed)
        found = []
        for step in range(20):
            loss.set_progress(step, 20)
            found.append(loss.drawn_dims())
        return found

    assert draws(0) == draws(0) != draws(1)
    assert all(len(set(dims)) == 2 for dims in draws(0))
    assert {dim for dims in draws(0) for dim in dims} == {4, 8, 16, 32}


# 2DMSE


@pytest.mark.parametrize(("preset", "normalise"), [("paper", False), ("authors_improved", True)])
def test_four_terms_and_the_kl_by_hand(layered_model, preset, normalise) -> None:
    model = layered_model(normalise=normalise)
    features = batch(model)
    columns = views_of(model, features)
    grid = Grid2D(preset=preset, weights=(1.0, 2.0, 3.0, 4.0, 5.0), temperature=0.5, seed=3)
    loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), grid)
    layer, dim = loss.drawn()
    last, inner = ([column[:, n - 1] for column in columns] for n in (4, layer))
    share = 1.0 / layer if preset == "authors_improved" else 1.0
    pull = 0.5 * (math.log(2 + layer) if preset == "authors_improved" else 0.5)
    expected = (
        nce(*last)
        + 2.0 * share * nce(*inner)
        + 3.0 * nce(*(v[:, :dim] for v in last))
        + 4.0 * share * nce(*(v[:, :dim] for v in inner))
        + 5.0 * pull * mean_kl(columns, 3, layer - 1, temperature=0.5)
    )
    assert float(loss(fresh(features)).detach()) == pytest.approx(expected, rel=1e-4)


def test_espresso_by_hand(layered_model) -> None:
    model = layered_model()
    features = batch(model)
    columns = views_of(model, features)
    loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), Grid2D(preset="ese", rank=8))
    expected = nce(*(v[:, 3] for v in columns)) + nce(*(v[:, 3, :8] for v in columns))
    for layer in (1, 2, 3):
        weight = 1.0 / (1.0 + math.log(layer)) / 3
        expected += weight * nce(*(v[:, layer - 1, :8] for v in columns))
    for layer in (1, 2, 3, 4):
        texts = torch.cat([v[:, layer - 1] for v in columns])
        basis = principal_basis(texts.float(), 8)
        expected += float(compression(texts.float(), basis).mean()) / 4
    assert float(loss(fresh(features)).detach()) == pytest.approx(expected, rel=1e-4)


def test_drawn_sizes_cover_the_grid_and_agree(layered_model) -> None:
    model = layered_model()

    def draws(seed):
        loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), Grid2D(seed=seed))
        found = []
        for step in range(60):
            loss.set_progress(step, 60)
            found.append(loss.drawn())
        return found

    assert draws(0) == draws(0) != draws(1)
    # the embedding output is no layer, and the whole model is trained by terms of its own
    assert {size.layers for size in draws(0)} == {1, 2, 3}
    assert {size.dim for size in draws(0)} == {8, 16}


def test_step_moves_on_without_a_callback(layered_model) -> None:
    model = layered_model()
    loss = TwoDMatryoshkaLoss(ContrastiveLoss(model)).train()
    sizes = []
    for _ in range(8):
        sizes.append(loss.drawn())
        loss(fresh(batch(model))).backward()
    assert len(set(sizes)) > 1 and loss.step == 8


def test_student_terms_reach_only_the_blocks_below(layered_model) -> None:
    model = layered_model()
    for weights in ((0, 1, 0, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)):
        grid = Grid2D(layers=[2], weights=tuple(map(float, weights)))
        loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), grid)
        model.zero_grad()
        loss(fresh(batch(model))).backward()
        # the last one is the KL: its teacher is detached
        assert trained_blocks(model) == [True, True, False, False]
    through = Grid2D(layers=[2], weights=(0.0, 0.0, 0.0, 0.0, 1.0), detach_teacher=False)
    model.zero_grad()
    TwoDMatryoshkaLoss(ContrastiveLoss(model), through)(fresh(batch(model))).backward()
    assert trained_blocks(model) == [True] * 4


def test_external_teacher_takes_the_place_of_the_last_layer(layered_model) -> None:
    model, teacher = layered_model(), layered_model(seed=1)
    features = batch(model)
    grid = Grid2D(layers=[2], weights=(0.0, 0.0, 0.0, 0.0, 1.0))
    loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), grid, teacher=teacher)
    own, other = views_of(model, features), views_of(teacher, features)
    pairs = [torch.stack([t[:, 3], s[:, 1]], dim=1) for t, s in zip(other, own, strict=True)]
    found = loss(fresh(features))
    assert float(found.detach()) == pytest.approx(mean_kl(pairs, 0, 1), rel=1e-4)
    found.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(name.startswith("_teacher") for name, _ in loss.named_parameters())


# Starbucks


class Counting(ContrastiveLoss):
    """Notes the shape of what it scores."""

    def row_losses(self, batch):
        self.__dict__.setdefault("seen", []).append(batch.columns[0].shape)
        return super().row_losses(batch)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_starbucks_is_the_sum_over_the_menu(layered_model, similarity) -> None:
    model = layered_model()
    features = batch(model)
    columns = views_of(model, features)
    base = Counting(model)
    options = {"similarity": similarity, "temperature": 0.7, "kl_weight": 2.0}
    loss = StarbucksLoss(base, MENU, **options)
    query, answer = columns

    def scores(layer, dim):
        left, right = query[:, layer - 1, :dim], answer[:, layer - 1, :dim]
        if similarity == "cosine":
            left, right = (v / v.norm(dim=-1, keepdim=True) for v in (left, right))
        return left @ right.T

    expected = nce(query[:, 3], answer[:, 3])
    for layer, dim in MENU[:-1]:
        expected += nce(query[:, layer - 1, :dim], answer[:, layer - 1, :dim])
        pairs = zip(scores(4, 32), scores(layer, dim), strict=True)
        expected += 2.0 * np.mean([naive_kl(t, s, 0.7) for t, s in pairs])
    assert float(loss(fresh(features)).detach()) == pytest.approx(expected, rel=1e-4)
    # one base loss a size, each on its own slice
    assert sorted(base.seen) == [(5, 4), (5, 8), (5, 32)]


def test_scores_of_a_model_that_normalises_are_cosines(layered_model) -> None:
    model = layered_model(normalise=True)
    features = batch(model)
    found = [
        float(StarbucksLoss(ContrastiveLoss(model), MENU, similarity=s)(fresh(features)).detach())
        for s in ("dot", "cosine")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("detach", [True, False])
def test_the_teacher_of_the_scores_learns_only_when_asked(layered_model, detach) -> None:
    model = layered_model()
    loss = StarbucksLoss(ContrastiveLoss(model), MENU, detach_teacher=detach)
    vectors = [torch.randn(3, len(MENU), 32, requires_grad=True) for _ in range(2)]
    loss._pull(gathered_batch(vectors), 0, 4).sum().backward()
    for column in vectors:
        assert column.grad[:, 0, :4].abs().sum() > 0
        assert bool(column.grad[:, -1].abs().sum() > 0) != detach


def test_embeddings_kl_cuts_the_teacher(layered_model) -> None:
    model = layered_model()
    features = batch(model)
    columns = views_of(model, features)
    loss = StarbucksLoss(ContrastiveLoss(model), MENU, kl="embeddings")
    expected = sum(nce(*(v[:, n - 1, :d] for v in columns)) for n, d in MENU)
    expected += 0.3 * sum(mean_kl(columns, 3, n - 1, dim=d) for n, d in MENU[:-1])
    assert float(loss(fresh(features)).detach()) == pytest.approx(expected, rel=1e-4)


def test_menus() -> None:
    menu = Menu([(2, 32), (4, 64), (6, 128)])
    assert menu["tall"] == menu[2] == (6, 128) and menu["demi"].dim == 32
    assert len(menu) == 3 and list(menu[:-1]) == [(2, 32), (4, 64)]
    with pytest.raises(ConfigError, match="did you mean 'tall'"):
        menu["tal"]
    for wrong in ([], [(2, 32), (2, 64)], [(2, 64), (3, 64)], [(0, 4)]):
        with pytest.raises(ConfigError, match="menu"):
            Menu(wrong)


def test_usual_menu(layered_model) -> None:
    assert list(Menu.halving(layered_model())) == [(1, 4), (2, 8), (3, 16), (4, 32)]


@pytest.mark.parametrize(
    ("depth", "width", "sizes"),
    [
        (12, 768, [(2, 32), (4, 64), (6, 128), (8, 256), (10, 512), (12, 768)]),
        (6, 384, [(1, 16), (2, 32), (3, 64), (4, 128), (5, 256), (6, 384)]),
        (2, 384, [(1, 256), (2, 384)]),
    ],
)
def test_usual_menus_of_known_shapes(layered_model, monkeypatch, depth, width, sizes) -> None:
    model = layered_model(num_hidden_layers=depth)
    monkeypatch.setattr(model, "get_embedding_dimension", lambda: width)
    assert list(Menu.halving(model)) == sizes


# What all of them share


def wrappers(base, **options):
    return [
        MatryoshkaLoss(base, [4, 32], **options),
        TwoDMatryoshkaLoss(base, Grid2D(seed=SEED), **options),
        TwoDMatryoshkaLoss(base, Grid2D(preset="ese", rank=4), **options),
        StarbucksLoss(base, MENU, **options),
        StarbucksLoss(base, MENU, kl="embeddings", **options),
    ]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize(("rows", "dropout"), [(2, 0.0), (5, 0.2)])
def test_gradient_caching_changes_nothing(layered_model, which, foreign, rows, dropout) -> None:
    # the second pass must take the same layers, and draw the same dropout
    model = layered_model(hidden_dropout_prob=dropout).train()
    base = host.MultipleNegativesRankingLoss(model) if foreign else ContrastiveLoss(model)
    found = []
    for mini_batch in (None, rows):
        loss = wrappers(base, cached_mini_batch=mini_batch)[which].train()
        torch.manual_seed(0)
        model.zero_grad()
        value = loss(fresh(batch(model)))
        value.backward()
        found.append((float(value.detach()), gradients(model)))
    (whole, expected), (cached, gradient) = found
    assert cached == pytest.approx(whole, rel=1e-5)
    assert gradient.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(gradient[name], values, rtol=1e-3, atol=1e-5)


def test_rows_do_not_depend_on_chunks(layered_model) -> None:
    model = layered_model()
    for loss in wrappers(ContrastiveLoss(model)):
        columns = [loss.embed(column) for column in loss.inputs(batch(model))]
        with torch.no_grad():
            whole = loss.prepare(gathered_batch(columns))
            parts = [loss.row_losses(replace(whole, rows=slice(i, i + 1))) for i in range(5)]
            torch.testing.assert_close(torch.cat(parts), loss.row_losses(whole))


def test_labels_reach_a_foreign_loss(layered_model) -> None:
    model = layered_model()
    features, labels = batch(model), torch.tensor([1.0, 0.2, 0.7, 0.0, 0.4])
    base = host.AnglELoss(model)
    loss = MatryoshkaLoss(base, [8, 32])
    query, answer = [v[:, 3].float() for v in views_of(model, features)]
    expected = sum(
        float(base.compute_loss_from_embeddings([query[:, :d], answer[:, :d]], labels))
        for d in (8, 32)
    )
    assert float(loss(fresh(features), labels).detach()) == pytest.approx(expected, rel=1e-4)


def test_training_makes_the_small_sizes_better(layered_model) -> None:
    model = layered_model(initializer_range=0.05)
    loss = StarbucksLoss(ContrastiveLoss(model), MENU, similarity="cosine", temperature=0.05)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(fresh(batch(model)))
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.5 * values[0]
    query, answer = (cut(model, 1, dim=4).encode(texts) for texts in (QUERIES, ANSWERS))
    assert ((query @ answer.T).argmax(1) == np.arange(5)).mean() >= 0.8


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda base: MatryoshkaLoss(base, [0, 32]), "from 1 to 32"),
        (lambda base: MatryoshkaLoss(base, [8, 32], weights=[1.0]), "one number a size"),
        (lambda base: MatryoshkaLoss(base, [8, 32], dims_per_step=3), "from 1 to 2"),
        (lambda base: MatryoshkaLoss(torch.nn.Linear(1, 1), [8]), "compute_loss_from_embeddings"),
        (lambda base: TwoDMatryoshkaLoss(base, Grid2D(layers=[4])), "below the last one"),
        (lambda base: TwoDMatryoshkaLoss(base, Grid2D(dims=[64])), "from 1 to 32"),
        (lambda base: Grid2D(preset="papers"), "did you mean 'paper'"),
        (lambda base: Grid2D(temperature=0.0), "temperature"),
        (lambda base: Grid2D(layers="some"), "'all' or a list"),
        (lambda base: StarbucksLoss(base, [(1, 8), (3, 32)]), "end with the whole model"),
        (lambda base: StarbucksLoss(base, MENU, kl="score"), "did you mean 'scores'"),
        (lambda base: StarbucksLoss(base, MENU, similarity="cos"), "did you mean"),
        (lambda base: StarbucksLoss(base, MENU, temperature=0.0), "temperature"),
    ],
)
def test_wrong_settings_are_named(layered_model, make, text) -> None:
    with pytest.raises(ConfigError, match=text):
        make(ContrastiveLoss(layered_model()))


def test_teachers_that_do_not_fit_are_named(layered_model) -> None:
    model = layered_model()
    smaller = cut(model, dim=8)
    with pytest.raises(ConfigError, match="student's size"):
        TwoDMatryoshkaLoss(ContrastiveLoss(model), teacher=smaller)
    with pytest.raises(ConfigError, match="must have a KL"):
        TwoDMatryoshkaLoss(ContrastiveLoss(model), Grid2D(preset="ese"), teacher=model)
