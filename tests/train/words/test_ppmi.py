"""Count vectors: by a loop over tokens, the SVD, adding up, saved; bad input."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.train.words import (
    CooccurrenceCounter,
    PPMIOptions,
    PPMIVectors,
    ppmi,
    truncated_svd,
    window_weight,
    windowed_counts,
)

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog ate the fish",
    "the fish sat in the bowl with a cat",
]


def naive_counts(words, radius, weight):
    place = {word: i for i, word in enumerate(words)}
    found = np.zeros((len(words), len(words)))
    for text in TEXTS:
        tokens = text.split()
        for i, word in enumerate(tokens):
            for j, other in enumerate(tokens):
                if i != j and abs(i - j) <= radius:
                    found[place[word], place[other]] += weight(abs(i - j))
    return found


@pytest.mark.parametrize(
    "window, weight",
    [
        ("flat", lambda d: 1.0),
        ("harmonic", lambda d: 1 / d),
        ("linear", lambda d: (4 - d) / 3),
    ],
)
def test_counts_are_those_of_a_loop(window, weight):
    counter = CooccurrenceCounter(3).add(TEXTS)
    ranking = counter.ranking()
    found = windowed_counts(counter, ranking, window).toarray()
    np.testing.assert_allclose(found, naive_counts(ranking.words, 3, weight), atol=1e-12)
    assert window_weight(window, 2, 3) == pytest.approx(weight(2))


@pytest.mark.parametrize("smoothing", [1.0, 0.75, 0.0])
@pytest.mark.parametrize("negatives", [1.0, 1.5])
def test_information_is_that_of_a_loop(smoothing, negatives):
    counts = np.random.default_rng(0).poisson(1.0, (6, 5)).astype(np.float64)
    counts[:, 3] = 0
    found = ppmi(csr_array(counts), smoothing=smoothing, negatives=negatives)
    columns = np.array([c**smoothing if c > 0 else 0.0 for c in counts.sum(0)])
    for w in range(6):
        for c in range(5):
            expected = 0.0
            if counts[w, c] > 0:
                joint = counts[w, c] / counts.sum()
                alone = counts[w].sum() / counts.sum() * columns[c] / columns.sum()
                expected = max(0.0, np.log(joint / alone / negatives))
            assert found[w, c] == pytest.approx(expected, abs=1e-12)
    assert (found.data > 0).all()
    assert ppmi(csr_array((3, 3))).nnz == 0


def test_svd_is_numpys():
    rows = np.random.default_rng(1).standard_normal((9, 7))
    left, values, right = truncated_svd(csr_array(rows), 3, seed=5)
    u, s, vt = np.linalg.svd(rows)
    np.testing.assert_allclose(values, s[:3])
    np.testing.assert_allclose(left * values @ right.T, u[:, :3] * s[:3] @ vt[:3], atol=1e-9)
    assert (left[np.abs(left).argmax(0), range(3)] > 0).all()


@pytest.mark.parametrize("add", [False, True])
def test_vectors_are_scaled_by_the_spectrum(add):
    options = PPMIOptions(power=0.3, add_contexts=add, smoothing=0.5)
    made = PPMIVectors(4, 2, options=options).fit(TEXTS)
    counts = windowed_counts(made.counter, made.counter.ranking())
    left, values, right = truncated_svd(ppmi(counts, smoothing=0.5), 4)
    expected = (left + right * add) * values**0.3
    np.testing.assert_allclose(made.vectors.vectors, expected, rtol=1e-4, atol=1e-5)
    assert made.vectors.words[0] == "the" and made.vectors.dims == 4


def test_parts_add_up_and_seeds_repeat():
    whole = PPMIVectors(4, 2, seed=3).fit(TEXTS)
    parts = PPMIVectors(4, 2, seed=3).fit(TEXTS[:2]).partial_fit(iter(TEXTS[2:]))
    np.testing.assert_array_equal(whole.vectors.vectors, parts.vectors.vectors)
    np.testing.assert_array_equal(parts.fit(TEXTS).vectors.vectors, whole.vectors.vectors)


def test_words_of_the_same_contexts_are_near():
    texts = [f"{pet} sleeps on the warm mat" for pet in ("cat", "dog") * 20]
    texts += [f"markets fell and {money} rose today" for money in ("stocks", "bonds") * 20]
    table = PPMIVectors(5, 3).fit(texts).vectors
    for word, near in (("cat", "dog"), ("stocks", "bonds")):
        assert table.most_similar(word, 1)[0][0] == near


def test_saved_vectors_come_back_and_grow(tmp_path):
    options = PPMIOptions(window="harmonic", max_words=8)
    made = PPMIVectors(3, 2, options=options, seed=2).fit(TEXTS[:3])
    made.save(tmp_path / "model")
    again = PPMIVectors.load(tmp_path / "model")
    np.testing.assert_array_equal(again.vectors.vectors, made.vectors.vectors)
    assert (again.options, again.seed, again.vectors.words) == (options, 2, made.vectors.words)
    grown = again.partial_fit(TEXTS[3:]).vectors
    np.testing.assert_array_equal(grown.vectors, made.fit(TEXTS).vectors.vectors)
    (tmp_path / "model" / "ppmi.json").write_text('{"format": 1}')
    with pytest.raises(StoreError, match="format 1"):
        PPMIVectors.load(tmp_path / "model")


def test_bad_input_is_said():
    for bad in ({"window": "flatt"}, {"smoothing": 2}, {"negatives": 0.5}, {"power": -1}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            PPMIOptions(**bad)
    with pytest.raises(ConfigError, match="radius"):
        PPMIVectors(3, 0)
    with pytest.raises(DataError, match="at most"):
        PPMIVectors(50, 2).fit(TEXTS)
    with pytest.raises(DataError, match="by chance"):
        PPMIVectors(1, 2).fit(["a", "b"])
    with pytest.raises(DataError, match="call fit"):
        PPMIVectors(3).save("nowhere")
    with pytest.raises(DataError, match="single string"):
        PPMIVectors(3).fit("a text")
    with pytest.raises(DataError, match="tokens"):
        PPMIVectors(3).fit([])
