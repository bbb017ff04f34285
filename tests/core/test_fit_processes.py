"""The training loop over two processes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vecsmith.core._checkpoint import load_tree

TWO = textwrap.dedent(
    """
    import sys
    import torch
    import torch.distributed as dist
    from safetensors.torch import save_file
    from vecsmith.core import Budget, FitOptions, ModelError, fit

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    batches = list(torch.randn(8, 4, 3, generator=torch.Generator().manual_seed(7)))

    accumulate, mode, folder = int(sys.argv[1]), sys.argv[3], sys.argv[4]
    calls = 0

    def step(model, batch):
        global calls
        calls += 1
        loss = ((model(batch) - batch.sum(1, keepdim=True)) ** 2).mean()
        if mode == "nan" and calls == 4 and dist.get_rank() == 1:
            # of one process alone, and not in its gradient
            loss = loss + float("nan")
        return loss

    options = FitOptions(lr=0.1, accumulate=accumulate, cpu=True, schedule="constant", warmup=0.0,
                         checkpoint_every=2)
    try:
        fit(model, step, batches, budget=Budget(steps=6), options=options,
            checkpoint=None if folder == "none" else folder)
    except ModelError as error:
        # one write, or the lines of two processes could mix
        print(f"rank {dist.get_rank()}: {error}\\n", end="", flush=True)
        dist.barrier()
    if not dist.is_initialized() or dist.get_rank() == 0:
        save_file(model.state_dict(), sys.argv[2])
    """
)


def run_two(
    tmp_path: Path, processes: int, accumulate: int, mode: str = "plain", folder: str = "none"
) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
        command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    saved = tmp_path / f"{processes}.safetensors"
    return subprocess.run(
        [*command, str(script), str(accumulate), str(saved), mode, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_two_processes_equal_one_and_do_not_go_on_as_one(tmp_path: Path) -> None:
    folder = str(tmp_path / "checkpoint")
    two = run_two(tmp_path, 2, 1, folder=folder)
    assert two.returncode == 0, two.stderr[-2000:]
    one = run_two(tmp_path, 1, 2)
    assert one.returncode == 0, one.stderr[-2000:]
    a, b = (load_file(tmp_path / f"{processes}.safetensors") for processes in (1, 2))
    torch.testing.assert_close(a, b)
    alone = run_two(tmp_path, 1, 1, folder=folder)
    assert alone.returncode == 1
    assert "by 2 process(es), which share the batches, and now there are 1" in alone.stderr


@pytest.mark.slow
def test_nan_of_one_process_stops_all(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    two = run_two(tmp_path, 2, 1, "nan", str(folder))
    assert two.returncode == 0, two.stderr[-2000:]
    for rank in range(2):
        assert f"rank {rank}: the loss became nan at step 4" in two.stdout
    assert load_tree(folder / "state.safetensors")["run"]["step"] == 2
