"""The rules against hand-computed cases and naive loops."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, torch_generator
from vecsmith.reshape import MergeSet
from vecsmith.reshape import merge as room
from vecsmith.reshape.merge import Probe, diagonal_fisher
from vecsmith.reshape.merge._dare import drop_and_rescale
from vecsmith.reshape.merge._fisher import fisher_mean
from vecsmith.reshape.merge._regmean import collect_grams, regression_mean
from vecsmith.reshape.merge._slerp import arc_factors
from vecsmith.reshape.merge._ties import elect_and_average, kth_largest, threshold

Move = Callable[..., nn.Module]


def whole(rule: Callable) -> Callable:
    """A rule that gives all its tensors at once."""
    return lambda ms, **settings: dict(rule(ms, **settings))


average, dare, slerp, ties = map(whole, (room.average, room.dare, room.slerp, room.ties))


def arc(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    cosine = torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)
    one, two = arc_factors(float(cosine), t)
    return one * first + two * second


class Numbers(nn.Module):
    """A model that is one row of numbers."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def numbers(base: list[float], **experts: list[float]) -> MergeSet:
    tuned = {name: Numbers(*values) for name, values in experts.items()}
    return MergeSet(Numbers(*base), tuned)


def test_average_and_task_arithmetic_by_hand() -> None:
    ms = numbers([1.0, 1.0], a=[3.0, 1.0], b=[1.0, 5.0])
    assert average(ms)["row"].tolist() == [2.0, 3.0]
    assert average(ms, weights={"a": 3.0, "b": 1.0})["row"].tolist() == [2.5, 2.0]
    scaled = ms.merge("task_arithmetic", scale=0.5)
    assert scaled.row.tolist() == [2.0, 3.0]
    assert ms.merge("task_arithmetic", scale=1.0).row.tolist() == [3.0, 5.0]
    with pytest.raises(ConfigError, match="not all 0"):
        average(ms, weights={"a": 0.0, "b": 0.0})


def test_slerp_by_hand() -> None:
    # a quarter circle: the middle is at 45 degrees, with the length kept
    ms = numbers([0.0, 0.0], a=[2.0, 0.0], b=[0.0, 2.0])
    half = math.sqrt(2.0)
    for around in ("base", "zero"):
        for per_tensor in (False, True):
            merged = slerp(ms, around=around, per_tensor=per_tensor)["row"]
            torch.testing.assert_close(merged, torch.tensor([half, half], dtype=torch.float64))
    third = slerp(ms, t=1 / 3)["row"]
    expected = [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)]
    torch.testing.assert_close(third, torch.tensor(expected, dtype=torch.float64))
    # parallel ends: the chord
    line = numbers([0.0, 0.0], a=[1.0, 1.0], b=[3.0, 3.0])
    torch.testing.assert_close(
        slerp(line, t=0.25)["row"], torch.tensor([1.5, 1.5], dtype=torch.float64)
    )
    # three unit axes folded in evenly keep unit length
    three = numbers([0.0] * 3, a=[1.0, 0, 0], b=[0, 1.0, 0], c=[0, 0, 1.0])
    side = math.cos(math.pi / 6) / half
    assert slerp(three)["row"].tolist() == pytest.approx([side, side, 0.5])
    with pytest.raises(ConfigError, match="exactly two experts"):
        slerp(three, t=0.5)
    with pytest.raises(ConfigError, match="around"):
        slerp(ms, around="moon")


