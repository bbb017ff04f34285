"""The report: quality beside bias, what is skipped and why, words of encoders."""

import json
import math

import numpy as np
import pytest

from vecsmith.core import ConfigError
from vecsmith.data.samples import AssociationTest
from vecsmith.encode.words import WordVectors, vectors_of_words
from vecsmith.evaluate.bias import BiasQuestions, bias_report, direct_bias, report_words
from vecsmith.reshape.debias import BiasSubspace, HardDebias, SoftDebias

PAIRS = [("she", "he"), ("woman", "man"), ("girl", "boy")]
TEST = AssociationTest("T", ("n0", "n1", "n2"), ("n3", "n4", "n5"), ("she",), ("he",))


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    words = [w for pair in PAIRS for w in pair] + [f"n{i}" for i in range(94)]
    rows = rng.normal(size=(100, 8))
    rows[0:6:2, 0], rows[1:6:2, 0] = 4, -4
    return WordVectors(words, rows)


def questions(**changes):
    neutral = tuple(f"n{i}" for i in range(30))
    given = {
        "neutral": (*neutral, "nothing"),
        "ratings": {w: float(i) for i, w in enumerate(neutral)},
        "sets": (("she", "he"), ("woman", "man")),
        "tests": (TEST,),
        "similarity": (),
        "analogies": (),
        "residual": 20,
        "generated": 5,
    }
    return BiasQuestions(**{**given, **changes})


def test_columns_show_the_price_beside_the_bias(vectors):
    subspace = BiasSubspace.from_pairs(vectors, PAIRS)
    hard = HardDebias(subspace, specific=[], equalize=PAIRS[:2])
    soft = SoftDebias(subspace, lam=1, scale="relative", specific=[])
    turned = soft.fit_transform(vectors)
    tables = {
        "before": vectors,
        "hard": hard.transform(vectors),
        "soft": (turned, soft.subspace_),
    }
    lengths = {"before": 3.0, "hard": 2.0, "soft": 2.5}
    report = bias_report(tables, subspace, questions(), extra={"given": lengths.__getitem__})
    neutral = [f"n{i}" for i in range(30)]
    assert report.columns == ("before", "hard", "soft")
    assert report.value("given", "soft") == 2.5
    assert report.value("direct bias", "before") == direct_bias(vectors, subspace, neutral)
    assert report.value("direct bias", "hard") < 1e-6
    # after the soft map the direction is measured where the map put it
    assert report.value("direct bias") == direct_bias(turned, soft.subspace_, neutral)
    # a pair that was not equalised still differs otherwise, and the direction moves
    assert report.value("direct bias, direction found anew", "hard") > 1e-4
    anew = direct_bias(turned, BiasSubspace.from_pairs(turned, PAIRS), neutral)
    assert report.value("direct bias, direction found anew") == anew
    assert report.value("largest gap of cosines in a set", "hard") < 1e-6
    assert report.value("largest gap of cosines in a set", "before") > 0.1
    assert math.isnan(report.value("coordinate against ratings, Spearman", "hard"))
    rows = {row.measure: row for row in report.rows}
    assert rows["direct bias"].items == "30 words, 1 without vector"
    assert rows["direct bias"].group == "bias" and rows["given"].group == "quality"
    assert rows["old side told by clusters"].items == "20 words a side"
    assert {"T, effect", "T, p", "indirect bias, median"} <= set(rows)
    assert not report.skipped

    text = report.markdown()
    assert text.index("**quality**") < text.index("| given |") < text.index("**bias**")
    assert "| given | 3.0000 | 2.0000 (-1.0000) | 2.5000 (-0.5000) | given |" in text
    values = report.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_what_cannot_be_measured_is_said(vectors):
    subspace = BiasSubspace.from_pairs(vectors, PAIRS)
    asked = questions(similarity=("men",), analogies=("msr",), neutral=("n0", "n1"), residual=40)
    report = bias_report(vectors.subset(26), subspace, asked)
    assert report.columns == ("vectors",)
    assert "pairs of men have vectors" in report.skipped["men, Spearman"]
    assert "questions of msr" in report.skipped["msr analogies, accuracy"]
    assert "fewer than three" in report.skipped["indirect bias, median"]
    assert "fewer than 40 words" in report.skipped["old side told by clusters"]
    assert "Not measured: men, Spearman: " in report.markdown()
    with pytest.raises(ConfigError, match=r"'men, Spearman'; it was skipped"):
        report.value("men, Spearman")
    with pytest.raises(ConfigError, match="did you mean 'direct bias'"):
        report.value("direct bia")
    with pytest.raises(ConfigError, match="no column 'hard'"):
        report.value("direct bias", "hard")


def test_tables_must_hold_the_same_words(vectors):
    subspace = BiasSubspace.from_pairs(vectors, PAIRS)
    with pytest.raises(ConfigError, match="the same words"):
        bias_report({"a": vectors, "b": vectors.subset(50)}, subspace, questions())
    with pytest.raises(ConfigError, match="at least one table"):
        bias_report({}, subspace, questions())


def test_gender_is_asked_about_unless_something_else_is():
    asked = BiasQuestions.gender(residual=0)
    assert len(asked.neutral) == 303 and asked.residual == 0
    assert asked.ratings["nurse"] > 0.5 > -0.5 > asked.ratings["boxer"]
    assert [t.name.split(",")[0] for t in asked.tests] == [
        "Male names vs Female names",
        "Math vs Arts",
        "Science vs Arts",
    ]
    words = report_words(asked)
    assert {"nurse", "he", "poetry", "tiger"} <= set(words) and len(words) == len(set(words))


def test_an_encoder_is_measured_by_templates(tiny_model):
    from sentence_transformers import SentenceTransformer

    from vecsmith.reshape.debias import debias_encoder

    pairs = [("red", "blue"), ("open", "close")]
    names = ("valve", "pump", "cable", "panel", "motor", "switch")
    asked = questions(
        neutral=names,
        ratings={w: float(i) for i, w in enumerate(names)},
        sets=(("red", "blue"),),
        tests=(AssociationTest("T", names[:3], names[3:], ("red",), ("blue",)),),
        residual=0,
        generated=0,
    )
    model = SentenceTransformer(str(tiny_model), device="cpu")
    words = [*report_words(asked), "open", "close"]

    def table(encoder):
        return vectors_of_words(encoder.encode, words, templates=["the {}", "a {} pump"])

    before = table(model)
    subspace = BiasSubspace.from_pairs(before, pairs)
    after = table(debias_encoder(model, subspace))
    report = bias_report({"before": before, "after": after}, subspace, asked)
    assert report.value("direct bias", "before") > 0.01
    assert report.value("direct bias", "after") < 1e-5
