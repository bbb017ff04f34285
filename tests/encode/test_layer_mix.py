"""A mix of layers: by a loop, gradients, behind any backbone, learned, saved; bad input."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, ModelError
from vecsmith.encode.text import LayerMix, mix_layers, with_layer_mix

TEXTS = ["open the valve", "close the door and read the cable"]


@pytest.mark.parametrize("normalize", [False, True])
def test_mix_is_that_of_a_loop(normalize):
    torch.manual_seed(0)
    states = [torch.randn(2, 3, 5, dtype=torch.float64) for _ in range(4)]
    scores = torch.randn(4, dtype=torch.float64)
    found = mix_layers(states, scores, 1.5, normalize=normalize)
    shares = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum()
    for place in np.ndindex(2, 3):
        total = np.zeros(5)
        for share, state in zip(shares, states, strict=True):
            row = state[place].numpy()
            if normalize:
                row = (row - row.mean()) / np.sqrt(row.var() + 1e-5)
            total += share * row
        np.testing.assert_allclose(found[place].numpy(), 1.5 * total)


def test_gradients_are_finite_differences():
    states = [torch.randn(3, 4, dtype=torch.float64) for _ in range(3)]
    scores = torch.randn(3, dtype=torch.float64, requires_grad=True)
    gamma = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, g: mix_layers(states, s, g), (scores, gamma))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert", "llama"])
def test_any_backbone_starts_from_the_mean_of_its_layers(layered_model, kind):
    model = layered_model(kind)
    features = model.preprocess(TEXTS)
    mixed = with_layer_mix(model)
    assert mixed[1].layers == 5
    with torch.inference_mode():
        out = mixed[0].auto_model(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"]
        )
        expected = torch.stack(out.hidden_states).mean(0)
        found = mixed[1](mixed[0](dict(features)))
    torch.testing.assert_close(found["token_embeddings"], expected, rtol=1e-5, atol=1e-5)
    assert "all_layer_embeddings" not in found


def test_a_mix_on_one_layer_is_the_model(layered_model):
    model = layered_model()
    before = model.encode(TEXTS)
    mixed = with_layer_mix(model)
    with torch.no_grad():
        mixed[1].scores[-1] = 60.0
    np.testing.assert_allclose(mixed.encode(TEXTS), before, atol=1e-5)


def test_the_mix_learns_which_layer_is_wanted(layered_model):
    mixed = with_layer_mix(layered_model(), freeze=True)
    assert [n for n, p in mixed.named_parameters() if p.requires_grad] == ["1.scores", "1.gamma"]
    features = mixed.preprocess(TEXTS)
    states = mixed[0](dict(features))["all_layer_embeddings"]
    optimizer = torch.optim.Adam(mixed[1].parameters(), lr=0.3)
    for _ in range(60):
        loss = (mixed[1].mix(states) - 2 * states[2]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mixed[1].shares.argmax() == 2 and mixed[1].shares[2] > 0.8
    assert mixed[1].gamma.item() == pytest.approx(2, abs=0.2)


def test_saved_mixes_come_back(layered_model, tmp_path):
    from sentence_transformers import SentenceTransformer

    mixed = with_layer_mix(layered_model(), normalize=True)
    with torch.no_grad():
        mixed[1].scores[:] = torch.arange(5.0)
        mixed[1].gamma.fill_(0.5)
    mixed.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "model"), device="cpu", trust_remote_code=True)
    np.testing.assert_array_equal(again.encode(TEXTS), mixed.encode(TEXTS))
    assert again[1].normalize and isinstance(again[1], LayerMix)
    weights = next((tmp_path / "model").glob("1_*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelError, match="layer mix"):
        SentenceTransformer(str(tmp_path / "model"), device="cpu", trust_remote_code=True)


def test_bad_input_is_said(layered_model):
    with pytest.raises(ConfigError, match="at least 1"):
        LayerMix(0)
    with pytest.raises(ConfigError, match="3 layers got the states of 2"):
        LayerMix(3).mix([torch.zeros(2), torch.zeros(2)])
    with pytest.raises(ModelError, match="output_hidden_states"):
        LayerMix(3)({"token_embeddings": torch.zeros(1, 2, 3)})
    mixed = with_layer_mix(layered_model())
    with pytest.raises(ModelError, match="once"):
        with_layer_mix(mixed)
