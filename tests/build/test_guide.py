"""A guide filters negatives, at mining and in the loss, only where it proves better."""

import numpy as np
import pytest

from vecsmith.build import BuildSettings, build
from vecsmith.build._guide import checked_guide
from vecsmith.build._negatives import mine_negatives
from vecsmith.core import read_json
from vecsmith.data import Pair, Passage, SourceFile
from vecsmith.store import PassageTable, build_vectors
from vecsmith.train import GuideCache

STRONG = "sentence-transformers/all-MiniLM-L6-v2"


class Known:
    """An encoder that knows its vectors."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, *, kind="document", **_):
        rows = np.array([self.vectors[text] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def table(tmp_path):
    """Four documents of one passage each, "a" to "d"."""
    with PassageTable(tmp_path / "passages.sqlite", write=True) as table:
        for name in "abcd":
            file = SourceFile(name, tmp_path / name, "text", "", 1, 0)
            table.add_document(file, [Passage(name, 0, (), name, "prose", "", "", ())])
        table.finish()
        yield table


# By the base model "b" is nearest to the query after its own "a", then "c", then "d".
BASE = {"q": [1, 0, 0], "a": [1, 0.1, 0], "b": [1, 0.4, 0], "c": [1, 0.8, 0], "d": [0, 0, 1]}


def mined(table, guide=None, base=BASE, allowed=range(4)):
    pairs = [Pair("q", "a", 0, 0, "link")]
    encoder = Known(base)
    index = build_vectors([encoder.encode("abcd")], 4, 3)
    return mine_negatives(
        pairs, encoder, index, table, range(4), enough=9, allowed=allowed, guide=guide
    )


def guide_of(vectors, folder):
    return GuideCache.from_vectors(list(vectors), Known(vectors).encode(vectors), folder)


def test_without_a_guide_the_base_model_leaves_out_what_is_about_as_near(table):
    # cosines of a to d with q: .995, .928, .781, 0; the limit is .945
    assert mined(table) == [1]
    assert mined(table, base={**BASE, "b": [1, 0.2, 0]}) == [2]


def test_negatives_are_taken_from_the_allowed_groups_alone(table, tmp_path):
    assert mined(table, allowed=[0, 2, 3]) == [2]
    assert mined(table, allowed=[0]) == [-1]
    vectors = {"q": [1, 0], "a": [1, 0.5], "b": [0, 1], "c": [0, 1], "d": [-1, 1]}
    assert mined(table, guide_of(vectors, tmp_path / "guide"), allowed=[3]) == [3]


def test_a_guide_strikes_out_what_it_finds_as_near_as_the_positive(table, tmp_path):
    # The guide knows that b answers the query too.
    vectors = {"q": [1, 0], "a": [1, 0.5], "b": [1, 0.4], "c": [0.2, 1], "d": [-1, 1]}
    assert mined(table, guide_of(vectors, tmp_path / "knows")) == [2]
    # One to whom nothing but the positive is near takes the nearest by the base model.
    vectors["b"] = [0, 1]
    assert mined(table, guide_of(vectors, tmp_path / "other")) == [1]
    # One to whom everything is nearer leaves no negative.
    nearer = {name: [1, 0] for name in "qbcd"} | {"a": [0, 1]}
    assert mined(table, guide_of(nearer, tmp_path / "none")) == [-1]


@pytest.mark.slow
def test_a_better_guide_is_used_and_a_weaker_one_is_not(corpus, tiny, tmp_path):
    options = {"steps": 2, "batch_size": 16, "backend": "f32"}
    out = tmp_path / "index"
    report = build(BuildSettings(str(corpus), str(out), tiny, guide=STRONG, **options)).report
    verdict = report["train"]["guide"]
    assert verdict["used"] and verdict["comparison"]["verdict"] == "better"
    assert verdict["mrr@10"]["guide"] > verdict["mrr@10"]["student"] + 0.02
    assert read_json(out / "report.json")["train"]["guide"]["used"]

    pairs = [Pair(f"q{i}", f"p{i}", i, i, "link") for i in range(19)]
    guide, verdict = checked_guide(tiny, tiny, pairs, [], tmp_path / "guide")
    assert guide is None and "too few" in verdict["reason"]
    guide, verdict = checked_guide(tiny, tiny, pairs * 2, [], tmp_path / "guide")
    assert guide is None and "not clearly better" in verdict["reason"]
