"""Token tables of Hugging Face models: inputs, tied heads, generation, training on."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from vecsmith.core import ConfigError, ModelError
from vecsmith.reshape.compress import (
    CompressedTable,
    TiedHead,
    attach_token_embeddings,
    compress_token_embeddings,
)


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=400, n_embd=32, n_layer=1, n_head=2, n_positions=32)
    return GPT2LMHeadModel(config).eval()


def bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=0,
    )
    return BertForMaskedLM(config).eval()


IDS = torch.tensor([[1, 2, 3, 399]])


def test_tied_head_stays_tied():
    model = gpt2()
    before = model(IDS).logits
    report = compress_token_embeddings(model, "int", rate=0.26)
    assert report.tied and isinstance(model.get_output_embeddings(), TiedHead)
    after = model(IDS).logits
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)
    # head and input are the very same numbers
    weight = model.get_output_embeddings().weight
    torch.testing.assert_close(model.get_input_embeddings()(IDS)[0], weight[IDS[0]])
    hidden = model.transformer(IDS).last_hidden_state
    torch.testing.assert_close(after, hidden @ weight.T, rtol=1e-4, atol=1e-5)
    assert report.bytes_before == 400 * 32 * 4 and report.bytes_after <= 0.26 * 400 * 32 * 4
    assert 0 < report.error < 1e-3
    # no float copy of the table is left
    left = sum(p.numel() for n, p in model.named_parameters() if "wte" in n or "lm_head" in n)
    assert left == 0


def test_generation_works():
    model = gpt2()
    compress_token_embeddings(model, "pq", rate=0.7)
    model.tie_weights()
    out = model.generate(IDS[:, :3] % 100, max_new_tokens=4, do_sample=False, pad_token_id=0)
    assert out.shape == (1, 7)
    assert isinstance(model.get_output_embeddings(), TiedHead)


def test_heads_with_a_bias():
    model = bert()
    ids = torch.tensor([[5, 6, 0]])
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_()
    before = model(ids).logits
    assert compress_token_embeddings(model, "int", rate=0.26).tied
    torch.testing.assert_close(model(ids).logits, before, atol=0.02, rtol=0)


def test_models_without_a_tied_head():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval()
    head = model.get_output_embeddings()
    assert not compress_token_embeddings(model, "svd", rate=0.9).tied
    assert model.get_output_embeddings() is head
    plain = BertModel(bert().config).eval()
    assert not compress_token_embeddings(plain, "magnitude", rate=0.5).tied
    assert plain(torch.tensor([[1, 2]])).last_hidden_state.shape == (1, 2, 32)


def test_methods_can_be_trained_further():
    model = gpt2()
    report = compress_token_embeddings(model, "mde", rate=0.5, trainable=True, epochs=20)
    assert report.bytes_after <= 0.5 * report.bytes_before
    model.train()
    loss = model(IDS, labels=IDS).loss
    loss.backward()
    gradients = [p.grad for p in report.table.parameters()]
    # through the head every row has a gradient, through the input the batch's rows
    assert all(g is not None and g.any() for g in gradients)
    frozen = compress_token_embeddings(gpt2(), "mde", rate=0.5, epochs=20)
    assert not list(frozen.table.parameters()) and frozen.error < 1


def test_tables_are_saved_and_attached_again(tmp_path):
    model = gpt2()
    report = compress_token_embeddings(model, "pq", rate=0.7)
    expected = model(IDS).logits
    report.table.save_pretrained(tmp_path / "tokens")
    again = gpt2()
    assert attach_token_embeddings(again, CompressedTable.from_pretrained(tmp_path / "tokens"))
    assert torch.equal(again(IDS).logits, expected)
    with pytest.raises(ModelError, match="of this very model"):
        attach_token_embeddings(bert(), CompressedTable.from_pretrained(tmp_path / "tokens"))


def test_what_cannot_be_compressed_is_named():
    model = gpt2()
    with pytest.raises(ConfigError, match="did you mean 'svd'"):
        compress_token_embeddings(model, "sdv", rate=0.5)
    with pytest.raises(ConfigError, match="cannot be reached"):
        compress_token_embeddings(model, "svd", rate=0.001)
    with pytest.raises(ConfigError, match="has no settings"):
        compress_token_embeddings(model, "svd", rate=0.5, bits=3)
    compress_token_embeddings(model, "int", rate=0.5)
    with pytest.raises(ModelError, match="not compressed before"):
        compress_token_embeddings(model, "int", rate=0.5)
    with pytest.raises(ModelError, match=r"plain nn\.Embedding"):
        compress_token_embeddings(object(), "int", rate=0.5)
