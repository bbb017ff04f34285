"""OptEmbed: thresholds, sampled widths, evolution, dense tables."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.encode.tables import CompressedEmbedding, OptEmbed
from vecsmith.encode.tables._marks import find_marks, mark_bytes, store_marks
from vecsmith.encode.tables.shrinking import (
    EvolutionOptions,
    LongTailedStep,
    crossed,
    evolve,
    mutated,
)

SIZES = (50, 9, 2)


def build(**settings_) -> OptEmbed:
    settings_ = {"evolution": {"generations": 3, "mutations": 4, "crossovers": 4}, **settings_}
    return CompressedEmbedding.build("opt_embed", SIZES, dim=6, **settings_)


def ids(rows=40):
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.stack([rng.integers(0, size, rows) for size in SIZES], 1))


def offsets(table):
    return torch.tensor(table.shape.offsets)


def test_step_and_its_long_tailed_gradient():
    z = torch.tensor([-2.0, -0.7, -0.3, -0.1, 0.0, 0.2, 0.4, 0.9, 1.5], requires_grad=True)
    step = LongTailedStep.apply(z)
    assert step.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    step.sum().backward()
    expected = [0.0, 0.4, 0.8, 1.6, 2.0, 1.2, 0.4, 0.4, 0.0]
    torch.testing.assert_close(z.grad, torch.tensor(expected))


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("threshold", ["field", "value"])
def test_rows_below_their_threshold_are_masked(norm, threshold):
    table = build(norm=norm, threshold=threshold).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        table.thresholds.uniform_(0.2, 1.2).mul_(1.0 if norm == 1 else 0.45)
    given_ids, out = ids(), table(ids())
    for example in range(40):
        for field in range(3):
            row = int(given_ids[example, field]) + table.shape.offsets[field]
            vector = table.table[row]
            size = vector.abs().sum() if norm == 1 else vector.square().sum().sqrt()
            limit = table.thresholds[row if threshold == "value" else field]
            kept = bool(size > limit)
            expected = vector if kept else torch.zeros(6)
            torch.testing.assert_close(out[example, field], expected)
            assert bool(table.rows_mask()[row]) is kept
    assert 0 < int(table.rows_mask().sum()) < 61


def test_gradients_of_thresholds_by_hand():
    table = build().train()
    with torch.no_grad():
        table.thresholds.fill_(0.8)
    table.plan.settings.__dict__["widths"] = False
    target = torch.randn(1, 3, 6)
    one = torch.tensor([[3, 4, 1]])
    (table(one) * target).sum().backward()
    rows = (one + offsets(table))[0]
    for field, row in enumerate(rows):
        vector = table.table[row].detach()
        z = float(vector.abs().sum() - 0.8)
        slope = 2 - 4 * abs(z) if abs(z) <= 0.4 else 0.4 if abs(z) <= 1 else 0
        expected = -float((target[0, field] * vector).sum()) * slope
        assert float(table.thresholds.grad[field]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_each_example_and_field_draws_its_own_width():
    table = build().train()
    torch.manual_seed(0)
    out = table(torch.ones(6000, 3, dtype=torch.int64)).detach()
    widths = (out != 0).sum(-1)
    # prefixes, all widths equally often, fields independent
    full = table.table[torch.ones(3, dtype=torch.int64) + offsets(table)].detach()
    for width in range(1, 7):
        cut = out[:, 0][widths[:, 0] == width]
        assert torch.equal(cut[0], torch.cat([full[0, :width], torch.zeros(6 - width)]))
        assert len(cut) == pytest.approx(1000, abs=150)
    assert abs(float(torch.corrcoef(widths.T.double())[0, 1])) < 0.05
    assert torch.equal(table.eval()(torch.ones(1, 3, dtype=torch.int64))[0], full)


def test_thresholds_move_by_plain_gradient_descent():
    table = build(alpha=0.5, threshold_lr=0.1).train()
    (parameter,) = table.architecture()
    assert parameter is table.thresholds
    table(ids())
    penalty = table.penalty()
    assert float(penalty.detach()) == pytest.approx(0.5 * 3)
    penalty.backward()
    table.after_step(123.0)
    torch.testing.assert_close(table.thresholds.detach(), torch.full((3,), 0.05))
    assert table.thresholds.grad is None
    off = build(rows=False)
    assert off.penalty() is None and not off.architecture() and off.rows_mask().all()


# evolution


def test_evolution_finds_what_pays():
    wanted = (3, 1, 6, 2, 5)
    rng = np.random.default_rng(0)
    options = EvolutionOptions(generations=40)
    calls = []

    def score(dims):
        calls.append(dims)
        return -sum(abs(a - b) for a, b in zip(dims, wanted, strict=True))

    found = evolve(score, 5, 6, options=options, rng=rng)
    assert found.dims == wanted and found.score == 0
    assert found.seen == len(calls) == len(set(calls))
    best = [b for _, b in found.history]
    assert best == sorted(best) and len(best) == 41
    # what was remembered as best is what it scored, whatever came later
    assert all(a <= b for a, b in found.history) and best[-1] == score(found.dims)
    random = max(-sum(abs(a - b) for a, b in zip(d, wanted, strict=True)) for d in calls[:20])
    assert found.history[0][1] == random


def test_children_leave_their_parents_alone():
    rng = np.random.default_rng(0)
    parent = (1,) * 200
    child = mutated(parent, 8, 0.1, rng)
    assert parent == (1,) * 200
    # a tenth is drawn anew, an eighth of these to the same
    assert 8 < sum(a != b for a, b in zip(parent, child, strict=True)) < 30
    assert {1, 8} <= set(mutated(parent, 8, 1.0, rng)) <= set(range(1, 9))
    cuts = {crossed((1, 1, 1, 1), (2, 2, 2, 2), rng) for _ in range(100)}
    assert cuts == {(1, 2, 2, 2), (1, 1, 2, 2), (1, 1, 1, 2)}


def test_limits_are_kept():
    seen = []

    def score(dims):
        seen.append(dims)
        return sum(dims)

    options = EvolutionOptions(generations=10)
    rng = np.random.default_rng(0)
    found = evolve(score, 4, 16, options=options, rng=rng, allowed=lambda dims: sum(dims) <= 20)
    assert max(map(sum, seen)) <= 20 and sum(found.dims) >= 19
    with pytest.raises(ConfigError, match="raise the limit"):
        evolve(score, 4, 16, options=options, rng=rng, allowed=lambda dims: False)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"generations": -1}, "generations"),
        ({"mutations": 0, "crossovers": 0}, "mutations"),
        ({"p": 0.0}, "p must be"),
    ],
)
def test_options_of_evolution(wrong, named):
    with pytest.raises(ConfigError, match=named):
        EvolutionOptions(**wrong)


# dense tables


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_marks_are_counted(marks):
    mask = torch.tensor(marks)
    words, before = store_marks(mask)
    found, place = find_marks(words, before, torch.arange(len(marks)))
    assert torch.equal(found, mask)
    assert place.tolist() == [sum(marks[:i]) for i in range(len(marks))]
    assert 4 * (len(words) + len(before)) == mark_bytes(len(marks))


@pytest.mark.parametrize("rewind", [False, True])
def test_dense_tables_are_the_masked_supernet(rewind):
    table = build(rewind=rewind).eval()
    start = table.table.detach().clone()
    with torch.no_grad():
        table.table += 0.1 * torch.randn(61, 6)
        table.thresholds.copy_(torch.tensor([0.9, 0.5, 9.0]))
    learned = table.table.detach().clone()
    supernet, evolution, retrain = table.stages()
    table.end(supernet)
    assert evolution.select and retrain.fresh is rewind
    seen = []

    def score():
        seen.append(table.dims)
        return -abs(sum(table.dims) - 8.0)

    table.select(score)
    keep, dims = table.rows_mask(), table.dims
    assert table.evolution.dims == dims and sum(dims) == 8 and len(seen) == len(set(seen))
    masked = table(ids())
    frozen = table.freeze()
    torch.testing.assert_close(frozen(ids()), masked)
    table.begin(retrain, 10)
    expected = torch.where(keep[:, None], start if rewind else learned, 0.0)
    rows = ids() + offsets(table)
    inside = torch.arange(6) < torch.tensor(dims)[:, None]
    torch.testing.assert_close(table(ids()), expected[rows] * inside)
    if not rewind:
        torch.testing.assert_close(table(ids()), masked)
    # the last field has lost all its rows
    assert not table(ids())[:, 2].any() and not keep[-2:].any()
    kept = [int(part.sum()) for part in keep.split(SIZES)]
    numbers = sum(k * d for k, d in zip(kept, dims, strict=True))
    assert table.params(dims) == numbers
    assert frozen.nbytes() == 4 * numbers + mark_bytes(61)
    table.train()(ids()).sum().backward()
    assert all(p.grad is not None for p in table.dense.tables[:2])


def test_rows_alone_and_widths_alone():
    rows = build(widths=False)
    with torch.no_grad():
        rows.thresholds.fill_(0.9)
    rows.select(lambda: 1.0)
    assert rows.dims == (6, 6, 6) and rows.evolution is None and not rows.keep.all()
    widths = build(rows=False, max_params=200)
    widths.select(lambda: float(sum(widths.dims)))
    assert widths.keep.all() and widths.params(widths.dims) <= 200


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"threshold": "row"}, "threshold"),
        ({"norm": 3}, "norm"),
        ({"alpha": -1.0}, "alpha"),
        ({"threshold_lr": 0.0}, "threshold_lr"),
        ({"rate": 0.5}, "finds its own size"),
    ],
)
def test_settings_out_of_range_are_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        build(**wrong)
