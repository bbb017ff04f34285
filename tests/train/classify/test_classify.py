"""RCNN and window CNN: by loops, padding, hosts, saving, key phrases, bad input."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode.words import WordVectors
from vecsmith.train.classify import (
    ClassifierTraining,
    RCNNClassifier,
    RCNNConfig,
    WindowCNNClassifier,
    WindowCNNConfig,
    learn_words,
    recurrent_contexts,
    word_tokenizer,
)
from vecsmith.train.classify._training import label_weights, length_batches, macro_f1, part_off
from vecsmith.train.classify._word_tokenizer import encode_words
from vecsmith.train.words import split_words

WORDS = "the film was good bad not very plot it acting dull fine".split()
MODELS = [RCNNClassifier, WindowCNNClassifier]
TEXTS = [
    "the film was good",
    "not good it was dull and bad",
    "fine",
    "the plot was very very fine and the acting good",
    "bad",
    "dull plot",
] * 4
LABELS = ["+", "-", "+", "+", "-", "-"] * 4
QUICK = ClassifierTraining(epochs=12, lr=0.02, batch_size=8, share=0.0)


def vectors(dims=6, seed=0):
    table = np.random.default_rng(seed).normal(size=(len(WORDS), dims)) * 0.5
    return WordVectors(WORDS, table)


def made(kind, seed=0, **shape):
    torch.manual_seed(seed)
    model = kind(vectors=vectors(), num_labels=2, hidden=5, **shape).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "start" in name:
                value.normal_()
    return model


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = RCNNClassifier(vectors=vectors(), num_labels=2, hidden=8, context=4)
    return model.fit(TEXTS, LABELS, training=QUICK)


def naive_rcnn(model, rows):
    """The formulas of the docstring for one text, word by word, in float64."""
    w = {k: v.detach().double().numpy() for k, v in model.named_parameters()}
    e = w["embedding.weight"][rows]
    n = len(rows)
    left, right = [w["start_left"]], [w["start_right"]]
    for i in range(1, n):
        left.append(np.tanh(w["left.weight_hh_l0"] @ left[-1] + w["left.weight_ih_l0"] @ e[i - 1]))
    for i in range(n - 2, -1, -1):
        step = w["right.weight_hh_l0"] @ right[0] + w["right.weight_ih_l0"] @ e[i + 1]
        right.insert(0, np.tanh(step))
    y = [
        np.tanh(w["inner.weight"] @ np.concatenate([left[i], e[i], right[i]]) + w["inner.bias"])
        for i in range(n)
    ]
    return w["output.weight"] @ np.max(y, axis=0) + w["output.bias"], np.argmax(y, axis=0)


def naive_cnn(model, rows):
    w = {k: v.detach().double().numpy() for k, v in model.named_parameters()}
    e, side = w["embedding.weight"][rows], model.config.width // 2
    y = []
    for i in range(len(rows)):
        total = w["inner.bias"].copy()
        for offset in range(-side, side + 1):
            if 0 <= i + offset < len(rows):
                total += w["inner.weight"][:, :, offset + side] @ e[i + offset]
        y.append(np.tanh(total))
    return w["output.weight"] @ np.max(y, axis=0) + w["output.bias"], np.argmax(y, axis=0)


@pytest.mark.parametrize(
    ("kind", "naive", "shape"),
    [
        (RCNNClassifier, naive_rcnn, {"context": 3}),
        (WindowCNNClassifier, naive_cnn, {"width": 3}),
        (WindowCNNClassifier, naive_cnn, {"width": 5}),
    ],
)
@pytest.mark.parametrize("length", [1, 2, 7])
def test_logits_are_those_of_a_loop(kind, naive, shape, length):
    model = made(kind, **shape)
    rows = np.random.default_rng(length).integers(1, 14, length).tolist()
    logits, places = naive(model, rows)
    found = model(torch.tensor([rows])).logits[0].detach().numpy()
    np.testing.assert_allclose(found, logits, atol=1e-6)
    assert model.pooled(torch.tensor([rows]), None)[1][0].tolist() == places.tolist()


def test_contexts_exclude_the_word_itself():
    torch.manual_seed(0)
    recurrence = nn.RNN(3, 4, bias=False, batch_first=True)
    embedded = torch.randn(1, 6, 3, requires_grad=True)
    contexts = recurrent_contexts(embedded, recurrence, torch.randn(4))
    for i in range(6):
        (grad,) = torch.autograd.grad(contexts[0, i].sum(), embedded, retain_graph=True)
        reached = grad[0].abs().sum(1) > 0
        assert reached.tolist() == [j < i for j in range(6)]


@pytest.mark.parametrize("kind", MODELS)
def test_padding_changes_nothing(kind):
    model = made(kind)
    rows = [[3, 4], [5, 6, 7, 8, 9], [2], [4, 3, 2]]
    alone = torch.cat([model(torch.tensor([row])).logits for row in rows])
    for side in ("left", "right"):
        model.tokenizer.padding_side = side
        batch = model.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        # a padding of other numbers must be masked all the same
        ids = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 9)
        torch.testing.assert_close(model(ids, batch["attention_mask"]).logits, alone)
        torch.testing.assert_close(model(batch["input_ids"]).logits, alone)


@pytest.mark.parametrize("kind", MODELS)
def test_batch_size_changes_nothing(kind):
    model = made(kind)
    whole = model.predict_proba(TEXTS, batch_size=64)
    np.testing.assert_allclose(model.predict_proba(TEXTS, batch_size=1), whole, atol=1e-6)
    np.testing.assert_allclose(whole.sum(1), 1.0)
    assert model.predict_proba([]).shape == (0, 2) and model.predict([]) == []


@pytest.mark.parametrize("kind", MODELS)
def test_gradients_by_finite_differences(kind):
    model = made(kind).double()
    ids, labels = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0]]), torch.tensor([0, 1])
    model(ids, labels=labels).loss.backward()
    for name, value in model.named_parameters():
        flat, grad = value.data.view(-1), value.grad.view(-1)
        place = int(grad.abs().argmax())
        losses = []
        for change in (1e-6, -2e-6):
            flat[place] += change
            losses.append(model(ids, labels=labels).loss.item())
        flat[place] += 1e-6
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(grad[place].item(), abs=1e-6), name
    assert model.embedding.weight.grad[0].abs().sum() == 0


@pytest.mark.parametrize("kind", MODELS)
def test_it_learns(kind):
    torch.manual_seed(0)
    model = kind(vectors=vectors(), num_labels=2, hidden=8)
    before = model.embedding.weight.detach().clone()
    assert model.fit(TEXTS, LABELS, training=QUICK) is model
    assert model.predict(TEXTS) == LABELS and model.score(TEXTS, LABELS) == 1.0
    assert model.classes == ["+", "-"] and not model.training
    # the vectors are fine-tuned, the padding is not
    moved = (model.embedding.weight - before).abs().sum(1)
    assert moved[0] == 0 and moved[2:].max() > 0.01


def test_training_is_repeatable():
    def weights(seed, torch_seed=3):
        torch.manual_seed(torch_seed)
        model = RCNNClassifier(vectors=vectors(), num_labels=2, hidden=4, context=2)
        how = ClassifierTraining(epochs=2, batch_size=8, share=0.25, seed=seed)
        return model.fit(TEXTS, LABELS, training=how).state_dict()

    one, same, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_saved_and_loaded_in_another_process(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    loaded = RCNNClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), trained.predict_proba(TEXTS))
    assert loaded.classes == trained.classes and loaded.config.context == 4
    for name, value in trained.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    code = (
        "import sys; from vecsmith.train.classify import RCNNClassifier as R; "
        "m = R.from_pretrained(sys.argv[1]); print(m.predict(['not good', 'fine acting']), "
        "m.predict_proba(['the plot'])[0, 0].hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    expected = trained.predict_proba(["the plot"])[0, 0].hex()
    assert run.stdout.split("]")[1].strip() == expected
    assert not list(tmp_path.glob("*.bin"))
    with pytest.raises((OSError, ValueError)):
        RCNNClassifier.from_pretrained(tmp_path / "nothing")


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
def test_it_trains_with_the_host_trainer(tmp_path):
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model = made(RCNNClassifier, context=3)
    data = Dataset.from_dict({"text": TEXTS, "labels": [int(x == "-") for x in LABELS]})
    data = data.map(lambda row: model.tokenizer(row["text"]), batched=True)
    arguments = TrainingArguments(
        str(tmp_path),
        num_train_epochs=8,
        per_device_train_batch_size=8,
        learning_rate=0.05,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=data,
        data_collator=DataCollatorWithPadding(model.tokenizer),
    )
    before = model.score(TEXTS, [f"LABEL_{int(x == '-')}" for x in LABELS])
    trainer.train()
    assert model.score(TEXTS, [f"LABEL_{int(x == '-')}" for x in LABELS]) > max(before, 0.9)


def test_key_phrases_are_the_winning_positions(trained):
    text = "The Film, it was VERY good"
    phrases = trained.key_phrases(text, top_k=10)
    rows = encode_words(trained.tokenizer, [text], None)[0]
    _, places = naive_rcnn(trained, rows)
    counts = np.bincount(places, minlength=6)
    assert {p.position: p.share for p in phrases} == {
        i: n / 8 for i, n in enumerate(counts.tolist()) if n
    }
    shares = [p.share for p in phrases]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1.0)
    words = ["The", "Film", "it", "was", "VERY", "good"]
    for phrase in phrases:
        i = phrase.position
        assert phrase.text == " ".join(words[max(0, i - 1) : i + 2])
    assert [p.text for p in trained.key_phrases(["good"], width=1)] == ["good"]
    assert len(trained.key_phrases(text, top_k=1)) == 1
    with pytest.raises(ConfigError, match="width must be odd"):
        trained.key_phrases(text, width=2)
    with pytest.raises(ConfigError, match="top_k"):
        trained.key_phrases(text, top_k=0)


def test_words_are_learned_where_none_are_given(tmp_path):
    model = WindowCNNClassifier(num_labels=2, dims=4, hidden=4)
    with pytest.raises(ModelError, match="call fit"):
        model.predict(["x"])
    model.fit([text.split() for text in TEXTS], LABELS, training=QUICK)
    assert model.config.vocab_size == len(model.embedding.weight) == 2 + len(learn_words(TEXTS))
    model.save_pretrained(tmp_path)
    again = WindowCNNClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))


def test_vectors_become_the_first_layer():
    gensim = vectors().to_keyed_vectors()
    for source in (vectors(), gensim):
        model = RCNNClassifier(num_labels=2, vectors=source)
        table = model.embedding.weight.detach().numpy()
        np.testing.assert_array_equal(table[2:], vectors().vectors)
        np.testing.assert_allclose(table[1], vectors().vectors.mean(0), atol=1e-7)
        assert not table[0].any() and model.config.dims == 6
    with pytest.raises(ConfigError, match="WordVectors or gensim"):
        RCNNClassifier(num_labels=2, vectors=np.ones((3, 2)))
    with pytest.raises(ConfigError, match="either config"):
        RCNNClassifier(RCNNConfig(), vectors=vectors())


def test_tokenizer_splits_as_the_house_does():
    text = "Don't stop: x_1 of 3.5 naïve Ärzte’s 分词\n(end)"
    words = split_words(text)
    tokenizer = word_tokenizer(words)
    ids = encode_words(tokenizer, [text, words, "", []], None)
    assert ids[0] == ids[1] == tokenizer(text)["input_ids"] and 1 not in ids[0]
    assert ids[2] == ids[3] == [1]
    assert encode_words(tokenizer, [text], 3) == [ids[0][:3]]
    cased = word_tokenizer(["Stop"], lower_case=False)
    assert encode_words(cased, ["Stop stop"], None) == [[2, 1]]
    for words in (["a", "a"], ["[UNK]"]):
        with pytest.raises(DataError, match="each word once"):
            word_tokenizer(words)
    with pytest.raises(DataError, match="single string"):
        encode_words(tokenizer, "text", None)
    with pytest.raises(DataError, match="text 1 must be"):
        encode_words(tokenizer, ["x", 3], None)


def test_learned_words_are_in_order():
    assert learn_words(["b a b", ["c", "c", "c", "[UNK]"]]) == ["c", "b", "a"]
    assert learn_words(["b a b c"], minimum=2) == ["b"] and learn_words(["b a b"], most=1) == ["b"]
    assert learn_words(["B b"], lower_case=False) == ["B", "b"]
    with pytest.raises(DataError, match="no word"):
        learn_words(["", "..."])


def test_batches_hold_each_text_once():
    how = ClassifierTraining(batch_size=4)
    rows = [[i + 1] * (1 + i % 5) for i in range(90)]
    numbers = np.arange(90)
    seen = []
    for ids, mask, wanted in length_batches(rows, numbers, how, 0):
        for row, m, number in zip(ids, mask, wanted, strict=True):
            assert row[m.bool()].tolist() == rows[number]
            seen.append(int(number))
    assert sorted(seen) == list(range(90))
    again = [int(n) for _, _, w in length_batches(rows, numbers, how, 0) for n in w]
    other = [int(n) for _, _, w in length_batches(rows, numbers, how, 1) for n in w]
    assert again == seen != other


def test_development_part_weights_and_f1():
    from sklearn.metrics import f1_score

    rows, numbers, (held, wanted) = part_off(
        [[i] for i in range(10)], np.arange(10), ClassifierTraining(share=0.3)
    )
    assert len(held) == 3 and sorted([r[0] for r in [*rows, *held]]) == list(range(10))
    assert [r[0] for r in rows] == numbers.tolist() and [r[0] for r in held] == wanted.tolist()
    np.testing.assert_allclose(label_weights(np.array([0, 0, 0, 1]), 2, balanced=True), [2 / 3, 2])
    assert label_weights(np.array([0, 0, 1]), 2, balanced=False).tolist() == [1, 1]
    rng = np.random.default_rng(0)
    true, found = rng.integers(0, 5, 50), rng.integers(1, 6, 50)
    assert macro_f1(true, found) == pytest.approx(f1_score(true, found, average="macro"))


def test_best_pass_on_development_data_is_kept():
    # the development labels are turned round: training can only make it worse
    turned = [{"+": "-", "-": "+"}[label] for label in LABELS]
    model = made(WindowCNNClassifier)
    how = ClassifierTraining(epochs=30, batch_size=8, lr=0.02, patience=2)
    model.fit(TEXTS, LABELS, development=(TEXTS, turned), training=how)
    assert model.score(TEXTS, LABELS) < 1.0


def test_bad_input():
    model = made(RCNNClassifier)
    with pytest.raises(DataError, match="2 texts and 1 labels"):
        model.fit(["a", "b"], ["x"])
    with pytest.raises(DataError, match="num_labels=3"):
        model.fit(["a", "b", "c"], ["x", "y", "z"])
    with pytest.raises(DataError, match=r"unknown: \['z'\]"):
        model.fit(TEXTS, LABELS, development=(["a"], ["z"]))
    with pytest.raises(DataError, match="text 1 of the batch has no word"):
        model(torch.tensor([[2, 3], [0, 0]]))
    for bad in (
        {"optimizer": "lbfgs"},
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"share": 1.0},
        {"patience": 0},
    ):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            ClassifierTraining(**bad)
    for bad in ({"hidden": 0}, {"dims": 1.5}, {"dropout": 1.0}, {"max_words": 0}, {"context": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            RCNNConfig(**bad)
    with pytest.raises(ConfigError, match="width must be an odd"):
        WindowCNNConfig(width=4)


def test_sgd_as_in_the_paper_and_short_reading():
    torch.manual_seed(0)
    model = RCNNClassifier(vectors=vectors(), num_labels=2, hidden=8, context=4, max_words=2)
    how = ClassifierTraining(epochs=3, lr=0.05, batch_size=1, optimizer="sgd", balanced=True)
    model.fit(TEXTS, LABELS, training=how)
    long = model.predict_proba(["not good it was dull", "not good"])
    np.testing.assert_allclose(long[0], long[1], atol=1e-7)
