"""The mathematics of the methods in which each value keeps its own vector, against loops."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.encode.tables import CompressedEmbedding, Stage, TableShape
from vecsmith.encode.tables.shrinking import (
    field_dims,
    largest_entries,
    most_entries,
    quantise_with_scale,
    read_sparse,
    stochastic_round,
    to_sparse,
)
from vecsmith.encode.tables.shrinking._searched_dimension import candidate_dims

SIZES = (300, 40, 9)


def build(method, rate=0.5, dim=8, sizes=SIZES, **settings):
    counts = [np.arange(size)[::-1] for size in sizes]
    return CompressedEmbedding.build(method, sizes, dim=dim, rate=rate, counts=counts, **settings)


# low precision


def test_rounding_at_random_keeps_the_mean_and_the_range():
    values = torch.tensor([-3.0, 0.25, 1.9, 500.0, -500.0])
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(20_000, 5, generator=generator)
    rounded = stochastic_round(values, noise, 8)
    assert set(rounded[:, 1].tolist()) == {0.0, 1.0}
    mean = rounded.double().mean(0)
    torch.testing.assert_close(mean[:3], values[:3].double(), atol=0.01, rtol=0)
    assert rounded[:, 0].eq(-3).all() and rounded[0, 3:].tolist() == [127, -128]


def learn(table, ids, target, steps, lr):
    """Train a table alone; returns it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    table.attach(optimizer)
    table.train()
    for _ in range(steps):
        loss = ((table(ids) - target) ** 2).sum()
        table.second_pass = lambda: ((table(ids) - target) ** 2).sum()
        loss.backward()
        optimizer.step()
    return table.eval()


@pytest.mark.parametrize("method", ["int", "alpt"])
def test_updates_smaller_than_a_step_are_not_lost(method):
    table = build(method, bits=8)
    ids = torch.arange(8)[:, None].expand(8, 3)
    before = table.eval()(ids).clone()
    # Adam moves by 0.001 a step, a tenth of what an integer is worth
    learn(table, ids, before + 1.0, 200, lr=1e-3)
    moved = float((table(ids) - before).mean())
    assert moved == pytest.approx(0.2, abs=0.03)
    assert table.codes.dtype == torch.int8


def test_a_step_is_that_of_adam_rounded():
    table = build("int", bits=16)
    ids = torch.tensor([[1, 2, 3], [1, 5, 3]])
    plain = torch.nn.Parameter(table.eval().weight.clone())
    adam = torch.optim.Adam([plain], lr=0.01)
    target = torch.randn(2, 3, 8)
    rows = ids + torch.tensor(table.shape.offsets)
    for _ in range(3):
        adam.zero_grad()
        ((plain[rows] - target) ** 2).sum().backward()
        adam.step()
    learn(table, ids, target, 3, lr=0.01)
    scale = float(table.scales)
    gap = (table(ids) - plain.detach()[rows]).abs().max()
    assert float(gap) < 4 * scale < 1e-3
    untouched = torch.ones(349, dtype=torch.bool)
    untouched[rows.flatten()] = False
    assert torch.equal(table.weight[untouched], plain.detach()[untouched])


def test_lookups_before_one_step_add_up():
    once, twice = (build("int", bits=16, adam=False) for _ in range(2))
    ids = torch.tensor([[1, 2, 3], [1, 4, 5]])
    once.train()(ids).sum().backward()
    for row in ids:
        twice.train()(row[None]).sum().backward()
    once.after_step(0.1)
    twice.after_step(0.1)
    gap = float((once.eval().weight - twice.eval().weight).abs().max())
    assert gap <= float(once.scales) * 1.01
    before = build("int", bits=16, adam=False).eval().weight
    assert float((before - once.weight)[1].mean()) == pytest.approx(0.2, abs=1e-3)


