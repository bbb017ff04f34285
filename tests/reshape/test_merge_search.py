"""Greedy soups and random search: what they keep, and that they only follow the score."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError
from vecsmith.reshape import MergeSet
from vecsmith.reshape.merge import greedy_soup, searched_merge

Move = Callable[..., nn.Module]


def three(small: nn.Module, moved: Move) -> MergeSet:
    return MergeSet(small, {name: moved(small, seed) for seed, name in enumerate("abc", 1)})


def near(target: nn.Module) -> Callable[[nn.Module], float]:
    """Distance to a model: lower is better."""

    def distance(model: nn.Module) -> float:
        return float((model.up.weight - target.up.weight).detach().norm())

    return distance


def test_soup_keeps_what_helps_and_leaves_what_harms(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    target = ms.merge("average", weights={"a": 1.0, "b": 0.0, "c": 1.0})
    soup, kept = greedy_soup(ms, near(target), higher_is_better=False)
    assert set(kept) == {"a", "c"}
    assert torch.allclose(soup.up.weight, target.up.weight)
    assert soup.merge_recipe["method"] == "average"
    assert soup.merge_recipe["settings"]["weights"] == {"a": 1.0, "b": 0.0, "c": 1.0}


def test_soup_starts_with_the_best_and_asks_little(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    asked = []

    def score(model: nn.Module) -> float:
        asked.append(model)
        return -near(ms.experts["b"])(model)

    soup, kept = greedy_soup(ms, score)
    assert kept == ("b",) and len(asked) == 5
    assert torch.allclose(soup.up.weight, ms.experts["b"].up.weight)


def test_soup_takes_an_expert_that_changes_nothing(small: nn.Module, moved: Move) -> None:
    _, kept = greedy_soup(three(small, moved), lambda model: 1.0)
    assert kept == ("a", "b", "c")


def test_soup_of_one_expert_is_that_expert(small: nn.Module, moved: Move) -> None:
    soup, kept = greedy_soup(MergeSet(small, {"a": moved(small, 1)}), lambda model: 0.0)
    assert kept == ("a",) and torch.allclose(soup.up.weight, moved(small, 1).up.weight)


def test_search_comes_near_a_point_between_the_experts(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    weights = {"a": 0.8, "b": 0.2}
    target = ms.merge("task_arithmetic", scale=0.7 / 2, weights=weights)
    best, chosen, scores = searched_merge(
        ms, near(target), trials=200, longest=1.5, higher_is_better=False
    )
    assert len(scores) == 200
    assert chosen["alpha"]["a"] == pytest.approx(0.8, abs=0.1)
    assert chosen["lambda"] == pytest.approx(0.7, abs=0.1)
    assert near(target)(best) == min(scores) < 0.2 * scores[0]


def test_search_builds_the_point_that_it_names(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    best, chosen, _ = searched_merge(ms, near(ms.experts["c"]), trials=7, higher_is_better=False)
    assert sum(chosen["alpha"].values()) == pytest.approx(1.0)
    for name in ms.names:
        moves = sum(chosen["alpha"][task] * ms.delta(task, name) for task in ms.tasks)
        expected = ms.start(name) + chosen["lambda"] * moves
        assert torch.allclose(best.state_dict()[name], expected)


def test_search_starts_at_the_average_and_repeats_by_seed(small: nn.Module, moved: Move) -> None:
    ms = three(small, moved)
    target = near(ms.experts["a"])
    once, again, other = (searched_merge(ms, target, trials=5, seed=s)[2] for s in (1, 1, 2))
    assert once == again and once[1:] != other[1:]
    assert once[0] == other[0] == pytest.approx(target(ms.merge("average")))


@pytest.mark.parametrize("settings", [{"trials": 0}, {"longest": 0.0}])
def test_bad_searches_are_named(small: nn.Module, moved: Move, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least 1 and longest above 0"):
        searched_merge(three(small, moved), lambda model: 0.0, **settings)
