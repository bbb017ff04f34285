"""Embedded topic model: terms by a loop, gradients, themes found, perplexity, saved; bad input."""

import math

import numpy as np
import pytest
import torch

from vecsmith.core import Budget, ConfigError, DataError, StoreError
from vecsmith.encode import WordVectors
from vecsmith.train.topics import (
    ETM,
    EmbeddedTopicModel,
    ETMOptions,
    ETMSizes,
    gaussian_kl,
    word_loss,
    word_shares,
)

THEMES = [
    "cat dog mat sleeps purrs fur tail kitten".split(),
    "stocks bonds market falls investor bank rates profit".split(),
    "sail harbour mast captain anchor deck crew storm".split(),
]


def texts(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(THEMES[i % 3], 12)) for i in range(count)]


TEXTS = texts(150, 0)
OPTIONS = ETMOptions(dims=12, hidden=24, dropout=0.1, batch_size=50, lr=0.02, cpu=True)


@pytest.fixture(scope="module")
def fitted():
    return EmbeddedTopicModel(3, options=OPTIONS, seed=1).fit(TEXTS, budget=Budget(epochs=40))


def test_terms_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    words, topics = rng.standard_normal((5, 3)), rng.standard_normal((2, 3))
    beta = word_shares(torch.tensor(words), torch.tensor(topics)).numpy()
    for k in range(2):
        scores = [math.exp(words[v] @ topics[k]) for v in range(5)]
        np.testing.assert_allclose(beta[k], np.array(scores) / sum(scores))
    mean, log_variance = rng.standard_normal((2, 4, 3))
    kl = gaussian_kl(torch.tensor(mean), torch.tensor(log_variance)).numpy()
    for row in range(4):
        expected = 0.0
        for m, s in zip(mean[row], log_variance[row], strict=True):
            expected += 0.5 * (m * m + math.exp(s) - 1 - s)
        assert kl[row] == pytest.approx(expected)
    counts, theta = rng.integers(0, 3, (4, 5)), rng.dirichlet([1, 1], 4)
    loss = word_loss(torch.tensor(counts), torch.tensor(theta), torch.tensor(beta)).numpy()
    for row in range(4):
        expected = 0.0
        for v in range(5):
            share = sum(theta[row, k] * beta[k, v] for k in range(2))
            expected -= counts[row, v] * math.log(share + 1e-6)
        assert loss[row] == pytest.approx(expected)


def test_divergence_is_torchs():
    mean, log_variance = torch.randn(2, 3), torch.randn(2, 3)
    ours = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    theirs = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), theirs)


def test_gradients_are_finite_differences():
    torch.manual_seed(0)
    model = ETM(ETMSizes(4, 2, 3, 5, 0.0)).double().eval()
    counts = torch.tensor([[1.0, 0, 2, 0], [0, 3, 0, 1]], dtype=torch.float64)
    model(counts).backward()
    for weight in (model.words, model.topics, model.mean.weight, model.reader[0].weight):
        base, step = weight.data.clone(), 1e-6
        values = []
        for sign in (1, -1):
            weight.data = base.clone()
            weight.data.view(-1)[1] += sign * step
            values.append(model(counts).item())
        weight.data = base
        expected = (values[0] - values[1]) / (2 * step)
        assert float(weight.grad.view(-1)[1]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_words_that_are_kept_do_not_move():
    vectors = np.random.default_rng(0).standard_normal((24, 6))
    table = WordVectors([w for theme in THEMES for w in theme], vectors)
    options = ETMOptions(hidden=8, train_words=False, cpu=True)
    made = EmbeddedTopicModel(3, table=table, options=options).fit(TEXTS, budget=Budget(steps=2))
    assert made.words.dims == 6
    np.testing.assert_array_equal(made.words["sail"], table["sail"])
    part = EmbeddedTopicModel(3, table=table.subset(5), options=options)
    part.fit(TEXTS, budget=Budget(steps=1))
    np.testing.assert_array_equal(part.words["cat"], table["cat"])
    assert part.words["sail"].any()


def test_themes_are_found(fitted):
    found = [{*topic} for topic in fitted.topics(6)]
    assert {i for topic in found for i, theme in enumerate(THEMES) if topic <= {*theme}} == {
        0,
        1,
        2,
    }
    main = fitted.encode(texts(30, 5)).argmax(1).reshape(10, 3)
    assert (main == main[0]).mean() > 0.9
    np.testing.assert_allclose(fitted.beta.sum(1), 1, atol=1e-5)
    assert fitted.topic_vectors.shape == (3, 12)


def test_perplexity_falls_from_chance(fitted):
    new = texts(30, 9)
    assert fitted.perplexity(new) < 12
    untrained = EmbeddedTopicModel(3, options=OPTIONS).fit(TEXTS, budget=Budget(steps=1))
    assert 15 < untrained.perplexity(new) < 40
    assert fitted.perplexity(new) == fitted.perplexity(new)


def test_batches_seeds_and_files(fitted, tmp_path):
    rows = fitted.encode([*TEXTS[:5], "zzz"])
    alone = np.concatenate([fitted.encode([text]) for text in [*TEXTS[:5], "zzz"]])
    np.testing.assert_allclose(rows, alone, atol=1e-6)
    np.testing.assert_allclose(rows[-1], 1 / 3, atol=1e-6)
    assert fitted.encode([]).shape == (0, 3)
    fitted.save(tmp_path / "model")
    again = EmbeddedTopicModel.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(TEXTS), fitted.encode(TEXTS))
    assert again.topics() == fitted.topics() and again.options == OPTIONS
    short = [
        EmbeddedTopicModel(3, options=OPTIONS, seed=seed).fit(TEXTS, budget=Budget(steps=3)).beta
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(short[0], short[1])
    assert (short[0] != short[2]).any()


def test_bad_input_is_said(fitted, tmp_path):
    with pytest.raises(ConfigError, match="topics"):
        EmbeddedTopicModel(1)
    with pytest.raises(ConfigError, match="lr"):
        ETMOptions(lr=0)
    with pytest.raises(ConfigError, match="dropout"):
        ETMSizes(3, 2, dropout=1.0)
    with pytest.raises(ConfigError, match=r"shape \(3, 4\)"):
        ETM(ETMSizes(3, 2, 4), vectors=torch.zeros(3, 3))
    with pytest.raises(DataError, match="call fit"):
        EmbeddedTopicModel(3).encode(TEXTS)
    with pytest.raises(DataError, match="at least one text"):
        EmbeddedTopicModel(3).fit([])
    with pytest.raises(DataError, match="none of 24 words"):
        EmbeddedTopicModel(3, table=WordVectors(["Cat"], [[1.0]])).fit(TEXTS)
    with pytest.raises(DataError, match="two words"):
        fitted.perplexity(["cat", "zzz"])
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / "settings.json"
    path.write_text(path.read_text().replace('"topics": 3', '"topics": 4'))
    with pytest.raises(StoreError, match="damaged"):
        EmbeddedTopicModel.load(tmp_path / "model")
