"""The table of techniques: each row runs, has a test, and none is lost."""

from pathlib import Path

import numpy as np
import pytest

from vecsmith import techniques
from vecsmith.core import ConfigError
from vecsmith.techniques import TECHNIQUES
from vecsmith.techniques._beyond import BEYOND
from vecsmith.techniques._language import LANGUAGE

TESTS = Path(__file__).resolve().parents[1]
SERVED = [key for key, row in TECHNIQUES.items() if row.name]
# topics of the survey
TOPICS = {
    "foundations": 9,
    "static vectors": 8,
    "contextual": 7,
    "sentence and document": 12,
    "topic models": 6,
    "cross-lingual": 4,
    "personalised": 3,
    "multimodal": 3,
    "cognitive science": 2,
    "compression": 5,
    "interpretability": 5,
    "numeracy": 6,
    "bias": 5,
    "further topics": 1,
}


def test_no_topic_falls_short():
    assert len(LANGUAGE) + len(BEYOND) == len(TECHNIQUES)
    served = [TECHNIQUES[key].topic for key in SERVED]
    for topic, least in TOPICS.items():
        assert served.count(topic) >= least, topic
    assert set(served) == set(TOPICS)


@pytest.mark.parametrize("key", SERVED)
def test_each_part_is_there_and_has_a_test_that_names_it(key):
    row = TECHNIQUES[key]
    assert callable(row.load())
    place = TESTS / row.test
    files = [place] if place.is_file() else sorted(place.rglob("test_*.py"))
    name = row.name.partition(":")[2]
    assert any(name in file.read_text(encoding="utf-8") for file in files), (row.test, name)


def test_a_part_is_made_by_its_name():
    texts = ["the cat sat", "the dog ran", "a cat ran"]
    found = techniques.make("one-hot").fit(texts).encode(texts)
    assert found.shape[0] == 3 and set(np.unique(found.toarray() > 0)) == {False, True}
    assert techniques.make("number-dice", dims=8).encode([1.0]).shape == (1, 8)
    assert techniques.make("number-log", scheme="value").scheme == "value"


def test_the_page_lists_every_row():
    page = techniques.table()
    assert all(f"`{key}`" in page for key in TECHNIQUES)
    assert page.count("\n") == len(TECHNIQUES) + 1


def test_unknown_and_planned_ones_are_told():
    with pytest.raises(ConfigError, match="did you mean 'tfidf'"):
        techniques.get("tfdif")
    planned = next(key for key, row in TECHNIQUES.items() if not row.name)
    assert techniques.get(planned).status == "planned"
    with pytest.raises(ConfigError, match="planned and not there yet"):
        techniques.make(planned)
