"""Iterative null-space projection, and specific words by a classifier."""

import logging

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import WordVectors
from vecsmith.reshape.debias import NullspaceProjection, expand_specific, rowspace


def labelled(items=400, dims=10, labels=2, seed=0):
    """Vectors in which the label shifts two axes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, items)
    x = rng.normal(size=(items, dims))
    x[:, 0] += 3.0 * y
    x[:, 1] += 1.5 * (y == 0)
    return x, y


@pytest.mark.parametrize("labels", [2, 3])
def test_no_linear_classifier_finds_the_label_again(labels):
    from sklearn.linear_model import LogisticRegression

    x, y = labelled(labels=labels)
    fitted = NullspaceProjection(tolerance=0.03).fit(x, y)
    assert fitted.accuracies_[0] > 0.8 > fitted.majority_ + 0.1
    assert fitted.accuracies_[-1] <= fitted.majority_ + 0.03
    fresh, labels_ = labelled(labels=labels, seed=1)
    before = LogisticRegression().fit(x, y).score(fresh, labels_)
    after = LogisticRegression().fit(fitted.transform(x), y).score(fitted.transform(fresh), labels_)
    chance = max((labels_ == label).mean() for label in np.unique(labels_))
    assert before > 0.8 and after < chance + 0.08
    # and the rest is still there
    assert len(fitted.basis_) <= 6
    np.testing.assert_allclose(
        fitted.basis_ @ fitted.basis_.T, np.eye(len(fitted.basis_)), atol=1e-9
    )


def test_projection_is_the_intersection_of_null_spaces():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(1, 6)), rng.normal(size=(2, 6))]
    basis = rowspace(weights)
    projection = np.eye(6) - basis.T @ basis
    for w in weights:
        np.testing.assert_allclose(w @ projection, 0, atol=1e-12)
    assert np.linalg.matrix_rank(projection) == 3
    assert len(rowspace([weights[0], 3 * weights[0]])) == 1


def test_seeds_repeat_and_folders_give_it_back(tmp_path):
    x, y = labelled()
    one, two = (NullspaceProjection(seed=3).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(one.basis_, two.basis_)
    one.save(tmp_path / "null")
    again = NullspaceProjection.load(tmp_path / "null")
    np.testing.assert_array_equal(again.transform(x), one.transform(x))
    assert again.accuracies_ == one.accuracies_ and again.seed == 3
    np.testing.assert_array_equal(NullspaceProjection(seed=3).fit_transform(x, y), one.transform(x))


def test_too_few_rounds_are_said(caplog):
    x, y = labelled(labels=3)
    with caplog.at_level(logging.WARNING):
        NullspaceProjection(rounds=1, tolerance=0.0).fit(x, y)
    assert "after 1 rounds a classifier still tells the label" in caplog.text


def test_bad_input_of_the_projection():
    x, y = labelled(20)
    for options in ({"rounds": 0}, {"held_out": 1.0}, {"held_out": 0.0}, {"tolerance": -1}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            NullspaceProjection(**options)
    with pytest.raises(ConfigError, match="call fit"):
        NullspaceProjection().transform(x)
    with pytest.raises(DataError, match="label for each"):
        NullspaceProjection().fit(x, y[:-1])
    with pytest.raises(DataError, match="finite"):
        NullspaceProjection().fit(np.full_like(x, np.nan), y)
    with pytest.raises(DataError, match="two labels"):
        NullspaceProjection().fit(x, np.zeros(20))
    with pytest.raises(DataError, match="10 dimensions"):
        NullspaceProjection().fit(x, y).transform(x[:, :3])


def gendered(seed=0):
    """200 words; the first 30 hold a concept along one axis, 25 of them are seeds."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(200, 8)) * 0.3
    table[:, 0] = -1
    table[:30, 0] = 1
    return WordVectors([f"w{i}" for i in range(200)], table)


def test_classifier_finds_words_like_the_seeds():
    vectors = gendered()
    seeds = [f"w{i}" for i in range(25)]
    found = expand_specific(vectors, [*seeds, "nothing"], folds=5)
    assert found.words == [f"w{i}" for i in range(30)] and found.words[:25] == seeds
    # five of thirty on the seeds' side are counted as errors
    assert 0.8 < found.f1 < 0.97 and found.f1_std >= 0
    assert found == expand_specific(vectors, seeds, folds=5)
    quick = expand_specific(vectors, seeds, folds=0, top=100)
    assert quick.words == found.words and np.isnan(quick.f1)


def test_bad_input_of_the_classifier():
    vectors = gendered()
    with pytest.raises(DataError, match="1 of 200 words are seeds"):
        expand_specific(vectors, ["w1"], folds=0)
    with pytest.raises(DataError, match="at least 10 seeds"):
        expand_specific(vectors, [f"w{i}" for i in range(5)])
    with pytest.raises(DataError, match="200 of 200"):
        expand_specific(vectors, vectors.words)
    for options in ({"folds": 1}, {"folds": -1}, {"top": 1}):
        with pytest.raises(ConfigError, match="folds must be"):
            expand_specific(vectors, ["w1"], **options)
