"""Cipher vectors: by a loop, additive, saved; as embeddings of a language model; bad input."""

import logging

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError, StoreError
from vecsmith.encode.words import BitCipher
from vecsmith.train.words import (
    CipherOptions,
    CipherVectors,
    EmbeddingOptions,
    cipher_embedding,
    context_vectors,
    log_transform,
    replace_embeddings,
    split_words,
)

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog ate the fish",
    "the fish sat in the bowl",
]


def naive_contexts(texts, bits, radius, smoothing="none"):
    """C_d for each offset and word, by a loop over tokens."""
    tokens = [split_words(text) for text in texts]
    counts = {}
    for word in (w for text in tokens for w in text):
        counts[word] = counts.get(word, 0) + 1
    cipher = BitCipher(bits).fit(counts)
    documents = np.array([sum(w in text for text in tokens) for w in cipher.words])
    rows = cipher.table(smoothing=smoothing, documents=documents, total_documents=len(texts))
    table = dict(zip(cipher.words, rows, strict=True))
    found = {d: {w: np.zeros(bits) for w in cipher.words} for d in range(-radius, radius + 1) if d}
    for text in tokens:
        for i, word in enumerate(text):
            for d in found:
                if 0 <= i + d < len(text):
                    found[d][word] += table[text[i + d]]
    return cipher.words, found


@pytest.mark.parametrize("smoothing", ["none", "nf"])
def test_contexts_are_those_of_a_loop(smoothing):
    made = CipherVectors(5, 2, smoothing=smoothing).fit(TEXTS)
    ranking = made.counter.ranking()
    table = made.cipher.table(smoothing=smoothing)
    found = context_vectors(made.counter, ranking, table)
    words, expected = naive_contexts(TEXTS, 5, 2, smoothing)
    assert list(found) == [-2, -1, 1, 2] and ranking.words == words
    for d, rows in found.items():
        for word, row in zip(words, rows, strict=True):
            np.testing.assert_allclose(row, expected[d][word], atol=1e-12)


def naive_log(row, floor):
    mass = row.sum()
    if mass == 0:
        return np.full(len(row), np.log(1 / len(row)))
    return np.log((row + floor * mass / len(row)) / (mass * (1 + floor)))


@pytest.mark.parametrize("mode", ["cat", "sum"])
@pytest.mark.parametrize("smoothing", ["nf", "df", "all"])
def test_vectors_are_the_logs_of_the_contexts(mode, smoothing):
    options = CipherOptions(floor=0.3)
    made = CipherVectors(5, 2, mode=mode, smoothing=smoothing, options=options).fit(TEXTS)
    words, contexts = naive_contexts(TEXTS, 5, 2, smoothing)
    for word in words:
        parts = [contexts[d][word] for d in (-2, -1, 1, 2)]
        if mode == "sum":
            expected = naive_log(sum(parts), 0.3)
        else:
            expected = np.concatenate([naive_log(part, 0.3) for part in parts])
        np.testing.assert_allclose(made[word], expected, rtol=1e-5)
    assert made.vectors.dims == (5 if mode == "sum" else 20)
    assert made.vectors.words == words and made[["cat", "dog"]].shape == (2, made.vectors.dims)


def test_transforms_by_hand():
    contexts = np.array([[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]])
    np.testing.assert_allclose(log_transform(contexts, "log1p", floor=1), np.log1p(contexts))
    share = (np.array([0.25, 0.75]) + 0.05) / 1.1
    np.testing.assert_allclose(log_transform(contexts, "log-prob", floor=0.1)[0], np.log(share))
    assert np.exp(log_transform(contexts, "log-prob", floor=0.1)).sum(1) == pytest.approx([1, 1, 1])
    pmi = log_transform(contexts, "pmi", floor=1e-9)
    # log of (joint / (row column)) over the whole
    expected = np.log(contexts[0] / 8 / (0.5 * np.array([3 / 8, 5 / 8])))
    np.testing.assert_allclose(pmi[0], expected, atol=1e-6)
    np.testing.assert_array_equal(pmi[1], [0, 0])