def test_slerp_angle_is_the_models_or_the_tensors(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    whole, parts = slerp(ms), slerp(ms, per_tensor=True)
    for name, start, deltas in ms.tensors():
        torch.testing.assert_close(parts[name], start + arc(deltas[0], deltas[1], 0.5))
    a, b = (torch.cat([ms.delta(t, n).flatten() for n in ms.names]) for t in ms.tasks)
    flat = torch.cat([(whole[n] - ms.start(n)).flatten() for n in ms.names])
    torch.testing.assert_close(flat, arc(a, b, 0.5))


def test_ties_by_hand() -> None:
    # deltas a: 4 -3 1 .1, b: -1 -5 2 .2; density .5 keeps 4 -3 of a and -5 2 of b
    ms = numbers([10.0] * 4, a=[14.0, 7.0, 11.0, 10.1], b=[9.0, 5.0, 12.0, 10.2])
    assert ties(ms, density=0.5)["row"].tolist() == [14.0, 6.0, 12.0, 10.0]
    assert ties(ms, density=0.5, scale=2.0)["row"].tolist() == [18.0, 2.0, 14.0, 10.0]
    # all kept: 4 beats -1; -3 and -5 agree; 1 and 2 agree
    expected = torch.tensor([14.0, 6.0, 11.5, 10.15], dtype=torch.float64)
    torch.testing.assert_close(ties(ms, density=1.0)["row"], expected)
    with pytest.raises(ConfigError, match="density"):
        ties(ms, density=0.0)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_ties_against_a_naive_loop(small: nn.Module, per_tensor: bool, moved: Move) -> None:
    ms = MergeSet(small, {str(i): moved(small, i) for i in range(1, 4)})
    merged = ties(ms, density=0.3, scale=0.7, per_tensor=per_tensor)
    vectors = [ms.task_vector(task) for task in ms.tasks]

    def cut(vector: dict, name: str) -> float:
        chosen = [vector[name]] if per_tensor else list(vector.values())
        flat = sorted((abs(x) for v in chosen for x in v.flatten().tolist()), reverse=True)
        return flat[max(1, round(0.3 * len(flat))) - 1]

    for name in ms.names:
        flat = ms.start(name).flatten().tolist()
        for i in range(len(flat)):
            values = [v[name].flatten()[i].item() for v in vectors]
            kept = [
                x if abs(x) >= cut(v, name) else 0.0 for x, v in zip(values, vectors, strict=True)
            ]
            total = sum(kept)
            agree = [x for x in kept if x * total > 0]
            flat[i] += 0.7 * sum(agree) / len(agree) if agree else 0.0
        expected = torch.tensor(flat, dtype=torch.float64)
        torch.testing.assert_close(merged[name].flatten(), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
def test_kth_largest_equals_sorting(kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(40, 3, generator=generator).abs().to(kind) for _ in range(3)]
    parts.append(torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 1e-3], dtype=kind))
    flat = torch.cat([part.flatten() for part in parts]).sort(descending=True).values
    for kept in (1, 2, 50, 100, len(flat)):
        assert kth_largest(lambda: iter(parts), kept) == flat[kept - 1]


def test_three_vectors_are_folded_as_one_after_the_other(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {name: moved(small, seed) for seed, name in enumerate("abc")})
    a, b, c = (torch.cat([v.flatten() for v in ms.task_vector(t).values()]) for t in "abc")
    expected = arc(arc(a, b, 0.5), c, 1 / 3)
    found = slerp(ms)
    flat = torch.cat([(found[name] - ms.start(name)).flatten() for name in ms.names])
    torch.testing.assert_close(flat, expected)


def test_ties_weights_and_ties_of_magnitude() -> None:
    share = torch.tensor([0.75, 0.25], dtype=torch.float64)
    deltas = torch.tensor([[1.0, 1.0, 0.0], [3.0, -2.0, 0.0]], dtype=torch.float64)
    # (0.75 * 1 + 0.25 * 3) / 1; then +0.75 beats -0.5; then nothing
    assert elect_and_average(deltas, share).tolist() == [1.5, 1.0, 0.0]
    assert float(threshold(torch.tensor([1.0, 1.0, 1.0, 2.0]), 0.5)) == 1.0


