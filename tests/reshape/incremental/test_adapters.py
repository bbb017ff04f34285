"""Adapters: their formulas, their start, and that folding changes nothing."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from vecsmith.reshape.incremental.adapters import (
    Bottleneck,
    Prompted,
    ScaleShift,
    add_low_rank,
    add_parallel,
    add_prompts,
    add_scale_shift,
    fold_low_rank,
    fold_scale_shift,
    moved,
    renew_statistics,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bert(layers: int = 2) -> nn.Module:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    return BertModel(BertConfig(vocab_size=20, num_hidden_layers=layers, **sizes)).eval()


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    config = ViTConfig(image_size=8, patch_size=4, num_hidden_layers=2, **sizes)
    return ViTModel(config, add_pooling_layer=False).eval()


IDS = torch.randint(5, 20, (3, 6), generator=generator(1))
MASK = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 5 + [0]])
PIXELS = torch.randn(2, 3, 8, 8, generator=generator(2))


def states(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        if type(model).__name__ == "ViTModel":
            return model(pixel_values=PIXELS).last_hidden_state
        return model(input_ids=IDS, attention_mask=MASK).last_hidden_state


@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Linear(4, 3, bias=False), nn.LayerNorm(4)])
def test_scale_and_shift_by_hand_and_folded(layer: nn.Module) -> None:
    wrapped = ScaleShift(copy.deepcopy(layer), generator())
    x = torch.randn(2, 5, 4)
    expected = layer(x) * wrapped.gamma + wrapped.beta
    torch.testing.assert_close(wrapped(x), expected)
    torch.testing.assert_close(wrapped.folded()(x), expected, rtol=1e-5, atol=1e-6)
    many = ScaleShift(nn.Linear(2, 20000), generator())
    assert many.gamma.mean().item() == pytest.approx(1.0, abs=1e-3)
    assert many.gamma.std().item() == pytest.approx(0.02, rel=0.05)
    assert many.beta.mean().item() == pytest.approx(0.0, abs=1e-3)


def test_scale_and_shift_of_channels() -> None:
    conv, norm = nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4).eval()
    x = torch.randn(2, 3, 5, 5)
    for layer, given in ((conv, x), (norm, torch.randn(2, 4, 3, 3))):
        wrapped = ScaleShift(copy.deepcopy(layer), generator())
        expected = layer(given) * wrapped.gamma[:, None, None] + wrapped.beta[:, None, None]
        torch.testing.assert_close(wrapped(given), expected)
        torch.testing.assert_close(wrapped.folded()(given), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [bert, vit])
def test_folding_a_whole_model_changes_nothing(make: object) -> None:
    model = make()
    names = set(model.state_dict())
    before = states(model)
    trained = add_scale_shift(model, generator())
    assert len(trained) == 2 * sum(isinstance(m, ScaleShift) for m in model.modules())
    during = states(model)
    assert not torch.allclose(during, before, atol=1e-3)
    fold_scale_shift(model)
    torch.testing.assert_close(states(model), during, rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) >= names and not any(
        isinstance(m, ScaleShift) for m in model.modules()
    )


def test_a_bottleneck_by_hand() -> None:
    adapter = Bottleneck(4, 3, 0.1, generator())
    x = torch.randn(2, 4)
    assert torch.equal(adapter(x), torch.zeros(2, 4))
    with torch.no_grad():
        adapter.up.weight.normal_()
        adapter.up.bias.normal_()
    inner = torch.relu(x @ adapter.down.weight.T + adapter.down.bias)
    expected = 0.1 * (inner @ adapter.up.weight.T + adapter.up.bias)
    torch.testing.assert_close(adapter(x), expected)
    # Kaiming's bound with a = sqrt(5)
    wide = Bottleneck(400, 300, 0.1, generator()).down.weight
    assert wide.abs().max().item() == pytest.approx(400**-0.5, rel=0.01)


@pytest.mark.parametrize("make", [bert, vit])
def test_parallel_adapters_start_from_the_untouched_model(make: object) -> None:
    model = make()
    before = states(model)
    trained = add_parallel(model, generator(), width=3)
    assert len(trained) == 2 * 4
    torch.testing.assert_close(states(model), before)
    with torch.no_grad():
        for value in trained:
            value.normal_()
    assert not torch.allclose(states(model), before, atol=1e-3)


def test_a_parallel_adapter_sees_the_state_before_the_norm() -> None:
    model = vit()
    add_parallel(model, generator(), width=3, scale=0.5)
    layer = model.layers[0] if hasattr(model, "layers") else model.encoder.layer[0]
    with torch.no_grad():
        layer.mlp.adapter.up.weight.normal_()
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        middle = layer.attention(layer.layernorm_before(x))[0] + x
        expected = (
            middle + layer.mlp.inner(layer.layernorm_after(middle)) + layer.mlp.adapter(middle)
        )
        torch.testing.assert_close(layer(x), expected)


def test_a_parallel_adapter_of_bert_stands_before_its_norm() -> None:
    model = bert(1)
    add_parallel(model, generator(), width=3)
    layer = model.encoder.layer[0]
    with torch.no_grad():
        layer.output.adapter.up.weight.normal_()
        state = torch.randn(2, 5, 8)
        inner = functional.gelu(layer.intermediate.dense(state))
        output = layer.output.output
        expected = output.LayerNorm(output.dense(inner) + state + layer.output.adapter(state))
        torch.testing.assert_close(layer.feed_forward_chunk(state), expected)


@pytest.mark.parametrize("deep", [True, False])
def test_prompts_against_a_naive_pass(deep: bool) -> None:
    model = vit()
    plain = copy.deepcopy(model)
    trained = add_prompts(model, generator(), count=3, deep=deep)
    assert len(trained) == (2 if deep else 1) and trained[0].shape == (3, 8)
    with torch.no_grad():
        layers = plain.layers if hasattr(plain, "layers") else plain.encoder.layer
        x = plain.embeddings(PIXELS)
        for place, layer in enumerate(layers):
            if place == 0 or deep:
                rest = x if place == 0 else x[:, 3:]
                x = torch.cat([trained[place].expand(2, -1, -1), rest], 1)
            x = layer(x)
        torch.testing.assert_close(states(model), plain.layernorm(x[:, 3:]))


@pytest.mark.parametrize("deep", [True, False])
def test_prompts_do_not_open_padding(deep: bool) -> None:
    model = bert()
    before = states(model)
    add_prompts(model, generator(), count=2, deep=deep)
    after = states(model)
    assert after.shape == before.shape and not torch.allclose(after, before, atol=1e-4)
    with torch.no_grad():
        alone = model(input_ids=IDS[1:2, :4], attention_mask=MASK[1:2, :4]).last_hidden_state
    torch.testing.assert_close(after[1:2, :4], alone, rtol=1e-4, atol=1e-5)


def test_prompts_get_a_gradient_in_every_layer() -> None:
    model = bert().requires_grad_(False)
    trained = add_prompts(model, generator(), count=2)
    for value in trained:
        value.requires_grad_(True)
    model(input_ids=IDS, attention_mask=MASK).last_hidden_state.pow(3).sum().backward()
    assert all(v.grad is not None and v.grad.abs().max() > 0 for v in trained)
    assert sum(isinstance(m, Prompted) for m in model.modules()) == 2


def test_low_rank_adapters_fold() -> None:
    model = bert()
    before = states(model)
    trained = add_low_rank(model, generator(), rank=2)
    assert len(trained) == 2 * 2 * 2
    torch.testing.assert_close(states(model), before)
    with torch.no_grad():
        for value in trained:
            value.normal_()
    during = states(model)
    names = set(bert().state_dict())
    fold_low_rank(model)
    torch.testing.assert_close(states(model), during, rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) == names


def test_statistics_are_those_of_the_data() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    model[0].running_mean.fill_(9.0)
    rows = torch.randn(4, 10, 3, generator=generator()) * 2 + 5
    renew_statistics(model, lambda m, batch: m(batch), list(rows), passes=3)
    torch.testing.assert_close(model[0].running_mean, rows.mean((0, 1)), rtol=1e-4, atol=1e-4)
    expected = torch.stack([r.var(0) for r in rows]).mean(0)
    torch.testing.assert_close(model[0].running_var, expected, rtol=1e-4, atol=1e-4)
    assert model[0].momentum == 0.1 and not model.training


def test_how_far_vectors_moved() -> None:
    assert moved(torch.eye(2), torch.eye(2)) == pytest.approx(0.0)
    assert moved(torch.eye(2), torch.eye(2).flip(0)) == pytest.approx(1.0)
