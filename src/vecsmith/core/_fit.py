"""One training loop on accelerate, for what no host trainer serves.

A module, a function that returns the loss of a batch, and batches go in. Mixed precision, gradient
accumulation and several processes come from accelerate; a killed run that is started again from
its checkpoint ends with the weights of an uninterrupted one.

Use where `SentenceTransformerTrainer` or `transformers.Trainer` does not fit (plain modules,
several losses, samplers of one's own). Cost beyond the training itself: one batch fetched ahead,
and on resume the batches of the current epoch are fetched again up to the position.
"""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._batches import (
    Batches,
    BatchStream,
    fresh_states,
    kept_random_states,
    random_states,
    set_random_states,
)
from ._checkpoint import load_tree, save_tree
from ._errors import ConfigError, ModelError, StoreError, require
from ._fit_options import Budget, FitOptions, FitResult
from ._processes import leave_processes_at_exit
from ._progress import progress

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

STATE = "state.safetensors"
_KEPT = ("step", "bad", "best", "best_step", "losses", "last_loss", "records")
# what may differ between the parts of one run
_FREE = ("cpu", "description", "log_every", "checkpoint_every")
# what a run whose loss got out of hand may be taken up with, as its error advises; with a warning
_REMEDIES = ("lr", "warmup", "precision")


