"""Masked pre-training as a recipe: in the trainer of all losses, from raw texts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from vecsmith.core import ConfigError
from vecsmith.recipe import train
from vecsmith.recipe._batches import CuttingCollator
from vecsmith.train.masked import TextCollator

WORDS = "open close file door read write valve pump filter sensor cable panel motor".split()


@pytest.fixture
def long_texts(tmp_path):
    """Texts of 60 words, of which the model reads 12."""
    rows = [{"text": " ".join(WORDS[(i * k) % 13] for k in range(1, 61))} for i in range(60)]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "long.jsonl")


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


@pytest.mark.parametrize(("objective", "paper"), [("dupmae", "xiao2022"), ("smae", "zhuang2024")])
def test_masked_objectives_train(settings, data, tiny_model, objective, paper):
    from transformers import AutoModelForMaskedLM

    menu = "1x8,2x32" if objective == "smae" else ""
    path = str(data / "texts.jsonl")
    report = train(settings(objective=objective, data=path, menu=menu, learning_rate=1e-3))
    assert report.steps == 6 and paper in (report.model / "README.md").read_text()
    found, before = weights(report.model), weights(tiny_model)
    assert found.keys() == before.keys() and any((found[n] != before[n]).any() for n in found)
    assert SentenceTransformer(str(report.model), device="cpu").encode("red valve").shape == (32,)
    # the encoder with its head is of the same weights
    whole = AutoModelForMaskedLM.from_pretrained(report.model.parent / "encoder")
    inner = whole.bert.state_dict()
    shared = [name for name in found if name in inner]
    assert len(shared) > 30
    for name in shared:
        torch.testing.assert_close(inner[name], found[name])
    dense = whole.cls.predictions.transform.dense.weight
    assert not torch.equal(dense, torch.eye(32))  # where it began


@pytest.mark.parametrize("objective", ["dupmae", "smae"])
def test_stopped_and_resumed(settings, long_texts, tmp_path, monkeypatch, objective):
    from vecsmith.recipe._watch import Watcher

    def config(out):
        changed = {"objective": objective, "data": long_texts, "steps": 8, "checks": 2}
        return settings(out=str(tmp_path / out), learning_rate=1e-3, max_tokens=12, **changed)

    whole = train(config("whole"))
    real = Watcher.on_save

    def stop(self, args, state, control, **kwargs):
        real(self, args, state, control, **kwargs)
        if state.global_step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Watcher, "on_save", stop)
        train(config("stopped"))
    resumed = train(config("stopped"))
    for folder in ("model", "encoder"):
        one, two = (weights(r.model.parent / folder) for r in (whole, resumed))
        for name, value in one.items():
            torch.testing.assert_close(value, two[name], rtol=1e-5, atol=1e-6, msg=name)


def test_beside_other_losses(settings, data):
    sources = [
        {"path": str(data / "pairs.jsonl")},
        {"path": str(data / "texts.jsonl"), "objective": "dupmae"},
    ]
    report = train(settings(data=sources, learning_rate=1e-3, objective="contrastive+matryoshka"))
    assert report.steps == 6 and not (report.model.parent / "encoder").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"objective": "dupmae+matryoshka"}, "wraps losses of embeddings"),
        ({"objective": "smae+peg"}, "leave it out"),
        ({"objective": "dupmae", "mini_batch": 4}, "lower batch_size"),
        ({"objective": "dupmae", "lora": 2}, "all weights"),
        ({"objective": "smae", "menu": "9x8"}, "backbone has"),
    ],
)
def test_what_does_not_go_together(settings, data, changed, words):
    with pytest.raises(ConfigError, match=words):
        train(settings(data=str(data / "texts.jsonl"), **changed))


def test_the_bottleneck_is_the_vector_that_the_model_gives(tiny_model):
    from sentence_transformers.sentence_transformer.modules import Pooling

    from vecsmith.recipe import TrainingConfig, config_from
    from vecsmith.recipe._objectives import build_objective, parse_objective

    config: TrainingConfig = config_from({"data": "x"})
    model = SentenceTransformer(str(tiny_model), device="cpu")
    assert build_objective(parse_objective("dupmae"), model, config).bottleneck == "sentence"
    model[1] = Pooling(32, "cls")
    assert build_objective(parse_objective("dupmae"), model, config).bottleneck == "cls"


def test_texts_are_cut_at_places_that_follow_from_the_batch(tiny_model):
    model = SentenceTransformer(str(tiny_model), device="cpu")
    model.max_seq_length = 6
    cuts = {"a": TextCollator(model.preprocess, model.tokenizer, random_crop=True)}
    collate = CuttingCollator(model.preprocess, cuts=cuts)
    text = " ".join(WORDS)
    rows = [{"anchor": text, "dataset_name": "a"} for _ in range(20)]
    ids = collate(rows)["anchor_input_ids"]
    assert ids.shape == (20, 6) and len({tuple(row) for row in ids.tolist()}) > 4
    torch.rand(3)
    torch.testing.assert_close(collate(rows)["anchor_input_ids"], ids)
    assert not torch.equal(collate(rows[:-1])["anchor_input_ids"], ids[:-1])
    # another data set's texts are cut at their end, as ever
    other = collate([{**row, "dataset_name": "b"} for row in rows])["anchor_input_ids"]
    assert len({tuple(row) for row in other.tolist()}) == 1
    # a run on one data set says no name
    alone = collate([{"anchor": text} for _ in range(20)])["anchor_input_ids"]
    torch.testing.assert_close(alone, ids)
