"""The chain of changes to an encoder: mathematics, record, replay, undoing, stamp."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode import export_encoder, load_sentence_transformer
from vecsmith.reshape import BiasSubspace, ReshapeChain
from vecsmith.reshape.chain import to_grid

Move = Callable[..., nn.Module]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop"]
TEXTS = [" ".join(np.random.default_rng(i).choice(WORDS[5:], 1 + i % 7)) for i in range(60)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, moved: Move) -> dict[str, Path]:
    """A small encoder of unit vectors with a prompt, and an expert of it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from transformers import BertConfig, BertModel, BertTokenizerFast

    root = tmp_path_factory.mktemp("chain")
    (root / "bert").mkdir()
    (root / "bert" / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(root / "bert" / "vocab.txt")).save_pretrained(str(root / "bert"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(
        vocab_size=len(WORDS), num_hidden_layers=1, max_position_embeddings=32, **sizes
    )
    BertModel(config).save_pretrained(str(root / "bert"))
    base = SentenceTransformer(str(root / "bert"), device="cpu")
    base.append(Normalize())
    base.prompts = {"query": "a ", "document": ""}
    base.save_pretrained(str(root / "base"))
    moved(base, 1, 0.02).save_pretrained(str(root / "expert"))
    return {name: root / name for name in ("base", "expert")}


def vectors(model: object, texts: list[str] = TEXTS) -> np.ndarray:
    return np.asarray(model.encode(texts, show_progress_bar=False), np.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_truncation_keeps_leading_dimensions_at_unit_length(folders: dict[str, Path]) -> None:
    chain = ReshapeChain(folders["base"])
    before = vectors(chain.model)
    chain.truncate(3)
    np.testing.assert_allclose(vectors(chain.model), unit(before[:, :3]), atol=1e-6)
    with pytest.raises(ConfigError, match="below the encoder's 3; got 3"):
        chain.truncate(3)


@pytest.mark.parametrize("dims", [None, 4])
def test_whitened_vectors_have_one_variance(folders: dict[str, Path], dims: int | None) -> None:
    chain = ReshapeChain(folders["base"])
    before = vectors(chain.model)
    chain.whiten(TEXTS, dims=dims)
    layer = list(chain.model)[-2]
    matrix = layer.linear.weight.detach().double().numpy()
    moved = before @ matrix.T + layer.linear.bias.detach().double().numpy()
    # the last LayerNorm leaves seven directions
    kept = dims or 7
    np.testing.assert_allclose(np.cov(moved.T)[:kept, :kept], np.eye(kept), atol=2e-3)
    np.testing.assert_allclose(moved.mean(0)[:kept], 0.0, atol=1e-3)
    np.testing.assert_allclose(vectors(chain.model), unit(moved), atol=1e-4)
    if dims:
        # the directions kept are those of the largest variance
        values = np.linalg.eigvalsh(np.cov(before.T))[::-1]
        found = 1.0 / np.linalg.norm(matrix, axis=1) ** 2
        np.testing.assert_allclose(found, values[:4], rtol=1e-4)


def test_debiasing_takes_directions_out(folders: dict[str, Path]) -> None:
    chain = ReshapeChain(folders["base"])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 2)))[0].T
    before = vectors(chain.model)
    chain.debias(BiasSubspace(basis, np.ones(2)))
    after = vectors(chain.model)
    np.testing.assert_allclose(after @ basis.T, 0.0, atol=1e-6)
    np.testing.assert_allclose(after, unit(before - before @ basis.T @ basis), atol=1e-6)
    assert chain.labels == ("debias:2",)
    with pytest.raises(ModelError, match="8 dimensions, the subspace has 5"):
        chain.debias(BiasSubspace(np.eye(1, 5), np.ones(1)))


def test_the_grid_by_hand() -> None:
    low, high = torch.tensor([0.0, -1.0]), torch.tensor([3.0, 2.0])
    found = to_grid(torch.tensor([[0.4, -0.6], [2.6, 9.0], [-4.0, 0.2]]), low, high, 2)
    assert found.tolist() == [[0.0, -1.0], [3.0, 2.0], [0.0, 0.0]]
    same = to_grid(torch.tensor([[5.0]]), torch.tensor([1.0]), torch.tensor([1.0]), 8)
    assert same.tolist() == [[1.0]]


def test_quantised_vectors_take_few_values_and_stay_near(folders: dict[str, Path]) -> None:
    chain = ReshapeChain(folders["base"])
    before = vectors(chain.model)
    chain.quantise(TEXTS, bits=4, tail=0.0)
    after = vectors(chain.model)
    assert all(len(np.unique(column)) <= 16 for column in after.T)
    step = (before.max(0) - before.min(0)) / 15
    assert (np.abs(after - before) <= step / 2 + 1e-6).all()
    coarse = ReshapeChain(folders["base"]).quantise(TEXTS, bits=1, tail=0.0)
    assert np.abs(vectors(coarse.model) - before).mean() > np.abs(after - before).mean()


def whole(folders: dict[str, Path]) -> ReshapeChain:
    chain = ReshapeChain(folders["base"])
    chain.merge({"x": folders["expert"]}, scale=0.5).context(9).whiten(TEXTS).truncate(5)
    chain.debias(BiasSubspace(np.eye(1, 5), np.ones(1))).quantise(TEXTS)
    return chain


