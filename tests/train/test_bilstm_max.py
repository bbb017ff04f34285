"""InferSent's encoder: naive recursion, order, padding, training on labelled pairs, files."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from vecsmith.core import ConfigError
from vecsmith.encode.words import WordVectors
from vecsmith.train import bilstm_max_encoder, pair_classifier

TEXTS = ["a b c", "c b a", "F"]


@pytest.fixture
def vectors():
    return WordVectors(list("abcdef"), np.random.default_rng(0).normal(size=(6, 5)))


def naive(model, vectors, words):
    """Gates by hand, both directions, largest state of each unit."""
    lstm = model[1].encoder
    states = []
    for suffix, order in (("", words), ("_reverse", words[::-1])):
        w, u, b, c = (
            getattr(lstm, f"{name}_l0{suffix}").detach().double().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden = cell = np.zeros(len(u[0]))
        found = []
        for word in order:
            i, f, g, o = np.split(w @ vectors[word].astype(float) + b + u @ hidden + c, 4)
            i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
            cell = f * cell + i * np.tanh(g)
            hidden = o * np.tanh(cell)
            found.append(hidden)
        states.append(np.max(found, axis=0))
    return np.concatenate(states)


def test_it_is_the_recursion_by_hand(vectors):
    model = bilstm_max_encoder(vectors, hidden=3)
    found = model.encode(TEXTS)
    for text, row in zip(("abc", "cba", "f"), found, strict=True):
        np.testing.assert_allclose(row, naive(model, vectors, list(text)), atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    np.testing.assert_allclose(model.encode(["f"])[0], found[2], atol=1e-6)
    assert np.array_equal(found, bilstm_max_encoder(vectors, hidden=3).encode(TEXTS))


def test_labelled_pairs_train_it(vectors):
    model = bilstm_max_encoder(vectors, hidden=8)
    loss = pair_classifier(model, 2)
    rng = np.random.default_rng(0)
    left = [" ".join(rng.choice(list("abcdef"), 3)) for _ in range(64)]
    right = [text if i % 2 else text[::-1].replace("a", "f") for i, text in enumerate(left)]
    labels = torch.tensor([i % 2 for i in range(64)])
    features = [model.preprocess(texts) for texts in (left, right)]
    before = model[1].encoder.weight_hh_l0.detach().clone()
    optimizer = torch.optim.Adam([p for p in loss.parameters() if p.requires_grad], lr=0.02)
    values = []
    for _ in range(60):
        value = loss([dict(f) for f in features], labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
    assert not torch.equal(before, model[1].encoder.weight_hh_l0)
    np.testing.assert_array_equal(model[0].emb_layer.weight.detach().numpy(), vectors.vectors)
    assert loss.classifier.in_features == 4 * 16


def test_it_loads_in_its_host(vectors, tmp_path):
    model = bilstm_max_encoder(vectors, hidden=4)
    model.save_pretrained(str(tmp_path / "model"))
    again = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(again.encode(["a c e"]), model.encode(["a c e"]))


def test_bad_settings_are_named(vectors):
    with pytest.raises(ConfigError, match="hidden"):
        bilstm_max_encoder(vectors, hidden=0)
    with pytest.raises(ConfigError, match="labels"):
        pair_classifier(bilstm_max_encoder(vectors, hidden=2), 1)
