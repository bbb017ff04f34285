"""The bidirectional model: letters, directions, loss, sampled softmax, training, files."""

import math

import numpy as np
import pytest
import torch

from vecsmith.core import Budget, ConfigError, DataError, ModelError
from vecsmith.encode import LayerMix
from vecsmith.train.language import (
    BiLM,
    BiLMConfig,
    BiLMOptions,
    CharCNN,
    CharSizes,
    bilm_loss,
    bilm_perplexity,
    draw_words,
    letter_ids,
    log_inclusion,
    log_uniform,
    reversed_rows,
    sampled_loss,
    split_tokens,
    train_bilm,
)
from vecsmith.train.language._bilm import batch_letters
from vecsmith.train.language._bilm_training import Pieces

CHARS = CharSizes(letters=10, dims=4, filters=((1, 4), (2, 6), (3, 6)), highways=2, output=8)
WORDS = ("<unk>", "the", "cat", "sat", "dog", ".")
SIZES = BiLMConfig(chars=CHARS, hidden=12, dropout=0.0, vocabulary=WORDS)
TEXTS = ["The cat sat.", "the dog", "Don't the naïve cats sit, too?", ""]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BiLM(SIZES).eval()


def test_letters_by_hand():
    assert letter_ids("cat", 7) == [257, 100, 98, 117, 258, 0, 0]
    assert letter_ids("ï", 5) == [257, 0xC3 + 1, 0xAF + 1, 258, 0]
    assert letter_ids("abcdefgh", 5) == [257, 98, 99, 100, 258]
    assert letter_ids(" start", 4) == [257, 259, 258, 0] and letter_ids(" end", 3)[1] == 260
    assert split_tokens("Don't stop, now!") == ["Don't", "stop", ",", "now", "!"]


def test_a_word_is_that_of_a_loop():
    torch.manual_seed(1)
    cnn = CharCNN(CHARS).double()
    ids = torch.tensor([letter_ids("cat", 10), letter_ids("naïve", 10)])
    with torch.no_grad():
        found = cnn(ids)
        for row, word in zip(found, ids, strict=True):
            letters = cnn.bytes.weight[word]
            parts = []
            for filters, (width, count) in zip(cnn.filters, CHARS.filters, strict=True):
                for f in range(count):
                    values = [
                        (filters.weight[f].T * letters[t : t + width]).sum() + filters.bias[f]
                        for t in range(10 - width + 1)
                    ]
                    parts.append(max(0.0, max(v.item() for v in values)))
            state = torch.tensor(parts, dtype=torch.float64)
            for layer in cnn.highways:
                gate = torch.sigmoid(layer.gate(state))
                state = gate * torch.relu(layer.change(state)) + (1 - gate) * state
            torch.testing.assert_close(row, cnn.project(state))


def test_rows_are_turned_within_their_length():
    rows = torch.arange(8).reshape(2, 4)
    turned = reversed_rows(rows, torch.tensor([3, 4]))
    assert turned.tolist() == [[2, 1, 0, 3], [7, 6, 5, 4]]
    states = torch.randn(2, 4, 3)
    lengths = torch.tensor([2, 4])
    torch.testing.assert_close(reversed_rows(reversed_rows(states, lengths), lengths), states)


def test_each_direction_sees_its_side_alone(model):
    """Changing a word moves the left states after it, and the right states before it."""
    a, b = [split_tokens(text) for text in ("the cat sat on it", "the cat lay on it")]
    letters, lengths = batch_letters([a, b], 10)
    _, ahead, behind = model.read(letters, lengths)
    for state in ahead:
        moved = (state[0] - state[1]).abs().amax(1) > 0
        assert moved.tolist() == [False, False, False, True, True, True, True]
    for state in behind:
        moved = (state[0] - state[1]).abs().amax(1) > 0
        assert moved.tolist() == [True, True, True, True, False, False, False]