def test_rare_words_are_not_ruled_by_the_floor():
    rare, common = log_transform(np.array([[1.0, 0.0], [1000.0, 0.0]]), "log-prob", floor=0.1)
    np.testing.assert_allclose(rare, common)


def test_pmi_and_log_prob_differ_by_a_constant_a_column():
    rng = np.random.default_rng(0)
    contexts = rng.uniform(size=(9, 4))
    gap = log_transform(contexts, "pmi", floor=0.2) - log_transform(contexts, "log-prob", floor=0.2)
    np.testing.assert_allclose(gap, np.broadcast_to(gap[0], gap.shape), atol=1e-9)


@pytest.mark.parametrize("mode", ["cat", "sum"])
@pytest.mark.parametrize("smoothing", ["nf", "df", "f", "all", "none"])
def test_parts_of_a_corpus_add_up(mode, smoothing):
    whole = CipherVectors(5, 2, mode=mode, smoothing=smoothing).fit(TEXTS)
    parts = CipherVectors(5, 2, mode=mode, smoothing=smoothing).fit(TEXTS[:1])
    old = parts.vectors
    parts.partial_fit(TEXTS[1:3]).partial_fit(iter(TEXTS[3:]))
    assert parts.vectors.words == whole.vectors.words
    np.testing.assert_array_equal(parts.vectors.vectors, whole.vectors.vectors)
    assert len(old) < len(parts.vectors)
    # fit forgets
    again = parts.fit(TEXTS)
    np.testing.assert_array_equal(again.vectors.vectors, whole.vectors.vectors)


def test_sum_is_the_sum_of_cat_before_the_log():
    options = CipherOptions(floor=0.3)
    cat = CipherVectors(5, 2, mode="cat", transform="log1p", options=options).fit(TEXTS)
    total = CipherVectors(5, 2, mode="sum", transform="log1p", options=options).fit(TEXTS)
    parts = np.expm1(cat.vectors.vectors.astype(np.float64)).reshape(-1, 4, 5)
    np.testing.assert_allclose(
        parts.sum(1), np.expm1(total.vectors.vectors.astype(np.float64)), rtol=1e-5, atol=1e-6
    )


def test_own_code_is_a_context_of_its_own():
    cat = CipherVectors(5, 2, options=CipherOptions(own_code=True)).fit(TEXTS)
    assert cat.vectors.dims == 25
    plain = CipherVectors(5, 2).fit(TEXTS)
    np.testing.assert_array_equal(cat["cat"][:10], plain["cat"][:10])
    np.testing.assert_array_equal(cat["cat"][15:], plain["cat"][10:])
    table = dict(zip(cat.cipher.words, cat.cipher.table(smoothing="nf"), strict=True))
    floor = CipherOptions().floor
    np.testing.assert_allclose(cat["cat"][10:15], naive_log(table["cat"], floor), rtol=1e-5)


def test_columns_can_be_standardised():
    made = CipherVectors(5, 2, options=CipherOptions(standardize=True)).fit(TEXTS).vectors.vectors
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-6)
    spread = made.std(0)
    np.testing.assert_allclose(spread[spread > 0], 1, atol=1e-5)


def test_rare_words_can_be_left_out():
    made = CipherVectors(4, 1, options=CipherOptions(min_count=2, max_words=4)).fit(TEXTS)
    assert made.vectors.words == ["the", "sat", "a", "cat"]


def test_too_few_bits_are_raised_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        made = CipherVectors(2, 1).fit(TEXTS)
    assert "2 bits cannot tell 13 words apart: 4 are taken" in caplog.text
    assert made.cipher.bits == 4 and made.vectors.dims == 8


