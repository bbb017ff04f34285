"""Layers of every known backbone: what is pooled, and what a cut model gives."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from vecsmith.core import ConfigError, ModelError
from vecsmith.encode import (
    MoEExtension,
    cut,
    elastic_view,
    encode_at,
    layer_embeddings,
    load_with_experts,
)
from vecsmith.encode.text._layers import LAYOUTS, backbone_of

TEXTS = ["open the valve", "how to read a red sensor cable", "pump", "close door and write file"]
DIMS = 32


def features(model, texts=TEXTS):
    return model.preprocess(texts)


def pooled(states, mask):
    mask = mask[..., None].to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def model(request, layered_model):
    return layered_model(request.param)


@torch.no_grad()
def test_layers_are_the_pooled_hidden_states(model) -> None:
    inputs = features(model)
    views = layer_embeddings(model, inputs, [1, 2, 3, 4])
    whole = model(dict(inputs))["sentence_embedding"]
    torch.testing.assert_close(views[:, 3], whole)
    backbone = model[0].auto_model
    keys = ("input_ids", "attention_mask")
    states = backbone(**{k: inputs[k] for k in keys}, output_hidden_states=True).hidden_states
    norm = backbone_of(model).norm
    for layer in (1, 2, 3):
        state = states[layer] if norm is None else norm(states[layer])
        torch.testing.assert_close(views[:, layer - 1], pooled(state, inputs["attention_mask"]))


@pytest.mark.parametrize("layers", [1, 3, 4])
@torch.no_grad()
def test_cut_model_gives_the_layer_and_has_lost_the_rest(model, tmp_path, layers) -> None:
    expected = layer_embeddings(model, features(model), [layers])[:, 0, :8]
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    smaller = cut(model, layers, dim=8)
    assert len(backbone_of(smaller).blocks) == layers
    counts = [sum(p.numel() for p in m[0].parameters()) for m in (model, smaller)]
    assert (counts[1] < counts[0]) == (layers < 4)
    assert np.abs(smaller.encode(TEXTS) - expected).max() < 1e-6
    # the saved folder gives the same without vecsmith: it holds modules of sentence-transformers
    # only
    smaller.save_pretrained(str(tmp_path), create_model_card=False)
    assert "vecsmith" not in (tmp_path / "modules.json").read_text("utf-8")
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    assert loaded.get_embedding_dimension() == 8
    assert np.abs(loaded.encode(TEXTS) - expected).max() < 1e-6
    record = loaded[0].auto_model.config.vecsmith_cut
    assert (record["layers"], record["of_layers"], record["dims"], record["of_dims"]) == (
        layers,
        4,
        8,
        DIMS,
    )
    assert model[0].auto_model.config.num_hidden_layers == 4 == backbone_of(model).depth


def test_later_blocks_do_not_run(layered_model) -> None:
    model = layered_model()
    ran = []
    for number, block in enumerate(backbone_of(model).blocks, 1):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    vectors = encode_at(model, TEXTS, layers=2, dim=5)
    assert vectors.shape == (4, 5) and np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    # the view copies blocks with their hooks: those that ran are the first two
    assert set(ran) == {1, 2}


def test_view_shares_weights_and_cut_does_not(layered_model) -> None:
    model = layered_model()
    view, own = elastic_view(model, 2), cut(model, 2)
    first = [next(backbone_of(m).blocks[0].parameters()) for m in (model, view, own)]
    assert first[1] is first[0] and first[2].data_ptr() != first[0].data_ptr()
    before = own.encode(TEXTS), view.encode(TEXTS)
    with torch.no_grad():
        first[0].mul_(2.0)
    assert np.array_equal(own.encode(TEXTS), before[0])
    assert not np.allclose(view.encode(TEXTS), before[1])


def test_normalize_comes_once_and_last(layered_model) -> None:
    model = layered_model(normalise=True)
    assert [type(m).__name__ for m in cut(model, 3, dim=8)] == [
        "Transformer",
        "Pooling",
        "Dense",
        "Normalize",
    ]
    assert [type(m).__name__ for m in cut(model)] == ["Transformer", "Pooling", "Normalize"]
    views = layer_embeddings(model, features(model), [4])[:, 0]
    assert not torch.allclose(views.norm(dim=-1), torch.ones(4))


def test_cut_of_a_cut_remembers_the_first_parent(layered_model) -> None:
    model = layered_model()
    twice = cut(cut(model, 3, dim=16), 1, dim=4)
    record = twice[0].auto_model.config.vecsmith_cut
    assert record["of_layers"] == 4 and record["of_dims"] == DIMS
    assert np.allclose(twice.encode(TEXTS), encode_at(model, TEXTS, layers=1, dim=4), atol=1e-6)


def test_truncate_dim_of_the_parent_is_the_default(layered_model) -> None:
    model = layered_model()
    model.truncate_dim = 12
    assert cut(model, 2).encode(TEXTS).shape == (4, 12)
    assert cut(model, 2, dim=20).encode(TEXTS).shape == (4, 20)


def test_gradients_reach_only_the_blocks_that_ran(layered_model) -> None:
    model = layered_model()
    layer_embeddings(model, features(model), [2])[:, 0].square().sum().backward()
    moved = [
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
        for block in backbone_of(model).blocks
    ]
    assert moved == [True, True, False, False]


@pytest.mark.parametrize("layers", [0, 5, -1])
def test_wrong_layers_are_named(layered_model, layers) -> None:
    with pytest.raises(ConfigError, match=r"from 1 .* to 4"):
        cut(layered_model(), layers)


def test_wrong_dims_are_named(layered_model) -> None:
    for dim in (0, 33):
        with pytest.raises(ConfigError, match="from 1 to 32"):
            cut(layered_model(), 2, dim=dim)


def test_cut_of_a_model_with_experts_saves_and_loads(layered_model, tmp_path) -> None:
    model = MoEExtension(["heart", "lung"]).apply(layered_model())
    smaller = cut(model, 2, dim=8)
    smaller.save_pretrained(str(tmp_path))
    again = load_with_experts(tmp_path, device="cpu")
    texts = ["open the valve", "red cable"]
    for name in ("heart", "lung"):
        want = smaller.encode(texts, prompt_name=name)
        np.testing.assert_allclose(again.encode(texts, prompt_name=name), want, atol=1e-6)
    assert model[0].moe["blocks"] == [1, 2, 3, 4]


def test_unknown_backbones_are_named(layered_model) -> None:
    model = layered_model()
    model[0].auto_model.config.model_type = "berta"
    with pytest.raises(ModelError, match="did you mean 'bert'"):
        layer_embeddings(model, features(model), [1])
    with pytest.raises(ModelError, match="first module is a Transformer"):
        backbone_of(SentenceTransformer(modules=[model[1]], device="cpu"))
