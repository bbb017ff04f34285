"""Weights of rows: mean 1, easy first, hard last, the hardest tail guarded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.train import ContrastiveLoss, FocalWeights, ProgressiveWeights
from vecsmith.train.contrastive import progressive_weights

difficulties = st.lists(st.floats(-2, 2, allow_nan=False, width=32), min_size=2, max_size=40).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def naive(difficulty, u, beta):
    d = np.asarray(difficulty, dtype=np.float64)
    z = np.clip((d - d.mean()) / d.std(), -2, 2)
    e = np.exp(beta * (2 * u - 1) * z)
    return len(d) * e / e.sum()


@given(difficulties, st.floats(0, 1), st.floats(-2, 2))
def test_mean_is_one_and_order_follows_progress(difficulty, u, beta):
    weights = progressive_weights(difficulty, u, beta=beta, guard=1.0)
    assert weights.mean().item() == pytest.approx(1.0, rel=1e-9)
    if difficulty.std(correction=0) > 1e-6:
        np.testing.assert_allclose(weights, naive(difficulty, u, beta), rtol=1e-6)
    slope = beta * (2 * u - 1)
    order = difficulty.argsort()
    steps = weights[order].diff() * np.sign(slope)
    assert (steps >= -1e-9).all()


def test_half_way_all_rows_are_alike():
    weights = progressive_weights(torch.randn(50), 0.5, guard=0.9)
    torch.testing.assert_close(weights, torch.ones(50))


def test_guard_gives_the_hardest_tail_the_median():
    difficulty = torch.linspace(-0.5, 0.5, 101)
    guarded = progressive_weights(difficulty, 1.0, guard=0.95)
    free = progressive_weights(difficulty, 1.0, guard=1.0)
    assert free.argmax() == 100 and guarded.argmax() == 95
    assert guarded[96:].unique().numel() == 1
    median = (free.median() / free[20]).item()
    assert (guarded[100] / guarded[20]).item() == pytest.approx(median, rel=1e-5)
    assert guarded.mean().item() == pytest.approx(1.0, rel=1e-6)


def test_equal_rows_and_a_single_row_weigh_one():
    assert progressive_weights(torch.full((5,), 0.3), 1.0).tolist() == [1.0] * 5
    assert progressive_weights(torch.tensor([0.3]), 1.0).tolist() == [1.0]


def test_focal_weights():
    difficulty = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64)
    start, end = (FocalWeights(gamma=2.0, temperature=0.1)(difficulty, u) for u in (0.0, 1.0))
    assert start.tolist() == [1.0] * 3
    wrong = 1 / (1 + np.exp(-difficulty.numpy() / 0.1))
    np.testing.assert_allclose(end, wrong**2 / (wrong**2).mean(), rtol=1e-6)


def test_weighted_loss_is_a_weighted_mean(plain):
    q, p, n = (plain.draw(6, 8, seed=s).requires_grad_() for s in range(3))
    loss = ContrastiveLoss(None, temperature=0.2, weighting=ProgressiveWeights(guard=1.0))
    loss.set_progress(10, 10)
    rows, hardness = [], []
    cosine = [
        [plain.cosine(a, b) for b in [*p.detach().numpy(), *n.detach().numpy()]]
        for a in q.detach().numpy()
    ]
    for i, row in enumerate(cosine):
        rows.append(np.log(np.exp((np.array(row) - row[i]) / 0.2).sum()))
        hardness.append(max(v for j, v in enumerate(row) if j != i) - row[i])
    want = float((naive(hardness, 1.0, 1.0) * rows).mean())
    value = loss.score([q, p, n])
    assert value.item() == pytest.approx(want, rel=1e-9)
    # the weights carry no gradient
    weights = torch.from_numpy(naive(hardness, 1.0, 1.0))
    plain_loss = ContrastiveLoss(None, temperature=0.2)
    from vecsmith.train.contrastive import gathered_batch

    fixed = (plain_loss.row_losses(gathered_batch([q, p, n])) * weights).mean()
    got, ref = (torch.autograd.grad(v, q, retain_graph=True)[0] for v in (value, fixed))
    torch.testing.assert_close(got, ref)


def test_errors():
    with pytest.raises(ConfigError, match="quantile"):
        ProgressiveWeights(guard=0.2)
