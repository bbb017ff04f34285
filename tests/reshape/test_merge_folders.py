"""Merging models as they lie on disk, and the kinds of models that a merge takes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vecsmith.core import ConfigError, ModelError
from vecsmith.reshape import MergeSet
from vecsmith.reshape.merge import STREAMED, merge_folders

Move = Callable[..., nn.Module]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, moved: Move) -> dict[str, Path]:
    """A small sentence encoder with a dense head and a prompt, and two experts of it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense
    from transformers import BertConfig, BertModel, BertTokenizerFast

    root = tmp_path_factory.mktemp("folders")
    (root / "bert").mkdir()
    (root / "bert" / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(root / "bert" / "vocab.txt")).save_pretrained(str(root / "bert"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(vocab_size=len(WORDS), num_hidden_layers=1, **sizes)
    BertModel(config).save_pretrained(str(root / "bert"))
    base = SentenceTransformer(str(root / "bert"), device="cpu")
    base.append(Dense(8, 4))
    base.prompts = {"query": "a: "}
    base.save_pretrained(str(root / "base"))
    for seed, name in enumerate("xy"):
        moved(base, seed, 0.02).save_pretrained(str(root / name))
    return {name: root / name for name in ("bert", "base", "x", "y")}


def load(folder: Path) -> nn.Module:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.mark.parametrize("method", STREAMED)
def test_a_streamed_merge_equals_one_in_memory(
    method: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    experts = {name: folders[name] for name in "xy"}
    linear: dict = {"name": "linear", "parameters": {"weight": 1.0}}
    settings = linear if method == "mergekit" else {}
    out = merge_folders(folders["base"], experts, tmp_path / "out", method, **settings)
    merged = load(out)
    inside = MergeSet(folders["base"], experts).merge(method, **settings)
    for name, value in inside.state_dict().items():
        found = merged.state_dict()[name]
        if method == "dare":  # names differ on disk, and with them the draw
            assert found.shape == value.shape
        else:
            torch.testing.assert_close(found, value, rtol=1e-6, atol=1e-7)
    assert merged.prompts["query"] == "a: "
    assert [type(m).__name__ for m in merged][-1] == "Dense"
    base = load(folders["base"])
    assert not torch.equal(merged[-1].linear.weight, base[-1].linear.weight)
    recipe = json.loads((out / "merge.json").read_text())
    assert recipe["method"] == method and set(recipe["experts"]) == {"x", "y"}
    text = ["a b c"]
    assert not (merged.encode(text) == base.encode(text)).all()


def test_files_of_shards_stay_as_they_are(folders: dict[str, Path], tmp_path: Path) -> None:
    def split(source: Path, target: Path) -> Path:
        shutil.copytree(source, target)
        whole = load_file(target / "model.safetensors")
        names = sorted(whole)
        (target / "model.safetensors").unlink()
        parts = {
            "model-00001-of-00002.safetensors": names[:5],
            "model-00002-of-00002.safetensors": names[5:],
        }
        for file, held in parts.items():
            save_file({n: whole[n] for n in held}, target / file, metadata={"format": "pt"})
        index = {"metadata": {}, "weight_map": {n: f for f, held in parts.items() for n in held}}
        (target / "model.safetensors.index.json").write_text(json.dumps(index))
        return target

    base = split(folders["base"], tmp_path / "base")
    out = merge_folders(base, {"x": folders["x"], "y": folders["y"]}, tmp_path / "out", "average")
    whole = merge_folders(
        folders["base"], {"x": folders["x"], "y": folders["y"]}, tmp_path / "whole", "average"
    )
    assert {p.name for p in out.glob("*.safetensors")} == {p.name for p in base.glob("*.s*ors")}
    for name, value in load(whole).state_dict().items():
        assert torch.equal(load(out).state_dict()[name], value)


def test_half_precision_is_kept(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("base", "x"):
        shutil.copytree(folders[name], tmp_path / name)
        path = tmp_path / name / "model.safetensors"
        half = {k: v.bfloat16() for k, v in load_file(path).items()}
        save_file(half, path, metadata={"format": "pt"})
    out = merge_folders(tmp_path / "base", {"x": tmp_path / "x"}, tmp_path / "out", scale=0.5)
    ours, base, expert = (
        load_file(p / "model.safetensors") for p in (out, tmp_path / "base", tmp_path / "x")
    )
    for name, value in ours.items():
        exact = base[name].float() + 0.5 * (expert[name].float() - base[name].float())
        assert value.dtype == torch.bfloat16 and torch.equal(value, exact.bfloat16())


def test_integers_that_only_the_base_has_stay(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["base"], tmp_path / "base")
    path = tmp_path / "base" / "model.safetensors"
    places = {"embeddings.position_ids": torch.arange(5)[None]}
    save_file({**load_file(path), **places}, path, metadata={"format": "pt"})
    out = merge_folders(tmp_path / "base", {"x": folders["x"]}, tmp_path / "out")
    held = load_file(out / "model.safetensors")
    assert torch.equal(held["embeddings.position_ids"], places["embeddings.position_ids"])


def test_only_named_tensors_are_merged(folders: dict[str, Path], tmp_path: Path) -> None:
    out = merge_folders(
        folders["base"], {"x": folders["x"]}, tmp_path / "out", "average", include="query"
    )
    ours, base, expert = (
        load_file(p / "model.safetensors") for p in (out, folders["base"], folders["x"])
    )
    for name, value in ours.items():
        torch.testing.assert_close(value, (expert if "query" in name else base)[name])


def test_models_that_do_not_fit_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    base, out = folders["base"], tmp_path / "out"

    def changed(file: str, old: str, new: str) -> Path:
        target = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folders["x"], target)
        text = (target / file).read_text()
        assert old in text
        (target / file).write_text(text.replace(old, new))
        return target

    cases = {
        "'query'": changed("config_sentence_transformers.json", "a: ", "b: "),
        "'vocabulary'": changed("tokenizer.json", '"h"', '"z"'),
        "'hidden_act'": changed("config.json", '"gelu"', '"relu"'),
        "'pooling_mode'": changed("1_Pooling/config.json", '"mean"', '"cls"'),
    }
    for text, expert in cases.items():
        with pytest.raises(ModelError, match=f"expert 'x' has another .*{text}"):
            merge_folders(base, {"x": expert}, out)
    short = tmp_path / "short"
    shutil.copytree(folders["x"], short)
    tensors = load_file(short / "model.safetensors")
    name = next(iter(tensors))
    save_file({k: v for k, v in tensors.items() if k != name}, short / "model.safetensors")
    with pytest.raises(ModelError, match="it lacks"):
        merge_folders(base, {"x": short}, out)
    save_file({**tensors, name: tensors[name][..., :1]}, short / "model.safetensors")
    with pytest.raises(ModelError, match="has shape"):
        merge_folders(base, {"x": short}, out)
    (short / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged"):
        merge_folders(base, {"x": short}, out)
    (short / "model.safetensors").unlink()
    shutil.rmtree(short / "2_Dense")
    with pytest.raises(ModelError, match="holds no safetensors"):
        merge_folders(base, {"x": short}, out)
    assert not out.exists()


def test_bad_settings_are_told(folders: dict[str, Path], tmp_path: Path) -> None:
    base, experts = folders["base"], {"x": folders["x"]}
    with pytest.raises(ConfigError, match="MergeSet"):
        merge_folders(base, experts, tmp_path / "out", "fisher")
    with pytest.raises(ConfigError, match="no merging rule"):
        merge_folders(base, experts, tmp_path / "out", "mean")
    with pytest.raises(ConfigError, match="no setting 'scael'"):
        merge_folders(base, experts, tmp_path / "out", scael=1.0)
    with pytest.raises(ConfigError, match="at least one model"):
        merge_folders(base, {}, tmp_path / "out")
    with pytest.raises(ConfigError, match="leave no tensor"):
        merge_folders(base, experts, tmp_path / "out", include="nothing")
    with pytest.raises(ConfigError, match="one of the models"):
        merge_folders(base, experts, folders["x"])


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_an_adapter_is_an_expert(folders: dict[str, Path], tmp_path: Path) -> None:
    import peft

    base = load(folders["base"])
    tuned = load(folders["base"])
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["query", "value"])
    adapted = peft.get_peft_model(tuned[0].auto_model, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=generator))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    ms = MergeSet(base, {"a": tmp_path / "adapter"}, same_base=False)
    query = next(n for n in ms.names if n.endswith("self.query.weight"))
    layer = next(m for n, m in adapted.named_modules() if n.endswith("self.query"))
    exact = 2.0 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(ms.delta("a", query), exact, rtol=1e-5, atol=1e-6)
    assert float(ms.delta("a", query.replace("query", "key")).abs().max()) == 0.0
    # the base itself was left alone
    assert not any("lora" in name for name in base.state_dict())
    with pytest.raises(ModelError, match="is no base"):
        MergeSet(tmp_path / "adapter", {"a": base})
    with pytest.raises(ModelError, match="does not fit"):
        MergeSet(nn.Linear(2, 2), {"a": tmp_path / "adapter"})


def test_a_transformers_folder_keeps_its_kind(
    folders: dict[str, Path], tmp_path: Path, moved: Move
) -> None:
    from transformers import AutoConfig, BertForSequenceClassification

    torch.manual_seed(0)
    base = BertForSequenceClassification(AutoConfig.from_pretrained(folders["bert"]))
    base.save_pretrained(tmp_path / "base")
    moved(base, 1, 0.02).save_pretrained(tmp_path / "expert")
    ms = MergeSet(tmp_path / "base", {"a": tmp_path / "expert"})
    assert type(ms.base) is BertForSequenceClassification is type(ms.experts["a"])
    assert any(name.startswith("classifier") for name in ms.names)
    with pytest.raises(ModelError, match="folder"):
        MergeSet(base, {"a": tmp_path / "nowhere"})
