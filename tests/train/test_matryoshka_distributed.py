"""Two processes draw the same sizes and have the gradients of one; the trainer tells the step."""

import pytest
import torch
from safetensors.torch import load_file

from vecsmith.train import ContrastiveLoss, Grid2D, StarbucksLoss, TwoDMatryoshkaLoss

QUERIES = ["open the valve", "red sensor cable", "pump", "close door"]
ANSWERS = ["how to open a valve", "cable of the sensor", "pumps", "door closed"]


def losses(model):
    base = ContrastiveLoss(model)
    return {
        "paper": TwoDMatryoshkaLoss(base, Grid2D(seed=5)),
        "ese": TwoDMatryoshkaLoss(base, Grid2D(preset="ese", rank=8)),
        "scores": StarbucksLoss(base, [(1, 8), (4, 32)]),
        "cached": StarbucksLoss(base, [(1, 8), (4, 32)], cached_mini_batch=1),
    }


SCRIPT = """
import importlib.util, os, sys
import torch, torch.distributed as dist
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

folder, rank = sys.argv[1], int(os.environ["RANK"])
spec = importlib.util.spec_from_file_location("shared", sys.argv[2])
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
model = SentenceTransformer(f"{folder}/model", device="cpu").eval()
part, found = slice(2 * rank, 2 * rank + 2), {}
for name, loss in shared.losses(model).items():
    model.zero_grad()
    texts = (shared.QUERIES[part], shared.ANSWERS[part])
    loss([model.preprocess(column) for column in texts]).backward()
    for place, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[f"{name} {place}"] = parameter.grad.clone()
for tensor in found.values():
    dist.all_reduce(tensor)
    tensor /= 2
if rank == 0:
    save_file(found, f"{folder}/found.safetensors")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(run_two, layered_model, tmp_path) -> None:
    model = layered_model()
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    run_two(SCRIPT, __file__)
    found, compared = load_file(tmp_path / "found.safetensors"), 0
    for name, loss in losses(model).items():
        model.zero_grad()
        loss([model.preprocess(column) for column in (QUERIES, ANSWERS)]).backward()
        for place, parameter in model.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(
                    found[f"{name} {place}"], parameter.grad, rtol=1e-3, atol=1e-5
                )
                compared += 1
    assert compared == len(found) > 100


def test_trainer_tells_the_step(layered_model, tmp_path) -> None:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    model = layered_model()
    loss = TwoDMatryoshkaLoss(ContrastiveLoss(model), Grid2D(seed=2))
    drawn = []
    inner = loss.row_losses
    loss.row_losses = lambda batch: (drawn.append((loss.step, loss.drawn())), inner(batch))[1]
    before = [p.detach().clone() for p in model.parameters()]
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=2,
            report_to="none",
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict({"query": QUERIES, "answer": ANSWERS}),
        loss=loss,
        callbacks=[loss.progress_callback()],
    )
    trainer.train()
    assert [step for step, _ in drawn] == [0, 1, 2] and loss.progress == pytest.approx(2 / 3)
    again = TwoDMatryoshkaLoss(ContrastiveLoss(model), Grid2D(seed=2))
    for step, size in drawn:
        # a run that is resumed at this step draws the same
        again.set_progress(step, 3)
        assert again.drawn() == size
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > 50