def fit(
    model: "torch.nn.Module",
    step: "Callable[[torch.nn.Module, Any], torch.Tensor]",
    batches: Batches,
    *,
    budget: Budget,
    options: FitOptions | None = None,
    optimizer: "torch.optim.Optimizer | None" = None,
    validate: "Callable[[torch.nn.Module], float] | None" = None,
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Train a module; go on from the checkpoint if there is one.

    Args:
        model: What to train, changed in place.
        step: Function of the model and a batch (on the model's device) that returns the mean loss,
            a scalar. Over several processes it must call the model itself, not its parts.
        batches: A DataLoader, another iterable that can be gone through again, or a function of the
            epoch's number that returns an iterable (`EpochBatches` tells the number of a
            generator's batches). Over several processes each takes its share of the batches. A
            resumed run is exact where the batches depend on nothing but the epoch, their position
            in it, the global generators, and generators or a `state_dict` of the loader's samplers
            and dataset; `BatchStream` says what exactly is stored.
        budget: How long.
        options: How; the defaults of `FitOptions`.
        optimizer: Over the model's parameters; by default AdamW.
        validate: Function of the model (in eval mode, without gradients) that returns a score. The
            weights of the best score are those of the result.
        checkpoint: Folder for the checkpoint; None keeps none. A run is taken up with the options
            and the number of processes it had; another lr, warmup or precision gives a warning.

    Returns:
        The model and how the training went.

    Raises:
        ConfigError: An argument is out of range, or not that of the checkpoint's run; or the budget
            is in epochs, the rate changes within it, and batches do not know their number.
        DataError: There are no batches, or not those of the checkpoint's run.
        ModelError: The loss is not finite, weights became NaN, or the checkpoint is another
            model's.
        StoreError: The checkpoint is damaged or cannot be written.
        MissingExtra: accelerate is not installed.
    """
    require("accelerate", "train")
    options = options or FitOptions()
    training = model.training
    with kept_random_states(), _prepared(model, optimizer, options) as (accelerator, net, updater):
        share = (accelerator.process_index, accelerator.num_processes)
        stream = BatchStream(batches, seed=options.seed, share=share)
        folder = None if checkpoint is None else Path(checkpoint)
        run = _Run(accelerator, net, updater, stream, budget, options, folder)
        result = run.train(step, validate)
    model.train(training)
    result.model = model
    return result


@contextlib.contextmanager
def _prepared(
    model: "torch.nn.Module", optimizer: "torch.optim.Optimizer | None", options: FitOptions
) -> "Iterator[tuple[Accelerator, torch.nn.Module, torch.optim.Optimizer]]":
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import GradientAccumulationPlugin

    leave_processes_at_exit()
    # accelerate keeps one precision and device a process, and refuses others in a later run
    moved = PartialState._shared_state.get("_cpu", options.cpu) != options.cpu
    AcceleratorState._reset_state(reset_partial_state=moved)
    plugin = GradientAccumulationPlugin(
        num_steps=options.accumulate, adjust_scheduler=False, sync_with_dataloader=False
    )
    accelerator = Accelerator(
        mixed_precision=options.precision, gradient_accumulation_plugin=plugin, cpu=options.cpu
    )
    optimizer = optimizer or default_optimizer(model, options)
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        yield accelerator, *accelerator.prepare(model, optimizer)
    finally:
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def default_optimizer(model: "torch.nn.Module", options: FitOptions) -> "torch.optim.Optimizer":
    """Return AdamW over the trainable parameters, weight decay on matrices only.

    Args:
        model: What to train.
        options: Rate and decay.

    Raises:
        ConfigError: The model has nothing to train.
    """
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ConfigError(
            "model has no parameter that requires a gradient; unfreeze some before training"
        )
    groups = [
        {
            "params": [p for p in trained if p.ndim >= 2],
            "weight_decay": options.weight_decay,
        },
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=options.lr)


class _Run:
    """The state of one training, and how it is stored and taken up."""

    def __init__(
        self,
        accelerator: "Accelerator",
        model: "torch.nn.Module",
        optimizer: "torch.optim.Optimizer",
        stream: BatchStream,
        budget: Budget,
        options: FitOptions,
        folder: Path | None,
    ) -> None:
        self.accelerator, self.model, self.optimizer = accelerator, model, optimizer
        self.stream, self.budget, self.options, self.folder = stream, budget, options, folder
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.started, self.before = time.perf_counter(), 0.0
        self.step, self.bad = 0, 0
        self.best: float | None = None
        self.best_step = 0
        self.best_weights: dict[str, torch.Tensor] = {}
        # step of the best weights that lie in the folder
        self.best_saved: int | None = None
        self.losses: Any = 0.0
        self.last_loss = math.nan
        self.records: list[dict[str, float]] = []

    @property
    def plain(self) -> "torch.nn.Module":
        """The module inside accelerate's wrappers."""
        module: torch.nn.Module = self.accelerator.unwrap_model(self.model)
        return module

    def train(self, step: Any, validate: Any) -> FitResult:
        """Train to the end of the budget."""
        set_random_states(fresh_states(self.options.seed, "model", str(self.stream.share[0])))
        self._resume()
        self.model.train()
        used, limit = self._used()
        with progress(description=self.options.description, total=100.0, unit="%") as bar:
            while (stopped := self._stopped(used, limit)) is None:
                self._update(step, self._rate())
                self.step += 1
                used, limit = self._used()
                self._after(validate, last=used >= 1.0)
                bar.update(max(0.0, min(100.0, 100.0 * used) - bar.n))
        self._save()
        if self.best_weights:
            self.plain.load_state_dict(self.best_weights)
        return FitResult(
            model=self.plain,
            steps=self.step,
            epochs=self.stream.epochs(),
            seconds=self._seconds(),
            stopped=stopped,
            loss=self.last_loss,
            best=self.best,
            best_step=self.best_step,
            records=self.records,
        )

    def _seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def _used(self, ahead: float = 0.0) -> tuple[float, str]:
        from accelerate.utils import broadcast_object_list

        seconds = self._seconds()
        if self.budget.seconds and self.accelerator.num_processes > 1:
            # all processes must stop at the same step
            seconds = broadcast_object_list([seconds])[0]
        epochs = self.stream.epochs(ahead * self.options.accumulate)
        return self.budget.used(steps=self.step + ahead, seconds=seconds, epochs=epochs)

    def _rate(self) -> float:
        changing = self.options.schedule != "constant" or self.options.warmup > 0
        # asked at each step: the length of an epoch is known once it has been opened
        if self.budget.epochs is not None and changing and not self.stream.knows_length():
            raise ConfigError(
                "a budget in epochs with a rate that changes needs batches that know their number; "
                "these have no length: wrap them in EpochBatches(count, batches), or give "
                "Budget(steps=...), or take schedule='constant' and warmup=0"
            )
        return self.options.rate(self._used(ahead=0.5)[0])

    def _stopped(self, used: float, limit: str) -> str | None:
        if self.options.patience is not None and self.bad >= self.options.patience:
            return "patience"
        return limit if used >= 1.0 else None

    def _update(self, step: Any, rate: float) -> None:
        """One optimizer step over `accumulate` batches."""
        from accelerate.utils import send_to_device

        for group, peak in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = peak * rate
        for _ in range(self.options.accumulate):
            batch = send_to_device(self.stream.next(), self.accelerator.device)
            with self.accelerator.accumulate(self.model):
                with self.accelerator.autocast():
                    loss = step(self.model, batch)
                if getattr(loss, "ndim", None) != 0:
                    raise ConfigError(
                        "step must return the loss as a tensor with one number and no dimension; "
                        f"got {getattr(loss, 'shape', type(loss).__name__)}: take its mean"
                    )
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients and self.options.max_norm is not None:
                    trained = [p for g in self.optimizer.param_groups for p in g["params"]]
                    self.accelerator.clip_grad_norm_(trained, self.options.max_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            self.losses = self.losses + loss.detach() / self.options.accumulate

    def _after(self, validate: Any, *, last: bool) -> None:
        """Record, validate and store when their step has come."""
        if last or self.step % self.options.log_every == 0:
            self._record()
        if validate is not None and (last or self.step % self.options.validate_every == 0):
            self._validate(validate)
        if self.step % self.options.checkpoint_every == 0:
            self._save()

    def _record(self) -> None:
        self.last_loss = self._finite_loss()
        self.losses = 0.0
        lr = float(self.optimizer.param_groups[0]["lr"])
        row = {"step": self.step, "loss": self.last_loss, "lr": lr, "seconds": self._seconds()}
        self.records.append(row)

    def _finite_loss(self) -> float:
        """Return the mean loss since the last record, over all processes: they raise together."""
        if not isinstance(self.losses, float):
            self.losses = self.accelerator.reduce(self.losses, "mean")
        recorded = [int(row["step"]) for row in self.records if "loss" in row]
        since = self.step - (recorded[-1] if recorded else 0)
        loss = float(self.losses) / max(since, 1)
        if not math.isfinite(loss):
            raise self._out_of_hand(f"the loss became {loss}")
        return loss

    def _check_weights(self) -> None:
        """Refuse NaN weights, which a finite loss can still leave behind through its gradient."""
        from accelerate.utils import gather_object

        sound = not any(p.isnan().any() for p in self.plain.parameters() if p.requires_grad)
        if not all(gather_object([sound])):
            raise self._out_of_hand("weights became nan")

    def _out_of_hand(self, what: str) -> ModelError:
        return ModelError(
            f"{what} at step {self.step}; use a lower lr, "
            "a longer warmup, or precision 'bf16' or 'no' in place of 'fp16'"
        )

    def _validate(self, validate: Any) -> None:
        import torch
        from accelerate.utils import broadcast_object_list

        self.model.eval()
        with torch.no_grad():
            score = float(validate(self.plain))
        self.model.train()
        if self.accelerator.num_processes > 1:
            score = broadcast_object_list([score])[0]
        self.records.append({"step": self.step, "score": score, "seconds": self._seconds()})
        sign = 1.0 if self.options.higher_is_better else -1.0
        if self.best is None or sign * score > sign * self.best:
            self.best, self.best_step, self.bad = score, self.step, 0
            state = self.plain.state_dict()
            self.best_weights = {name: value.cpu().clone() for name, value in state.items()}
        else:
            self.bad += 1

    def _best_path(self, step: int) -> Path:
        assert self.folder is not None
        return self.folder / f"best-{step}.safetensors"

    def _save(self) -> None:
        """Write the checkpoint; the best weights lie in a file that it names."""
        from accelerate.utils import gather_object

        # a checkpoint that holds NaN would take the place of one that can still be used
        self._finite_loss()
        self._check_weights()
        states = gather_object([random_states()])
        if self.folder is None or not self.accelerator.is_main_process:
            return
        if self.best_weights and self.best_saved != self.best_step:
            save_tree(self._best_path(self.best_step), self.best_weights)
            self.best_saved = self.best_step
        scaler = self.accelerator.scaler
        tree = {
            "options": asdict(self.options),
            "model": self.plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "world": self.stream.share[1],
            "random": states,
            "data": self.stream.position(),
            "run": {name: getattr(self, name) for name in _KEPT},
            "seconds": self._seconds(),
        }
        save_tree(self.folder / STATE, tree)
        self._delete_other_bests()

    def _delete_other_bests(self) -> None:
        assert self.folder is not None
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best_path(self.best_step):
                path.unlink(missing_ok=True)

    def _check_settings(self, tree: dict[str, Any]) -> None:
        """Refuse a checkpoint that other options or another number of processes made."""
        where, world = f"the checkpoint in {str(self.folder)!r}", self.stream.share[1]
        if "world" not in tree:
            raise StoreError(
                f"{where} is of an earlier version of vecsmith; delete the folder to start again"
            )
        if tree["world"] != world:
            raise ConfigError(
                f"{where} was made by {tree['world']} process(es), which share the batches, and "
                f"now there are {world}; start as many, or delete the folder to start again"
            )
        then, now = tree["options"], asdict(self.options)
        differ = sorted(name for name in now if name not in _FREE and now[name] != then.get(name))
        refused = [name for name in differ if name not in _REMEDIES]
        if refused:
            raise ConfigError(
                f"{where} was made with other options "
                f"({', '.join(refused)}); use the same, or delete the folder to start again"
            )
        if differ and self.accelerator.is_main_process:
            changes = ", ".join(f"{name} {now[name]!r} after {then[name]!r}" for name in differ)
            warnings.warn(
                f"{where} is taken up at step {tree['run']['step']} with {changes}; "
                "delete the folder to start again",
                stacklevel=2,
            )

    def _resume(self) -> None:
        """Take up the checkpoint, if there is one."""
        if self.folder is None:
            return
        if not (self.folder / STATE).exists():
            # left by a run that was stopped before its first state
            if self.accelerator.is_main_process:
                self._delete_other_bests()
            return
        tree = load_tree(self.folder / STATE)
        self._check_settings(tree)
        try:
            self.plain.load_state_dict(tree["model"])
            self.optimizer.load_state_dict(tree["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelError(
                f"the checkpoint in {str(self.folder)!r} is of another model or optimizer "
                f"({error}); use the same, or delete the folder to start again"
            ) from error
        if self.accelerator.scaler is not None and tree["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(tree["scaler"])
        self.stream.seek(tree["data"])
        set_random_states(tree["random"][self.stream.share[0] % len(tree["random"])])
        for name in _KEPT:
            setattr(self, name, tree["run"][name])
        if not isinstance(self.losses, float):
            self.losses = self.losses.to(self.accelerator.device)
        self.before, self.started = tree["seconds"], time.perf_counter()
        if self.best is not None:
            self.best_weights = load_tree(self._best_path(self.best_step))
            self.best_saved = self.best_step
