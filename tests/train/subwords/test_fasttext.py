"""fastText: what comes out is gensim's, near for inflections, repeatable; bad input."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode.words import SubwordVectors
from vecsmith.train.subwords import FastTextOptions, train_fasttext

PARTS = ["valve", "pump", "market", "stock", "boiler", "investor"]
TEXTS = [f"the {a}s near a {b} and the {b}s of one {a}" for a in PARTS for b in PARTS] * 4
SMALL = FastTextOptions(min_count=2, buckets=500, epochs=3)


@pytest.fixture(scope="module")
def table():
    return train_fasttext(TEXTS, 12, options=SMALL, seed=1)


def test_vectors_are_gensims(table):
    from gensim.models import FastText

    theirs = FastText(
        [text.split() for text in TEXTS],
        vector_size=12,
        sg=1,
        min_count=2,
        bucket=500,
        workers=1,
        seed=1,
        epochs=3,
    )
    for word in ("valve", "valves", "valvelike"):
        np.testing.assert_allclose(table[word], theirs.wv[word], atol=1e-6)


def test_unseen_forms_are_near_their_words(table):
    found = table.most_similar("boilerlike", 1)[0][0]
    assert found.startswith("boiler")


def test_the_seed_decides(table):
    again = train_fasttext([text.split() for text in TEXTS], 12, options=SMALL, seed=1)
    np.testing.assert_array_equal(again.ngrams, table.ngrams)
    other = train_fasttext(TEXTS, 12, options=SMALL, seed=2)
    assert isinstance(other, SubwordVectors) and (other.ngrams != table.ngrams).any()


def test_bad_input_is_said():
    for bad in ({"window": 0}, {"lengths": (0, 3)}, {"lr": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            FastTextOptions(**bad)
    with pytest.raises(ConfigError, match="dims"):
        train_fasttext(TEXTS, 0)
    with pytest.raises(DataError, match="seen 5 times"):
        train_fasttext(["a few words"], 5)
    for bad, text in (("a text", "single string"), ([], "not empty"), ([3], "text 0 must be")):
        with pytest.raises(DataError, match=text):
            train_fasttext(bad, 5)
    with pytest.raises(DataError, match="several times"):
        train_fasttext(iter(TEXTS), 5)
