import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError
from vecsmith.train import LISTWISE, listwise_loss


def naive(name, teacher, student, mask, temperature):
    """The loss by loops in double precision."""
    losses = []
    for row in range(len(teacher)):
        t = [v / temperature for v, m in zip(teacher[row], mask[row], strict=True) if m]
        s = [v / temperature for v, m in zip(student[row], mask[row], strict=True) if m]
        p = [math.exp(v) / sum(math.exp(w) for w in t) for v in t]
        q = [math.exp(v) / sum(math.exp(w) for w in s) for v in s]
        pairs = [(a, b) for a in range(len(t)) for b in range(len(t))]
        ordered = [(a, b) for a, b in pairs if t[a] > t[b]]
        if name == "listnet":
            losses.append(-sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
        if name == "kl":
            losses.append(sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)))
        if name == "mse":
            losses.append(sum((a - b) ** 2 for a, b in zip(t, s, strict=True)) / len(t))
        if name == "margin_mse":
            gaps = [((t[a] - t[b]) - (s[a] - s[b])) ** 2 for a, b in pairs]
            losses.append(sum(gaps) / len(gaps))
        if name == "ranknet":
            terms = [
                (t[a] - t[b]) * math.log(1 / (1 + math.exp(-(s[a] - s[b])))) for a, b in ordered
            ]
            losses.append(-sum(terms) / max(len(terms), 1))
    return sum(losses) / len(losses)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(LISTWISE)), st.integers(0, 999), st.floats(0.2, 3.0))
def test_equals_the_loop(name, seed, temperature):
    rng = np.random.default_rng(seed)
    teacher, student = rng.normal(size=(2, 3, 6))
    mask = rng.uniform(size=(3, 6)) < 0.6
    mask[:, 2] = True
    found = listwise_loss(
        torch.from_numpy(teacher),
        torch.from_numpy(student),
        name,
        mask=torch.from_numpy(mask),
        temperature=temperature,
    )
    assert found.item() == pytest.approx(naive(name, teacher, student, mask, temperature))


@pytest.mark.parametrize("name", sorted(LISTWISE))
def test_gradients(name):
    torch.manual_seed(0)
    teacher = torch.randn(2, 5, dtype=torch.float64)
    student = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 1, 1, 1]], dtype=torch.bool)
    torch.autograd.gradcheck(lambda s: listwise_loss(teacher, s, name, mask=mask), student)
    listwise_loss(teacher, student, name, mask=mask).backward()
    assert student.grad.isfinite().all()
    assert (student.grad[~mask] == 0).all()


@pytest.mark.parametrize("name", sorted(LISTWISE))
def test_a_perfect_student_has_nothing_to_learn_but_from_ranknet(name):
    torch.manual_seed(0)
    teacher = torch.randn(2, 5)
    student = teacher.clone().requires_grad_()
    listwise_loss(teacher, student, name).backward()
    assert (student.grad.abs().max() < 1e-6) == (name != "ranknet")


def test_bad_arguments_are_named():
    scores = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="did you mean 'listnet'"):
        listwise_loss(scores, scores, "listnets")
    with pytest.raises(ConfigError, match="same candidates"):
        listwise_loss(scores, scores[:, :2])
    with pytest.raises(ConfigError, match="temperature"):
        listwise_loss(scores, scores, temperature=0)
