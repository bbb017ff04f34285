"""Rotations between spaces: naive loops, known rotations, hubs, self-learning, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.reshape.adapt import (
    align_spaces,
    csls_scores,
    mutual_pairs,
    orthogonal_map,
    translate,
    unit_centred,
)


def rotated(seed=0, n=200, dims=6, noise=0.0):
    rng = np.random.default_rng(seed)
    x = unit_centred(rng.normal(size=(n, dims)) * np.arange(1, dims + 1))
    turn = np.linalg.qr(rng.normal(size=(dims, dims)))[0]
    return x, x @ turn + noise * rng.normal(size=x.shape), turn


def naive_csls(x, y, k):
    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    near_x = [np.mean(sorted((cosine(a, b) for b in y), reverse=True)[:k]) for a in x]
    near_y = [np.mean(sorted((cosine(a, b) for a in x), reverse=True)[:k]) for b in y]
    return np.array(
        [
            [2 * cosine(a, b) - near_x[i] - near_y[j] for j, b in enumerate(y)]
            for i, a in enumerate(x)
        ]
    )


@given(st.integers(0, 99), st.integers(1, 12))
def test_csls_is_the_naive_loop(seed, k):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(9, 3))
    wanted = naive_csls(x, y, k)
    np.testing.assert_allclose(csls_scores(x, y, k=k), wanted, atol=1e-12)
    assert (translate(x, y, k=k)[:, 0] == wanted.argmax(1)).all()


def test_a_known_rotation_is_found():
    x, y, turn = rotated()
    np.testing.assert_allclose(orthogonal_map(x[:50], y[:50]), turn, atol=1e-10)
    found = align_spaces(x, y, np.stack([np.arange(50)] * 2, 1))
    np.testing.assert_allclose(found.matrix @ found.matrix.T, np.eye(6), atol=1e-10)
    assert found.history[0] == pytest.approx(1)
    assert (translate(found.apply(x), y)[:, 0] == np.arange(200)).all()


def test_the_rotation_is_the_best_of_many():
    x, y, _ = rotated(noise=0.3)
    best = np.linalg.norm(x @ orthogonal_map(x, y) - y)
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        assert np.linalg.norm(x @ other - y) > best


def test_csls_takes_hubs_off():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 20))
    hub = y.mean(0) * 0 + 1.0
    y = np.concatenate([y + 0.6 * hub, hub[None]])
    x = y[:300] + 0.9 * rng.normal(size=(300, 20))
    plain, scaled = (translate(x, y, csls=flag)[:, 0] for flag in (False, True))
    assert (scaled == np.arange(300)).mean() > (plain == np.arange(300)).mean()
    assert (plain == 300).sum() > (scaled == 300).sum()


def test_self_learning_grows_a_small_dictionary():
    x, y, _ = rotated(n=400, dims=10, noise=0.02)
    seed = np.stack([np.arange(9)] * 2, 1)
    alone = align_spaces(x, y, seed)
    grown = align_spaces(x, y, seed, rounds=10)
    right = [(translate(a.apply(x), y)[:, 0] == np.arange(400)).mean() for a in (alone, grown)]
    assert right[1] > right[0] and right[1] > 0.95
    assert len(grown.pairs) > 300 and len(grown.history) > 1
    assert list(grown.history[1:]) == sorted(grown.history[1:])


def test_mutual_pairs_are_mutual():
    x, y, turn = rotated(noise=0.4)
    pairs = mutual_pairs(x @ turn, y)
    scores = csls_scores(x @ turn, y)
    assert 0 < len(pairs) < 200
    for a, b in pairs:
        assert scores[a].argmax() == b and scores[:, b].argmax() == a


def test_only_the_first_words_become_pairs():
    x, y, _ = rotated()
    found = align_spaces(x, y, np.stack([np.arange(50)] * 2, 1), rounds=3, words=60)
    assert found.pairs.max() < 60


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"pairs": np.zeros((0, 2), int)}, DataError, "shape"),
        ({"pairs": [[0.5, 1.0]]}, DataError, "pairs must hold rows"),
        ({"pairs": [[0, 200]]}, DataError, "below 200 and 200"),
        ({"pairs": [[-1, 0]]}, DataError, "below"),
        ({"target": np.zeros((5, 4))}, DataError, "same dimensions"),
        ({"rounds": -1}, ConfigError, "rounds"),
        ({"words": 0}, ConfigError, "words"),
    ],
)
def test_bad_input_is_named(change, error, named):
    x, y, _ = rotated()
    arguments = {"source": x, "target": y, "pairs": [[0, 0]], **change}
    with pytest.raises(error, match=named):
        align_spaces(**arguments)


def test_other_bad_input_is_named():
    x, y, _ = rotated()
    with pytest.raises(DataError, match="finite"):
        unit_centred([[np.nan, 1.0]])
    with pytest.raises(DataError, match="pair up"):
        orthogonal_map(x, y[:10])
    with pytest.raises(ConfigError, match="topn"):
        translate(x, y, topn=201)
    with pytest.raises(ConfigError, match="k must"):
        csls_scores(x, y, k=0)