def test_rows_without_steps_are_noticed():
    table = build("int").train()
    with pytest.raises(ConfigError, match=r"call layer\.attach"):
        for _ in range(100):
            table(torch.zeros(1, 3, dtype=torch.int64))
    with torch.no_grad():
        for _ in range(100):
            build("int").train()(torch.zeros(1, 3, dtype=torch.int64))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_bits_on_disk(bits):
    table = build("int", rate=1.0, bits=bits)
    frozen = table.freeze()
    assert frozen.nbytes() == 349 * bits
    assert torch.equal(frozen.weight, table.eval().weight)
    with pytest.raises(ConfigError, match="bits"):
        build("int", bits=3)


def test_scale_of_a_row_follows_its_range():
    table = build("int", rate=1.0, bits=8, per_row=True, start=3.0)
    assert table.freeze().nbytes() == 349 * (8 + 8)
    rows = torch.randn(349, 8) * torch.logspace(-3, 3, 349)[:, None] + 5
    table._store(torch.arange(349), rows, torch.full_like(rows, 0.5))
    gap = (table.eval().weight - rows).abs().amax(1)
    width = rows.amax(1) - rows.amin(1)
    assert (gap <= width / 255 * 0.51 + 1e-5).all()
    torch.testing.assert_close(table.freeze().weight, table.weight)


def test_gradient_of_a_learned_scale_by_hand():
    values = torch.tensor([[0.26, -0.31, 9.0, -9.0]], dtype=torch.float64)
    scales = torch.tensor([[0.1]], dtype=torch.float64, requires_grad=True)
    out = quantise_with_scale(values, scales, 4, 0.25)
    torch.testing.assert_close(out.detach()[0], torch.tensor([0.3, -0.3, 0.7, -0.8]).double())
    weights = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)
    (out[0] * weights).sum().backward()
    # round(w/s) - w/s inside, the limits outside
    expected = 0.25 * (1 * (3 - 2.6) + 10 * (-3 + 3.1) + 100 * 7 + 1000 * -8)
    assert float(scales.grad) == pytest.approx(expected)


def test_scales_move_by_the_second_pass_over_moved_rows():
    table = build("alpt", bits=4, rate=1.0, scale_lr=1e-2)
    ids = torch.tensor([[1, 2, 3]])
    seen = []

    def second():
        out = table(ids)
        seen.append(out.detach().clone())
        return out.sum()

    table.train()(ids).sum().backward()
    before = table.scales.clone()
    table.second_pass = second
    table.after_step(0.5)
    moved = (table.scales != before)[:, 0].nonzero()[:, 0].tolist()
    assert moved == [1, 302, 343] and len(seen) == 1
    assert float((table.scales - before)[moved].abs().max()) == pytest.approx(1e-2, rel=1e-3)
    # the rows of the second pass had moved: 0.5 down, to the nearest step of 0.16
    assert float(seen[0].mean()) == pytest.approx(-0.5, abs=0.1)
    table(ids).sum().backward()
    table.second_pass = None
    with pytest.raises(ConfigError, match="second_pass"):
        table.after_step(0.1)


# mixed dimensions


def test_widths_follow_the_rule():
    shape = TableShape((10, 160, 2560), 16)
    assert field_dims(shape, 0.0) == (16, 16, 16)
    assert field_dims(shape, 0.5) == (16, 4, 1)
    assert field_dims(shape, 0.25) == (16, 8, 4)
    # a narrow table with its layer would be larger than 30 whole rows
    assert field_dims(TableShape((10, 30), 16), 0.1) == (16, 16)


def test_narrow_rows_are_projected():
    table = build("mde", rate=0.3)
    assert table.dims[0] < 8 and table.kept
    ids = torch.tensor([[7, 3, 2]])
    out = table(ids)[0]
    torch.testing.assert_close(out[0], table.tables[0][7] @ table.projections[0])
    assert table.freeze().rate <= 0.3
    assert build("mde", sizes=(500,), rate=0.3).dims == (2,)


# searched dimensions


def test_candidates_are_powers_of_two_and_the_width():
    assert candidate_dims(16) == (2, 4, 8, 16) and candidate_dims(12) == (2, 4, 8, 12)
    assert candidate_dims(2) == (2,)


