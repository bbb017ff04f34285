"""mergekit's methods on our models: where both have a formula, they agree."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError
from vecsmith.reshape import MergeSet
from vecsmith.reshape.merge import average as ours_average
from vecsmith.reshape.merge import merge_folders, mergekit, mergekit_methods, slerp, ties

Move = Callable[..., nn.Module]


@pytest.fixture
def ms(small: nn.Module, moved: Move) -> MergeSet:
    return MergeSet(small, {name: moved(small, seed) for seed, name in enumerate("abc")})


def close(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-6, atol=1e-8)


def test_linear_is_the_average(ms: MergeSet) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 5.0}
    theirs = dict(mergekit(ms, name="linear", parameters={"weight": weights}))
    close(theirs, dict(ours_average(ms, weights=weights)))
    even = dict(mergekit(ms, name="linear", parameters={"weight": 1.0}))
    close(even, dict(ours_average(ms)))


def test_task_arithmetic(ms: MergeSet) -> None:
    found = ms.merge("mergekit", name="task_arithmetic", parameters={"weight": 0.4, "lambda": 0.5})
    plain = ms.merge("task_arithmetic", scale=0.2)
    close(dict(found.state_dict()), dict(plain.state_dict()))
    assert found.merge_recipe["settings"]["name"] == "task_arithmetic"


def test_ties_of_single_tensors(ms: MergeSet) -> None:
    # a part of 1 / 8 is the same number of entries for both ways of rounding
    theirs = dict(mergekit(ms, name="ties", parameters={"weight": 1.0, "density": 1.0}))
    close(theirs, dict(ties(ms, density=1.0, per_tensor=True)))


def test_slerp_of_two_models(small: nn.Module, moved: Move) -> None:
    first, second = moved(small, 1), moved(small, 2)
    theirs = dict(
        mergekit(
            MergeSet(first, {"b": second}, same_base=False), name="slerp", parameters={"t": 0.3}
        )
    )
    pair = MergeSet(small, {"a": first, "b": second})
    ours = dict(slerp(pair, t=0.3, around="zero", per_tensor=True))
    for name, value in theirs.items():
        torch.testing.assert_close(value, ours[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["della", "dare_linear"])
def test_draws_are_repeatable(name: str, ms: MergeSet) -> None:
    settings = {"weight": 1.0, "density": 0.5}
    state = torch.random.get_rng_state()
    first = dict(mergekit(ms, name=name, parameters=settings, seed=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    close(first, dict(mergekit(ms, name=name, parameters=settings, seed=1)))
    other = dict(mergekit(ms, name=name, parameters=settings, seed=2))
    assert not torch.equal(first["up.weight"], other["up.weight"])


NEEDED = {"weight": 1.0, "t": 0.5}


@pytest.mark.parametrize("name", sorted(mergekit_methods()))
def test_each_method_runs(name: str, small: nn.Module, moved: Move) -> None:
    taken = mergekit_methods()[name]
    pairs = ("slerp", "nearswap", "arcee_fusion", "passthrough")
    count = 1 if name in pairs else 2 if name == "nuslerp" else 3
    few = MergeSet(small, {f"e{i}": moved(small, i) for i in range(count)})
    given = {key: value for key, value in NEEDED.items() if key in taken}
    found = dict(mergekit(few, name=name, parameters=given))
    assert found.keys() == set(few.names)
    assert all(value.isfinite().all() and value.dtype == torch.float64 for value in found.values())


def test_folders_are_merged_too(minilm_folder: Path, tmp_path: Path) -> None:
    out = merge_folders(
        minilm_folder,
        {"a": minilm_folder},
        tmp_path / "out",
        "mergekit",
        name="linear",
        parameters={"weight": 1.0},
        include=r"layer\.0\.attention\.self\.query",
    )
    assert (out / "modules.json").is_file() and (out / "merge.json").is_file()


def test_what_mergekit_does_not_take_is_told(ms: MergeSet) -> None:
    with pytest.raises(ConfigError, match=r"no method 'dela'.*della"):
        dict(mergekit(ms, name="dela"))
    with pytest.raises(ConfigError, match="'slerp' refuses"):
        dict(mergekit(ms, name="slerp", parameters={"t": 0.5}))
    with pytest.raises(ConfigError, match="Unknown parameter"):
        dict(mergekit(ms, name="linear", parameters={"weight": 1.0, "sale": 1.0}))
    with pytest.raises(ConfigError, match="names 'd'"):
        dict(mergekit(ms, name="linear", parameters={"weight": {"a": 1.0, "d": 1.0}}))
    with pytest.raises(ConfigError, match="refuses: Missing"):
        dict(mergekit(ms, name="della"))
