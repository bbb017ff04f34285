"""The training loop: exact resume, budgets, accumulation, early stopping, checkpoints."""

import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vecsmith.core import (
    Budget,
    ConfigError,
    DataError,
    EpochBatches,
    FitOptions,
    FitResult,
    ModelError,
    StoreError,
    fit,
)
from vecsmith.core._checkpoint import load_tree, save_tree

KILLED = textwrap.dedent(
    """
    import os, random, signal, sys
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    from vecsmith.core import Budget, FitOptions, fit

    folder, kill_at, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(50, 6)

    def collate(rows):
        # augmentation that draws from all three global generators
        noise = np.random.normal(0, 0.1) + random.random() * 0.1 + torch.randn(()).item() * 0.1
        batch = torch.stack([row for (row,) in rows])
        return batch + noise, batch.sum(1, keepdim=True)

    loader = DataLoader(TensorDataset(x), batch_size=8, shuffle=True, collate_fn=collate,
                        generator=torch.Generator().manual_seed(3), num_workers=workers)
    calls = 0

    def step(model, batch):
        global calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return ((model(batch[0]) - batch[1]) ** 2).mean()

    def validate(model):
        return float((model(x) - x.sum(1, keepdim=True)).abs().mean())

    options = FitOptions(lr=0.02, accumulate=2, checkpoint_every=4, validate_every=3, log_every=3,
                         seed=5, cpu=True)
    result = fit(model, step, loader, budget=Budget(steps=23), options=options, validate=validate,
                 checkpoint=None if folder == "none" else folder)
    scores = [row["score"] for row in result.records if "score" in row]
    losses = [row["loss"] for row in result.records if "loss" in row]
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    print(repr((flat.double().numpy().tobytes().hex(), result.best_step, scores, losses,
                result.epochs)))
    """
)


