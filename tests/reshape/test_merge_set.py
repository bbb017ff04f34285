"""What a MergeSet accepts, refuses, builds and saves."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, ModelError
from vecsmith.reshape import MergeSet
from vecsmith.reshape.merge import RULES, tuned_merge

Move = Callable[..., nn.Module]


def test_task_vectors_and_build(small: nn.Module, moved: Move) -> None:
    expert = moved(small, 1)
    ms = MergeSet(small, {"a": expert})
    vector = ms.task_vector("a")
    for name, value in small.state_dict().items():
        torch.testing.assert_close(vector[name], expert.state_dict()[name] - value)
    before = copy.deepcopy(small.state_dict())
    back = ms.build({name: ms.start(name) + vector[name] for name in ms.names})
    for name, value in expert.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value)
        assert torch.equal(small.state_dict()[name], before[name])
    assert not back.training


def test_include_and_exclude(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1)}, include=r"weight$", exclude="norm")
    assert ms.names == ("up.weight", "down.weight")
    merged = ms.merge("average")
    assert torch.equal(merged.up.bias, small.up.bias)
    assert torch.equal(merged.up.weight, ms.experts["a"].up.weight)
    with pytest.raises(ConfigError, match="leave no tensor"):
        MergeSet(small, {"a": moved(small, 1)}, include="nothing")


def test_tied_weights_are_merged_once(moved: Move) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(7, 4)
            self.out = nn.Linear(4, 7, bias=False)
            self.out.weight = self.table.weight

    base = Tied()
    ms = MergeSet(base, {"a": moved(base, 1)})
    assert ms.names == ("table.weight",)
    merged = ms.merge("average")
    assert merged.out.weight is merged.table.weight
    assert torch.equal(merged.out.weight, ms.experts["a"].table.weight)


def test_half_precision_is_merged_in_float32(moved: Move) -> None:
    base = nn.Linear(64, 64).to(torch.bfloat16)
    expert = moved(base, 1, 0.01)
    merged = MergeSet(base, {"a": expert}).merge("task_arithmetic", scale=0.5)
    exact = 0.5 * (base.weight.float() + expert.weight.float())
    assert merged.weight.dtype == torch.bfloat16
    assert torch.equal(merged.weight, exact.to(torch.bfloat16))


def test_buffers_are_merged_and_integers_must_agree() -> None:
    base = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    expert = copy.deepcopy(base)
    expert[1].running_mean += 2.0
    assert torch.equal(
        MergeSet(base, {"a": expert}).merge("task_arithmetic", scale=0.5)[1].running_mean,
        torch.ones(3),
    )
    expert[1].num_batches_tracked += 1
    with pytest.raises(ModelError, match="num_batches_tracked"):
        MergeSet(base, {"a": expert})


def test_misfits_are_named(small: nn.Module, stranger: nn.Module) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        MergeSet(small, {})
    other = nn.Sequential(nn.Linear(6, 8))
    with pytest.raises(ModelError, match=r"'x' has other tensors.*lacks \['down.bias'"):
        MergeSet(small, {"x": other})
    wide = copy.deepcopy(small)
    wide.down = nn.Linear(8, 6).double()
    with pytest.raises(ModelError, match=r"shape \(6, 8\) for 'down.weight' .* \(5, 8\)"):
        MergeSet(small, {"wide": wide})
    with pytest.raises(ModelError, match="does not come from this base"):
        MergeSet(small, {"stranger": stranger})
    MergeSet(small, {"stranger": stranger}, same_base=False)

    class Renamed(nn.Linear):
        pass

    same_keys = copy.deepcopy(small)
    same_keys.up = Renamed(6, 8).double()
    with pytest.raises(ModelError, match="Renamed at 'up'"):
        MergeSet(small, {"x": same_keys})


def test_unknown_rules_and_settings_are_named(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    with pytest.raises(ConfigError, match="did you mean 'ties'"):
        ms.merge("tie")
    with pytest.raises(ConfigError, match=r"no setting 'densty'; did you mean 'density'"):
        ms.merge("ties", densty=0.1)
    with pytest.raises(ConfigError, match="needs data, loss"):
        ms.merge("fisher")
    with pytest.raises(ConfigError, match="exactly the tasks"):
        ms.merge("average", weights={"a": 1.0})
    assert sorted(RULES) == list(RULES)


def test_tuned_merge_keeps_the_best(small: nn.Module, moved: Move) -> None:
    ms = MergeSet(small, {"a": moved(small, 1), "b": moved(small, 2)})
    target = ms.merge("task_arithmetic", scale=0.5).up.weight

    def distance(model: nn.Module) -> float:
        return float((model.up.weight - target).detach().norm())

    grid = [{"scale": s} for s in (0.1, 0.5, 0.9)]
    best, chosen, scores = tuned_merge(
        ms, "task_arithmetic", grid, distance, higher_is_better=False
    )
    assert chosen == {"scale": 0.5}
    assert scores[1] == 0.0 and min(scores[0], scores[2]) > 0
    assert torch.equal(best.up.weight, target)
    worst, chosen, _ = tuned_merge(ms, "task_arithmetic", grid, distance)
    assert chosen["scale"] in {0.1, 0.9} and not torch.equal(worst.up.weight, target)


@pytest.mark.slow
def test_sentence_transformer_saves_with_its_recipe(
    minilm_folder: Path, tmp_path: Path, moved: Move
) -> None:
    from sentence_transformers import SentenceTransformer

    base = SentenceTransformer(str(minilm_folder), device="cpu")
    expert = moved(base, 1, 0.001)
    ms = MergeSet(base, {"a": expert})
    merged = ms.merge("task_arithmetic", scale=0.5)
    merged.save_pretrained(str(tmp_path / "merged"))
    recipe = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert recipe["method"] == "task_arithmetic" and recipe["settings"] == {"scale": 0.5}
    assert set(recipe["experts"]) == {"a"}
    assert len(recipe["base"]["weights"]) == 64
    assert recipe["base"]["weights"] != recipe["experts"]["a"]["weights"]
    loaded = SentenceTransformer(str(tmp_path / "merged"), device="cpu")
    text = ["a dog barks", "une maison"]
    ours = merged.encode(text, convert_to_tensor=True)
    assert torch.equal(loaded.encode(text, convert_to_tensor=True), ours)
    assert not torch.equal(base.encode(text, convert_to_tensor=True), ours)
    assert [type(m).__name__ for m in loaded] == ["Transformer", "Pooling", "Normalize"]

    expert.prompts = {"query": "search: ", "document": ""}
    with pytest.raises(ModelError, match="prompts"):
        MergeSet(base, {"a": expert})
    expert.prompts = dict(base.prompts)
    from sentence_transformers.sentence_transformer.modules import Pooling

    expert[1] = Pooling(384, pooling_mode="cls")
    with pytest.raises(ModelError, match="pooling_mode = 'cls'"):
        MergeSet(base, {"a": expert})