LABELS = ("merge:task_arithmetic", "context:9", "whiten:8", "truncate:5", "debias:1", "quantise:8")


def test_a_chain_is_saved_replayed_and_goes_on(folders: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    chain = whole(folders)
    assert chain.labels == LABELS
    chain.save_pretrained(tmp_path / "model")
    plain = load_sentence_transformer(tmp_path / "model")
    np.testing.assert_array_equal(vectors(plain), vectors(chain.model))
    assert plain.prompts["query"] == "a " and plain.max_seq_length == 9
    record = json.loads((tmp_path / "model" / "reshape.json").read_text())
    assert [row["label"] for row in record["steps"]] == list(LABELS)
    assert json.loads((tmp_path / "model" / "merge.json").read_text())["settings"] == {"scale": 0.5}
    again = ReshapeChain(tmp_path / "model")
    assert again.steps == chain.steps
    again.undo().truncate(2)
    again.save_pretrained(tmp_path / "no grid")
    host = SentenceTransformer(str(tmp_path / "no grid"), device="cpu")
    np.testing.assert_array_equal(vectors(host), vectors(again.model))
    assert again.labels == (*LABELS[:-1], "truncate:2") and vectors(again.model).shape == (60, 2)
    # the model saved by its host keeps the record too
    again.model.save_pretrained(str(tmp_path / "host"))
    assert ReshapeChain(tmp_path / "host").labels == again.labels


def test_undoing_gives_every_state_back(folders: dict[str, Path], tmp_path: Path) -> None:
    chain = ReshapeChain(folders["base"])
    states = [vectors(chain.model)]
    steps: list[Callable[[], object]] = [
        lambda: chain.merge({"x": folders["expert"]}, "average"),
        lambda: chain.context(4),
        lambda: chain.whiten(TEXTS),
        lambda: chain.truncate(5),
        lambda: chain.quantise(TEXTS),
    ]
    for step in steps:
        step()
        states.append(vectors(chain.model))
    chain.save_pretrained(tmp_path / "model")
    for current in (chain, ReshapeChain(tmp_path / "model")):
        for state in states[-2::-1]:
            current.undo()
            np.testing.assert_allclose(vectors(current.model), state, atol=1e-6)
        with pytest.raises(ConfigError, match="no step"):
            current.undo()


def test_a_merge_whose_base_is_gone_is_not_undone(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    for name in ("base", "expert"):
        shutil.copytree(folders[name], tmp_path / name)
    chain = ReshapeChain(tmp_path / "base").merge({"x": tmp_path / "expert"})
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match="is not found"):
        chain.undo()
    shutil.copytree(tmp_path / "expert", tmp_path / "base")
    with pytest.raises(ModelError, match="other weights"):
        chain.undo()
    assert chain.labels == ("merge:task_arithmetic",)


def test_the_stamp_lists_the_steps_and_search_goes_through_them(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    chain = whole(folders)
    chain.save_pretrained(tmp_path / "model")
    encoder = export_encoder(tmp_path / "model", tmp_path / "encoder")
    assert encoder.stamp.reshape == LABELS and encoder.stamp.dims == 5
    expected = unit(vectors(chain.model))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=2e-3)
    plain = export_encoder(folders["base"], tmp_path / "plain")
    assert plain.stamp.reshape == ()


def test_bad_steps_are_told(folders: dict[str, Path], tmp_path: Path) -> None:
    chain = ReshapeChain(folders["base"])
    with pytest.raises(ConfigError, match="32 positions; got 99"):
        chain.context(99)
    with pytest.raises(DataError, match="at least 9 texts; got 3"):
        chain.whiten(TEXTS[:3])
    with pytest.raises(DataError, match="one string"):
        chain.whiten("a b c")
    with pytest.raises(ConfigError, match="got 99"):
        chain.whiten(TEXTS, dims=99)
    with pytest.raises(ConfigError, match="bits"):
        chain.quantise(TEXTS, bits=0)
    chain.truncate(5)
    with pytest.raises(ConfigError, match="merge first"):
        chain.merge({"x": folders["expert"]})
    chain.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "reshape.json").write_text('{"steps": [{"no": 1}]}')
    with pytest.raises(ModelError, match="damaged"):
        ReshapeChain(tmp_path / "model")
    row = {"name": "truncate", "label": "truncate:5", "modules": 50}
    (tmp_path / "model" / "reshape.json").write_text(json.dumps({"steps": [row]}))
    with pytest.raises(ModelError, match="more modules"):
        ReshapeChain(tmp_path / "model")


def test_only_classes_of_this_package_are_loaded(folders: dict[str, Path], tmp_path: Path) -> None:
    ReshapeChain(folders["base"]).quantise(TEXTS).save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "modules.json"
    text = path.read_text()
    assert "vecsmith.reshape.chain._quantise.Quantise" in text
    for name in ("vecsmith.core.hash_text", "vecsmith.core.Stamp", "os.path.PathLike"):
        path.write_text(text.replace("vecsmith.reshape.chain._quantise.Quantise", name))
        with pytest.raises(ModelError, match="does not load"):
            load_sentence_transformer(tmp_path / "model")
