"""Two processes draw the same sizes and have the gradients of one; the trainer tells the step."""

import pytest
import torch
from sentence_transformers import SentenceTransformer

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


def matryoshka(folder, rows):
    model, found = SentenceTransformer(f"{folder}/model", device="cpu").eval(), {}
    for name, loss in losses(model).items():
        model.zero_grad()
        loss([model.preprocess(column[rows]) for column in (QUERIES, ANSWERS)]).backward()
        for place, parameter in model.named_parameters():
            if parameter.grad is not None:
                found[f"{name} {place}"] = parameter.grad.clone()
    return found


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(mean_of_two, layered_model, tmp_path) -> None:
    layered_model().save_pretrained(str(tmp_path / "model"), create_model_card=False)
    found, wanted = mean_of_two(matryoshka, 2), matryoshka(tmp_path, slice(0, 4))
    assert found.keys() == wanted.keys() and len(found) > 100
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)


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
