"""Debiasing of encoders: the layer behind the pooling, the token table."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode.words import WordVectors, vectors_of_words
from vecsmith.reshape.debias import BiasSubspace, debias_encoder, debias_token_table

PAIRS = [("red", "blue"), ("open", "close")]
TEXTS = ["open the valve", "a red door", "the pump"]


@pytest.fixture
def encoder(tiny_model):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(tiny_model), device="cpu", prompts={"query": "a "})


def subspace_of(model):
    words = vectors_of_words(model.encode, [w for p in PAIRS for w in p], templates=["the {} pump"])
    return BiasSubspace.from_pairs(words, PAIRS)


@pytest.mark.parametrize("normalise", [False, True])
def test_layer_takes_the_subspace_out_and_the_host_loads_it(encoder, tmp_path, normalise):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    if normalise:
        encoder = SentenceTransformer(modules=[*encoder, Normalize()], device="cpu")
    before = encoder.encode(TEXTS)
    subspace = subspace_of(encoder)
    made = debias_encoder(encoder, subspace)
    after = made.encode(TEXTS)
    expected = subspace.remove(before)
    if normalise:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(subspace.coordinates(after)).max() < 1e-5
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)
    made.save_pretrained(str(tmp_path / "made"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "made"), device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), after)
    assert all(type(m).__module__.startswith("sentence_transformers.") for m in again)


def test_prompts_stay(encoder):
    made = debias_encoder(encoder, subspace_of(encoder))
    assert made.prompts["query"] == "a "


def test_a_subspace_of_another_model_is_refused(encoder):
    with pytest.raises(ModelError, match=r"32 dimensions, the subspace has 3"):
        debias_encoder(encoder, BiasSubspace(np.eye(3)[:1], np.ones(1)))


@pytest.fixture
def masked(tiny_model):
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    return BertForMaskedLM(config).eval(), tokenizer


def test_token_table_is_debiased_on_a_copy_with_its_head(masked):
    model, tokenizer = masked
    old = model.get_input_embeddings().weight.detach().clone()
    made = debias_token_table(
        model, tokenizer, pairs=PAIRS, specific=["green"], equalize=[("red", "blue")]
    )
    assert torch.equal(model.get_input_embeddings().weight, old)
    table = made.get_input_embeddings().weight
    assert made.get_output_embeddings().weight is table
    new = table.detach()
    before = WordVectors.from_embedding(old, tokenizer)
    after = WordVectors.from_embedding(new, tokenizer)
    g = BiasSubspace.from_pairs(before, PAIRS).direction
    # lengths stay, special and specific tokens too
    same = ["[CLS]", "[PAD]", "[MASK]", "green", "open", "close"]
    np.testing.assert_allclose(after[same], before[same], atol=1e-6)
    rows = [w for w in before.words if w not in {"red", "blue"}]
    np.testing.assert_allclose(
        np.linalg.norm(after[rows], axis=1), np.linalg.norm(before[rows], axis=1), rtol=1e-5
    )
    assert np.abs(after[["valve", "##s", "pump"]] @ g).max() < 1e-6
    assert np.abs(before[["valve", "##s", "pump"]] @ g).max() > 1e-3
    gap = after["red"] - after["blue"]
    assert np.abs(after[["valve", "##ing"]] @ gap).max() < 1e-6
    # the head that is tied sees it
    ids = tokenizer("a red valve", return_tensors="pt")
    with torch.no_grad():
        assert not torch.allclose(made(**ids).logits, model(**ids).logits)


def test_marks_of_pieces_are_read():
    from vecsmith.reshape.debias._encoders import plain_pieces, with_marks

    pieces = ["Ġshe", "▁he", "##man", "he", "Ġhe", "She", "ĠShe", "ĠHe", "Ġ", "##"]
    assert plain_pieces(pieces)[:4] == [("Ġ", "she"), ("▁", "he"), ("##", "man"), ("", "he")]
    assert plain_pieces(pieces)[-2:] == [("", "Ġ"), ("", "##")]
    vectors = WordVectors(pieces, np.random.default_rng(0).normal(size=(10, 4)))
    assert with_marks([("she", "he")], vectors) == [("Ġshe", "Ġhe"), ("ĠShe", "ĠHe")]


def test_bad_input_of_the_token_table(masked):
    with pytest.raises(DataError, match="none of the defining pairs"):
        debias_token_table(*masked, pairs=[("zebra", "lion")])
    with pytest.raises(DataError, match="none of the defining pairs"):
        debias_token_table(*masked)
    with pytest.raises(ConfigError, match="pairs must be 'gender'"):
        debias_token_table(*masked, pairs="race")
