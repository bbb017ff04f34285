import numpy as np
import torch
from safetensors.torch import load_file, save_file

from vecsmith.train import GuideCache, GuidedContrastiveLoss

MODES = ("all", "hard", "triplet")


def guided(folder, rows):
    data = load_file(f"{folder}/data.safetensors")
    cache, found = GuideCache(None, f"{folder}/guide"), {}
    for mode in MODES:
        weight = data["weight"].clone().requires_grad_()
        loss = GuidedContrastiveLoss(None, cache, temperature=0.3, negatives=mode)
        value = loss.score([data[n][rows] @ weight for n in "qpn"], data["labels"][rows])
        value.backward()
        assert loss.stats()["masked_qp"] > 0
        found[f"grad-{mode}"], found[f"loss-{mode}"] = weight.grad, value.detach()[None]
    return found


def test_two_processes_have_the_gradients_of_one(mean_of_two, tmp_path):
    g = torch.Generator().manual_seed(0)
    data = {n: torch.randn(8, 6, generator=g, dtype=torch.float64) for n in ("q", "p", "n")}
    data["weight"] = torch.randn(6, 5, generator=g, dtype=torch.float64)
    texts = {n: [f"{n}{i}" for i in range(8)] for n in ("q", "p", "n")}
    cache = GuideCache.from_vectors(
        [t for rows in texts.values() for t in rows],
        np.random.default_rng(0).normal(size=(24, 4)),
        tmp_path / "guide",
    )
    data["labels"] = torch.from_numpy(cache.labels(texts))
    save_file(data, tmp_path / "data.safetensors")
    found, wanted = mean_of_two(guided, 4), guided(tmp_path, slice(0, 8))
    assert found.keys() == wanted.keys() and len(found) == 2 * len(MODES)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12)