def run_killed(folder: str, kill_at: int, workers: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, folder, str(kill_at), str(workers)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = run_killed("none", 0)
    assert whole.returncode == 0, whole.stderr
    first = run_killed(str(tmp_path), 27)
    assert first.returncode == -signal.SIGKILL
    assert (tmp_path / "state.safetensors").exists()
    second = run_killed(str(tmp_path), 0)
    assert second.returncode == 0, second.stderr
    assert second.stdout == whole.stdout


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def data(count: int = 24, size: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return list(torch.randn(count, size, 3, generator=generator))


def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return ((model(batch) - batch.sum(1, keepdim=True)) ** 2).mean()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


CONSTANT = {"schedule": "constant", "warmup": 0.0, "cpu": True}


def test_steps_equal_a_hand_written_loop() -> None:
    model, naive = linear(), linear()
    options = FitOptions(lr=0.1, max_norm=0.5, warmup=0.25, cpu=True)
    fit(model, loss, data(), budget=Budget(steps=8), options=options)
    optimizer = torch.optim.AdamW(
        [
            {"params": [naive.weight], "weight_decay": 0.01},
            {"params": [naive.bias], "weight_decay": 0.0},
        ]
    )
    for index, batch in enumerate(data()[:8]):
        part = (index + 0.5) / 8
        rate = part / 0.25 if part < 0.25 else 1 - (part - 0.25) / 0.75
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * rate
        optimizer.zero_grad()
        loss(naive, batch).backward()
        nn.utils.clip_grad_norm_(naive.parameters(), 0.5)
        optimizer.step()
    torch.testing.assert_close(weights(model), weights(naive), rtol=0, atol=1e-7)


def test_accumulation_equals_one_large_batch() -> None:
    small, large = linear(), linear()
    batches = data(8)
    joined = [torch.cat(batches[i : i + 4]) for i in (0, 4)]
    options = {"lr": 0.1, **CONSTANT}
    budget = Budget(steps=2)
    fit(small, loss, batches, budget=budget, options=FitOptions(accumulate=4, **options))
    fit(large, loss, joined, budget=budget, options=FitOptions(**options))
    torch.testing.assert_close(weights(small), weights(large))


def test_same_seed_same_weights_and_caller_state_untouched() -> None:
    def run(seed: int) -> torch.Tensor:
        model = nn.Sequential(linear(), nn.Dropout(0.5))
        loader = DataLoader(TensorDataset(torch.cat(data())), batch_size=5, shuffle=True)
        before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())  # noqa: NPY002

        def step(model: nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
            return loss(model, batch[0])

        fit(model, step, loader, budget=Budget(epochs=1), options=FitOptions(seed=seed, cpu=True))
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == random.getstate()
        assert (before[2] == np.random.get_state()[1]).all()  # noqa: NPY002
        return weights(model)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("known", [True, False])
def test_epochs_budget_takes_each_batch_once_an_epoch(known: bool) -> None:
    seen: list[float] = []

    def step(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        seen.append(float(batch[0, 0]))
        return loss(model, batch)

    batches = data(5) if known else (lambda epoch: iter(data(5)))
    result = fit(linear(), step, batches, budget=Budget(epochs=3), options=FitOptions(**CONSTANT))
    assert (result.steps, result.stopped, result.epochs) == (15, "epochs", 3.0)
    assert seen == [float(batch[0, 0]) for batch in data(5)] * 3


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rates_within_an_epoch(accumulate: int) -> None:
    """A function's epochs that know their number have the rates of a list, and of steps."""

    def rates(batches: object, budget: Budget) -> list[float]:
        options = FitOptions(lr=0.1, warmup=0.4, log_every=1, cpu=True, accumulate=accumulate)
        result = fit(linear(), loss, batches, budget=budget, options=options)
        return [row["lr"] for row in result.records]

    counted = rates(lambda epoch: EpochBatches(6, iter(data(6))), Budget(epochs=2))
    assert counted == pytest.approx(rates(data(6), Budget(epochs=2)))
    assert counted == pytest.approx(rates(data(6), Budget(steps=12 // accumulate)))
    assert 0 < counted[0] < counted[1] and counted[-1] < counted[-2]


@pytest.mark.parametrize("changing", [{"schedule": "linear"}, {"warmup": 0.1}])
def test_epochs_of_unknown_length_need_a_rate_that_stays(changing: dict[str, object]) -> None:
    model = linear()
    before = weights(model)
    with pytest.raises(ConfigError, match="EpochBatches"):
        fit(
            model,
            loss,
            lambda epoch: iter(data(5)),
            budget=Budget(epochs=1),
            options=FitOptions(**{**CONSTANT, **changing}),
        )
    assert torch.equal(weights(model), before)


def test_counted_epochs_are_taken_up(tmp_path: Path) -> None:
    """Epochs of different lengths, which are opened no earlier than they are needed."""
    options = FitOptions(lr=0.1, checkpoint_every=1, log_every=1, cpu=True)
    run: dict[str, Any] = {"budget": Budget(epochs=2), "options": options}

    def batches(epoch: int) -> EpochBatches:
        count = (5, 3)[epoch]
        return EpochBatches(count, iter(data(count)))

    def rates(result: FitResult) -> list[float]:
        return [row["lr"] for row in result.records]

    whole = fit(linear(), loss, batches, **run)
    assert whole.steps == 8
    for stop in (3, 6, 7):
        folder, calls = tmp_path / str(stop), []

        def stopped(
            model: nn.Module, batch: torch.Tensor, calls: list[int] = calls, stop: int = stop
        ) -> torch.Tensor:
            calls.append(1)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return loss(model, batch)

        with pytest.raises(KeyboardInterrupt):
            fit(linear(), stopped, batches, checkpoint=folder, **run)
        again = fit(linear(), loss, batches, checkpoint=folder, **run)
        assert rates(again) == rates(whole)
        assert torch.equal(weights(again.model), weights(whole.model))
        # a run that has ended asks for no further epoch: here there is none
        assert fit(linear(), loss, batches, checkpoint=folder, **run).steps == 8


def test_seconds_budget_stops() -> None:
    budget = Budget(seconds=0.3, steps=10**7)
    result = fit(linear(), loss, data(), budget=budget, options=FitOptions(cpu=True))
    assert result.stopped == "seconds"
    assert 0.3 <= result.seconds < 3.0


def test_early_stopping_keeps_the_best_weights() -> None:
    model = linear()
    scores = iter([3.0, 2.0, 1.0, 5.0, 6.0, 7.0, 0.0])
    taken = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        taken.append(weights(model).clone())
        return next(scores)

    options = FitOptions(lr=0.1, validate_every=2, patience=3, **CONSTANT)
    result = fit(model, loss, data(), budget=Budget(steps=100), options=options, validate=validate)
    assert (result.best, result.best_step, result.stopped, result.steps) == (1.0, 6, "patience", 12)
    assert torch.equal(weights(model), taken[2])


def test_precision_and_device_do_not_stick() -> None:
    for precision in ("bf16", "no", "bf16"):
        model, dtypes = linear(), []

        def step(model: nn.Module, batch: torch.Tensor, dtypes: list = dtypes) -> torch.Tensor:
            dtypes.append((batch @ batch.T).dtype)
            return loss(model, batch)

        options = FitOptions(precision=precision, cpu=True)
        fit(model, step, data(), budget=Budget(steps=2), options=options)
        assert dtypes[0] == (torch.bfloat16 if precision == "bf16" else torch.float32)
        # the module is as it was: no wrapper left on forward
        assert "forward" not in vars(model) or model.forward.__func__ is nn.Linear.forward
        assert model(data()[0]).dtype == torch.float32


def test_budget_can_be_extended_with_the_checkpoint(tmp_path: Path) -> None:
    model, whole = linear(), linear()
    options = FitOptions(lr=0.05, **CONSTANT)
    fit(model, loss, data(), budget=Budget(steps=5), options=options, checkpoint=tmp_path)
    fresh = linear(3)
    result = fit(fresh, loss, data(), budget=Budget(steps=9), options=options, checkpoint=tmp_path)
    fit(whole, loss, data(), budget=Budget(steps=9), options=options)
    assert result.steps == 9
    # a finished run is not trained again
    again = fit(fresh, None, data(), budget=Budget(steps=9), options=options, checkpoint=tmp_path)
    assert (again.steps, again.stopped) == (9, "steps")
    assert torch.equal(weights(fresh), weights(whole))


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    budget, options = Budget(steps=3), FitOptions(cpu=True)
    fit(linear(), loss, data(), budget=budget, options=options, checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"other options \(seed\)"):
        fit(
            linear(),
            loss,
            data(),
            budget=budget,
            options=FitOptions(lr=0.5, seed=1, cpu=True),
            checkpoint=tmp_path,
        )
    with pytest.raises(ModelError, match="another model"):
        fit(nn.Linear(4, 1), loss, data(), budget=budget, options=options, checkpoint=tmp_path)
    with pytest.raises(DataError, match="ends before"):
        fit(linear(), loss, data(2), budget=budget, options=options, checkpoint=tmp_path)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(StoreError, match="damaged"):
        fit(linear(), loss, data(), budget=budget, options=options, checkpoint=tmp_path)


def test_best_weights_of_another_run_are_never_taken(tmp_path: Path) -> None:
    def stale(step: int) -> None:
        save_tree(tmp_path / f"best-{step}.safetensors", dict(linear(9).state_dict()))

    def run(steps: int, step: object = loss) -> tuple[nn.Module, list[torch.Tensor]]:
        model, taken = linear(), []

        def validate(model: nn.Module) -> float:
            taken.append(weights(model).clone())
            return -float(steps)

        options = FitOptions(lr=0.05, validate_every=3, checkpoint_every=100, **CONSTANT)
        budget = Budget(steps=steps)
        result = fit(
            model,
            step,
            data(),
            budget=budget,
            options=options,
            validate=validate,
            checkpoint=tmp_path,
        )
        assert result.best_step == steps
        return model, taken

    def broken(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    # left by a run that was killed before its first state
    stale(3)
    stale(7)
    with pytest.raises(KeyboardInterrupt):
        run(3, broken)
    assert list(tmp_path.iterdir()) == []
    stale(3)
    model, taken = run(3)
    assert torch.equal(weights(model), taken[-1])
    # left by a run that was killed between the best weights and the state that names them
    stale(4)
    model, taken = run(4)
    assert torch.equal(weights(model), taken[-1])
    again = linear(2)
    fit(
        again,
        None,
        data(),
        budget=Budget(steps=4),
        checkpoint=tmp_path,
        options=FitOptions(lr=0.05, validate_every=3, **CONSTANT),
    )
    assert torch.equal(weights(again), taken[-1])


def explode(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return a finite loss; the gradient of the root at 0 is not."""
    return loss(model, batch) + (model.bias * 0.0).sum().sqrt()


@pytest.mark.parametrize("kind", ["loss", "weights"])
def test_nan_never_takes_the_place_of_a_good_checkpoint(tmp_path: Path, kind: str) -> None:
    calls = 0

    def step(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if kind == "weights":
            return explode(model, batch) if calls == 8 else loss(model, batch)
        return loss(model, batch) * (float("nan") if calls > 4 else 1.0)

    def run(step: object, **changed: object) -> int:
        options = FitOptions(checkpoint_every=4, log_every=10, **{**CONSTANT, **changed})
        budget = Budget(steps=12)
        return fit(
            linear(), step, data(), budget=budget, options=options, checkpoint=tmp_path
        ).steps

    with pytest.raises(ModelError, match=f"{kind} became nan at step 8; use a lower lr"):
        run(step, lr=0.1)
    tree = load_tree(tmp_path / "state.safetensors")
    assert tree["run"]["step"] == 4
    assert all(value.isfinite().all() for value in tree["model"].values())
    # what the error advises is taken, and told
    with pytest.warns(UserWarning, match=r"at step 4 with lr 0\.01 after 0\.1, warmup 0\.5 after"):
        assert run(loss, lr=0.01, warmup=0.5) == 12


def test_checkpoint_of_more_processes_is_refused(tmp_path: Path) -> None:
    def run() -> None:
        options = FitOptions(cpu=True)
        fit(linear(), loss, data(), budget=Budget(steps=3), options=options, checkpoint=tmp_path)

    run()
    state = tmp_path / "state.safetensors"
    tree = load_tree(state)
    save_tree(state, {**tree, "world": 2})
    with pytest.raises(ConfigError, match=r"by 2 process\(es\).* now there are 1; start as many"):
        run()
    del tree["world"]
    save_tree(state, tree)
    with pytest.raises(StoreError, match="earlier version"):
        run()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Budget(), "at least one of steps"),
        (lambda: Budget(steps=0), r"Budget\.steps must be above 0"),
        (lambda: Budget(seconds=-1.0), r"Budget\.seconds"),
        (lambda: FitOptions(schedule="cosin"), "did you mean 'cosine'"),
        (lambda: FitOptions(precision="fp8"), "precision"),
        (lambda: FitOptions(warmup=1.0), "warmup"),
        (lambda: FitOptions(accumulate=0), "accumulate"),
        (lambda: fit(linear(), loss, iter(data()), budget=Budget(steps=1)), "wrap a generator"),
    ],
)
def test_bad_settings_are_named(make: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()


def test_bad_losses_data_and_models_are_named() -> None:
    budget, options = Budget(steps=3), FitOptions(log_every=1, cpu=True)
    with pytest.raises(ConfigError, match="no dimension"):
        fit(linear(), lambda m, b: m(b), data(), budget=budget, options=options)
    with pytest.raises(ModelError, match="loss became nan at step 1"):
        fit(
            linear(),
            lambda m, b: loss(m, b) * float("nan"),
            data(),
            budget=budget,
            options=options,
        )
    with pytest.raises(DataError, match="gave nothing"):
        fit(linear(), loss, [], budget=budget, options=options)
    frozen = linear().requires_grad_(False)
    with pytest.raises(ConfigError, match="requires a gradient"):
        fit(frozen, loss, data(), budget=budget, options=options)
