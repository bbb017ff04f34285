"""The doctor on runs that are broken on purpose."""

import math

import numpy as np
import pytest
import torch

from vecsmith.core import DataError
from vecsmith.train import ContrastiveLoss
from vecsmith.train.doctor import (
    DoctorCallback,
    TrainingError,
    gradient_findings,
    loss_findings,
    space_findings,
    space_health,
)


def test_space_by_hand():
    # four axes, evenly used: no two alike
    health = space_health(np.concatenate([np.eye(4), -np.eye(4)]))
    assert health.anisotropy == pytest.approx(-1 / 7) and health.dims_in_use == pytest.approx(4.0)
    assert health.dead_dims == 0.0
    flat = space_health([[1, 0, 0, 0], [-1, 0, 0, 0], [0.6, 0.8, 0, 0], [0.6, -0.8, 0, 0]])
    assert flat.dead_dims == 0.5 and flat.dims_in_use < 2.01
    same = space_health(np.ones((5, 3)))
    assert same.anisotropy == pytest.approx(1.0) and same.dims_in_use == 1.0
    rng = np.random.default_rng(0).normal(size=(30, 8))
    unit = rng / np.linalg.norm(rng, axis=1, keepdims=True)
    loop = np.mean([unit[i] @ unit[j] for i in range(30) for j in range(30) if i != j])
    values = np.linalg.eigvalsh(np.cov(unit.T))
    health = space_health(rng)
    assert health.anisotropy == pytest.approx(loop)
    assert health.dims_in_use == pytest.approx(values.sum() ** 2 / (values**2).sum())
    for bad in ([[1.0, 2.0]], [[np.nan, 1.0], [1.0, 2.0]]):
        with pytest.raises(DataError, match="finite"):
            space_health(bad)


def test_losses():
    rng = np.random.default_rng(0)
    assert loss_findings([1.0] * 10) == []
    (nan,) = loss_findings([1.0, math.nan])
    assert nan.level == "error" and "learning rate" in nan.advice
    (zero,) = loss_findings([1e-5] * 50)
    assert zero.level == "warning" and "harder negatives" in zero.advice
    chance = math.log(32)
    (flat,) = loss_findings(list(chance + 0.01 * rng.normal(size=60)), chance)
    assert flat.level == "error" and "chance" in flat.text
    (falling,) = loss_findings(list(np.linspace(3, 1, 60)), chance)
    assert falling.level == "fine"
    (rising,) = loss_findings(list(np.linspace(1, 3, 60)))
    assert rising.level == "warning" and "rose" in rising.text


def test_gradients():
    assert gradient_findings([]) == []
    assert gradient_findings([0.0] * 5)[0].level == "error"
    assert gradient_findings([1.0] * 20)[0].level == "fine"
    assert gradient_findings([1.0] * 20 + [500.0])[0].level == "warning"


def test_growing_anisotropy_names_the_start():
    start, now = space_health(np.eye(16)), space_health(np.ones((16, 16)) + 0.1 * np.eye(16))
    found = {f.name: f for f in space_findings(now, start)}
    assert found["anisotropy"].level == "error" and "at the start" in found["anisotropy"].text


class Pull(ContrastiveLoss):
    """Broken on purpose: pulls everything together."""

    def row_losses(self, batch):
        query = batch.local[0]
        return 1 - torch.cosine_similarity(query, batch.pool[1].mean(0, keepdim=True).detach())


class Spoilt(ContrastiveLoss):
    """Broken on purpose: not a number from the third step on."""

    def row_losses(self, batch):
        losses = super().row_losses(batch)
        return losses * float("nan") if self.step >= 2 else losses


def run(tiny_model, tmp_path, make, *, steps=24, rate=1e-2, frozen=False, save=12):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    student = tiny_model(3, tmp_path)
    student.requires_grad_(not frozen)
    words = "heart bone liver skin brain eye ear hand foot lung blood nerve".split()
    texts = [f"{a} {b}" for a in words for b in words]
    data = Dataset.from_dict({"q": texts, "p": [t + " pain" for t in texts]})
    doctor = DoctorCallback(student, texts[:40], chance=math.log(12))
    loss = make(student)
    trainer = SentenceTransformerTrainer(
        model=student,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"),
            max_steps=steps,
            per_device_train_batch_size=12,
            learning_rate=rate,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_steps=save,
            report_to="none",
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
        ),
        train_dataset=data,
        loss=loss,
        callbacks=[doctor, loss.progress_callback()],
    )
    trainer.train()
    return {f.name: f for f in doctor.report()}


def test_collapse_is_seen(tiny_model, tmp_path):
    report = run(tiny_model, tmp_path, Pull, steps=60, rate=2e-2, save=60)
    assert report["anisotropy"].level == "error", report["anisotropy"]


def test_flat_loss_is_seen(tiny_model, tmp_path):
    report = run(
        tiny_model, tmp_path, lambda m: ContrastiveLoss(m, temperature=100.0), steps=44, rate=1e-5
    )
    assert report["loss"].level == "error" and "temperature" in report["loss"].advice


def test_nan_ends_the_run_and_keeps_the_checkpoint(tiny_model, tmp_path):
    with pytest.raises(TrainingError, match="learning rate"):
        run(tiny_model, tmp_path, Spoilt, save=2)
    assert (tmp_path / "out" / "checkpoint-2" / "model.safetensors").exists()


def test_a_healthy_run_is_fine(tiny_model, tmp_path):
    report = run(tiny_model, tmp_path, lambda m: ContrastiveLoss(m, temperature=0.1), steps=44)
    assert report["loss"].level == "fine" and report["gradients"].level == "fine"
