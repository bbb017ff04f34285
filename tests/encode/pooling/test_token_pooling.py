"""Token states to texts: by a loop; causal models, echo, batches, saved; bad input."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode.pooling import TOKEN_POOLINGS, CausalEncoder, Echo, pool_tokens

TEXTS = ["a valve opens", "the pump", "a motor stops when the valve opens again", "b"]


@pytest.mark.parametrize("how", TOKEN_POOLINGS)
def test_pooling_is_that_of_a_loop(how):
    torch.manual_seed(0)
    states = torch.randn(4, 6, 3, dtype=torch.float64)
    mask = torch.tensor(
        [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]]
    )
    found = pool_tokens(states, mask, how)
    for row, text, counts in zip(found, states, mask, strict=True):
        kept = [state for state, count in zip(text, counts, strict=True) if count]
        n = len(kept)
        expected = {
            "first": kept[0],
            "last": kept[-1],
            "max": torch.stack(kept).amax(0),
            "mean": sum(kept) / n,
            "weighted": sum((i + 1) * h for i, h in enumerate(kept)) / sum(range(1, n + 1)),
        }[how]
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", TOKEN_POOLINGS)
def test_a_text_without_tokens_is_zero_and_gradients_are_finite(how):
    states = torch.randn(2, 3, 4, requires_grad=True)
    found = pool_tokens(states, torch.tensor([[0, 0, 0], [1, 1, 0]]), how)
    assert not found[0].any()
    found.sum().backward()
    assert torch.isfinite(states.grad).all() and not states.grad[:, 2].any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random two-layer decoder over bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = ["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=24,
        max_position_embeddings=160,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("decoder")
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def states_of(encoder, ids):
    with torch.inference_mode():
        return encoder.model(input_ids=torch.tensor([ids])).last_hidden_state[0]


def test_the_text_is_pooled_and_nothing_else(folder):
    encoder = CausalEncoder.from_pretrained(folder, how="weighted")
    ids = encoder.tokenizer("the pump", add_special_tokens=False)["input_ids"]
    states = states_of(encoder, [0, *ids])[1:]
    weights = torch.arange(1, len(ids) + 1)[:, None]
    expected = (states * weights).sum(0) / weights.sum()
    np.testing.assert_allclose(encoder.encode(["the pump"])[0], expected, atol=1e-5)


def test_echo_pools_the_second_copy(folder):
    echo = Echo("Say: ", " again: ")
    encoder = CausalEncoder.from_pretrained(folder, how="mean", echo=echo)
    token = lambda text: encoder.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    before = [0, *token("Say: "), *token("the pump"), *token(" again: ")]
    states = states_of(encoder, before + token("the pump"))[len(before) :]
    np.testing.assert_allclose(encoder.encode(["the pump"])[0], states.mean(0), atol=1e-5)
    # the first token of a copy sees the whole text with echo alone
    first = CausalEncoder(encoder.model, encoder.tokenizer, how="first", echo=echo)
    plain = CausalEncoder(encoder.model, encoder.tokenizer, how="first")
    pair = ["one cold", "one warm"]
    assert np.abs(np.diff(first.encode(pair), axis=0)).max() > 1e-4
    assert np.abs(np.diff(plain.encode(pair), axis=0)).max() < 1e-5


@pytest.mark.parametrize("echo", [None, Echo()])
@pytest.mark.parametrize("how", ["last", "weighted"])
def test_batches_do_not_matter_and_files_come_back(folder, echo, how, tmp_path):
    encoder = CausalEncoder.from_pretrained(folder, how=how, echo=echo)
    together = encoder.encode([*TEXTS, ""])
    alone = np.concatenate([encoder.encode([text], token_budget=8) for text in [*TEXTS, ""]])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    encoder.save_pretrained(tmp_path / "model")
    again = CausalEncoder.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.encode([*TEXTS, ""]), together)
    assert again.echo == echo and again.how == how
    unit = encoder.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)


def test_long_texts_are_cut(folder):
    encoder = CausalEncoder.from_pretrained(folder, max_tokens=5)
    a, b = encoder.encode(["valve opens", "valve closes"])
    np.testing.assert_allclose(a, encoder.encode(["valve"])[0], atol=1e-5)
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_bad_input_is_said(folder):
    states, mask = torch.zeros(1, 2, 3), torch.ones(1, 2)
    with pytest.raises(ConfigError, match="did you mean 'weighted'"):
        pool_tokens(states, mask, "wheighted")
    with pytest.raises(DataError, match="shape"):
        pool_tokens(states, mask[0], "mean")
    with pytest.raises(ConfigError, match="max_tokens"):
        CausalEncoder.from_pretrained(folder, max_tokens=-1)
    encoder = CausalEncoder.from_pretrained(folder)
    with pytest.raises(ModelError, match="takes 160 tokens and a text has 201"):
        encoder.encode(["x" * 200])
    encoder.tokenizer.bos_token = None
    with pytest.raises(ModelError, match="empty text"):
        encoder.encode([""])
    with pytest.raises(ModelError, match="no folder"):
        CausalEncoder.from_pretrained("nowhere/at/all/it")
