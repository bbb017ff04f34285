"""From a file or a model to the report: what is measured, treated, refused."""

import numpy as np
import pytest

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode.words import WordVectors
from vecsmith.evaluate.bias import (
    BiasConcept,
    BiasQuestions,
    bias_report,
    direct_bias,
    examine_bias,
)
from vecsmith.reshape.debias import BiasSubspace, HardDebias, SoftDebias

SETS = (("north", "south"), ("up", "down"), ("alaska", "texas"))
NEUTRAL = tuple(f"n{i}" for i in range(30))
CONCEPT = BiasConcept(SETS, NEUTRAL)
QUESTIONS = BiasQuestions(
    neutral=NEUTRAL, sets=SETS, similarity=(), analogies=(), residual=0, specific=frozenset("x")
)


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    words = [word for pair in SETS for word in pair] + [f"n{i}" for i in range(60)]
    rows = rng.normal(size=(len(words), 8))
    rows[0:6:2, 0], rows[1:6:2, 0] = 4, -4
    WordVectors(words, rows).save(tmp_path / "words.bin")
    return tmp_path / "words.bin"


def test_words_are_measured_before_and_after(path):
    found = examine_bias(path, CONCEPT, method="hard", questions=QUESTIONS)
    vectors = WordVectors.load(path)
    subspace = BiasSubspace.from_sets(vectors, SETS)
    names = sorted(word for words in SETS for word in words)
    wanted = HardDebias(subspace, specific=names, equalize=SETS).transform(vectors)
    assert np.array_equal(found.result.vectors, wanted.vectors)
    again = bias_report({"before": vectors, "hard": wanted}, subspace, QUESTIONS)
    assert found.report.rows[0].values == again.rows[0].values
    assert found.report.value("direct bias", "before") > 0.05
    assert found.report.value("direct bias") < 1e-6


def test_without_a_method_nothing_is_treated(path):
    found = examine_bias(path, CONCEPT, questions=QUESTIONS)
    assert found.report.columns == ("before",)
    assert np.array_equal(found.result.vectors, WordVectors.load(path).vectors)


def test_soft_is_measured_along_the_turned_direction(path):
    weak, strong = (
        examine_bias(path, CONCEPT, method="soft", strength=s, questions=QUESTIONS)
        for s in (0.1, 100.0)
    )
    before = weak.report.value("direct bias", "before")
    assert strong.report.value("direct bias") < weak.report.value("direct bias") < before
    names = sorted(word for words in SETS for word in words)
    soft = SoftDebias(weak.subspace, lam=0.1, scale="relative", specific=names)
    turned = soft.fit_transform(WordVectors.load(path))
    assert weak.report.value("direct bias") == direct_bias(turned, soft.subspace_, NEUTRAL)


def test_the_concept_makes_its_questions(path):
    found = examine_bias(path, BiasConcept(SETS, (*NEUTRAL, "north")))
    rows = {row.measure: row.items for row in found.report.rows}
    assert rows["direct bias"] == "30 words"  # a defining word is never neutral
    assert rows["largest gap of cosines in a set"].startswith("3 sets")


def test_an_encoder_gets_words_in_sentences():
    sets = (("north", "south"), ("up", "down"))
    concept = BiasConcept(sets, ("cold", "warm", "rich", "poor"))
    questions = BiasQuestions(neutral=concept.neutral, sets=sets, similarity=(), analogies=())
    found = examine_bias("all-MiniLM-L6-v2", concept, method="hard", questions=questions)
    assert found.report.columns == ("before", "hard")
    assert found.report.value("direct bias", "before") > 0.01
    assert found.report.value("direct bias") < 1e-6
    vector = found.result.encode(["This is the cold."])
    assert abs(found.subspace.coordinates(vector)).max() < 1e-5


def test_concepts_come_from_files(tmp_path):
    (tmp_path / "sets").write_text("north south\n\nup  down\n")
    (tmp_path / "neutral").write_text("cold warm\ncold\n")
    concept = BiasConcept.read(tmp_path / "sets", tmp_path / "neutral", directions=2)
    assert concept == BiasConcept((("north", "south"), ("up", "down")), ("cold", "warm"), 2)
    (tmp_path / "bad").write_text("north south\nalone\n")
    with pytest.raises(DataError, match=r"two words or more.*'alone'"):
        BiasConcept.read(tmp_path / "bad", tmp_path / "neutral")
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(DataError, match="empty"):
        BiasConcept.read(tmp_path / "sets", tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("binary", "missing"):
        with pytest.raises(DataError, match="must be a text file of words"):
            BiasConcept.read(tmp_path / name, tmp_path / "neutral")


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        ("words.bin", {"method": "none"}, DataError, "no file or folder"),
        ("words.bin", {"method": "harsh"}, ConfigError, "none, hard, soft; got 'harsh'"),
        ("no-such/model", {}, ModelError, "no-such/model"),
        ("all-MiniLM-L6-v2", {"method": "soft"}, ConfigError, "take 'hard'"),
    ],
)
def test_bad_sources_and_methods(tmp_path, monkeypatch, source, options, error, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=words):
        examine_bias(source, CONCEPT, **options)


def test_neutral_words_that_all_define_are_refused(path):
    with pytest.raises(DataError, match="in no defining set"):
        examine_bias(path, BiasConcept(SETS, ("north",)))