def test_dare_drops_and_rescales() -> None:
    ones = torch.ones(200_000)
    dropped = drop_and_rescale(ones, 0.1, torch_generator(0))
    assert set(dropped.unique().tolist()) == {0.0, 10.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    ms = numbers([0.0, 0.0], a=[1.0, 2.0], b=[3.0, 4.0])
    assert torch.equal(dare(ms, density=1.0)["row"], average(ms)["row"])
    assert torch.equal(dare(ms, density=1.0, elect="sign")["row"], ties(ms, density=1.0)["row"])
    assert torch.equal(dare(ms, density=0.5, seed=3)["row"], dare(ms, density=0.5, seed=3)["row"])
    with pytest.raises(ConfigError, match="elect"):
        dare(ms, elect="vote")


def test_fisher_by_hand() -> None:
    tensors = torch.tensor([[1.0, 2.0, 5.0], [3.0, 6.0, 7.0]], dtype=torch.float64)
    fishers = torch.tensor([[1.0, 3.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    share = torch.tensor([0.5, 0.5], dtype=torch.float64)
    merged = fisher_mean(tensors, fishers, share, 1e-9)
    torch.testing.assert_close(merged, torch.tensor([2.0, 3.0, 6.0], dtype=torch.float64))
    # the share doubles the first
    uneven = fisher_mean(tensors, fishers, torch.tensor([2 / 3, 1 / 3]).double(), 0.0)
    assert float(uneven[0]) == pytest.approx((2 * 1 + 1 * 3) / 3)


def squared(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def rows(seed: int, count: int = 12) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return list(zip(x, y, strict=True))


def test_fisher_of_a_model_is_the_mean_squared_gradient(small: nn.Module, moved: Move) -> None:
    probe = Probe(small, squared, {"t": rows(0)}, batch=4)
    found = diagonal_fisher(probe, "t", ("up.weight", "down.bias"))
    expected = torch.zeros_like(small.up.weight)
    for start in (0, 4, 8):
        part = torch.utils.data.default_collate(rows(0)[start : start + 4])
        small.zero_grad()
        squared(small, part).backward()
        expected += small.up.weight.grad**2 / 3
    torch.testing.assert_close(found["up.weight"], expected)
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    data = {"a": rows(1), "b": rows(2)}
    merged = ms.merge("fisher", data=data, loss=squared, batch=4)
    for name in ms.names:
        both = torch.stack([e.state_dict()[name] for e in ms.experts.values()])
        value = merged.state_dict()[name]
        assert bool((value >= both.min(0).values - 1e-12).all())
        assert bool((value <= both.max(0).values + 1e-12).all())
    with pytest.raises(ConfigError, match="exactly the experts"):
        ms.merge("fisher", data={"a": rows(1)}, loss=squared)


def test_regmean_minimises_the_output_error() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    inputs = torch.randn(2, 50, 4, generator=generator, dtype=torch.float64) * torch.tensor(
        [[[1.0, 2.0, 0.1, 1.0]], [[0.1, 1.0, 2.0, 1.0]]]
    )
    grams = inputs.transpose(1, 2) @ inputs / 50
    share = torch.tensor([0.5, 0.5], dtype=torch.float64)
    found = regression_mean(matrices, grams, share, 1.0)
    # least squares on all rows at once: X W^T = Y
    x = inputs.reshape(-1, 4)
    y = torch.cat([a @ m.T for a, m in zip(inputs, matrices, strict=True)])
    torch.testing.assert_close(found, torch.linalg.lstsq(x, y).solution.T, rtol=1e-5, atol=1e-6)
    # alike inputs: the plain mean
    same = regression_mean(matrices, grams[:1].repeat(2, 1, 1), share)
    torch.testing.assert_close(same, matrices.mean(0))
    # without off-diagonal numbers: a mean of columns, weighted by the inputs' mean squares
    power = grams.diagonal(dim1=1, dim2=2)[:, None, :]
    columns = (matrices * power).sum(0) / power.sum(0)
    torch.testing.assert_close(regression_mean(matrices, grams, share, 0.0), columns)
    # an input that never fires does not break the solution
    dead = (
        grams
        * torch.tensor([1.0, 1.0, 1.0, 0.0])[None, None]
        * torch.tensor([1.0, 1.0, 1.0, 0.0]).reshape(1, 4, 1)
    )
    quiet = regression_mean(matrices, dead, share)
    torch.testing.assert_close(quiet[:, 3], matrices.mean(0)[:, 3], rtol=1e-5, atol=1e-6)


def test_regmean_of_models(small: nn.Module, moved: Move) -> None:
    probe = Probe(small, squared, {"t": rows(0)}, batch=5)
    grams = collect_grams(probe, "t")
    x = torch.stack([a for a, _ in rows(0)])[:10]
    torch.testing.assert_close(grams["up.weight"].double(), x.T @ x / 10, rtol=1e-5, atol=1e-6)
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 1)})
    merged = ms.merge("regmean", data={"a": rows(1), "b": rows(2)}, loss=squared)
    for name, value in ms.experts["a"].state_dict().items():
        torch.testing.assert_close(merged.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="shrink"):
        ms.merge("regmean", data={"a": rows(1), "b": rows(2)}, loss=squared, shrink=2.0)


@pytest.mark.parametrize("method", ["average", "slerp", "ties", "dare", "task_arithmetic"])
def test_rules_do_not_care_for_the_order_of_two_experts(
    small: nn.Module, method: str, moved: Move
) -> None:
    a, b = moved(small, 1), moved(small, 2)
    settings = {"density": 1.0} if method == "dare" else {}
    one = MergeSet(small, {"a": a, "b": b}).merge(method, **settings)
    two = MergeSet(small, {"b": b, "a": a}).merge(method, **settings)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value)
