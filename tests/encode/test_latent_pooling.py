"""Latent attention: parity with plain NumPy, what is pooled, files."""

import math

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, ModelError
from vecsmith.encode import LatentAttentionPooling
from vecsmith.encode.text import masked_mean, pooling_mask


def literal(layer, states):
    """The layer as written, for one text (L, D), in float64."""
    w = {name: value.detach().double().numpy() for name, value in layer.state_dict().items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    q = norm(states, "norm") @ w["to_q.weight"].T
    k, v = np.split(norm(w["dictionary"], "dictionary_norm") @ w["to_kv.weight"].T, 2, axis=-1)
    width, outs = layer.head_dim, []
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        scores = q[:, part] @ k[:, part].T / math.sqrt(width)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        outs.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
    h1 = states + np.concatenate(outs, -1) @ w["to_out.weight"].T
    x, g = np.split(norm(h1, "ff_norm") @ w["up.weight"].T + w["up.bias"], 2, axis=-1)
    erf = np.vectorize(math.erf)
    gelu = g * 0.5 * (1 + erf(g / math.sqrt(2)))
    return h1 + (x * gelu) @ w["down.weight"].T + w["down.bias"]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return LatentAttentionPooling(12, latents=5, heads=3, head_dim=4, ff_mult=2).double()


def test_layer_equals_the_formula(layer):
    states = torch.randn(2, 6, 12, dtype=torch.float64)
    got = layer.attend(states).detach().numpy()
    for row in range(2):
        np.testing.assert_allclose(got[row], literal(layer, states[row].numpy()), rtol=1e-9)


def test_layer_has_gradients(layer):
    states = torch.randn(1, 3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer.attend, states)


def test_pooled_vector_ignores_padding_and_instruction(layer):
    states = torch.randn(2, 6, 12, dtype=torch.float64)
    attention = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])

    def pooled(x):
        features = {"token_embeddings": x, "attention_mask": attention, "prompt_length": 2}
        return layer(features)["sentence_embedding"]

    before = pooled(states)
    changed = states.clone()
    changed[:, :2], changed[1, 4:] = 7.0, -7.0
    torch.testing.assert_close(pooled(changed), before)
    for row, last in ((0, 6), (1, 4)):
        want = literal(layer, states[row].numpy())[2:last].mean(0)
        np.testing.assert_allclose(before[row].detach().numpy(), want, rtol=1e-6)
    layer.include_prompt = True
    assert (pooled(states) - before).abs().max() > 1e-3


def test_instruction_is_found_behind_padding_on_either_side():
    attention = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]])
    want = [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert pooling_mask(attention, 2).tolist() == want


def test_mean_by_hand():
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    assert masked_mean(states, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 3.0]]


def test_module_works_behind_bert_and_loads_from_its_folder(tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize

    plain = SentenceTransformer(str(tiny_model), device="cpu")
    torch.manual_seed(1)
    pooling = LatentAttentionPooling(32, latents=6, heads=2, head_dim=8)
    model = SentenceTransformer(modules=[plain[0], pooling, Normalize()], device="cpu")
    texts = ["open the valve", "a pump and a filter in the boiler", "red"]
    want = model.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(want, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(model.encode(texts, batch_size=1), want, atol=1e-5)
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    # the folder names the module; the host library must be told to trust it
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(again.encode(texts), want, atol=1e-6)
    (tmp_path / "m" / "1_LatentAttentionPooling" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged"):
        LatentAttentionPooling.load(str(tmp_path / "m"), subfolder="1_LatentAttentionPooling")


def test_bad_sizes_are_refused():
    with pytest.raises(ConfigError, match="latents"):
        LatentAttentionPooling(8, latents=0)