def test_folder_gives_it_back_and_counting_goes_on(tmp_path):
    options = CipherOptions(floor=0.2)
    made = CipherVectors(5, 2, mode="sum", smoothing="all", options=options).fit(TEXTS[:3])
    made.save(tmp_path / "cipher")
    again = CipherVectors.load(tmp_path / "cipher")
    np.testing.assert_array_equal(again.vectors.vectors, made.vectors.vectors)
    assert again.vectors.words == made.vectors.words and again.options == options
    np.testing.assert_array_equal(again.cipher.codes, made.cipher.codes)
    whole = CipherVectors(5, 2, mode="sum", smoothing="all", options=options).fit(TEXTS)
    again.partial_fit(TEXTS[3:])
    np.testing.assert_array_equal(again.vectors.vectors, whole.vectors.vectors)
    again.save(tmp_path / "cipher")
    assert len(CipherVectors.load(tmp_path / "cipher").vectors) == len(whole.vectors)
    (tmp_path / "cipher" / "cipher.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match="format 1"):
        CipherVectors.load(tmp_path / "cipher")


def test_hosts_take_the_vectors():
    made = CipherVectors(5, 1).fit(TEXTS)
    model = made.to_sentence_transformer()
    found = model.encode(["the cat"])[0]
    np.testing.assert_allclose(found, made[["the", "cat"]].mean(0), atol=1e-5)
    pytest.importorskip("gensim")
    assert made.to_keyed_vectors().index_to_key == made.vectors.words


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"bits": 0}, "bits and radius"),
        ({"radius": 0}, "bits and radius"),
        ({"mode": "mean"}, "mode must be"),
        ({"transform": "log"}, "transform must be"),
        ({"smoothing": "much"}, "smoothing must be"),
    ],
)
def test_bad_settings(options, named):
    with pytest.raises(ConfigError, match=named):
        CipherVectors(**options)


def test_bad_texts_and_options():
    with pytest.raises(DataError, match="none of 0 words"):
        CipherVectors(5).fit([])
    with pytest.raises(DataError, match="single string"):
        CipherVectors(5).fit("text")
    for floor in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="floor"):
            CipherOptions(floor=floor)


# embeddings of a language model


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({w for text in TEXTS for w in text.split()})
    made = Tokenizer(
        models.WordLevel(
            {w: i for i, w in enumerate(["<unk>", *words, "unseen"])}, unk_token="<unk>"
        )
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def small(vocabulary, *, tied=True, width=24):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=16,
        n_embd=width,
        n_layer=1,
        n_head=2,
        tie_word_embeddings=tied,
    )
    return GPT2LMHeadModel(config)


@pytest.mark.parametrize("fill", ["map", "pad"])
def test_layer_has_the_mean_and_the_spread_of_the_old_one(tokenizer, fill):
    old = torch.randn(tokenizer.get_vocab_size() + 3, 24) * torch.rand(24) + torch.randn(24)
    options = EmbeddingOptions(radius=2, fill=fill)
    layer = cipher_embedding(tokenizer, TEXTS, 24, match=old, options=options)
    assert layer.weight.shape == old.shape
    seen = sorted({i for t in TEXTS for i in tokenizer.encode(t).ids})
    rows = layer.weight.detach()[seen]
    varies = rows.std(0, correction=0) > 1e-6
    torch.testing.assert_close(rows.mean(0), old.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        rows.std(0, correction=0)[varies], old.std(0, correction=0)[varies], atol=1e-4, rtol=1e-3
    )
    # 13 words need 4 bits: 6 bits on 4 places fill the width
    assert varies.all()
    again = cipher_embedding(tokenizer, TEXTS, 24, match=old, options=options)
    assert torch.equal(again.weight, layer.weight)


