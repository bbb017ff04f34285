import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.data.samples import load_adult, load_movielens
from vecsmith.data.tables import FieldTable
from vecsmith.encode.tables import METHODS, CompressedEmbedding, Stage
from vecsmith.train.tables import (
    BODIES,
    DLRM,
    FM,
    IPNN,
    CTRModel,
    CTROptions,
    DCNv2,
    DeepFM,
    InputShape,
    LazyAdam,
    SingleLayer,
    WideAndDeep,
    fit_ctr,
    log_loss,
    predict,
    roc_auc,
)

FIELDS, D = 3, 4


@pytest.fixture(scope="module")
def adults():
    train, test, _ = load_adult()
    return train.take(np.arange(2000)), test.take(np.arange(500))


@pytest.fixture(scope="module")
def parts():
    whole, _ = load_movielens()
    rows = np.random.default_rng(0).permutation(len(whole))[:3000]
    return whole.take(rows).split((0.7, 0.3))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_auc_is_that_of_all_pairs(rows):
    labels = np.array([float(y) for y, _ in rows])
    scores = np.array([float(s) for _, s in rows])
    if labels.min() == labels.max():
        with pytest.raises(DataError, match="both labels"):
            roc_auc(labels, scores)
        return
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[labels == 1]
        for b in scores[labels == 0]
    ]
    assert roc_auc(labels, scores) == pytest.approx(np.mean(pairs))


def test_log_loss_by_hand_and_without_overflow():
    assert log_loss([1, 0], [0.0, np.log(3)]) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert log_loss([1, 0], [1000.0, -1000.0]) == 0.0
    assert log_loss([0], [1000.0]) == 1000.0


@pytest.mark.parametrize(
    ("labels", "scores", "named"),
    [
        ([1, 0], [1.0], "one length"),
        ([1, 2], [1.0, 2.0], "0 or 1"),
        ([1, 0], [1.0, np.nan], "finite"),
        ([], [], "one length"),
    ],
)
def test_bad_scores_are_named(labels, scores, named):
    for measure in (roc_auc, log_loss):
        with pytest.raises(DataError, match=named):
            measure(labels, scores)


def arrays(numbers=0):
    torch.manual_seed(0)
    shape = InputShape((D,) * FIELDS, numbers)
    columns = torch.randn(5, numbers) if numbers else None
    return shape, torch.randn(5, FIELDS, D), columns


def layers(module, x):
    for layer in module:
        x = layer(x)
    return x


def test_cross_layers_by_hand():
    shape, vectors, _ = arrays()
    body = DCNv2(cross=2, dense=(6,)).build(shape)
    cross, dense = body.net
    x0 = vectors.flatten(1)
    x1 = x0 * (x0 @ cross.layers[0].weight.T + cross.layers[0].bias) + x0
    x2 = x0 * (x1 @ cross.layers[1].weight.T + cross.layers[1].bias) + x1
    torch.testing.assert_close(body(vectors, None), layers(dense, x2)[:, 0])


def pairs(vectors):
    fields = vectors.shape[1]
    return torch.stack(
        [
            (vectors[:, i] * vectors[:, j]).sum(-1)
            for i in range(fields)
            for j in range(i + 1, fields)
        ],
        1,
    )


def test_factorisation_machine_is_the_sum_of_all_pairs():
    shape, vectors, _ = arrays()
    body = FM().build(shape)
    expected = pairs(vectors).sum(1) + body.linear(vectors.flatten(1))[:, 0]
    torch.testing.assert_close(body(vectors, None), expected)
    deep = DeepFM(dense=(5,), norm=False).build(shape)
    flat = vectors.flatten(1)
    expected = pairs(vectors).sum(1) + deep.linear(flat)[:, 0] + deep.deep(flat)[:, 0]
    torch.testing.assert_close(deep(vectors, None), expected)


def test_dlrm_puts_numbers_among_the_fields():
    shape, vectors, numbers = arrays(2)
    body = DLRM(bottom=(7,), top=(6,)).build(shape)
    low = body.bottom(numbers)
    assert low.shape == (5, D)
    inputs = torch.cat([low, pairs(torch.cat([low[:, None], vectors], 1))], 1)
    torch.testing.assert_close(body(vectors, numbers), body.top(inputs)[:, 0])
    without = DLRM(top=(6,)).build(arrays()[0])
    torch.testing.assert_close(without(vectors, None), without.top(pairs(vectors))[:, 0])


def test_inner_products_stand_beside_the_vectors():
    shape, vectors, numbers = arrays(2)
    body = IPNN(dense=(6,), norm=False).build(shape)
    inputs = torch.cat([vectors.flatten(1), numbers, pairs(vectors)], 1)
    torch.testing.assert_close(body(vectors, numbers), body.top(inputs)[:, 0])


def test_wide_and_deep_add_up():
    shape, vectors, numbers = arrays(2)
    body = WideAndDeep(dense=(6,)).build(shape)
    flat = torch.cat([vectors.flatten(1), numbers], 1)
    torch.testing.assert_close(body(vectors, numbers), (body.linear(flat) + body.deep(flat))[:, 0])