def test_candidates_are_mixed_by_their_weights():
    table = build("auto_dim", rate=1.0).eval()
    inner = table.inner
    with torch.no_grad():
        inner.alpha.normal_()
        inner.norm.running_mean.normal_()
        inner.norm.running_var.uniform_(0.5, 2)
    inner.temperature = 0.7
    ids = torch.tensor([[7, 3, 2]])
    expected = torch.zeros(3, 8)
    mean = inner.norm.running_mean.reshape(3, 3, 8)
    var = inner.norm.running_var.reshape(3, 3, 8)
    for field in range(3):
        row = inner.table[int(ids[0, field]) + table.shape.offsets[field]].detach()
        shares = (inner.alpha[field] / 0.7).softmax(0).detach()
        start = 0
        for k, dim in enumerate((2, 4, 8)):
            mapped = row[start : start + dim] @ inner.projections[k][field].detach()
            start += dim
            normal = (mapped - mean[field, k]) / (var[field, k] + 1e-5).sqrt()
            expected[field] += shares[k] * normal
    torch.testing.assert_close(table(ids)[0], expected, rtol=1e-4, atol=1e-5)


def test_search_ends_in_the_likeliest_widths():
    table = build("auto_dim", rate=1.0)
    stages = table.stages()
    assert [s.name for s in stages] == ["search", "retrain"] and stages[0].search
    table.begin(stages[0], 10)
    with torch.no_grad():
        table.inner.alpha.copy_(torch.tensor([[3.0, 0, 0], [0, 0, 3], [0, 3, 0]]))
    table.inner.alpha.grad = torch.ones(3, 3)
    before = table.inner.alpha.detach().clone()
    table.search_step(0.1)
    torch.testing.assert_close(table.inner.alpha.detach(), before - 1e-3)
    assert table.inner.temperature == pytest.approx(0.9)
    assert table.architecture()
    table.end(stages[0])
    assert table.dims == (2, 8, 4) and not table.architecture()
    assert [tuple(t.shape) for t in table.inner.tables] == [(300, 2), (40, 8), (9, 4)]
    frozen = table.freeze()
    # the last field is smaller as nine whole rows than as rows, layer and bias
    assert set(frozen.config["whole"]) == {1, 2}
    assert frozen.nbytes() == 4 * (600 + 16 + 8 + 320 + 72)
    with pytest.raises(ConfigError, match="finds its own size"):
        build("auto_dim", rate=0.5)


# sparse tables


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.floats(0, 1), st.integers(0, 999))
def test_sparse_rows_come_back(rows, dim, share, seed):
    rng = np.random.default_rng(seed)
    table = torch.from_numpy(rng.normal(size=(rows, dim)) * (rng.uniform(size=(rows, dim)) < share))
    places = torch.from_numpy(rng.integers(0, rows, 15))
    for form in ("rows", "places"):
        kept = to_sparse(table, form)
        assert torch.equal(read_sparse(kept, places, dim), table[places])
        assert read_sparse(kept, places[:0], dim).shape == (0, dim)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 300), st.floats(0.01, 1.0))
def test_entries_fill_the_budget(rows, dim, rate):
    budget = rate * rows * dim * 4
    form, entries = most_entries(rows, dim, budget)
    columns, row = 1 if dim <= 256 else 2, 1 if rows <= 256 else 2
    sizes = {
        "rows": lambda n: 4 * (rows + 1) + n * (4 + columns),
        "places": lambda n: n * (4 + columns + row),
    }
    assert sizes[form](entries) <= budget + 1e-6
    if entries < rows * dim:
        assert all(size(entries + 1) > budget for size in sizes.values())


def test_largest_entries_are_so_many():
    magnitudes = torch.tensor([[1.0, 1.0, 3.0], [2.0, 1.0, 0.0]])
    assert largest_entries(magnitudes, 2).tolist() == [[False, False, True], [True, False, False]]
    assert int(largest_entries(magnitudes, 4).sum()) == 4
    assert not largest_entries(magnitudes, 0).any()


# pruning while training