def test_layer_is_the_cipher_vectors_of_the_tokens(tokenizer):
    options = EmbeddingOptions(radius=1, mode="sum", fill="pad")
    layer = cipher_embedding(tokenizer, TEXTS, 8, std=1.0, options=options)
    cipher = CipherVectors(8, 1, mode="sum", options=CipherOptions(floor=0.5))
    cipher.fit([[str(i) for i in tokenizer.encode(t).ids] for t in TEXTS])
    made = cipher.vectors.vectors.astype(np.float64)
    made = (made - made.mean(0)) / np.where(made.std(0) > 1e-9, made.std(0), 1)
    ids = [int(w) for w in cipher.vectors.words]
    np.testing.assert_allclose(layer.weight.detach()[ids], made, atol=1e-4)


def test_map_keeps_the_angles(tokenizer):
    # before the spread of each dimension is set to that of the others
    from vecsmith.train.words._cipher_embedding import widened

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 6)).astype(np.float32)
    wide = widened(vectors, 40, EmbeddingOptions())
    assert wide.shape == (50, 40)
    np.testing.assert_allclose(wide.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(wide.std(0), 1, atol=1e-4)
    assert np.linalg.matrix_rank(wide) == 6


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tie_head", [True, False])
def test_model_takes_the_layer(tokenizer, tmp_path, tied, tie_head):
    from transformers import GPT2LMHeadModel

    model = small(tokenizer.get_vocab_size(), tied=tied)
    head = model.get_output_embeddings().weight.detach().clone()
    layer = cipher_embedding(tokenizer, TEXTS, 24, match=model.get_input_embeddings().weight)
    assert replace_embeddings(model, layer, freeze=True, tie_head=tie_head) is model
    table, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert torch.equal(table, layer.weight) and not table.requires_grad
    assert (output is table) == tie_head
    if not tie_head:
        assert torch.equal(output, head) and output.requires_grad
    ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
    loss = model(ids, labels=ids).loss
    loss.backward()
    assert table.grad is None
    model.save_pretrained(tmp_path)
    again = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model.eval()(ids).logits)


def test_encoder_decoder_shares_the_layer(tokenizer):
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=24,
        d_kv=4,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    layer = cipher_embedding(tokenizer, TEXTS, 24, match=model.get_input_embeddings().weight)
    replace_embeddings(model, layer)
    for part in (model.encoder, model.decoder):
        assert torch.equal(part.get_input_embeddings().weight, layer.weight)
    assert model.get_input_embeddings().weight.requires_grad


def test_tokenizer_of_transformers_gives_the_same(tokenizer):
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    one = cipher_embedding(fast, TEXTS, 24)
    assert torch.equal(one.weight, cipher_embedding(tokenizer, TEXTS, 24).weight)
    cut = cipher_embedding(fast, TEXTS, 24, options=EmbeddingOptions(max_tokens=3))
    assert not torch.equal(cut.weight, one.weight)


def test_bad_input_of_embeddings(tokenizer):
    with pytest.raises(ConfigError, match="match must have the width 24"):
        cipher_embedding(tokenizer, TEXTS, 24, match=torch.zeros(3, 24))
    with pytest.raises(ConfigError, match="match must have the width 24"):
        cipher_embedding(tokenizer, TEXTS, 24, match=torch.zeros(99, 12))
    with pytest.raises(ConfigError, match="leaves no bit"):
        cipher_embedding(tokenizer, TEXTS, 3)
    with pytest.raises(ConfigError, match="need 4 bits"):
        cipher_embedding(tokenizer, TEXTS, 8)
    with pytest.raises(DataError, match="single string"):
        cipher_embedding(tokenizer, "text", 24)
    with pytest.raises(DataError, match="none of 0 words"):
        cipher_embedding(tokenizer, [""], 24)
    for options in ({"fill": "some"}, {"max_tokens": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            EmbeddingOptions(**options)
    model = small(9)
    with pytest.raises(ModelError, match=r"shape \(9, 24\), the new one \(3, 24\)"):
        replace_embeddings(model, torch.nn.Embedding(3, 24))