def test_single_layer_starts_with_equal_readers():
    body = SingleLayer(equal_start=True).build(arrays(2)[0])
    readers = body.net[0].weight[0, : FIELDS * D].reshape(FIELDS, D)
    assert torch.equal(readers, readers[:1].expand(FIELDS, D))


def test_bodies_that_multiply_fields_need_one_width():
    uneven = InputShape((4, 8))
    for name in ("fm", "deepfm", "dlrm", "ipnn"):
        with pytest.raises(ConfigError, match="must have one width"):
            BODIES[name]().build(uneven)
    DCNv2().build(uneven)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_every_body_learns_on_fields_and_numbers(name, adults):
    train = adults[0]
    table = CompressedEmbedding.build("full", train.sizes, dim=4)
    body = BODIES[name]()
    small = {key: (16,) for key, value in vars(body).items() if isinstance(value, tuple)}
    model = CTRModel(table, dataclasses.replace(body, **small), numbers=5)
    before = log_loss(train.labels, predict(model, train))
    fitted = fit_ctr(model, train, train, options=CTROptions(batch_size=128, epochs=2, lr=1e-2))
    assert log_loss(train.labels, predict(model, train)) < before
    assert fitted.auc > 0.7


def test_model_says_what_numbers_it_needs(parts):
    table = CompressedEmbedding.build("full", parts[0].sizes, dim=4)
    with pytest.raises(ConfigError, match="did you mean 'dlrm'"):
        CTRModel(table, "dlmr")
    model = CTRModel(table, "fm", numbers=2)
    with pytest.raises(ConfigError, match="reads 2 numeric columns; got 0"):
        predict(model, parts[1])


def model_of(parts, seed=0, method="full", **build):
    table = CompressedEmbedding.build(method, parts[0].sizes, dim=4, seed=seed, **build)
    return CTRModel(table, DCNv2(1, (8,)), seed=seed)


def test_seed_decides_start_and_order(parts):
    options = CTROptions(batch_size=128, epochs=1)
    scores = []
    for seed, order in ((0, 0), (0, 0), (1, 0), (0, 1)):
        model = model_of(parts, seed)
        torch.manual_seed(len(scores))
        fit_ctr(model, *parts, options=CTROptions(**{**vars(options), "seed": order}))
        scores.append(predict(model, parts[1]))
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2]) and not np.allclose(scores[0], scores[3])


def test_training_ends_at_the_best_epoch(parts):
    model = model_of(parts)
    options = CTROptions(batch_size=128, epochs=30, lr=2e-2, patience=2)
    fitted = fit_ctr(model, *parts, options=options)
    (stage,) = fitted.stages
    assert stage["stopped"] == "patience" and stage["epochs"] < 30
    assert roc_auc(parts[1].labels, predict(model, parts[1])) == pytest.approx(fitted.auc)
    assert fitted.steps == stage["steps"] and fitted.seconds > 0


@pytest.mark.parametrize(
    ("method", "at"),
    [("full", 30), ("int", 30), ("auto_srh", 60), ("auto_dim", 40), ("opt_embed", 70)],
)
def test_killed_training_is_taken_up(parts, tmp_path, method, at):
    options = CTROptions(batch_size=128, epochs=3)
    rate = 0.5 if method in ("int", "auto_srh") else 1.0
    more = {"evolution": {"generations": 1}} if method == "opt_embed" else {}
    build = {"method": method, "rate": rate, "counts": parts[0].counts(), **more}
    whole = model_of(parts, **build)
    fit_ctr(whole, *parts, options=options)
    first = model_of(parts, **build)
    after, calls = first.embedding.after_step, []

    def stop(lr):
        after(lr)
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    first.embedding.after_step = stop
    with pytest.raises(KeyboardInterrupt):
        fit_ctr(first, *parts, options=options, checkpoint=tmp_path)
    again = model_of(parts, **build)
    fit_ctr(again, *parts, options=options, checkpoint=tmp_path)
    assert np.array_equal(predict(again, parts[1]), predict(whole, parts[1]))


def test_lazy_adam_is_adam_where_every_row_has_a_gradient():
    torch.manual_seed(0)
    start, target = torch.randn(6, 3), torch.randn(6, 3)
    tables = []
    for kind, sparse in ((torch.optim.Adam, False), (LazyAdam, False), (LazyAdam, True)):
        table = torch.nn.Embedding.from_pretrained(start.clone(), freeze=False, sparse=sparse)
        bias = torch.nn.Parameter(torch.zeros(3))
        optimizer = kind([table.weight, bias], lr=0.1)
        fired = []
        optimizer.register_step_post_hook(lambda *_, fired=fired: fired.append(1))
        for _ in range(5):
            optimizer.zero_grad()
            (table(torch.arange(6)) + bias - target).square().sum().backward()
            optimizer.step()
        assert len(fired) == 5
        tables.append(torch.cat([table.weight.detach(), bias.detach()[None]]))
    torch.testing.assert_close(tables[1], tables[0])
    torch.testing.assert_close(tables[2], tables[0])


