"""Two processes train together: one writes, the other waits, and neither is left hanging."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vecsmith.core import VecsmithError, read_json
from vecsmith.recipe import write_config

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="torch without gloo"
)

FAILING = """
import sys
from vecsmith.core import VecsmithError
from vecsmith.recipe._processes import is_main_process, on_main

def fails():
    raise OSError(28, "No space left on device")

assert on_main(lambda: 7) == (7 if is_main_process() else None)
try:
    on_main(fails)
except OSError:
    assert is_main_process()
except VecsmithError as error:
    assert not is_main_process() and "main process failed" in str(error)
else:
    sys.exit(1)
"""

HURRIED = """
import torch
from vecsmith.recipe._processes import is_main_process

is_main_process()
for _ in range(300):
    sent = torch.ones(1000)
    sent.note = "a tensor that Python still knows"
    torch.distributed.broadcast(sent, 0, async_op=True)
"""


def launch(*words, timeout=60):
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", *map(str, words)),
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )


def test_a_run_of_two_processes(settings, data, tmp_path):
    config = settings(
        data=[
            {"path": str(data / "pairs.jsonl")},
            {"path": str(data / "triplets.jsonl"), "objective": "own-negatives"},
        ],
        evaluate=f"queries:{data / 'queries.jsonl'}",
        checks=2,
    )
    write_config(config, tmp_path / "run.yaml")
    run = launch("-m", "vecsmith.cli", "train", tmp_path / "run.yaml")
    assert run.returncode == 0, run.stderr[-3000:]
    # said once, not by each
    assert run.stdout.count("model: ") == 1
    out = Path(config.out)
    report = read_json(out / "report.json")
    assert report["steps"] == 6 and report["scores"][0]["items"] == 15
    assert load_file(out / "model" / "model.safetensors") and not (out / "model.fresh").exists()
    marked = [path.parent for path in (out / "checkpoints").glob("checkpoint-*/whole")]
    assert len(marked) == 2
    for folder in marked:
        assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in folder.iterdir()}
    # a step has 8 rows on each of them
    loss = read_json(out / "log.json")["loss"]
    assert [row["step"] for row in loss] == [1, 2, 3, 4, 5, 6]


def test_a_failure_of_the_main_process_ends_the_others(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    run = launch(tmp_path / "failing.py")
    assert run.returncode == 0, run.stderr[-3000:]


def test_leaving_with_work_under_way_is_no_crash(tmp_path):
    # without the hook at exit torch aborts here four times of five
    (tmp_path / "hurried.py").write_text(HURRIED)
    run = launch(tmp_path / "hurried.py")
    assert run.returncode == 0, run.stderr[-3000:]


def test_one_process_does_it_itself():
    from vecsmith.recipe._processes import is_main_process, on_main, process_count

    def fails():
        raise VecsmithError("no")

    assert on_main(lambda: 7) == 7 and is_main_process() and process_count() == 1
    with pytest.raises(VecsmithError, match="no"):
        on_main(fails)


def test_speed_counts_all_processes(settings, monkeypatch):
    from vecsmith.recipe import _fit

    monkeypatch.setattr(_fit, "process_count", lambda: 3)
    config = settings()
    watcher = _fit._watcher(config, _fit.Parts([], [], [], []), None, Path(config.out))
    assert watcher.batch_size == 24
