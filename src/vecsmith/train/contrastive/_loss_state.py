"""What a loss has besides the model (a head, a queue, running means), kept beside checkpoints.

A trainer's checkpoint holds the model alone. Each loss of a run writes a file of its own into it,
before whatever marks the checkpoint as whole, and reads it when the run goes on.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from vecsmith.core import ModelError, atomic_path

STATE = "objective"


def state_beside_model(loss: Any) -> dict[str, Tensor]:
    """Return what a loss has besides its model.

    Args:
        loss: A module with the model as ``model``.

    Returns:
        Name -> tensor.
    """
    model = getattr(loss.model, "module", loss.model)
    whole = {} if model is None else model.state_dict()
    taken = {value.data_ptr() for value in whole.values() if value.numel()}
    return {
        name: value
        for name, value in loss.state_dict().items()
        if isinstance(value, Tensor) and not (value.numel() and value.data_ptr() in taken)
    }


def state_callback(loss: Any, name: str = "") -> Any:
    """Make the `TrainerCallback` that keeps a loss's own state, and tells it the step.

    Args:
        loss: A module with `own_state`; `set_progress` is called where it has one.
        name: Part of the file's name.

    Returns:
        The callback; put it before one that marks checkpoints as whole.
    """
    from safetensors.torch import load_file, save_file
    from transformers import TrainerCallback

    def place(args: Any, state: Any) -> Path:
        file = f"{STATE}-{name}.safetensors" if name else f"{STATE}.safetensors"
        return Path(args.output_dir) / f"checkpoint-{state.global_step}" / file

    class ProgressCallback(TrainerCallback):
        """Tells an objective where the training is."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Read the step; it comes from the checkpoint when a run is resumed."""
            if hasattr(loss, "set_progress"):
                loss.set_progress(state.global_step, state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Keep the loss's own state."""
            own = {key: value.contiguous() for key, value in loss.own_state().items()}
            if own and state.is_world_process_zero:
                with atomic_path(place(args, state)) as temporary:
                    save_file(own, temporary)

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Take up the loss's own state."""
            own = set(loss.own_state())
            if not (state.global_step and own):
                return
            path = place(args, state)
            found = load_file(path) if path.exists() else {}
            if missing := sorted(own - set(found)):
                raise ModelError(
                    f"{path} must hold what {type(loss).__name__} has besides the model, to go on "
                    f"from there; it {'lacks ' + missing[0] if found else 'is missing'}: go on "
                    "from another checkpoint, or start anew"
                )
            loss.load_state_dict(found, strict=False)

    return ProgressCallback()
