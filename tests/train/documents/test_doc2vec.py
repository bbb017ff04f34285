"""Paragraph vectors: themes part, each text by itself, the same in other processes; bad input."""

import os
import subprocess
import sys

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.train.documents import Doc2VecOptions, DocumentVectors

HOME = "cat dog mat sleeps purrs fur tail kitten basket warm".split()
MONEY = "stocks bonds market falls investor bank rates profit shares trader".split()


def texts(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice((HOME, MONEY)[i % 2], 12)) for i in range(count)]


TRAIN, NEW = texts(120, 0), texts(6, 1)
OPTIONS = Doc2VecOptions(epochs=30, infer_epochs=20, sample=0)
PARITY = [True, False] * 60
METHODS = ["dbow", "dm", "dm-concat"]


@pytest.fixture(scope="module", params=METHODS)
def fitted(request):
    return DocumentVectors(8, method=request.param, options=OPTIONS, seed=3).fit(TRAIN)


def test_texts_of_a_theme_are_near(fitted):
    assert fitted.documents.shape == (120, 8)
    if fitted.method == "dm-concat":
        # here the words of a window tell the theme, and the document's vector has nothing to add
        return
    unit = fitted.encode(NEW, normalize_embeddings=True)
    scores = unit @ unit.T
    same = np.equal.outer(np.arange(6) % 2, np.arange(6) % 2)
    assert scores[same].mean() > scores[~same].mean() + 0.1
    centre = fitted.documents[::2].mean(0) - fitted.documents[1::2].mean(0)
    right = (fitted.documents @ centre > fitted.documents.mean(0) @ centre) == PARITY
    assert right.mean() > (0.95 if fitted.method == "dbow" else 0.6)


def test_each_text_is_encoded_by_itself_and_comes_back(fitted, tmp_path):
    together = fitted.encode([*NEW, "zzz"])
    alone = np.concatenate([fitted.encode([text.split()]) for text in [*NEW, "zzz"]])
    np.testing.assert_array_equal(together, alone)
    assert not together[-1].any() and fitted.encode([]).shape == (0, 8)
    fitted.save(tmp_path / "model")
    again = DocumentVectors.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode([*NEW, "zzz"]), together)
    np.testing.assert_array_equal(again.documents, fitted.documents)
    assert (again.options, again.seed, again.method) == (OPTIONS, 3, fitted.method)


def test_a_process_with_other_hashes_gives_the_same(tmp_path):
    made = DocumentVectors(4, options=OPTIONS).fit(TRAIN)
    made.save(tmp_path / "model")
    code = (
        "import sys; from vecsmith.train.documents import DocumentVectors as D;"
        f"rows = D.load({str(tmp_path / 'model')!r}).encode({NEW!r});"
        "from vecsmith.train.documents import Doc2VecOptions as O;"
        f"o = O(epochs=30, infer_epochs=20, sample=0); more = D(4, options=o).fit({TRAIN!r});"
        "sys.stdout.write(rows.tobytes().hex() + ' ' + more.documents.tobytes().hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    rows, documents = out.stdout.split()
    assert rows == made.encode(NEW).tobytes().hex()
    assert documents == made.documents.tobytes().hex()


def test_a_new_text_is_trained_as_gensim_trains(fitted):
    """From gensim's own start its own inference ends where ours does."""
    from gensim.models import doc2vec

    start = np.random.default_rng(0).standard_normal(8).astype(np.float32)
    model, words = fitted._model, NEW[0].split()
    model.random.seed(3)
    original = doc2vec.pseudorandom_weak_vector
    try:
        doc2vec.pseudorandom_weak_vector = lambda *_, **__: start.copy()
        theirs = model.infer_vector(words, epochs=20)
    finally:
        doc2vec.pseudorandom_weak_vector = original
    import vecsmith.train.documents._doc2vec as ours

    class Fixed:
        def random(self, size):
            return start * size + 0.5

    generator = ours.numpy_generator
    try:
        ours.numpy_generator = lambda *_: Fixed()
        np.testing.assert_allclose(fitted._infer(model, words), theirs, atol=1e-5)
    finally:
        ours.numpy_generator = generator


def test_words_where_they_are_trained(fitted):
    if fitted.method == "dbow":
        with pytest.raises(DataError, match="with_words"):
            fitted.words  # noqa: B018
    else:
        assert set(fitted.words.words) == {*HOME, *MONEY}
    options = Doc2VecOptions(with_words=True, epochs=30, sample=0)
    words = DocumentVectors(8, options=options).fit(TRAIN).words
    assert words.most_similar("cat", 1)[0][0] in HOME


def test_bad_input_is_said(tmp_path):
    for bad in ({"window": 0}, {"lr": -1}, {"infer_epochs": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            Doc2VecOptions(**bad)
    with pytest.raises(ConfigError, match="did you mean 'dbow'"):
        DocumentVectors(method="pv-dbow")
    with pytest.raises(ConfigError, match="dims"):
        DocumentVectors(0)
    with pytest.raises(DataError, match="call fit"):
        DocumentVectors().encode(NEW)
    with pytest.raises(DataError, match="seen 9 times"):
        DocumentVectors(options=Doc2VecOptions(min_count=9)).fit(["a few words"])
    for bad, text in (("a text", "single string"), ([], "not empty"), ([3], "text 0 must be")):
        with pytest.raises(DataError, match=text):
            DocumentVectors().fit(bad)
    made = DocumentVectors(4, options=OPTIONS).fit(TRAIN)
    with pytest.raises(DataError, match="single string"):
        made.encode("a text")
    made.save(tmp_path / "model")
    path = tmp_path / "model" / "settings.json"
    path.write_text(path.read_text().replace('"dims": 4', '"dims": 5'))
    with pytest.raises(StoreError, match="shape"):
        DocumentVectors.load(tmp_path / "model")
