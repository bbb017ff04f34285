"""The claim of ConVIRT: what its arms compute, and a quick run."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vecsmith.claims import convirt, run_claim
from vecsmith.claims._image_arms import nt_xent


def test_nt_xent_matches_a_plain_loop():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 3))
    both = np.concatenate([first, second])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    total = 0.0
    for i in range(8):
        others = [np.exp(both[i] @ both[k] / 0.2) for k in range(8) if k != i]
        total -= np.log(np.exp(both[i] @ both[(i + 4) % 8] / 0.2) / sum(others))
    got = nt_xent(torch.from_numpy(first), torch.from_numpy(second), 0.2)
    assert float(got) == pytest.approx(total / 8, rel=1e-5)


def test_nt_xent_stays_on_the_device_of_its_vectors():
    rows = torch.ones(3, 2, device="meta")
    assert nt_xent(rows, rows).device.type == "meta"


def test_parts_of_concepts_have_the_mean_of_pictures():
    world = SimpleNamespace(emoji={"concept": list("aaabbc")})
    correct = np.array([True, True, False, True, False, False])
    parts = convirt.concept_parts(correct, world, np.arange(6))
    assert parts.shape == (3,) and parts.mean() == pytest.approx(0.5)
    assert parts.tolist() == pytest.approx([0.75, 0.5, 0.25])


@pytest.mark.slow
def test_no_concept_is_on_both_sides_and_the_split_is_the_same_for_all_seeds():
    worlds = [convirt.make_world(seed, quick=True) for seed in (0, 1)]
    for world in worlds:
        sides = [{world.emoji["concept"][i] for i in rows} for rows in (world.train, world.test)]
        assert not sides[0] & sides[1] and len(sides[1]) == 368
    assert np.array_equal(worlds[0].test, worlds[1].test)
    texts = convirt.sentences(worlds[0].emoji, 700)
    assert texts == convirt.sentences(worlds[1].emoji, 700)
    assert texts[0] == worlds[0].emoji["name"][700] and len(texts) == 3


@pytest.mark.slow
def test_quick_run():
    result = run_claim("convirt", seeds=2, quick=True)
    assert result["holds"] is False and result["notes"]
    extra = result["extra_by_seed"][0]
    for arm in ("random", "out of domain", "convirt"):
        assert 0.05 < extra[f"linear 10% {arm}"] < extra[f"linear 100% {arm}"] < 1
    assert {"finetune 10% convirt", "linear 10% simclr, seed 0"} <= set(extra)
    assert "linear 10% simclr, seed 0" not in result["extra_by_seed"][1]