def test_sparsity_follows_its_schedule():
    table = build("deep_light", rate=0.3)
    target = 1 - table.entries / table.table.numel()
    warm, prune = table.stages()
    table.begin(warm, 100)
    table.after_step(0.1)
    assert table.readiness() == 1.0 and int(table.steps) == 0
    table.begin(prune, 10**7)
    # a long run keeps the published pace
    for step in (10, 500):
        table.steps.fill_(step)
        assert table.sparsity == pytest.approx(target * (1 - 0.99 ** (step / 100)))
    table.begin(prune, 100)
    table.steps.fill_(61)
    assert table.sparsity == pytest.approx(target, rel=1e-3)


def test_small_entries_go_every_ten_steps_and_may_grow_again():
    table = build("deep_light", rate=0.3)
    table.begin(table.stages()[1], 100)
    full = table.table.numel()
    for _ in range(9):
        table.after_step(0.1)
    assert int((table.table != 0).sum()) == full
    before = table.table.detach().clone()
    table.after_step(0.1)
    kept = table.table != 0
    assert int(kept.sum()) == round((1 - table.sparsity) * full) < full
    assert float(before[~kept].abs().max()) <= float(before[kept].abs().min())
    assert 0 < table.readiness() < 1
    with torch.no_grad():
        table.table[~kept] = 100.0  # grown again: others go
    table.steps.fill_(95)
    assert table.readiness() == 1.0
    assert int((table.table != 0).sum()) == table.entries
    assert (table.table.detach()[~kept].abs().sort(descending=True).values[0]) == 100
    assert table.freeze().rate <= 0.3


# soft gates


def test_gates_are_by_frequency_and_move_by_their_normalised_gradient():
    table = build("auto_srh", groups=3)
    counts = np.concatenate([np.arange(size)[::-1] for size in SIZES])
    groups = table.group.numpy()
    for g in range(2):
        assert counts[groups == g].max() <= counts[groups == g + 1].min()
    ids = torch.tensor([[7, 3, 2]])
    with torch.no_grad():
        table.alpha.uniform_(0.2, 0.8)
    rows = ids[0] + torch.tensor(table.shape.offsets)
    expected = table.table[rows] * table.alpha[table.group[rows]]
    torch.testing.assert_close(table(ids)[0], expected)
    before = table.alpha.detach().clone()
    gradient = torch.randn(3, 8)
    table.alpha.grad = gradient
    table.search_step(0.1)
    step = gradient / gradient.abs().mean(1, keepdim=True) + 1e-5
    torch.testing.assert_close(table.alpha.detach(), (before - 1e-3 * step).clamp(0, 1))


def test_gates_learn_while_searching_alone():
    table = build("auto_srh", rate=0.3)
    warm, search, retrain = table.stages()
    for stage, learns in ((warm, False), (search, True), (retrain, False)):
        table.begin(stage, 10)
        assert table.alpha.requires_grad is learns
        assert stage.search is learns
    with torch.no_grad():
        table.alpha[:, 0] = 0.0
    table.end(search)
    assert int(table.mask.sum()) == table.entries and not table.mask[:, 0].any()
    whole = torch.arange(9)[:, None].expand(9, 3)
    assert torch.equal(table(whole) != 0, table.mask[whole + torch.tensor(table.shape.offsets)])
    torch.testing.assert_close(table.freeze()(whole), table(whole))


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("auto_srh", {"groups": 0}),
        ("auto_dim", {"alpha_lr": 0.0}),
        ("deep_light", {"every": 0}),
        ("int", {"scale": 0.0}),
        ("alpt", {"bits": 5}),
        ("alpt", {"scale": -1.0}),
    ],
)
def test_settings_out_of_range_are_named(method, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build(method, rate=1.0, **wrong)


def test_counts_are_needed_for_gates():
    with pytest.raises(ConfigError, match="needs counts"):
        CompressedEmbedding.build("auto_srh", [100], dim=4, rate=0.5)


def test_stages_are_described():
    assert Stage("train") == copy.copy(Stage("train")) and not Stage("train").search
    assert math.isclose(Stage("train").share, 1.0)
