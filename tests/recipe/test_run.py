"""Training runs from settings to a saved model, on a tiny encoder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vecsmith.core import ConfigError, DataError, read_json
from vecsmith.recipe import TrainingConfig, WeightedBatchSampler, config_from, train


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def same(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-6, atol=1e-7, msg=name)


def test_the_whole_run(settings, data, tiny_model):
    told = []
    config = settings(
        objective="gte+duplicates+peg", evaluate=f"queries:{data / 'queries.jsonl'}", steps=12
    )
    report = train(config, examined=told.append)
    out = Path(config.out)
    assert report.steps == 12 and told[0][0].name == "size"
    (score,) = report.scores
    assert score.verdict in ("better", "not distinguishable") and score.items == 15
    # the evaluation's texts were trained on, and the report says so
    assert report.overlaps[0].share > 0.5
    card = (report.model / "README.md").read_text()
    for words in ("gte+duplicates+peg", "wu2023peg", "pairs.jsonl", "queries:queries.jsonl"):
        assert words in card
    stored = read_json(out / "report.json")
    assert stored["scores"][0]["verdict"] == score.verdict
    assert stored["data"][0]["hash"] and stored["doctor"]["before"]
    before = weights(tiny_model)
    assert any((weights(report.model)[n] != before[n]).any() for n in before)
    # the best step is what ships
    curve = {row["step"]: row["mrr"] for row in report.log["curve"]}
    assert curve[report.log["best_step"]] == max(curve.values())


def test_saved_model_needs_no_vecsmith(settings, tmp_path):
    report = train(settings())
    script = (
        "import sys; sys.modules['vecsmith'] = None\n"
        "from sentence_transformers import SentenceTransformer\n"
        f"print(SentenceTransformer({str(report.model)!r}, device='cpu').encode('red valve').shape)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(32,)"


def test_same_seed_same_weights(settings, tmp_path):
    one, two, other = (
        train(settings(out=str(tmp_path / name), seed=seed)).model
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    same(weights(one), weights(two))
    assert any((weights(one)[n] != weights(other)[n]).any() for n in weights(one))


def test_killed_and_started_again(settings, tmp_path):
    changed = {"steps": 40, "checks": 10, "keep": "last", "objective": "peg"}
    whole = train(settings(out=str(tmp_path / "whole"), **changed)).model
    config = settings(out=str(tmp_path / "killed"), **changed)
    from vecsmith.recipe import write_config

    write_config(config, tmp_path / "run.yaml")
    running = subprocess.Popen(
        [sys.executable, "-m", "vecsmith.cli", "train", str(tmp_path / "run.yaml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    checkpoints = tmp_path / "killed" / "checkpoints"
    deadline = time.monotonic() + 100
    while not list(checkpoints.glob("checkpoint-*/whole")) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = max(int(p.parent.name.split("-")[1]) for p in checkpoints.glob("*/whole"))
    assert done < 40 and not (tmp_path / "killed" / "model").exists()
    # a checkpoint that was cut off is not gone on from
    (checkpoints / "checkpoint-39").mkdir()
    resumed = train(config)
    same(weights(whole), weights(resumed.model))
    assert [row["step"] for row in resumed.log["curve"]] == list(range(0, 41, 4))


@pytest.mark.parametrize(
    "objective",
    [
        "contrastive+matryoshka",
        "gte+peg+two-d-matryoshka",
        "starbucks",
        "simcse",
        "esimcse",
        "whitened-cse",
        "esimcse+matryoshka",
    ],
)
@pytest.mark.parametrize("mini", [None, 16])
def test_every_objective_trains(settings, data, objective, mini):
    alone = "cse" in objective
    changed = {"data": str(data / "texts.jsonl")} if alone else {}
    config = settings(
        objective=objective, steps=2, checks=1, mini_batch=mini, batch_size=32, **changed
    )
    report = train(config)
    assert "bibtex" in (report.model / "README.md").read_text()


def test_sizes_that_the_model_does_not_have(settings, tmp_path):
    for number, (changed, words) in enumerate(
        [
            ({"objective": "matryoshka", "dims": "64,16"}, "from 1 to 32"),
            ({"objective": "starbucks", "menu": "1x8,3x32"}, "whole model"),
            ({"objective": "starbucks", "menu": "1-8"}, "LAYERSxDIMS"),
            ({"objective": "simcse+peg"}, "leave it out"),
            ({"objective": "whitened-cse+matryoshka"}, "simcse or esimcse"),
        ]
    ):
        with pytest.raises(ConfigError, match=words):
            train(settings(out=str(tmp_path / str(number)), **changed))


def test_several_data_sets_with_objectives_of_their_own(settings, data):
    config = settings(
        data=[
            {"path": str(data / "pairs.jsonl"), "weight": 1.0},
            {"path": str(data / "triplets.jsonl"), "weight": 3.0, "objective": "own-negatives"},
        ],
    )
    report = train(config)
    assert {f.name.split(":")[0] for f in report.examined} == {"pairs", "triplets"}


def test_weights_decide_how_often_a_set_comes():
    from torch.utils.data import BatchSampler, ConcatDataset, SequentialSampler

    sets = [list(range(40)), list(range(80))]
    samplers = [BatchSampler(SequentialSampler(s), 4, drop_last=True) for s in sets]
    sampler = WeightedBatchSampler(ConcatDataset(sets), samplers, weights=[4.0, 1.0], seed=3)
    batches = list(sampler)
    first = sum(max(batch) < 40 for batch in batches)
    assert len(batches) == len(sampler) == 30 and first == 20  # 10 x 4 against 20 x 1
    assert all(max(b) < 40 or min(b) >= 40 for b in batches)
    assert list(sampler) == batches
    sampler.set_epoch(1)
    assert list(sampler) != batches


def test_processes_get_batches_of_one_set():
    from torch.utils.data import BatchSampler, ConcatDataset, SequentialSampler

    sets = [list(range(44)), list(range(80))]
    samplers = [BatchSampler(SequentialSampler(s), 4, drop_last=True) for s in sets]
    weights = [4.0, 1.0]
    sampler = WeightedBatchSampler(ConcatDataset(sets), samplers, weights=weights, processes=2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 30  # of 31, which is odd
    first = [max(batch) < 44 for batch in batches]
    assert first[::2] == first[1::2] and len(set(first)) == 2
    assert all(one != two for one, two in zip(batches[::2], batches[1::2], strict=True))


def test_a_set_of_which_no_batch_can_be_made_is_told():
    from torch.utils.data import BatchSampler, ConcatDataset, SequentialSampler

    class Empty(BatchSampler):
        def __len__(self):  # what it promises, before it looks at the texts
            return 9

    sets = [list(range(40)), list(range(36))]
    samplers = [BatchSampler(SequentialSampler(sets[0]), 4, True), Empty(range(0), 4, True)]
    sampler = WeightedBatchSampler(ConcatDataset(sets), samplers, weights=[1.0, 1.0])
    with pytest.raises(DataError, match="own-negatives"):
        list(sampler)


def test_low_rank_adapters_are_merged(settings, tiny_model):
    report = train(settings(lora=2))
    found, base = weights(report.model), weights(tiny_model)
    assert found.keys() == base.keys()
    moved = [name for name in base if (found[name] != base[name]).any()]
    assert moved and all("embeddings" not in name for name in moved)


def test_merged_adapters_compute_the_same(tiny_model):
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer

    from vecsmith.encode import merged_state

    model = SentenceTransformer(str(tiny_model), device="cpu")
    model.add_adapter(LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    want = model.eval().encode("red valve")
    plain = SentenceTransformer(str(tiny_model), device="cpu")
    plain.load_state_dict(merged_state(model))
    torch.testing.assert_close(
        torch.tensor(plain.encode("red valve")), torch.tensor(want), rtol=1e-4, atol=1e-5
    )


def test_a_guide_with_another_tokenizer(settings):
    from vecsmith.encode import resolve_model

    guide = str(resolve_model("sentence-transformers/all-MiniLM-L6-v2").path)
    report = train(settings(objective="gist", guide=guide, steps=2, checks=1))
    assert "solatorio2024gistembed" in (report.model / "README.md").read_text()


def test_gradient_caching_trains_the_same(settings, tmp_path):
    one, two = (
        train(settings(out=str(tmp_path / name), mini_batch=mini, keep="last")).model
        for name, mini in (("a", None), ("b", 8))  # one mini-batch: the same dropout
    )
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(two)[name], rtol=1e-3, atol=1e-4, msg=name)


def test_settings_that_do_not_go_together(settings, data, tmp_path):
    with pytest.raises(ConfigError, match="guide"):
        train(settings(objective="gist"))
    with pytest.raises(DataError, match="3 columns"):
        train(settings(objective="own-negatives", out=str(tmp_path / "x")))
    with pytest.raises(ConfigError, match="at most the model's 48"):
        train(settings(max_tokens=400, out=str(tmp_path / "y")))
    with pytest.raises(ConfigError, match="no evaluation"):
        train(settings(evaluate="leee", out=str(tmp_path / "z")))
    with pytest.raises(ConfigError, match="names of their own"):
        train(settings(data=[str(data / "pairs.jsonl")] * 2, out=str(tmp_path / "v")))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        train(settings(out=str(tmp_path / "full")))
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_a_folder_of_other_settings_is_refused(settings):
    train(settings(steps=2, checks=1))
    with pytest.raises(ConfigError, match="seed, steps"):
        train(settings(steps=3, checks=1, seed=4))


def test_a_full_disk_loses_nothing(settings, monkeypatch):
    from vecsmith.recipe import _run

    config = settings(steps=4, checks=2)
    real = _run.replace_dir

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_run, "replace_dir", full)
    with pytest.raises(OSError, match="No space"):
        train(config)
    assert not (Path(config.out) / "model").exists()
    monkeypatch.setattr(_run, "replace_dir", real)
    report = train(config)
    assert (report.model / "model.safetensors").exists()


def test_a_loss_that_is_not_finite_is_told(settings):
    from vecsmith.train.doctor import TrainingError

    with pytest.raises(TrainingError, match="learning rate"):
        train(settings(learning_rate=1e38, steps=10, warmup=0.0))


def test_defaults_are_those_of_the_class():
    assert config_from({"data": "x"}) == TrainingConfig(data=config_from({"data": "x"}).data)