def test_layers_are_words_and_both_directions(model):
    layers = model.encode_layers(TEXTS)
    assert [states.shape for states in layers] == [(3, 4, 16), (3, 2, 16), (3, 8, 16), (3, 0, 16)]
    letters, lengths = batch_letters([split_tokens(TEXTS[0])], 10)
    words, ahead, behind = model.read(letters, lengths)
    np.testing.assert_allclose(layers[0][0, :, :8], words[0, 1:-1].detach(), atol=1e-6)
    np.testing.assert_allclose(layers[0][0, :, :8], layers[0][0, :, 8:])
    for j in (1, 2):
        np.testing.assert_allclose(layers[0][j, :, :8], ahead[j - 1][0, 1:-1].detach(), atol=1e-5)
        np.testing.assert_allclose(layers[0][j, :, 8:], behind[j - 1][0, 1:-1].detach(), atol=1e-5)
    # the second layer adds to the first
    raw, _ = model.forwards.layers[1](ahead[0])
    torch.testing.assert_close(ahead[1], raw + ahead[0])


def test_a_text_does_not_hang_on_those_beside_it(model):
    many = [*TEXTS, "cat " * 9, "the dog ran", "a cat sat"]
    together, alone = model.encode(many), [model.encode([text])[0] for text in many]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    small = model.encode_layers(many, words_at_once=1)
    for a, b in zip(model.encode_layers(many), small, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert not together[3].any() and model.encode([]).shape == (0, 16)
    unit = model.encode(TEXTS[:3], normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)


def test_a_mix_takes_the_layers(model):
    mix = LayerMix(3)
    with torch.no_grad():
        mix.scores[1] = 60.0
    layers, mixed = model.encode_layers(TEXTS[:3]), model.encode_tokens(TEXTS[:3], mix=mix)
    for states, tokens in zip(layers, mixed, strict=True):
        np.testing.assert_allclose(tokens, states[1], atol=1e-6)
    even = model.encode_tokens(TEXTS[:3])[0]
    np.testing.assert_allclose(even, layers[0].mean(0), atol=1e-6)


def test_loss_is_that_of_a_loop(model):
    texts = [split_tokens(text) for text in ("the cat sat .", "the bird")]
    pieces = Pieces(texts, WORDS, letters=10, max_tokens=9)
    batch = pieces.batch([0, 1])
    with torch.no_grad():
        total, count = 0.0, 0
        for text in texts:
            letters, lengths = batch_letters([text], 10)
            _, ahead, behind = model.read(letters, lengths)
            for place, word in enumerate(text):
                target = WORDS.index(word) if word in WORDS else 0
                # before the word stands place `place`, after it `place + 2`, marks counted
                for state in (ahead[-1][0, place], behind[-1][0, place + 2]):
                    total -= torch.log_softmax(model.predict(state), 0)[target].item()
                    count += 1
        assert bilm_loss(model, batch).item() == pytest.approx(total / count, rel=1e-5)
    expected = math.exp(total / count)
    assert bilm_perplexity(model, ["the cat sat .", "the bird"]) == pytest.approx(
        expected, rel=1e-4
    )


def test_long_texts_are_cut_into_pieces():
    pieces = Pieces([["a"] * 25, ["b"]], ["<unk>", "a"], letters=5, max_tokens=10)
    assert [len(row) for row in pieces.rows] == [12, 12, 7, 3]
    batches = pieces.batches(24, np.arange(4))
    assert sorted(i for batch in batches for i in batch) == [0, 1, 2, 3]
    assert all(len(b) * max(len(pieces.rows[i]) for i in b) <= 24 for b in batches)


def test_drawn_words_follow_the_proposal():
    torch.manual_seed(0)
    q = log_uniform(torch.arange(20), 20)
    assert q.sum().item() == pytest.approx(1, abs=1e-6)
    counts = torch.zeros(20)
    for _ in range(4000):
        drawn = draw_words(6, 20)
        assert len(drawn) == len(drawn.unique()) <= 6
        counts[drawn] += 1
    torch.testing.assert_close(counts / 4000, 1 - (1 - q) ** 6, atol=0.03, rtol=0)
    torch.testing.assert_close(log_inclusion(torch.arange(20), 20, 6).exp(), 1 - (1 - q) ** 6)
    assert draw_words(3, 1).tolist() == [0] and torch.isfinite(log_inclusion(torch.zeros(1), 1, 3))


def test_sampled_loss_by_a_loop_and_the_whole():
    torch.manual_seed(0)
    states, weight, bias = torch.randn(3, 4), torch.randn(9, 4), torch.randn(9)
    targets, drawn = torch.tensor([0, 5, 8]), torch.tensor([0, 1, 5])
    found = sampled_loss(states, targets, weight, bias, drawn=drawn, tries=4)
    q = [math.log((k + 2) / (k + 1)) / math.log(10) for k in range(9)]
    for row, target in enumerate(targets.tolist()):
        score = [
            (states[row] @ weight[k] + bias[k]).item() - math.log(1 - (1 - q[k]) ** 4)
            for k in range(9)
        ]
        others = [score[k] for k in drawn.tolist() if k != target]
        whole = math.log(sum(math.exp(s) for s in [score[target], *others]))
        assert found[row].item() == pytest.approx(whole - score[target], rel=1e-4)
    many = sampled_loss(states, targets, weight, bias, drawn=torch.arange(9), tries=10**6)
    full = torch.nn.functional.cross_entropy(states @ weight.T + bias, targets, reduction="none")
    torch.testing.assert_close(many, full)


def corpus(count, seed):
    rng = np.random.default_rng(seed)
    pets, money = ["cat", "dog"], ["stock", "bond"]
    rows = []
    for i in range(count):
        if i % 2:
            rows.append(f"the {rng.choice(pets)} sleeps on the warm mat .")
        else:
            rows.append(f"a {rng.choice(money)} falls when rates rise .")
    return rows


SMALL = BiLMConfig(chars=CHARS, hidden=16, layers=1, dropout=0.0)


@pytest.mark.parametrize("samples", [None, 8])
def test_training_learns_the_texts(samples):
    options = BiLMOptions(min_count=1, samples=samples, batch_words=200, lr=0.05, cpu=True)
    texts, new = corpus(120, 0), corpus(20, 5)
    result = train_bilm(texts, SMALL, budget=Budget(steps=100), options=options, seed=1)
    model = result.model
    assert isinstance(model, BiLM) and result.steps == 100 and not model.training
    assert model.config.vocabulary[:3] == ("<unk>", ".", "the")
    first, second, other = (
        train_bilm(texts, SMALL, budget=Budget(steps=2), options=options, seed=seed).model
        for seed in (1, 1, 2)
    )
    assert bilm_perplexity(model, new) < 3 < 10 < bilm_perplexity(first, new)
    np.testing.assert_array_equal(first.encode(new), second.encode(new))
    assert (first.encode(new) != other.encode(new)).any()


def test_a_checkpoint_goes_on(tmp_path):
    options = BiLMOptions(min_count=1, samples=None, batch_words=200, lr=0.02, cpu=True)
    texts = corpus(60, 0)
    whole = train_bilm(texts, SMALL, budget=Budget(steps=6), options=options)
    train_bilm(texts, SMALL, budget=Budget(steps=6), options=options, checkpoint=tmp_path / "c")
    again = train_bilm(
        texts, SMALL, budget=Budget(steps=6), options=options, checkpoint=tmp_path / "c"
    )
    np.testing.assert_array_equal(again.model.encode(texts), whole.model.encode(texts))


def test_saved_models_come_back(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    again = BiLM.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert again.config == model.config
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError, match="does not load"):
        BiLM.from_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="no vecsmith-bilm"):
        BiLM.from_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="missing"):
        BiLM.from_pretrained(tmp_path / "nowhere")


def test_bad_input_is_said(model):
    for bad in ({"letters": 2}, {"output": 0}, {"filters": ()}, {"filters": ((60, 1),)}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            CharSizes(**bad)
    for bad in ({"hidden": 512}, {"layers": 0}, {"dropout": 1.0}, {"vocabulary": ()}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            BiLMConfig(**bad)
    for bad in ({"min_count": 0}, {"samples": 0}, {"lr": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            BiLMOptions(**bad)
    budget = Budget(steps=1)
    with pytest.raises(DataError, match="two words"):
        train_bilm(["one", ""], SMALL, budget=budget)
    with pytest.raises(DataError, match="single string"):
        train_bilm("one text", SMALL, budget=budget)
    with pytest.raises(DataError, match="must be a string"):
        model.encode_tokens([3])
    with pytest.raises(DataError, match="must be a string; got int"):
        model.encode_tokens([["a", 3]])
