"""Search by weighted aspects."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.store import AspectIndex


class Letters:
    """Each aspect looks at one letter of a text."""

    aspects = ("first", "second")

    def __init__(self, turn=0.0):
        self.turn = turn

    def encode(self, texts):
        angles = np.array([[ord(text[i]) / 40 for i in (0, 1)] for text in texts]) + self.turn
        return {
            name: np.stack([2 * np.cos(angles[:, i]), 2 * np.sin(angles[:, i])], 1).astype("f4")
            for i, name in enumerate(self.aspects)
        }


TEXTS = ["aa", "az", "za", "zz", "mm"]


@pytest.fixture
def index():
    return AspectIndex(Letters()).add(TEXTS[:3], TEXTS[:3]).add(TEXTS[3:], TEXTS[3:])


def test_weights_decide(index):
    assert [hit.id for hit in index.search("az", aspect="first", k=2)] == ["aa", "az"]
    assert [hit.id for hit in index.search("az", aspect="second", k=2)] == ["az", "zz"]
    assert index.search("az")[0].id == "az" and len(index.search("az")) == len(index) == 5


def test_scores_are_weighted_cosines(index):
    for hit in index.search("az", aspect={"first": 3.0, "second": 1.0}):
        wanted = {
            name: np.cos((ord("az"[i]) - ord(hit.id[i])) / 40)
            for i, name in enumerate(Letters.aspects)
        }
        assert hit.cosines == pytest.approx(wanted, abs=1e-5)
        assert hit.score == pytest.approx(
            0.75 * wanted["first"] + 0.25 * wanted["second"], abs=1e-5
        )


def test_saved_and_loaded(index, tmp_path):
    index.save(tmp_path / "i")
    loaded = AspectIndex.load(tmp_path / "i", Letters())
    assert loaded.search("mz") == index.search("mz")
    with pytest.raises(StoreError, match="built with another model"):
        AspectIndex.load(tmp_path / "i", Letters(turn=0.5))
    other = Letters()
    other.aspects = ("second", "first")
    with pytest.raises(StoreError, match="built with another model"):
        AspectIndex.load(tmp_path / "i", other)
    (tmp_path / "i" / "vectors.safetensors").unlink()
    with pytest.raises(StoreError, match="is missing"):
        AspectIndex.load(tmp_path / "i", Letters())


def test_bad_input(index):
    with pytest.raises(DataError, match="'aa' is there already"):
        index.add(["xx"], ["aa"])
    with pytest.raises(DataError, match="needs an id"):
        index.add(["xx"], [])
    with pytest.raises(ConfigError, match="did you mean 'first'"):
        index.search("aa", aspect="firs")
    for weights in ({}, {"first": 0.0}, {"first": -1.0, "second": 2.0}):
        with pytest.raises(ConfigError, match="at least 0 and not all 0"):
            index.search("aa", aspect=weights)
    with pytest.raises(StoreError, match="holds no documents"):
        AspectIndex(Letters()).search("aa")
    for k in (0, -1):
        with pytest.raises(ConfigError, match=f"k must be at least 1; got {k}"):
            index.search("aa", k=k)


def test_spaces_of_unequal_dimensions_are_refused():
    class Uneven(Letters):
        def encode(self, texts):
            found = super().encode(texts)
            return {**found, "second": found["second"][:, :1]}

    with pytest.raises(DataError, match=r"'first': 2, 'second': 1"):
        AspectIndex(Uneven()).add(["aa"], ["aa"])
