import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vecsmith.train import GuideCache, GuidedContrastiveLoss

SCRIPT = """
import os, sys
import torch, torch.distributed as dist
from safetensors.torch import load_file, save_file
from vecsmith.train import GuideCache, GuidedContrastiveLoss

folder, rank = sys.argv[1], int(os.environ["RANK"])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
data = load_file(f"{folder}/data.safetensors")
cache = GuideCache(None, f"{folder}/guide")
part, found = slice(4 * rank, 4 * rank + 4), {}
for mode in ("all", "hard", "triplet"):
    weight = data["weight"].clone().requires_grad_()
    loss = GuidedContrastiveLoss(None, cache, temperature=0.3, negatives=mode)
    value = loss.score([data[n][part] @ weight for n in "qpn"], data["labels"][part])
    value.backward()
    found[f"grad-{mode}"], found[f"loss-{mode}"] = weight.grad, value.detach()[None]
for tensor in found.values():
    dist.all_reduce(tensor)
    tensor /= 2
if rank == 0:
    save_file(found, f"{folder}/found.safetensors")
dist.destroy_process_group()
"""


def test_two_processes_have_the_gradients_of_one(run_two, tmp_path):
    from safetensors.torch import save_file

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
    run_two(SCRIPT)
    found = load_file(tmp_path / "found.safetensors")
    for mode in ("all", "hard", "triplet"):
        weight = data["weight"].clone().requires_grad_()
        loss = GuidedContrastiveLoss(None, cache, temperature=0.3, negatives=mode)
        value = loss.score([data[n] @ weight for n in "qpn"], data["labels"])
        value.backward()
        torch.testing.assert_close(found[f"grad-{mode}"], weight.grad, rtol=1e-9, atol=1e-12)
        assert found[f"loss-{mode}"].item() == pytest.approx(value.item(), rel=1e-9)
        assert loss.stats()["masked_qp"] > 0