def test_lazy_adam_leaves_other_rows_alone():
    table = torch.nn.Embedding(6, 3, sparse=True)
    before = table.weight.detach().clone()
    optimizer = LazyAdam(table.parameters(), lr=0.1)
    for rows in ([1, 1, 2], [2]):
        optimizer.zero_grad()
        table(torch.tensor(rows)).sum().backward()
        optimizer.step()
    moved = (table.weight.detach() != before).any(1)
    assert moved.tolist() == [False, True, True, False, False, False]


def test_sparse_tables_train(parts):
    model = model_of(parts, sparse=True)
    fitted = fit_ctr(model, *parts, options=CTROptions(batch_size=128, epochs=2, lr=1e-2))
    assert fitted.auc > 0.6


def test_numbers_reach_the_model(adults):
    train, test = adults
    table = CompressedEmbedding.build("full", train.sizes, dim=4)
    model = CTRModel(table, WideAndDeep(dense=(8,)), numbers=5)
    fit_ctr(model, train, test, options=CTROptions(epochs=1))
    changed = FieldTable(test.ids, test.labels, test.names, test.sizes, np.zeros_like(test.numbers))
    assert not np.allclose(predict(model, test), predict(model, changed))


@pytest.mark.parametrize("name", ["batch_size", "epochs", "patience"])
def test_options_out_of_range_are_named(name):
    with pytest.raises(ConfigError, match=name):
        CTROptions(**{name: 0})


def test_search_stages_read_validation_batches_alone():
    """Gates move by the loss on validation rows, weights by that on training rows."""
    whole, _ = load_movielens()
    part = whole.take(np.arange(600))
    train, validation = part.split((0.5, 0.5))
    table = CompressedEmbedding.build(
        "auto_srh", train.sizes, dim=4, rate=0.5, counts=train.counts()
    )
    seen = {"search": [], "train": []}
    forward, searching = table.vectors, []
    step = table.search_step

    def watched(ids):
        if table.training:
            seen["train" if searching else "search"].append(ids[:, :2])
        return forward(ids)

    def search_step(lr):
        searching.append(1)
        step(lr)

    table.vectors, table.search_step = watched, search_step
    begun = table.begin

    def begin(stage, steps):
        searching.clear()
        seen["search"].clear()
        seen["train"].clear()
        begun(stage, steps)

    table.begin = begin
    table.stages = lambda: (Stage("search", search=True),)
    model = CTRModel(table, SingleLayer())
    fit_ctr(model, train, validation, options=CTROptions(batch_size=300, epochs=1))
    rows = {
        name: {tuple(r) for part in parts for r in part.tolist()} for name, parts in seen.items()
    }
    assert rows["search"] <= {tuple(r) for r in validation.ids[:, :2].tolist()}
    assert rows["train"] == {tuple(r) for r in train.ids[:, :2].tolist()}


@pytest.mark.parametrize("method", ["deep_light", "dedup", "auto_srh", "auto_dim", "opt_embed"])
def test_stages_run_in_order_and_scores_are_within_the_budget(parts, method):
    rate = 0.3 if METHODS[method].exact_budget else 1.0
    table = CompressedEmbedding.build(
        method, parts[0].sizes, dim=4, rate=rate, counts=parts[0].counts()
    )
    model = CTRModel(table, SingleLayer())
    fitted = fit_ctr(model, *parts, options=CTROptions(batch_size=256, epochs=4, lr=1e-2))
    assert [row["name"] for row in fitted.stages] == [stage.name for stage in table.stages()]
    assert fitted.steps == sum(row["steps"] for row in fitted.stages)
    live = predict(model, parts[1])
    model.embedding = table.freeze()
    np.testing.assert_allclose(predict(model, parts[1]), live, rtol=1e-4, atol=1e-5)
    assert roc_auc(parts[1].labels, live) == pytest.approx(fitted.auc, abs=1e-6)


def test_scores_above_the_budget_are_not_kept(parts):
    model = model_of(parts)
    table, seen = model.embedding, []

    def readiness():
        seen.append(table.table.detach().clone())
        return min(1.0, 0.3 * len(seen))

    table.readiness = readiness
    options = CTROptions(batch_size=128, epochs=6, lr=5e-2, patience=2)
    fitted = fit_ctr(model, *parts, options=options)
    # three scores are above the budget: they are not kept, and do not end the training
    assert len(seen) > 3 and fitted.auc > 0.5
    assert any(torch.equal(table.table.detach(), later) for later in seen[3:])
    table.readiness = lambda: 0.5
    assert fit_ctr(model, *parts, options=options).auc == -1.5


def test_tables_that_cannot_are_refused_in_several_processes(parts, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"'int' are trained in one process.* take one of full"):
        fit_ctr(model_of(parts, method="int", rate=0.5), *parts)
